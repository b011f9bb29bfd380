"""The inner loop on environments whose answers are known, and its masks, clocks and aborts."""

import dataclasses
import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_suite.core import UsageError
from jaxrl_suite.envs.base import ControlEnvironment, TimeStep
from jaxrl_suite.nets.mlp import masked_orthogonal
from jaxrl_suite.systems.derl import (
    PRESETS,
    Body,
    Hyper,
    Life,
    cut_off,
    fitness,
    init,
    iterate,
)
from jaxrl_suite.systems.derl.ppo import (
    BodyState,
    _rollout,
    advantages,
    entropy,
    log_prob,
    pushed,
)

SIZE, ACTIONS, LENGTH = 6, 3, 5
OBSERVED, ACTED = jnp.array([1.0, 1, 1, 1, 0, 0]), jnp.array([1.0, 1, 0])
LIFE = Life(num_envs=8, num_steps=16, iterations=60, minibatches=4, window=5)
HYPER = Hyper(learning_rate=3e-3)


class Aim(NamedTuple):
    """An episode of :func:`aiming`."""

    step: jax.Array
    score: jax.Array
    sign: jax.Array


def aiming(cut: bool = True) -> ControlEnvironment:
    """Act sign * target, the sign is seen: reward is minus the squared error, of two actions.

    The third action and the last two inputs are padding; the padding of inputs is not 0.
    """

    def see(sign: jax.Array) -> dict[str, jax.Array]:
        return {"proprioceptive": jnp.array([1.0, 0.0, 0.0, 0.0, 7.0, 7.0]).at[1].set(sign)}

    def reset(key: jax.Array, task: jax.Array) -> tuple[Aim, dict[str, jax.Array]]:
        sign = jax.random.rademacher(key, (), float)
        return Aim(jnp.zeros((), jnp.int32), jnp.zeros(()), sign), see(sign)

    def step(state: Aim, action: jax.Array, key: jax.Array, task: jax.Array) -> tuple:
        reward = -jnp.sum((action[:2] - state.sign * task) ** 2)
        count, sign = state.step + 1, jax.random.rademacher(key, (), float)
        over, no = count >= LENGTH, jnp.zeros((), bool)
        ends = (no, over) if cut else (over, no)
        return Aim(count, state.score + reward, sign), TimeStep(see(sign), reward, *ends)

    sizes = {"proprioceptive": SIZE}

    def outcomes(state: Aim) -> dict[str, jax.Array]:
        return {"score": state.score, "diverged": (state.score < -1e6).astype(float)}

    return ControlEnvironment(reset, step, sizes, ACTIONS, outcomes)


ENV = aiming()
TARGETS = jnp.array([[0.7, -0.4], [-0.5, 0.2]])


def body(task: jax.Array) -> Body:
    return Body(task, OBSERVED, ACTED)


def start(task: jax.Array, seed: int = 0) -> BodyState:
    return init(ENV, LIFE, HYPER, body(task), jax.random.key(seed))


@functools.cache
def lives() -> tuple:
    """Two bodies with other targets, in one program."""

    def live(task: jax.Array, key: jax.Array) -> tuple:
        state = init(ENV, LIFE, HYPER, body(task), key)
        step = lambda s, _: iterate(ENV, LIFE, HYPER, body(task), s)  # noqa: E731
        return jax.lax.scan(step, state, length=LIFE.iterations)

    return jax.jit(jax.vmap(live))(TARGETS, jax.random.split(jax.random.key(1), 2))


def test_each_body_learns_its_own_target() -> None:
    states, metrics = lives()
    random, last = (
        np.asarray(states.curves["score"][:, 0]),
        np.asarray(states.curves["score"][:, -1]),
    )
    # Five steps of two actions: noise of variance 1 costs 10 an episode, and off-target more.
    assert (random < -8).all()
    assert (last > 0.4 * random).all()
    assert (np.asarray(metrics["entropy"][:, -1]) < np.asarray(metrics["entropy"][:, 0])).all()
    np.testing.assert_allclose(
        jax.vmap(lambda s: fitness(LIFE, s))(states),
        states.curves["score"][:, -5:].mean(1),
        rtol=1e-6,
    )


def test_a_population_is_its_bodies() -> None:
    """One alone does what it does among others."""
    step = jax.jit(lambda s, t: iterate(ENV, LIFE, HYPER, body(t), s))
    together = jax.jit(jax.vmap(lambda s, t: iterate(ENV, LIFE, HYPER, body(t), s)))
    alone = [start(TARGETS[i], i) for i in range(2)]
    joined = jax.tree.map(lambda *x: jnp.stack(x), *alone)
    for _ in range(2):
        joined, _ = together(joined, TARGETS)
        alone = [step(s, t)[0] for s, t in zip(alone, TARGETS, strict=True)]
    for i in range(2):
        for a, b in zip(
            jax.tree.leaves(alone[i].params),
            jax.tree.leaves(jax.tree.map(lambda x, i=i: x[i], joined.params)),
            strict=True,
        ):
            np.testing.assert_allclose(a, b, atol=2e-4)


def test_padding_is_never_learned_from() -> None:
    states, _ = lives()
    for name in ("actor", "critic"):
        kernel = np.asarray(states.params[name]["proprioceptive_0"]["kernel"])
        assert (kernel[:, 4:] == 0).all()
        assert np.abs(kernel[:, :2]).min() > 0
    assert (np.asarray(states.params["actor"]["log_std"])[:, 2] == 0).all()
    assert (np.asarray(states.observation["proprioceptive"])[..., 4:] == 0).all()


def test_network_is_as_large_as_the_originals() -> None:
    """16,729 parameters for a body of 6 limbs and 12 hinges, on flat terrain."""
    env = ENV._replace(observation_sizes={"proprioceptive": 2 * 12 + 3 * 6 + 16}, action_size=12)
    wide = lambda key, task: (  # noqa: E731
        ENV.reset(key, task)[0],
        {"proprioceptive": jnp.zeros(58)},
    )
    whole = Body(TARGETS[0], jnp.ones(58), jnp.ones(12))
    state = jax.eval_shape(
        lambda: init(env._replace(reset=wide), Life(), HYPER, whole, jax.random.key(0))
    )
    assert sum(x.size for x in jax.tree.leaves(state.params)) == 16_729


@pytest.mark.parametrize("used", [5, 64, 80])
def test_first_layer_is_orthogonal_in_the_inputs_in_use(used: int) -> None:
    mask = jnp.zeros(86).at[np.random.default_rng(0).permutation(86)[:used]].set(1.0)
    kernel = np.asarray(masked_orthogonal(jax.random.key(0), mask, 64))
    assert (kernel[np.asarray(mask) == 0] == 0).all()
    rows = kernel[np.asarray(mask) == 1]
    product = rows @ rows.T if used <= 64 else rows.T @ rows
    np.testing.assert_allclose(product, np.eye(len(product)), atol=1e-5)


def test_log_prob_and_entropy_are_those_of_the_actions_in_use() -> None:
    generator = np.random.default_rng(0)
    mean, action = generator.normal(size=(2, 4, 3))
    log_std = generator.normal(size=3)
    mask = np.array([1.0, 0.0, 1.0])
    found = log_prob(*(jnp.asarray(x) for x in (mean, log_std[None], action, mask[None])))
    z = (action - mean) / np.exp(log_std)
    each = -0.5 * z**2 - log_std - 0.5 * np.log(2 * np.pi)
    np.testing.assert_allclose(found, each[:, [0, 2]].sum(1), rtol=1e-5)
    expected = (log_std + 0.5 * np.log(2 * np.pi * np.e))[[0, 2]].mean()
    assert float(entropy(jnp.asarray(log_std), jnp.asarray(mask))) == pytest.approx(
        expected, rel=1e-5
    )


def test_too_large_a_step_ends_learning() -> None:
    """max_kl below 0 stops before the first update, a little above it after some."""
    begin = start(TARGETS[0])
    step = jax.jit(lambda s, h: iterate(ENV, LIFE, h, body(TARGETS[0]), s))
    same, told = step(begin, HYPER._replace(max_kl=-1.0))
    for a, b in zip(jax.tree.leaves(same.params), jax.tree.leaves(begin.params), strict=True):
        np.testing.assert_array_equal(a, b)
    assert float(told["stopped"]) == 1.0
    _, told = step(begin, HYPER._replace(max_kl=0.01, learning_rate=0.03))
    assert 0 < float(told["stopped"]) < 1
    _, told = step(begin, HYPER._replace(max_kl=1e9))
    assert float(told["stopped"]) == 0.0


def test_a_time_limit_teaches_nothing_and_an_end_does() -> None:
    for cut in (True, False):
        env = aiming(cut)
        state = init(env, LIFE, HYPER, body(TARGETS[0]), jax.random.key(0))
        _, played = _rollout(env, LIFE, HYPER, body(TARGETS[0]), state)
        batch = advantages(HYPER, played)
        last = np.arange(LIFE.num_steps) % LENGTH == LENGTH - 1
        np.testing.assert_array_equal(played.ended, np.repeat(last[:, None], LIFE.num_envs, 1))
        advantage = np.asarray(batch.advantage)
        assert (advantage[last] == 0).all() == cut
        assert (advantage[~last] != 0).all()
        np.testing.assert_allclose(batch.target, batch.value + batch.advantage, rtol=1e-6)


def test_scores_are_kept_in_order() -> None:
    scores = {"score": jnp.array([jnp.nan, 1.0, 2.0]), "length": jnp.array([jnp.nan, 5.0, 6.0])}
    ended = jnp.array([True, False, True, False])
    new = {"score": jnp.array([3.0, 9.0, 4.0, 9.0]), "length": jnp.array([7.0, 0.0, 8.0, 0.0])}
    kept = pushed(scores, new, ended)
    np.testing.assert_array_equal(kept["score"], [2.0, 3.0, 4.0])
    np.testing.assert_array_equal(kept["length"], [6.0, 7.0, 8.0])
    np.testing.assert_array_equal(pushed(scores, new, ended & False)["score"], scores["score"])
    np.testing.assert_array_equal(pushed(scores, new, ended | True)["score"], [9.0, 4.0, 9.0])


def test_before_the_first_episode_has_ended_those_under_way_count() -> None:
    short = dataclasses.replace(LIFE, num_steps=2)
    state = init(ENV, short, HYPER, body(TARGETS[0]), jax.random.key(0))
    state, told = jax.jit(lambda s: iterate(ENV, short, HYPER, body(TARGETS[0]), s))(state)
    assert int(told["episodes"]) == 0
    under_way = np.asarray(state.env.score).mean()
    np.testing.assert_allclose(state.curves["score"][0], under_way, rtol=1e-6)


def test_the_rate_falls_to_nothing() -> None:
    begin = start(TARGETS[0])
    step = jax.jit(lambda s: iterate(ENV, LIFE, HYPER, body(TARGETS[0]), s)[0])
    for done in (0, LIFE.iterations // 2, LIFE.iterations):
        state = begin._replace(iteration=jnp.asarray(done, jnp.int32))
        moved = np.abs(
            step(state).params["actor"]["Dense_0"]["kernel"]
            - state.params["actor"]["Dense_0"]["kernel"]
        ).max()
        if done == 0:
            first = moved
        elif done == LIFE.iterations:
            assert moved == 0
        else:
            assert 0 < moved < first


def test_a_body_that_is_not_finite_is_worth_least() -> None:
    states, _ = lives()
    state = jax.tree.map(lambda x: x[0], states)
    assert np.isfinite(fitness(LIFE, state))
    broken = state.params["critic"]["proprioceptive_0"]["bias"].at[0].set(jnp.nan)
    params = {
        **state.params,
        "critic": {**state.params["critic"], "proprioceptive_0": {"bias": broken}},
    }
    assert fitness(LIFE, state._replace(params=params)) == -np.inf
    # Nor is one whose scores are not.
    none = {"score": jnp.full_like(state.curves["score"], jnp.nan)}
    assert fitness(LIFE, state._replace(curves=none)) == -np.inf


def test_one_divergence_is_never_forgotten() -> None:
    env, far, near = aiming(), jnp.full(2, 1e4), jnp.zeros(2)
    start = functools.partial(init, env, LIFE, HYPER)
    play = jax.jit(lambda body, state: _rollout(env, LIFE, HYPER, body, state)[0])
    lost = play(Body(far, OBSERVED, ACTED), start(Body(far, OBSERVED, ACTED), jax.random.key(0)))
    assert lost.failed
    sound = Body(near, OBSERVED, ACTED)
    for _ in range(3):
        lost = play(sound, lost)
    assert lost.failed
    assert not lost.recent["diverged"].any()
    assert not play(sound, start(sound, jax.random.key(0))).failed
    state = jax.tree.map(lambda x: x[0], lives()[0])
    assert fitness(LIFE, state._replace(failed=jnp.ones((), bool))) == -np.inf


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_envs": 0}, "num_envs must be at least 1, not 0"),
        ({"num_steps": 127}, "no multiple of 8 minibatches"),
        ({"iterations": 10}, "window must be at most the 10 iterations, not 100"),
    ],
)
def test_sizes_that_do_not_go_together_are_refused(changes: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Life(**{"num_envs": 3, **changes} if "num_steps" in changes else changes)


def test_episodes_are_cut_off_where_a_life_says_so():
    told_length = aiming(cut=False)._replace(outcomes=lambda state: {"length": state.step})
    env, task = cut_off(told_length, LENGTH - 1), jnp.ones(2)
    state, _ = env.reset(jax.random.key(0), task)
    for action in range(1, LENGTH + 1):
        state, told = env.step(state, jnp.zeros(ACTIONS), jax.random.key(1), task)
        assert bool(told.truncated) == (action == LENGTH - 1)
        assert bool(told.terminated) == (action == LENGTH)


@pytest.mark.parametrize("name", ["quick", "gpu", "paper"])
def test_what_fitness_is_the_mean_of_is_no_older_than_an_eighth_of_a_life(name):
    """Of a body that never falls, all environments of which end together."""
    life = PRESETS[name].config.life
    whole = life.iterations * life.num_steps
    ends = np.arange(1, whole // life.episode + 1) * life.episode
    reports = (np.arange(life.iterations) + 1)[-life.window :] * life.num_steps
    newest = np.array([ends[ends <= at].max() for at in reports])
    assert (whole - newest + life.episode / 2).mean() < whole / 8
