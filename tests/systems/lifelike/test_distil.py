import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_suite.core import UsageError
from jaxrl_suite.envs.quadruped import playground
from jaxrl_suite.envs.quadruped.terrain import CREEP, HURDLE, KINDS
from jaxrl_suite.nets.layer_norm_lstm import blank
from jaxrl_suite.systems import lifelike
from jaxrl_suite.systems.lifelike import Command, distil, epmc, pmc, ppo
from tests.systems.lifelike import probes
from tests.systems.lifelike.small import HYPER, UPPER, flat, same

CONFIG = dataclasses.replace(
    UPPER, level="distil", memory=4, num_envs=8, num_steps=7, epochs=1, minibatches=2
)
NETS = epmc.nets_of(CONFIG)
STUDENT, WALKS, CREEPS = 7, 2, 5  # codes that the student and the experts like best


def liking(code, seed):
    """Weights of a policy that chooses a code nearly always, and is not sure what else."""
    weights = probes.walker(CONFIG, seed).weights["policy"]
    head = weights["outputs"]
    bias = head["bias"].at[code].add(20.0)
    return weights | {"outputs": head | {"bias": bias}}


@functools.cache
def taught(teacher):
    """The student, the state before and after an update's experience, and the experience."""
    params = ppo.Params({"policy": liking(STUDENT, 3)}, {}, (), (), probes.skills(CONFIG))
    hyper = HYPER._replace(teacher=jnp.asarray(teacher), fading=jnp.asarray(1.0))
    init, sample = compiled()
    begun = init(jax.random.key(0), hyper, params)
    same(begun.memory, blank(8, 4))
    state, _ = sample(begun, params, jax.random.key(1))
    return params, state, *sample(state, params, jax.random.key(2))


@functools.cache
def compiled(hold=1):
    """``init`` and ``sample`` of the source with two experts."""
    config = dataclasses.replace(CONFIG, command=Command(hold=hold))
    experts = distil.experts_of([(("hurdle",), liking(WALKS, 4)), (("creep",), liking(CREEPS, 5))])
    course = playground.course({"hurdle": 1.0, "creep": 1.0})
    source = distil.source(probes.roaming(), config, experts, course)
    return jax.jit(source.init), jax.jit(source.sample)


def outputs(weights, params, told, memory):
    """Of a policy over the sequence: its memory after it, and logits [T, N, K]."""
    seen = epmc.with_body(params.frozen, told.observation)
    return NETS.policy.apply({"params": weights}, seen, told.fresh, memory)


def kinds(told):
    """Of every step, as the probe's target says, [T, N]."""
    return np.asarray(told.observation["target"][..., 0]).astype(int)


def chosen(params, told):
    """Which code led to every reward, a motion's first number but for noise of e^-8, [T, N]."""
    body = epmc.with_body(params.frozen, told.observation)["body"]
    frozen, nets = params.frozen.weights, pmc.nets_of(CONFIG.networks)
    means = [
        pmc.decode(nets, frozen, body, jnp.broadcast_to(x, (*body.shape[:-1], 4))).mean[..., 0]
        for x in frozen["codebook"]
    ]
    return np.abs(np.stack(means) - np.asarray(told.reward)).argmin(0)


def test_experts_are_of_their_terrains():
    weights = [{"a": jnp.full(2, float(i))} for i in range(3)]
    told = zip([("hurdle", "gap"), ("creep",), ("creep", "stairs")], weights, strict=True)
    found = distil.experts_of(list(told))
    of = dict(zip(KINDS, np.asarray(found.of_kind).tolist(), strict=True))
    assert (of["hurdle"], of["gap"], of["creep"], of["stairs"]) == (0, 0, 1, 2)
    np.testing.assert_array_equal(found.weights["a"], [[0, 0], [1, 1], [2, 2]])


def test_each_terrain_s_expert_says_what_it_would_do():
    params, before, _, told = taught(0.0)
    kind, experts = kinds(told), before.experts.weights
    assert set(kind.ravel().tolist()) == {HURDLE, CREEP}
    for i, own in enumerate((HURDLE, CREEP)):
        weights, memory = (jax.tree.map(lambda x, i=i: x[i], y) for y in (experts, before.advice))
        _, logits = outputs(weights, params, told, memory)
        where = kind == own
        np.testing.assert_allclose(told.logits[where], logits[where], atol=1e-4)
        assert np.abs(told.logits[~where] - logits[~where]).max() > 1.0


def test_the_student_s_memory_is_that_of_the_sequence():
    params, before, after, told = taught(0.0)
    same(told.memory, before.memory)
    assert told.fresh[1:].any()
    assert np.abs(flat(told.memory)).max() > 0
    memory, _ = outputs(params.weights["policy"], params, told, told.memory)
    np.testing.assert_allclose(flat(memory), flat(after.memory), atol=1e-5)


@pytest.mark.parametrize("teacher", [0.0, 1.0])
def test_who_acts(teacher):
    params, _, _, told = taught(teacher)
    expert = np.where(kinds(told) == HURDLE, WALKS, CREEPS)
    expected = expert if teacher else np.full_like(expert, STUDENT)
    assert (chosen(params, told) == expected).mean() > 0.95


def test_who_acts_does_so_for_the_episode():
    params, before, _, told = taught(0.5)
    expert = np.where(kinds(told) == HURDLE, WALKS, CREEPS)
    code, fresh = chosen(params, told), np.asarray(told.fresh)
    by = np.where(code == expert, 1, np.where(code == STUDENT, 0, -1))
    assert {0, 1} <= set(by.ravel().tolist())
    np.testing.assert_array_equal(by[0][~fresh[0]], np.asarray(before.led)[~fresh[0]])
    stays = ~fresh[1:]
    np.testing.assert_array_equal(by[1:][stays], by[:-1][stays])


def test_experts_act_less_often_from_update_to_update():
    params, before, _, _ = taught(1.0)
    _, sample = compiled()
    hyper = before.hyper._replace(teacher=jnp.asarray(1.0), fading=jnp.asarray(0.0))
    state, _ = sample(
        before._replace(hyper=hyper, updates=jnp.zeros((), jnp.int32), fresh=jnp.ones(8, bool)),
        params,
        jax.random.key(3),
    )
    assert state.led.all()  # 0^0 = 1 in the first, and nobody in the second
    assert int(state.updates) == 1
    state, _ = sample(state._replace(fresh=jnp.ones(8, bool)), params, jax.random.key(4))
    assert not state.led.any()


@pytest.mark.parametrize("teacher", [0.0, 1.0])
def test_a_code_is_kept_from_update_to_update_and_only_choices_are_learned_from(teacher):
    hold = 3  # of 7 steps
    student = probes.walker(CONFIG, 3).weights["policy"]  # whose codes are about alike to it
    params = ppo.Params({"policy": student}, {}, (), (), probes.skills(CONFIG))
    hyper = HYPER._replace(teacher=jnp.asarray(teacher), fading=jnp.asarray(1.0))
    init, sample = compiled(hold)
    state, found = init(jax.random.key(0), hyper, params), []
    for i in range(2):
        state, told = sample(state, params, jax.random.key(1 + i))
        found.append(told)
    one, two = (
        np.concatenate(x) for x in zip(*[(chosen(params, x), x.asks) for x in found], strict=True)
    )
    fresh, age = np.concatenate([x.fresh for x in found]), np.zeros(8, int)
    for step, asks in enumerate(two):
        age = np.where(fresh[step], 0, age)
        np.testing.assert_array_equal(asks, age % hold == 0)
        if step:
            np.testing.assert_array_equal(one[step][~asks], one[step - 1][~asks])
        age += 1
    told = found[-1]
    _, own = outputs(params.weights["policy"], params, told, told.memory)
    p, q = (np.asarray(jax.nn.log_softmax(x), np.float64) for x in (own, told.logits))
    kl = (np.exp(p) * (p - q)).sum(-1)
    part = np.zeros_like(told.asks)
    part[3] = True  # as many in either minibatch
    _, learned = learning()(learner_state(params, 0.0), told._replace(asks=jnp.asarray(part)))
    assert float(learned["kl"]) == pytest.approx(kl[3].mean(), rel=1e-4)


@functools.cache
def learning():
    """Compiled ``update``, over the skills of all tests here."""
    return jax.jit(distil.learner(CONFIG, probes.skills(CONFIG)).update)


def learner_state(params, rate):
    hyper = jax.tree.map(jnp.asarray, HYPER._replace(learning_rate=rate))
    optimiser = ppo.ADAM.init(params.weights)
    zero = jnp.zeros((), jnp.int32)
    return ppo.LearnerState(params, optimiser, hyper, jax.random.key(0), zero)


def test_the_loss_is_the_divergence_by_hand():
    """KL(student || expert), whose mean over minibatches of one size is that over all steps."""
    params, _, _, told = taught(0.0)
    _, own = outputs(params.weights["policy"], params, told, told.memory)
    p, q = (np.asarray(jax.nn.log_softmax(x), np.float64) for x in (own, told.logits))
    _, found = learning()(learner_state(params, 0.0), told)
    assert float(found["kl"]) == pytest.approx((np.exp(p) * (p - q)).sum(-1).mean(), rel=1e-4)
    assert float(found["agreement"]) == pytest.approx((p.argmax(-1) == q.argmax(-1)).mean())
    ended = np.asarray(told.ended)
    assert float(found["episodes"]) == ended.sum()
    score = np.asarray(told.outcomes["score"])
    assert float(found["score"]) == pytest.approx(score[ended].mean(), rel=1e-4)
    assert float(found["reward"]) == pytest.approx(float(told.reward.mean()), rel=1e-4)


def test_a_copy_of_the_expert_has_nothing_to_learn():
    params, _, _, told = taught(0.0)
    weights = liking(WALKS, 4)
    copy = params._replace(weights={"policy": weights})
    _, logits = outputs(weights, copy, told, told.memory)
    _, found = learning()(learner_state(copy, 0.0), told._replace(logits=logits))
    assert abs(float(found["kl"])) < 1e-6
    assert float(found["agreement"]) == 1.0


def test_the_student_comes_nearer_and_skills_stay_bit_for_bit():
    params, _, _, told = taught(0.0)
    params = params._replace(weights={"policy": probes.walker(CONFIG, 3).weights["policy"]})
    state, found = learner_state(params, 3e-2), []
    for _ in range(24):
        state, metrics = learning()(state, told)
        found.append(float(metrics["kl"]))
    assert found[-1] < 0.7 * found[0]
    same(state.params.frozen, params.frozen)
    assert set(state.params.weights) == {"policy"}


@pytest.mark.parametrize(
    "command", [Command(by="actions"), Command(frozen=False), Command(by="latent")]
)
def test_what_cannot_be_distilled_is_refused(command):
    config = dataclasses.replace(CONFIG, command=command)
    with pytest.raises(UsageError, match="only policies that choose codes"):
        lifelike.make(config, HYPER)


def test_terrains_that_no_expert_knows_are_refused():
    params = ppo.Params({}, {}, (), (), probes.skills(CONFIG))
    below = lifelike.Below(dataclasses.replace(CONFIG, level="pmc"), params.frozen)
    expert = lifelike.Expert(dataclasses.replace(CONFIG, terrains=("hurdle",)), liking(WALKS, 4))
    with pytest.raises(UsageError, match="no expert has learned 'creep'; legal: hurdle"):
        lifelike.make(CONFIG, HYPER, below, (expert,))


def test_experts_that_choose_otherwise_are_refused():
    other = dataclasses.replace(CONFIG, command=Command(hold=3))
    with pytest.raises(UsageError, match="command of the expert and of the configuration differ"):
        lifelike.make(CONFIG, HYPER, experts=(lifelike.Expert(other, liking(WALKS, 4)),))
