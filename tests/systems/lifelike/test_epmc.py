import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_suite.core import fuse, train
from jaxrl_suite.envs.quadruped import playground
from jaxrl_suite.ops import running
from jaxrl_suite.systems.lifelike import Command, Networks, acting, curriculum, epmc, pmc, ppo
from tests.systems.lifelike import probes
from tests.systems.lifelike.small import HYPER, UPPER, flat, same

SMALL = dataclasses.replace(
    UPPER, memory=4, num_envs=4, num_steps=7, epochs=2, minibatches=2, terrains=("hurdle", "gap")
)


def of(command):
    return dataclasses.replace(SMALL, command=command)


def source_of(command):
    config = of(command)
    course = playground.course(dict.fromkeys(config.terrains, 1.0))
    schedule = curriculum.climbing(course)
    return acting.source(probes.roaming(), epmc.policy(config), config, schedule)


@functools.cache
def begun():
    return jax.jit(lambda key: source_of(Command()).init(key, HYPER, ()))(jax.random.key(0))


@functools.cache
def acted(command):
    """A level with any weights, and what it did in a second update, memories in full swing."""
    policy, sample = epmc.policy(of(command)), jax.jit(source_of(command).sample)
    params = probes.params_of(policy, HYPER, probes.skills(SMALL))
    state, _ = sample(begun(), params, jax.random.key(1))
    return params, *sample(state, params, jax.random.key(2))


def test_parameters_are_as_many_as_the_paper_s():
    config = dataclasses.replace(UPPER, networks=Networks(), memory=32)
    make = lambda key: epmc.policy(config).init(  # noqa: E731
        key, HYPER, pmc.policy(config).init(key, HYPER, ())
    )
    params = jax.eval_shape(make, jax.random.key(0))
    count = lambda tree: sum(x.size for x in jax.tree.leaves(tree))  # noqa: E731
    frozen = params.frozen
    used = {name: frozen.weights[name] for name in ("codebook", "decoder", "log_std")}
    normaliser = frozen.inputs["body"].mean.size + frozen.inputs["body"].variance.size
    assert count(used) + normaliser == 111_942
    assert count(params.weights) + count(used) + normaliser == 346_309


def commands(*fast, **slow):
    """To be tested with all of them."""
    told = [pytest.param(x, id=f"hold {x.hold}, top {x.top}") for x in fast]
    told += [pytest.param(x, id=name, marks=pytest.mark.slow) for name, x in slow.items()]
    return pytest.mark.parametrize("command", told)


HELD = Command(hold=3, top=3)
OTHERS = {
    "unfrozen": Command(frozen=False, prior=True, hold=2),
    "latent": Command(by="latent"),
    "actions": Command(by="actions"),
    "unfrozen_latent": Command(by="latent", frozen=False),
}


@commands(Command(), HELD, **OTHERS)
def test_what_acted_is_judged_alike(command):
    """In sequences in which episodes begin, from the memory that acted."""
    params, _, played = acted(command)
    assert played.fresh[1:].any()
    assert np.abs(flat(played.memory.policy)).max() > 0
    judged = jax.jit(epmc.policy(of(command)).judge)(
        params.weights,
        params,
        HYPER,
        played.observation,
        played.fresh,
        played.memory,
        played.action,
        played.noise,
    )
    np.testing.assert_allclose(judged.log_prob, played.log_prob, atol=2e-4, rtol=1e-5)
    np.testing.assert_allclose(judged.value, played.value, atol=1e-5)
    assert np.std(played.log_prob) > 0
    assert np.isfinite(judged.entropy).all()


def test_what_an_action_leads_to_is_valued_by_the_memory_after_it():
    """The next value is the next step's, unless an episode ended between them."""
    _, _, played = acted(Command())
    goes_on = ~np.asarray(played.ended)[:-1]
    np.testing.assert_allclose(
        played.next_value[:-1][goes_on], played.value[1:][goes_on], atol=1e-5
    )
    np.testing.assert_array_equal(played.fresh[1:], played.ended[:-1])


def test_a_code_is_held_unless_an_episode_begins():
    _, state, played = acted(HELD)
    code, asks = np.asarray(played.told["code"]), np.asarray(played.noise)[..., 0]
    fresh, age = np.asarray(played.fresh), np.asarray(played.memory.age)
    for t in range(len(code)):
        age = np.where(fresh[t], 0, age)
        np.testing.assert_array_equal(asks[t], age == 0)
        if t:
            np.testing.assert_array_equal(code[t][age > 0], code[t - 1][age > 0])
        age = (age + 1) % 3
    np.testing.assert_array_equal(state.memory.age, age)
    assert (np.asarray(played.log_prob)[~asks] == 0).all()
    assert (np.asarray(played.log_prob)[asks] < 0).all()


def seen(params, observation):
    return running.normalised(params.frozen.inputs["body"], observation["body"], 5.0)


def test_codes_that_the_prior_finds_unlikely_are_shut_out():
    params, _, played = acted(HELD)
    nets = pmc.nets_of(SMALL.networks)
    body = seen(params, played.observation)
    likely = nets.prior.apply({"params": params.frozen.weights["prior"]}, body)
    best = np.argsort(-np.asarray(likely), axis=-1)[..., :3]
    asks = np.asarray(played.noise)[..., 0]
    within = (best == np.asarray(played.told["code"])[..., None]).any(-1)
    assert within[asks].all()
    logits = jnp.zeros((*likely.shape[:-1], 8))
    config = of(Command(top=3))
    left = epmc.code_logits(config, epmc.nets_of(config), params.frozen, logits, body)
    assert ((jax.nn.softmax(left) > 0).sum(-1) == 3).all()


def test_by_the_prior_a_policy_without_a_wish_is_the_prior():
    params, _, played = acted(HELD)
    nets = pmc.nets_of(SMALL.networks)
    body = seen(params, played.observation)
    likely = nets.prior.apply({"params": params.frozen.weights["prior"]}, body)
    assert np.asarray(likely).std() > 0.01
    config = of(Command(prior=True))
    wish = jnp.zeros((1, 1, 8)).at[..., 2].set(1.5)
    for wished in (jnp.zeros((1, 1, 8)), wish):
        told = epmc.choices(config, epmc.nets_of(config), {}, params.frozen, wished, body)
        odds = jax.nn.softmax(likely) * jnp.exp(wished)  # by Bayes' rule
        odds = odds / odds.sum(axis=-1, keepdims=True)
        np.testing.assert_allclose(jax.nn.softmax(told.logits), odds, rtol=1e-5)


def test_the_decoder_is_told_the_code():
    """The motion is the frozen decoder's for that code, but for its noise of e^-8."""
    params, _, played = acted(Command())
    frozen, code = params.frozen.weights, played.told["code"]
    nets = pmc.nets_of(SMALL.networks)
    body = seen(params, played.observation)
    mean = lambda code: pmc.decode(nets, frozen, body, frozen["codebook"][code]).mean  # noqa: E731
    apart = np.abs(played.action.motion - mean(code))
    assert apart.max() < 6 * np.exp(-8)
    assert np.abs(played.action.motion - mean((code + 1) % 8)).mean() > 0.1
    np.testing.assert_array_equal(played.reward, played.action.motion[..., 0])


def test_without_a_key_the_likeliest_code_is_held_and_motions_are_means():
    params, hold, n = acted(Command())[0], 3, 3
    config = of(Command(hold=hold))
    nets = epmc.nets_of(config)
    observation = probes.told(playground.SIZES, 6, n)
    fresh = jnp.zeros((6, n), bool)
    begin = epmc.policy(config).memory(n)
    _, out = nets.policy.apply(
        {"params": params.weights["policy"]},
        epmc.with_body(params.frozen, observation),
        fresh,
        begin.policy,
    )
    likely = np.asarray(jnp.argmax(out, axis=-1))
    step, memory = jax.jit(epmc.step, static_argnums=0), begin
    for t in range(6):
        row = jax.tree.map(lambda x, t=t: x[t], observation)
        memory, motion = step(config, params, row, memory, fresh[t], None)
        code = likely[t - t % hold]
        np.testing.assert_array_equal(memory.code, code)
        body = epmc.with_body(params.frozen, row)["body"]
        expected = epmc.motion_of(config, nets, params.weights, params.frozen, body, code).mean
        np.testing.assert_allclose(motion, expected, atol=1e-5)


def rows_of(played):
    return ppo.Rows(
        played.observation,
        played.fresh,
        played.memory,
        played.action,
        played.noise,
        played.log_prob,
        played.reward,
        played.value + 1.0,
    )


def test_what_is_frozen_has_no_gradient():
    """Of PPO's loss, by whichever way it is taken."""
    params, _, played = acted(HELD)
    policy = epmc.policy(of(HELD))

    def total(weights, skills):
        whole = params._replace(frozen=params.frozen._replace(weights=skills))
        return ppo.loss(policy, HYPER, whole, weights, rows_of(played))[0]

    both = jax.jit(jax.grad(total, argnums=(0, 1)))(params.weights, params.frozen.weights)
    own, skills = both
    np.testing.assert_array_equal(flat(skills), 0)
    assert set(own) == {"policy", "value"}
    for name, gradient in own.items():
        assert np.abs(flat(gradient)).max() > 0, name


@commands(Command(), **OTHERS)
def test_all_learn_what_they_may_and_skills_stay_bit_for_bit(command):
    """Their normaliser, too, is not estimated anew."""
    params, _, played = acted(command)
    learner = ppo.learner(of(command), epmc.policy(of(command)), params.frozen)
    hyper = jax.tree.map(jnp.asarray, HYPER._replace(learning_rate=1e-2, entropy=0.01))
    optimiser, zero = ppo.ADAM.init(params.weights), jnp.zeros((), jnp.int32)
    before = ppo.LearnerState(params, optimiser, hyper, jax.random.key(0), zero)
    after, told = jax.jit(learner.update)(before, played)
    same(after.params.frozen, params.frozen)
    assert after.params.inputs == {}
    own = {"actions": {"log_std"}, "latent": {"latent_log_std"}, "codes": set()}[command.by]
    own |= set() if command.frozen else {"decoder", "codebook", "log_std"}
    assert set(after.params.weights) == {"policy", "value"} | own
    still = {"codebook"} if command.by == "latent" else set()  # told to nobody
    for name, weights in after.params.weights.items():
        moved = np.abs(flat(weights) - flat(params.weights[name])).max() > 1e-3
        assert moved == (name not in still), name
    assert float(after.params.returns.count) > float(params.returns.count)
    assert np.isfinite(flat(told)).all()
    assert ("perplexity" in told) == (command.by == "codes")


def test_what_returns_are_counted_in_does_not_matter():
    """Values begin as 0, and what is learned from a reward and from a thousandth of it is alike."""
    params = epmc.policy(SMALL).init(jax.random.key(0), HYPER, probes.skills(SMALL))
    state = source_of(Command()).init(jax.random.key(0), HYPER, ())
    _, played = jax.jit(source_of(Command()).sample)(state, params, jax.random.key(1))
    np.testing.assert_array_equal(played.value, 0.0)
    np.testing.assert_array_equal(played.next_value, 0.0)
    learner = ppo.learner(SMALL, epmc.policy(SMALL), params.frozen)
    update = jax.jit(learner.update)
    hyper = jax.tree.map(jnp.asarray, HYPER._replace(learning_rate=1e-2))
    optimiser, zero = ppo.ADAM.init(params.weights), jnp.zeros((), jnp.int32)
    before = ppo.LearnerState(params, optimiser, hyper, jax.random.key(0), zero)
    one, small = (update(before, played._replace(reward=x * played.reward))[0] for x in (1.0, 1e-3))
    np.testing.assert_allclose(flat(one.params.weights), flat(small.params.weights), atol=1e-4)
    assert np.abs(flat(one.params.weights) - flat(params.weights)).max() > 1e-2
    returns = [np.sqrt(float(x.params.returns.variance)) for x in (one, small)]
    assert returns[0] == pytest.approx(1000 * returns[1], rel=1e-3)
    # Where nothing has been paid yet nothing is learned of values, and nothing breaks.
    none, _ = update(before, played._replace(reward=jnp.zeros_like(played.reward)))
    assert np.isfinite(flat(none.params.weights)).all()


def test_the_code_that_pays_is_found():
    """The decoder's first number is the reward; of the codes one pays most, whatever is sensed."""
    config = dataclasses.replace(SMALL, num_envs=64, num_steps=16, epochs=4, minibatches=4)
    policy, frozen = epmc.policy(config), probes.skills(SMALL)
    schedule = curriculum.climbing(playground.course({"hurdle": 1.0}))
    hyper = HYPER._replace(learning_rate=3e-3, discount=0.9)
    system = fuse(
        ppo.learner(config, policy, frozen),
        acting.source(probes.roaming(), policy, config, schedule),
        hyper=hyper,
        evaluate=None,
        frames_per_update=config.frames_per_update,
    )
    state = jax.jit(system.init)(jax.random.key(0))
    _, told = jax.jit(train(system, 30))(state)
    bodies = probes.told(playground.SIZES, 256)["body"]
    nets, weights = pmc.nets_of(config.networks), frozen.weights
    body = running.normalised(frozen.inputs["body"], bodies, 5.0)
    each = [jnp.broadcast_to(code, (256, code.size)) for code in weights["codebook"]]
    pays = np.stack([pmc.decode(nets, weights, body, code).mean[:, 0] for code in each])
    best, even = pays.mean(axis=1).max(), pays.mean()
    assert best - even > 0.3
    assert told["reward"][0] < even + 0.3 * (best - even)
    assert told["reward"][-5:].mean() > even + 0.9 * (best - even)
