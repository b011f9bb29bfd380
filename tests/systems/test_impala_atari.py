"""IMPALA on Atari: actors that feed the learner, emulators inside the program, evaluation."""

import dataclasses
import functools
import io
import sys
import types

import jax
import numpy as np
import pytest
from rich.console import Console

from jaxrl_suite.core import HostSystem, System, UsageError
from jaxrl_suite.envs import atari
from jaxrl_suite.nets.actor_critic import NetworkConfig
from jaxrl_suite.runtime import checkpoint, loop, metrics, rundir
from jaxrl_suite.systems import impala
from jaxrl_suite.systems.impala import emulated
from jaxrl_suite.systems.impala.config import ActorsConfig
from tests.envs.scripted_pools import ScriptedPools, terminating, truncating
from tests.systems.test_impala_system import assert_same, assert_sound

needs_envpool = pytest.mark.envpool

CONFIG = impala.Config(
    suite="atari",
    num_variants=2,
    num_envs=4,
    unroll_length=4,
    time_limit=5,
    network=NetworkConfig(torso="resnet", sections=((4, 0),), hidden=16),
    eval_episodes=1,  # as many emulators as an actor has: one program serves both
)
SCAN = dataclasses.replace(CONFIG, actors=ActorsConfig(runner="scan"))
KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def envpool():
    return pytest.importorskip("envpool", reason="needs the extra envpool")


@pytest.fixture
def pretended_envpool(monkeypatch):
    """What is refused is refused before a pool is made."""
    monkeypatch.setitem(sys.modules, "envpool", types.ModuleType("envpool"))


# Actors on threads


def fit(root, num_updates):
    """Trains to `num_updates`; returns the run, the state it began with and the one it ended in."""
    system = impala.make(CONFIG, impala.Hyper(), seed=3)
    record = rundir.make_record(
        "impala", "test", CONFIG, impala.Hyper(), seed=3, num_updates=num_updates
    )
    run = rundir.Run(root / "impala" / "a", record)
    if not run.path.exists():
        rundir.create_run(record, "a", root=root)
    begun = loop.init_or_restore(system, run)
    kept = jax.tree.map(lambda x: x.copy(), begun)
    every = {"log_every": 1, "checkpoint_every": 3, "evaluate_every": 6}
    console = Console(file=io.StringIO())
    return (
        run,
        kept,
        loop.fit(system, run, begun, num_updates=num_updates, console=console, **every),
    )


@pytest.fixture(scope="module")
def resumed(envpool, tmp_path_factory):
    """Six updates, resumed after three."""
    root = tmp_path_factory.mktemp("threads")
    _, fresh, middle = fit(root, 3)
    run, restored, last = fit(root, 6)
    return run, fresh, middle, restored, last


@needs_envpool
def test_a_resumed_run_begins_with_exactly_what_was_saved(resumed):
    run, fresh, middle, restored, last = resumed
    assert_same(middle, restored)
    assert (middle.num_updates, last.num_updates) == (3, 6)
    assert last.learner.num_updates == 6
    assert checkpoint.steps(run.checkpoints) == [3, 6]
    assert_sound(fresh.learner.params, middle.learner.params, {})
    assert_sound(restored.learner.params, last.learner.params, {})


@needs_envpool
def test_rows_of_a_run_tell_of_lag_and_queue(resumed):
    rows = metrics.read_metrics(resumed[0].metrics)
    assert [row["update"] for row in rows] == [1, 2, 3, 4, 5, 6]
    for row in rows:
        assert np.isfinite(row["loss"])
        assert 0 <= row["lag_mean"] <= row["lag_max"]
        assert row["frames"] == row["update"] * 4 * 4 * 4
        assert {"queue_length", "learner_waiting", "actors_waiting", "unrolls_discarded"} <= set(
            row
        )
    # The actors' log-probabilities are the learner's, and later ones are of older parameters.
    assert (rows[0]["lag_max"], rows[0]["ratio_mean"]) == (0, 1)
    assert rows[0]["ratio_rounding"] < 1e-5
    assert all(row["ratio_mean"] != 1 for row in rows if row["lag_mean"] > 0)
    assert max(row["lag_max"] for row in rows) >= 1
    # A reset and an episode of 5 steps must pass before a return is known.
    assert rows[0]["return"] is None or np.isnan(rows[0]["return"])
    assert len(rows[-1]["return_per_variant"]) == len(rows[-1]["eval/return_per_variant"]) == 2
    assert [row["update"] for row in rows if "eval/return" in row] == [3, 6]


@needs_envpool
def test_the_runner_chooses_the_system(envpool):
    threads, scan = (impala.make(config, impala.Hyper()) for config in (CONFIG, SCAN))
    assert isinstance(threads, HostSystem)
    assert isinstance(scan, System)
    assert scan.evaluates_on_host
    for system in (threads, scan):
        assert system.frames_per_update == CONFIG.frames_per_update == 4 * 4 * 4


@needs_envpool
def test_unrolls_are_columns_of_one_batch(envpool):
    system = impala.make(CONFIG, impala.Hyper())
    state = jax.jit(system.init)(KEY)
    actors = system.actors(0)
    unrolls = tuple(actor.unroll(state.learner.params, 0) for actor in actors)
    for actor in actors:
        actor.close()
    assert [unroll.action.shape for unroll in unrolls] == [(4, 2)] * 2
    np.testing.assert_array_equal([unroll.task_index for unroll in unrolls], [[0, 1]] * 2)
    assert not np.array_equal(unrolls[0].observation, unrolls[1].observation)
    after, measured = jax.eval_shape(system.learn, state, unrolls)
    assert jax.tree.structure(after) == jax.tree.structure(state)
    assert measured["return_per_variant"].shape == (2,)


def test_no_two_emulators_share_a_seed(monkeypatch):
    # Neither two actors nor a resumed run nor evaluation plays what another has played.
    seeds = []
    monkeypatch.setattr(
        emulated,
        "pools",
        lambda config, variants, envs, seed: (
            seeds.append(tuple(seed)) or ScriptedPools(*[[terminating(1)]] * envs * len(variants))
        ),
    )
    for num_updates in (0, 3):
        emulated.actors(CONFIG, None, 7, num_updates)
    for key in (KEY, jax.random.key(1)):
        impala.evaluate_random(CONFIG, CONFIG.variants, key)
    assert len(seeds) == len(set(seeds)) == 6


# Emulators inside the program


@pytest.fixture(scope="module")
def scanned(envpool):
    """A system, its first state, the state after two donated updates, and their metrics."""
    system = impala.make(SCAN, impala.Hyper(), seed=3)
    update = jax.jit(system.update, donate_argnums=0)
    first = jax.device_get(jax.jit(system.init)(KEY).learner.params)
    state, measured = jax.jit(system.init)(KEY), []
    for _ in range(2):
        begun = state
        state, row = update(state)
        measured.append(row)
        assert jax.tree.leaves(begun.learner.params)[0].is_deleted()
    return system, first, state, measured


@needs_envpool
def test_the_scan_has_no_lag_and_a_ratio_of_1(scanned):
    _, first, state, measured = scanned
    assert state.num_updates == 2
    for row in measured:
        assert (row["lag_mean"], row["lag_max"], row["ratio_mean"]) == (0, 0, 1)
        assert row["ratio_rounding"] < 1e-5
    assert_sound(first, state.learner.params, measured[-1])


@needs_envpool
def test_a_restored_scan_meets_fresh_emulators(scanned, tmp_path):
    system, _, state, _ = scanned
    checkpoint.save(tmp_path, 2, state)
    restored = checkpoint.restore(tmp_path, jax.eval_shape(system.init, KEY))
    assert_same(state, restored)
    assert np.all(np.asarray(restored.source.source.books.elapsed) > 0)
    source = emulated.scan_source(SCAN, 3)
    sample = jax.jit(source.sample)
    held, batch = sample(restored.source, restored.learner.params, KEY)
    np.testing.assert_array_equal(batch.valid, np.arange(4)[:, None] > [[0] * 4])
    np.testing.assert_array_equal(batch.first[1], True)
    np.testing.assert_array_equal(batch.reward[0], 0)
    _, batch = sample(held, restored.learner.params, KEY)
    assert batch.valid[0].all()


# Evaluation


def test_evaluation_counts_first_episodes_only(monkeypatch):
    # Column e * N + p is episode e of variant p; first episodes end after 3, 1, 2 and 7 steps.
    scripts = [
        (terminating(3), terminating(1)),
        (truncating(1), terminating(2)),
        (truncating(2), truncating(5)),
        (terminating(7), terminating(1)),
    ]
    pools = ScriptedPools(*scripts)
    monkeypatch.setattr(emulated, "pools", lambda *_: pools)
    config = dataclasses.replace(CONFIG, eval_episodes=2)
    result = impala.evaluate_random(config, config.variants, KEY)
    lengths = np.array([[3, 2], [1, 7]])
    for variant in range(2):
        for episode in range(2):
            column, steps = 2 * episode + variant, np.arange(lengths[variant, episode])
            # A scripted reward tells column, episode, step and action (0 to 3 here).
            least = np.sum(5 * (64 * 64 * column + steps) + 1)
            assert 0 <= result["episode_returns"][variant, episode] - least <= 3 * len(steps)
    np.testing.assert_allclose(
        result["return_per_variant"], result["episode_returns"].mean(axis=1), rtol=1e-6
    )
    np.testing.assert_allclose(result["return"], result["episode_returns"].mean(), rtol=1e-6)
    assert result["episode_length"] == lengths.mean()
    assert pools.closed


@needs_envpool
@pytest.mark.parametrize("kind", ["policy", "random"])
def test_evaluation_is_a_function_of_its_key(envpool, kind):
    params = jax.jit(impala.impala_learner(CONFIG).init)(KEY, impala.Hyper()).params
    evaluate = {
        "policy": functools.partial(impala.evaluate_policy, CONFIG, CONFIG.variants, params),
        "random": functools.partial(impala.evaluate_random, CONFIG, CONFIG.variants),
    }[kind]
    one, same = evaluate(KEY), evaluate(KEY)
    assert {name: np.shape(value) for name, value in one.items()} == {
        "return": (),
        "return_per_variant": (2,),
        "episode_returns": (2, 1),
        "episode_length": (),
    }
    assert one["episode_length"] == CONFIG.time_limit
    for name, value in one.items():
        np.testing.assert_array_equal(value, same[name])
        assert np.asarray(value).dtype == np.float32


@needs_envpool
def test_films_are_whole_screens_in_colour(envpool):
    params = jax.jit(impala.impala_learner(CONFIG).init)(KEY, impala.Hyper()).params
    frames = impala.record_episodes(CONFIG, CONFIG.variants, params, KEY, num_steps=8)
    assert (frames.shape, frames.dtype) == ((2, 8, 210, 160, 3), np.uint8)
    assert (frames.max(axis=-1) != frames.min(axis=-1)).any()
    # An opening, five steps to the time limit, and the next episode's opening.
    assert not np.array_equal(frames[0, 0], frames[0, 6])


# Presets and bad input

ATARI_PRESETS = [name for name in impala.PRESETS if name.startswith("atari")]


@needs_envpool
@pytest.mark.parametrize("name", ATARI_PRESETS)
def test_preset_builds_and_its_baseline_is_played(envpool, name):
    config, hyper, _ = impala.PRESETS[name]
    system = impala.make(config, hyper)
    state = jax.eval_shape(system.init, KEY)
    assert state.num_updates.shape == ()
    variants = config.variants[:2]
    small = dataclasses.replace(config, eval_episodes=1, time_limit=4)
    result = impala.evaluate_random(small, variants, KEY)
    assert result["episode_returns"].shape == (len(variants), 1)
    assert result["episode_length"] == 4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"suite": "nes"}, "unknown suite 'nes'; legal: arcade, atari"),
        ({"game": "pong"}, "no Atari game 'pong'; legal are breakout, freeway, hero, space_inv"),
        ({"split": "mine"}, "breakout has no split 'mine'; legal are combination, value, or"),
        ({"num_variants": 17}, "num_variants 17 is out of range: .* has 16"),
        ({"num_envs": 6}, "num_envs 6 .* 2 variants with 2 actors each; choose a multiple of 4"),
        ({"network": NetworkConfig(torso="grid")}, "for Atari choose resnet or shallow"),
        ({"actors": ActorsConfig(runner="fork")}, "unknown runner 'fork'; legal: threads, scan"),
        ({"actors": ActorsConfig(count=0)}, "count of actors must be at least 1, not 0"),
        ({"replay_fraction": 0.5}, "replay needs sources on the device; choose the runner scan"),
        ({"emulator": atari.EmulatorConfig(noop_max=0)}, "noop_max must be at least 1, not 0"),
    ],
)
def test_bad_input_names_the_remedy(pretended_envpool, change, message):
    with pytest.raises(UsageError, match=message) as error:
        impala.make(dataclasses.replace(CONFIG, **change), impala.Hyper())
    assert "\n" not in str(error.value)


def test_the_scan_shares_environments_by_variants_alone(pretended_envpool):
    dataclasses.replace(SCAN, num_envs=6).check()
    with pytest.raises(UsageError, match=r"num_envs 5 .* by 2 variants; choose a multiple of 2"):
        dataclasses.replace(SCAN, num_envs=5).check()


@pytest.mark.parametrize("config", [CONFIG, SCAN], ids=["threads", "scan"])
def test_without_envpool_one_is_told_what_to_install(monkeypatch, config):
    monkeypatch.setitem(sys.modules, "envpool", None)
    with pytest.raises(UsageError) as error:
        impala.make(config, impala.Hyper())
    assert 'pip install "jaxrl_suite[envpool]"' in str(error.value)
    assert "\n" not in str(error.value)
    with pytest.raises(UsageError, match="extra envpool"):
        impala.evaluate_random(config, config.variants, KEY)
