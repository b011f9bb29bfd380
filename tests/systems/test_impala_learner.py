"""The learner and the closed loop, on a real game with the smallest of networks."""

import dataclasses
import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_suite.core import UsageError, train
from jaxrl_suite.envs import rollout
from jaxrl_suite.nets.actor_critic import NetworkConfig
from jaxrl_suite.ops import popart
from jaxrl_suite.systems import impala
from jaxrl_suite.systems.impala import build, losses
from jaxrl_suite.systems.impala.system import return_metrics

GRID = NetworkConfig(torso="grid", grid_channels=4, hidden=16)
CONFIG = impala.Config(
    num_variants=2, num_envs=4, unroll_length=8, time_limit=20, network=GRID, eval_episodes=1
)
POPART = dataclasses.replace(CONFIG, popart=True)
KEY = jax.random.key(0)


class Programs(NamedTuple):
    """Compiled once a configuration, for compiling is nearly all that these tests cost."""

    init: Callable  # of the system
    sample: Callable  # of its source
    learn: Callable  # the learner's update
    step: Callable  # the system's update


@functools.cache
def programs(config):
    system = impala.make(config, impala.Hyper())
    functions = (
        system.init,
        impala.impala_source(config).sample,
        impala.impala_learner(config).update,
        system.update,
    )
    return Programs(*map(jax.jit, functions))


def begin(config, hyper=impala.Hyper(), *, spread=300.0):  # noqa: B008
    """A fresh learner and a batch that it acted; `spread` scales the near-uniform policy head."""
    compiled = programs(config)
    state = compiled.init(KEY, hyper)
    learner = state.learner
    learner.params["params"]["policy"]["kernel"] *= spread
    _, batch = compiled.sample(state.source, learner.params, jax.random.key(1))
    return learner, batch


def loop(config, hyper, num_updates):
    """Metrics of the first updates of the closed loop, every one with a leading axis."""
    state, rows = programs(config).init(KEY, hyper), []
    for _ in range(num_updates):
        state, metrics = programs(config).step(state)
        rows.append(jax.device_get(metrics))
    return jax.tree.map(lambda *xs: np.stack(xs), *rows)


def network_outputs(config, params, batch):
    inputs = (batch.observation, batch.first, batch.last_action, batch.last_reward)
    return jax.jit(build.network(config).apply)(params, *inputs, batch.carry)[0]


LSTM = dataclasses.replace(GRID, lstm=8, last_action_reward=True)


@pytest.mark.parametrize(
    ("network", "bfloat16"),
    [(GRID, False), (LSTM, True)],
    ids=["float32", "lstm-bfloat16"],
)
def test_ratio_is_exactly_one_at_lag_zero(network, bfloat16):
    config = dataclasses.replace(CONFIG, network=dataclasses.replace(network, bfloat16=bfloat16))
    state, batch = begin(config)
    _, metrics = programs(config).learn(state, batch)
    assert metrics["lag_max"] == 0
    assert metrics["ratio_mean"] == metrics["ratio_max"] == 1.0
    assert metrics["effective_sample_size"] == 1.0
    # Measured 0 on a CPU, whose two programs here round alike. What they might differ by: logits
    # of size 1, sums over some 10 units rounded to 2^-24, or to 2^-8 in bfloat16.
    assert metrics["ratio_rounding"] <= (4e-2 if bfloat16 else 1e-6)
    # The policy is not uniform, so equal log-probabilities are no accident.
    assert np.std(batch.behaviour_log_prob) > 0.05


def test_lag_and_ratio_of_a_held_actor():
    metrics = loop(CONFIG, impala.Hyper(actor_hold=2, learning_rate=1e-2), 6)
    np.testing.assert_array_equal(metrics["lag_mean"], [0, 1, 2, 0, 1, 2])
    fresh = np.array([True, False, False] * 2)
    np.testing.assert_array_equal(metrics["ratio_max"][fresh], 1.0)
    assert np.all(metrics["ratio_max"][~fresh] != 1.0)
    assert np.all(metrics["effective_sample_size"][~fresh] < 1.0)


def test_first_update_is_clipped_rmsprop_as_in_pytorch():
    hyper = impala.Hyper(max_grad_norm=0.1, learning_rate=0.01, rms_decay=0.9, rms_epsilon=0.1)
    state, batch = begin(CONFIG, hyper)
    network = build.network(CONFIG)
    args = (network, batch, jnp.ones(4, bool), popart.init(1), hyper, CONFIG.correction)
    gradient, _ = jax.jit(lambda p: jax.grad(losses.loss, has_aux=True)(p, *args))(state.params)
    norm = np.sqrt(sum(np.sum(np.square(g)) for g in jax.tree.leaves(gradient)))
    assert norm > 0.2  # the clip is at work
    new, metrics = programs(CONFIG).learn(state, batch)
    np.testing.assert_allclose(metrics["grad_norm"], norm, rtol=1e-4)

    def expected(p, g):
        g = np.asarray(g) * (0.1 / norm)
        return np.asarray(p) - 0.01 * g / (np.sqrt(0.1 * g**2) + 0.1)

    jax.tree.map(
        functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-6),
        new.params,
        jax.tree.map(expected, state.params, gradient),
    )


def test_loss_falls_on_one_batch():
    # Without the bonus for entropy the parts can fall to their floor.
    state, batch = begin(CONFIG, impala.Hyper(learning_rate=2e-3, entropy_cost=0.0), spread=1.0)
    batch = batch._replace(reward=batch.reward + 0.5 * (batch.action == 1))
    learner = impala.impala_learner(CONFIG)
    run = jax.jit(lambda s: jax.lax.scan(lambda s, _: learner.update(s, batch), s, length=150))
    _, metrics = run(state)
    assert metrics["loss_value"][-1] < 0.3 * metrics["loss_value"][0]
    assert metrics["loss"][-1] < metrics["loss"][0]
    assert np.all(np.isfinite(metrics["loss"]))
    # The same sequences get older with every update.
    np.testing.assert_array_equal(metrics["lag_mean"], np.arange(150))


MEASURED = dataclasses.replace(POPART, measure_harmony=True)


def test_measuring_harmony_changes_no_update():
    # PopArt as well, so that every variant must find its own value head. Some columns lag and some
    # steps are invalid, so that masks and lags must be split as well.
    state, batch = begin(POPART)
    state = state._replace(num_updates=jnp.int32(3))
    batch = batch._replace(
        version=jnp.array([3, 1, 2, 3]),
        valid=batch.valid.at[2, 1].set(False).at[5, 2].set(False),
        reward=batch.reward + jnp.arange(4.0)[None, :],
    )
    plain, plain_metrics = programs(POPART).learn(state, batch)
    split, metrics = programs(MEASURED).learn(state, batch)
    close = functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-6)
    jax.tree.map(close, split.params, plain.params)
    close(split.popart.mean, plain.popart.mean)
    assert metrics.keys() - plain_metrics.keys() == {"harmony", "harmony_counted"}
    for name, value in plain_metrics.items():
        close(metrics[name], value, err_msg=name)
    assert -1.0 <= metrics["harmony"] <= 1.0
    assert 0.0 < metrics["harmony_counted"] <= 1.0
    assert not np.array_equal(jax.tree.leaves(split.params)[0], jax.tree.leaves(state.params)[0])


def test_harmony_of_equal_variants_is_one_and_of_opposite_ones_is_not():
    state, batch = begin(POPART)
    parts = rollout.split_columns(batch, 2)
    same = rollout.Sequences(
        *[
            jax.tree.map(lambda x, axis=axis: rollout.join_axis(jnp.stack([x[0]] * 2), axis), field)
            for axis, field in zip(rollout.BATCH_AXIS, parts, strict=True)
        ]
    )
    update = programs(MEASURED).learn
    np.testing.assert_allclose(update(state, same)[1]["harmony"], 1.0, rtol=1e-6)
    assert update(state, batch)[1]["harmony"] < 1.0


def test_popart_moves_its_moments_and_keeps_the_unnormalised_values():
    # At rate 0 nothing but the rescaling changes a parameter.
    hyper = impala.Hyper(learning_rate=0.0, popart_step=0.5)
    state, batch = begin(POPART, hyper)
    batch = batch._replace(reward=batch.reward + 1.0)
    new, _ = programs(POPART).learn(state, batch)
    assert np.all(np.abs(new.popart.mean - state.popart.mean) > 0.1)
    before = network_outputs(POPART, state.params, batch)
    after = network_outputs(POPART, new.params, batch)
    assert not np.allclose(after.values, before.values, atol=0.05)
    old_moments, moments = (
        [np.asarray(x)[None, None] for x in (s.popart.sigma, s.popart.mean)] for s in (state, new)
    )
    np.testing.assert_allclose(
        after.values * moments[0] + moments[1],
        before.values * old_moments[0] + old_moments[1],
        rtol=1e-4,
        atol=1e-5,
    )
    np.testing.assert_array_equal(after.logits, before.logits)


def test_learning_rate_falls_linearly_to_zero_or_stays():
    state, batch = begin(CONFIG)
    update = programs(CONFIG).learn

    def rates(anneal_updates):
        hyper = state.hyper._replace(
            learning_rate=jnp.float32(0.5), anneal_updates=jnp.int32(anneal_updates)
        )
        states = [state._replace(hyper=hyper, num_updates=jnp.int32(n)) for n in range(6)]
        return [float(update(s, batch)[1]["learning_rate"]) for s in states]

    np.testing.assert_allclose(rates(4), [0.5, 0.375, 0.25, 0.125, 0.0, 0.0], rtol=1e-6)
    np.testing.assert_allclose(rates(0), 0.5)


def test_infinite_clip_is_no_clip():
    # The paper preset has none; inf * 0 must not come out of it.
    state, batch = begin(CONFIG, impala.Hyper(max_grad_norm=float("inf")))
    new, _ = programs(CONFIG).learn(state, batch)
    large, _ = programs(CONFIG).learn(
        state._replace(hyper=state.hyper._replace(max_grad_norm=jnp.float32(1e9))), batch
    )
    jax.tree.map(np.testing.assert_array_equal, new.params, large.params)


def test_return_metrics_leave_out_what_has_not_finished():
    last_return = jnp.array([1.0, np.nan, np.nan, np.nan, 2.0, np.nan, 4.0])
    task_index = jnp.array([0, 0, 1, 1, 2, 2, 2])
    out = return_metrics(last_return, task_index, 3)
    np.testing.assert_array_equal(out["return_per_variant"], [1.0, np.nan, 3.0])
    assert out["return"] == 2.0
    nothing = return_metrics(jnp.full(2, np.nan), jnp.array([0, 1]), 2)
    assert np.isnan(nothing["return"])


def test_two_halves_equal_the_whole_bit_for_bit_and_replay_lags():
    config = dataclasses.replace(CONFIG, replay_fraction=0.5, replay_slots=3)
    system = impala.make(config, impala.Hyper())
    first_state = programs(config).init(KEY, impala.Hyper())
    half = jax.jit(train(system, 4))
    whole, metrics = jax.jit(train(system, 8))(first_state)
    halves = half(half(first_state)[0])[0]
    for a, b in zip(jax.tree.leaves(halves), jax.tree.leaves(whole), strict=True):
        if jnp.issubdtype(a.dtype, jax.dtypes.prng_key):
            a, b = jax.random.key_data(a), jax.random.key_data(b)
        np.testing.assert_array_equal(a, b)
    # Fresh columns, half of them all, have no lag; replayed ones are at most 2 updates old.
    assert metrics["lag_max"][0] == 0
    assert metrics["lag_max"].max() == 2
    assert np.all(metrics["lag_histogram"][:, 0] >= 0.5)


def test_seeds_and_rates_by_vmap_equal_separate_runs():
    keys = jax.random.split(jax.random.key(5), 2)
    hypers = [impala.Hyper(learning_rate=rate) for rate in (1e-3, 1e-2)]
    init, step = programs(CONFIG).init, programs(CONFIG).step
    states = [init(key, hyper) for key, hyper in zip(keys, hypers, strict=True)]
    together = jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)
    step_both = jax.jit(jax.vmap(impala.make(CONFIG, impala.Hyper()).update))
    for _ in range(3):
        together, metrics = step_both(together)
        for index in range(2):
            states[index], alone = step(states[index])
            for name, value in alone.items():
                np.testing.assert_allclose(
                    metrics[name][index], value, rtol=1e-4, atol=1e-4, err_msg=name
                )
    # They are different runs.
    assert metrics["loss"][0] != metrics["loss"][1]


def test_warm_start_takes_parameters_and_nothing_else():
    init = programs(CONFIG).init
    fresh, other = (init(key, impala.Hyper()) for key in (KEY, jax.random.key(9)))
    pretrained = other.learner.params
    start = impala.warm_start(fresh, pretrained)
    jax.tree.map(np.testing.assert_array_equal, start.learner.params, pretrained)
    np.testing.assert_array_equal(start.source.num_samples, 0)
    reset = impala.warm_start(fresh, pretrained, reset_heads=True).learner.params["params"]
    for name in reset:
        origin = fresh.learner.params if name in ("policy", "value") else pretrained
        jax.tree.map(np.testing.assert_array_equal, reset[name], origin["params"][name])
    # The first sample fetches them, so nothing of the fresh network acts.
    _, metrics = programs(CONFIG).step(start)
    assert metrics["ratio_rounding"] < 1e-4


def test_warm_start_from_another_network_names_what_differs():
    wider = dataclasses.replace(CONFIG, network=dataclasses.replace(GRID, hidden=24))
    fresh = jax.eval_shape(impala.make(CONFIG, impala.Hyper()).init, KEY)
    other = jax.eval_shape(impala.make(wider, impala.Hyper()).init, KEY)
    with pytest.raises(UsageError, match=r"dense/bias has shape \(24,\) there and \(16,\) here"):
        impala.warm_start(fresh, other.learner.params)


def test_evaluation_counts_whole_first_episodes():
    system = impala.make(CONFIG, impala.Hyper())
    metrics = jax.jit(system.evaluate)(
        programs(CONFIG).init(KEY, impala.Hyper()), jax.random.key(2)
    )
    assert metrics["episode_returns"].shape == (2, 1)
    assert np.all(np.isfinite(metrics["episode_returns"]))
    assert 1 <= metrics["episode_length"] <= CONFIG.time_limit
    np.testing.assert_allclose(
        metrics["return_per_variant"], np.mean(metrics["episode_returns"], axis=1)
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"game": "pong"}, "legal are breakout, freeway, space_invaders, asterix"),
        ({"subset": "test"}, "legal: train, unseen"),
        ({"num_variants": 999}, "num_variants 999 is out of range"),
        ({"num_envs": 5}, "choose a multiple of 2"),
        ({"unroll_length": 0}, "unroll_length must be at least 1"),
        ({"sticky": 1.0}, r"sticky must lie in \[0, 1\)"),
        ({"correction": "retrace"}, "legal: none, epsilon, one_step_is, ppo, vtrace"),
        ({"replay_fraction": 0.4}, r"legal: 0 \(no replay\), 0.5"),
    ],
)
def test_bad_settings_name_the_legal_ones(change, message):
    with pytest.raises(UsageError, match=message):
        impala.make(dataclasses.replace(CONFIG, **change), impala.Hyper())
