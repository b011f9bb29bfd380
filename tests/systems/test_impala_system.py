"""The whole system on the real games: what test_impala_learner does not ask.

There: halves of a scan, ratios and lags, the optimiser, PopArt, harmony, warm starts. Here:
resuming through the run loop, seeds by vmap to the last leaf, traces, donation, every preset, game
and correction.
"""

import dataclasses
import functools
import io

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rich.console import Console

from jaxrl_suite.core import UsageError, train
from jaxrl_suite.envs import arcade
from jaxrl_suite.nets.actor_critic import NetworkConfig
from jaxrl_suite.ops.policy_gradient import CORRECTIONS
from jaxrl_suite.runtime import loop, mesh, rundir
from jaxrl_suite.systems import impala

GRID = NetworkConfig(torso="grid", grid_channels=4, hidden=16)
CONFIG = impala.Config(
    num_variants=2, num_envs=4, unroll_length=4, time_limit=20, network=GRID, eval_episodes=2
)
KEY = jax.random.key(0)


@functools.cache
def compiled(config=CONFIG):
    """init and update of the system, shared by the tests."""
    system = impala.make(config, impala.Hyper())
    return jax.jit(system.init), jax.jit(system.update)


def leaves(state):
    """The leaves of a state by their path, keys as their words."""
    flat = jax.tree_util.tree_leaves_with_path(state)
    data = lambda x: jax.random.key_data(x) if mesh.is_key(x) else x  # noqa: E731
    return {jax.tree_util.keystr(path): np.asarray(data(leaf)) for path, leaf in flat}


def assert_same(one, other):
    one, other = leaves(one), leaves(other)
    assert one.keys() == other.keys()
    for name, leaf in one.items():
        assert leaf.tobytes() == other[name].tobytes(), name


def assert_close(one, other, tolerance):
    one, other = leaves(one), leaves(other)
    for name, leaf in one.items():
        a, b = leaf.astype(np.float64), other[name].astype(np.float64)
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance, err_msg=name)


def assert_sound(before, after, metrics):
    """Parameters have moved, and everything is finite."""
    for name, value in metrics.items():
        if not name.startswith("return"):  # no episode may have ended yet
            assert np.all(np.isfinite(value)), name
    for old, new in zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True):
        assert np.all(np.isfinite(new))
        assert new.dtype == jnp.float32
        assert old.size <= 8 or not np.array_equal(old, new)  # a few biases may stand still


def two_updates(config, hyper=impala.Hyper()):  # noqa: B008
    """Two updates of a fresh system, as one program."""
    system = impala.make(config, hyper)

    @jax.jit
    def run(key):
        begin = system.init(key)
        return begin.learner.params, *train(system, 2)(begin)

    before, state, metrics = run(KEY)
    assert state.num_updates == 2
    assert_sound(before, state.learner.params, metrics)
    return state, metrics


def test_the_run_loop_resumed_equals_one_go(tmp_path):
    # With everything that has state of its own: memory, replay, a lagging actor, PopArt.
    network = dataclasses.replace(GRID, lstm=8, last_action_reward=True)
    config = dataclasses.replace(
        CONFIG, network=network, replay_fraction=0.5, replay_slots=3, popart=True
    )
    hyper = impala.Hyper(actor_hold=2)
    system = impala.make(config, hyper)

    def run_to(name, num_updates):
        record = rundir.make_record("impala", "test", config, hyper, seed=3, num_updates=20)
        run = rundir.Run(tmp_path / "impala" / name, record)
        if not run.path.exists():
            rundir.create_run(record, name, root=tmp_path)
        state = loop.init_or_restore(system, run)
        intervals = {"log_every": 5, "checkpoint_every": 5, "console": Console(file=io.StringIO())}
        return loop.fit(system, run, state, num_updates=num_updates, **intervals)

    whole = run_to("whole", 20)
    run_to("parts", 10)
    assert_same(run_to("parts", 20), whole)


def test_two_seeds_by_vmap_equal_two_runs():
    system = impala.make(CONFIG, impala.Hyper())
    run = lambda key: train(system, 4)(system.init(key))[0]  # noqa: E731
    keys = jax.random.split(jax.random.key(5), 2)
    together = jax.jit(jax.vmap(run))(keys)
    alone = jax.jit(run)
    for index, key in enumerate(keys):
        # Not bit for bit: a batched matrix product adds in another order. One update differs by
        # some 1e-7, every further one by a little more, and once an action's draw falls between
        # the two probabilities the runs part for good; four updates stay far below 1e-5.
        mine = jax.tree.map(lambda x, i=index: x[i], together)
        assert_close(mine, alone(key), 1e-5)


def test_one_trace_serves_all_calls_and_all_variants():
    system = impala.make(CONFIG, impala.Hyper())
    traces = []
    update = jax.jit(lambda state: traces.append(1) or system.update(state))
    state = compiled()[0](KEY)
    for _ in range(3):
        state, metrics = update(state)
    # Other variants are other numbers in the state, and another policy lag is one number.
    names = arcade.load_split(CONFIG.game, "combination").unseen[:2] * 2
    task = arcade.stack_variants(arcade.make(CONFIG.game), names)
    held = state.source
    rolling = held.source
    assert not np.array_equal(
        np.concatenate([np.ravel(x) for x in jax.tree.leaves(task)]),
        np.concatenate([np.ravel(x) for x in jax.tree.leaves(rolling.task)]),
    )
    held = held._replace(source=rolling._replace(task=task), hold=jnp.int32(3))
    state, metrics = update(state._replace(source=held))
    assert np.isfinite(metrics["loss"])
    assert len(traces) == 1


def test_donated_state():
    system = impala.make(CONFIG, impala.Hyper())
    init, update = compiled()
    donating = jax.jit(system.update, donate_argnums=0)
    state = init(KEY)
    first_leaf = state.learner.params["params"]["policy"]["kernel"]
    for _ in range(3):
        state, _ = donating(state)
    assert first_leaf.is_deleted()
    kept = init(KEY)
    for _ in range(3):
        kept, _ = update(kept)
    assert_same(state, kept)


@pytest.mark.parametrize("game", arcade.GAMES)
def test_quick_preset_on_every_game(game):
    preset = impala.PRESETS["quick"]
    small = {"num_envs": 16, "unroll_length": 4}  # its 16 variants, once each
    config = dataclasses.replace(preset.config, game=game, **small)
    assert len(config.variants) == 16
    _, metrics = two_updates(config, preset.hyper)
    assert metrics["return_per_variant"].shape == (2, 16)


@pytest.mark.parametrize("name", ["gpu", "paper"])
def test_other_presets_with_fewer_environments(name):
    preset = impala.PRESETS[name]
    config = dataclasses.replace(preset.config, num_envs=16, unroll_length=2)
    _, metrics = two_updates(config, preset.hyper)
    np.testing.assert_array_equal(metrics["lag_max"], [0, preset.hyper.actor_hold])


@functools.cache
def acted(replay):
    """A learner's state and a batch of eight columns for it, half of them replayed if `replay`."""
    config = dataclasses.replace(CONFIG, num_envs=4 if replay else 8)
    if replay:
        config = dataclasses.replace(config, replay_fraction=0.5, replay_slots=2)
    source = impala.impala_source(config)
    learner_state = compiled()[0](KEY).learner
    source_state = source.init(KEY, learner_state.hyper, learner_state.params)
    sample = jax.jit(source.sample)
    source_state, _ = sample(source_state, learner_state.params, KEY)
    _, batch = sample(source_state, learner_state.params, jax.random.key(1))
    # As after two updates by other parameters: ratios differ from 1, some by much.
    away = jax.tree.map(lambda x: x + 0.1 * jnp.cos(jnp.arange(x.size).reshape(x.shape)), learner_state.params)  # fmt: skip  # noqa: E501
    return learner_state._replace(params=away, num_updates=jnp.int32(2)), batch


@functools.cache
def learner_update(correction):
    return jax.jit(impala.impala_learner(dataclasses.replace(CONFIG, correction=correction)).update)


@pytest.mark.parametrize("replay", [False, True], ids=["fresh", "replay"])
@pytest.mark.parametrize("correction", CORRECTIONS)
def test_every_correction_with_and_without_replay(correction, replay):
    state, batch = acted(replay)
    assert batch.version.shape == (8,)
    update = learner_update(correction)
    middle, metrics = update(state, batch)
    last, _ = update(middle, batch)
    assert metrics["effective_sample_size"] < 1
    assert_sound(state.params, middle.params, metrics)
    assert_sound(middle.params, last.params, metrics)


def test_all_options_at_once():
    network = dataclasses.replace(GRID, lstm=8, last_action_reward=True, bfloat16=True)
    options = {"popart": True, "measure_harmony": True, "sticky": 0.25, "replay_fraction": 0.5}
    config = dataclasses.replace(CONFIG, game="space_invaders", network=network, **options)
    state, metrics = two_updates(config)
    assert state.learner.popart.mean.shape == (2,)
    assert np.all(np.abs(metrics["harmony"]) <= 1)


def test_sticky_actions_change_the_play():
    state = compiled()[0](KEY)
    boards = []
    for sticky in (0.0, 0.9):
        source = impala.impala_source(dataclasses.replace(CONFIG, sticky=sticky))
        _, batch = jax.jit(source.sample)(state.source, state.learner.params, KEY)
        boards.append(np.asarray(batch.observation))
    assert np.array_equal(boards[0][0], boards[1][0])
    assert not np.array_equal(boards[0], boards[1])


def test_lag_of_a_held_actor_runs_through_0_to_3():
    init, update = compiled()
    state = init(KEY, impala.Hyper(actor_hold=3, learning_rate=1e-2))
    lags, sizes = [], []
    for _ in range(9):
        state, metrics = update(state)
        lags.append(float(metrics["lag_mean"]))
        sizes.append(float(metrics["effective_sample_size"]))
    assert lags == [0, 1, 2, 3, 0, 1, 2, 3, 0]
    for lag, size in zip(lags, sizes, strict=True):
        assert (size == 1.0) == (lag == 0)


def test_evaluation_is_a_function_of_its_key():
    system = impala.make(CONFIG, impala.Hyper())
    evaluate = jax.jit(system.evaluate)
    state = compiled()[0](KEY)
    one, same, other = (evaluate(state, jax.random.key(k)) for k in (1, 1, 2))
    assert {name: value.shape for name, value in one.items()} == {
        "return": (),
        "return_per_variant": (2,),
        "episode_returns": (2, 2),
        "episode_length": (),
    }
    for name, value in one.items():
        np.testing.assert_array_equal(value, same[name])
    assert not np.array_equal(one["episode_length"], other["episode_length"])


def test_a_grid_of_learning_rates_and_lags_is_one_program():
    system = impala.make(CONFIG, impala.Hyper())
    rates, holds = jnp.array([0.0, 1e-3, 1e-2]), jnp.array([0, 1, 2])

    def run(rate, hold):
        state = system.init(KEY, impala.Hyper(learning_rate=rate, actor_hold=hold))
        state, metrics = train(system, 3)(state)
        return state.learner.params["params"]["policy"]["bias"], metrics["lag_mean"]

    biases, lags = jax.jit(jax.vmap(run))(rates, holds)
    np.testing.assert_array_equal(lags, [[0, 0, 0], [0, 1, 0], [0, 1, 2]])
    moved = np.abs(biases).max(axis=1)
    assert moved[0] == 0  # at rate 0 nothing moves
    assert 0 < moved[1] < moved[2]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"gamma": 1.01}, r"gamma must lie in \[0, 1\]"),
        ({"actor_hold": -1}, "actor_hold must be at least 0"),
        ({"learning_rate": float("nan")}, "learning_rate must be at least 0"),
        ({"learning_rate": jnp.array([1e-3, -1e-3])}, "learning_rate must be at least 0"),
    ],
)
def test_numbers_outside_their_range(change, message):
    with pytest.raises(UsageError, match=message):
        impala.make(CONFIG, impala.Hyper()._replace(**change))


def test_make_inside_a_traced_function():
    # A sweep may build the system where its numbers are traced; they then go unchecked.
    def updates(rate):
        system = impala.make(CONFIG, impala.Hyper(learning_rate=rate))
        return system.update(system.init(KEY))[1]["learning_rate"]

    assert jax.eval_shape(jax.vmap(updates), jnp.ones(2)).shape == (2,)


def test_learns_to_cross_the_road():
    # Freeway's easiest variant: a policy that goes up scores, a random one hardly moves.
    config = dataclasses.replace(
        CONFIG, game="freeway", num_variants=1, num_envs=16, unroll_length=16, time_limit=100,
        eval_episodes=16,
    )  # fmt: skip
    system = impala.make(config, impala.Hyper(learning_rate=5e-3))
    state, _ = jax.jit(train(system, 120))(system.init(KEY))
    trained = jax.jit(system.evaluate)(state, jax.random.key(1))["return"]
    random = jax.jit(lambda k: impala.evaluate_random(config, config.variants, k))(
        jax.random.key(1)
    )["return"]
    print(f"trained {trained}, random {random}")
    assert trained > max(3 * random, 1.0)
