"""The ring of slots: who is born when, who competes, what is remembered."""

import dataclasses
import functools
import re
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_suite import train
from jaxrl_suite.core import Preset, System, SystemState, UsageError
from jaxrl_suite.envs import unimal
from jaxrl_suite.envs.unimal.population import species
from jaxrl_suite.systems import derl
from jaxrl_suite.systems.derl import evolution
from jaxrl_suite.systems.derl.config import TERRAINS
from tests.systems.derl.toy import MOST_LIMBS, still

# One process for all: the programs compile once.
pytestmark = pytest.mark.xdist_group("derl")
LIFE = derl.Life(num_envs=2, num_steps=8, iterations=4, epochs=1, minibatches=1, window=2)
CONFIG = derl.Config(
    terrain="toy", bodies=24, population=8, slots=4, phases=2, tournament=3, life=LIFE, keep=3
)


@pytest.fixture(scope="module", autouse=True)
def terrain() -> Any:
    TERRAINS["toy"] = still
    yield
    del TERRAINS["toy"]


class Evolved(NamedTuple):
    """A whole evolution: every phase's metrics, the states before, after and after 5 phases."""

    system: System
    update: Any
    begin: SystemState
    middle: SystemState
    state: SystemState
    metrics: dict[str, np.ndarray]


@functools.cache
def evolved() -> Evolved:
    system = derl.make(CONFIG, derl.Hyper())
    update = jax.jit(system.update)
    states, metrics = [jax.jit(system.init)(jax.random.key(0))], []
    for _ in range(CONFIG.num_updates):
        state, told = update(states[-1])
        states.append(state)
        metrics.append(told)
    told = {name: np.array([m[name] for m in metrics]) for name in metrics[0]}
    return Evolved(system, update, states[0], states[5], states[-1], told)


def finite(lineage: evolution.Lineage) -> np.ndarray:
    """bool [N], bodies that the toy does not poison."""
    return np.asarray(jax.vmap(unimal.num_limbs)(lineage.genotype)) <= MOST_LIMBS


def test_every_body_lives_one_life_and_is_remembered() -> None:
    state, metrics = evolved().state, evolved().metrics
    lineage = state.learner.lineage
    assert int(evolution.completed(CONFIG, state.num_updates)) == CONFIG.bodies
    assert not np.isnan(lineage.fitness).any()
    for curve in lineage.curves.values():
        assert np.isfinite(curve[finite(lineage)]).all()
    np.testing.assert_array_equal(lineage.curves["length"][:, -1], 4)
    # All slots are empty at the end, and as many bodies were in them as there were phases for.
    assert (np.asarray(state.learner.number) == CONFIG.bodies).all()
    slots = np.asarray(metrics["slots"])
    np.testing.assert_array_equal(slots, [2, *[4] * (CONFIG.num_updates - 2), 2])
    np.testing.assert_array_equal(metrics["bodies"], [0, *range(2, 25, 2)])


def test_fitness_is_the_body_s_own() -> None:
    """Four actions of what its mass is worth, less what random actions of width 1 cost."""
    state = evolved().state
    lineage = state.learner.lineage
    bodies = jax.jit(jax.vmap(lambda g: derl.body_of(CONFIG, g)))(lineage.genotype)
    mass = np.asarray(bodies.task.model.mass).sum(1)
    hinges = np.asarray(bodies.action).sum(1)
    expected = 4 * (mass - 0.01 * hinges)
    sound = finite(lineage)
    np.testing.assert_allclose(lineage.fitness[sound], expected[sound], atol=0.5)
    best = state.learner.best
    order = np.argsort(-np.asarray(lineage.fitness), kind="stable")[:3]
    np.testing.assert_array_equal(best.number, order)
    np.testing.assert_array_equal(best.fitness, np.asarray(lineage.fitness)[order])


def test_parents_have_finished_and_are_among_the_last() -> None:
    begin, state = evolved().begin, evolved().state
    lineage = jax.device_get(state.learner.lineage)
    population, group, phases = CONFIG.population, CONFIG.group, CONFIG.phases
    assert (lineage.parent[:population] == -1).all()
    assert (lineage.operator[:population] == -1).all()
    for number in range(population, CONFIG.bodies):
        phase = number // group
        finished = (phase - phases + 1) * group
        assert max(0, finished - population) <= lineage.parent[number] < finished
        assert lineage.generation[number] == lineage.generation[lineage.parent[number]] + 1
        assert lineage.founder[number] == lineage.founder[lineage.parent[number]]
        assert 0 <= lineage.operator[number] < len(unimal.OPERATORS)
    founders = jax.device_get(begin.learner.lineage.genotype)
    jax.tree.map(
        lambda a, b: np.testing.assert_array_equal(a[:population], b[:population]),
        lineage.genotype,
        founders,
    )
    # Selection is for mass, which every mutation of density or length changes.
    mean = lambda x: x[np.isfinite(x)].mean()  # noqa: E731
    assert mean(lineage.fitness[-8:]) > mean(lineage.fitness[:8])


def test_a_body_that_is_not_finite_is_logged_and_has_no_children() -> None:
    metrics, lineage = evolved().metrics, jax.device_get(evolved().state.learner.lineage)
    lost = np.isneginf(lineage.fitness)
    np.testing.assert_array_equal(lost, ~finite(lineage))
    assert 0 < lost.sum() < CONFIG.bodies
    assert not lost[lineage.parent[CONFIG.population :]].any()
    assert int(metrics["failed"][-1]) == lost.sum()
    assert np.isfinite(metrics["fitness_mean"][2:]).all()


def test_random_search_trains_founders_alone() -> None:
    config = dataclasses.replace(CONFIG, scheme="random")
    build = jax.jit(lambda key: evolution.start(config, ["score"], key))
    lineage = build(jax.random.key(0))
    numbers = jnp.arange(20, 22)
    same = evolution.conceive(config, lineage, numbers, jnp.array(16), jax.random.key(1))
    assert same is lineage
    assert (np.asarray(lineage.parent) == -1).all()
    kinds = np.asarray(jax.jit(jax.vmap(species))(lineage.genotype))
    assert len(np.unique(kinds, axis=0)) == CONFIG.bodies


@pytest.mark.slow
def test_random_search_runs_to_its_end() -> None:
    config = dataclasses.replace(CONFIG, scheme="random")
    system = derl.make(config, derl.Hyper())
    run = jax.jit(lambda key: train(system, config.num_updates)(system.init(key)))
    state, _ = run(jax.random.key(0))
    lineage = state.learner.lineage
    assert int(evolution.completed(config, state.num_updates)) == config.bodies
    assert not np.isnan(lineage.fitness).any()
    assert (np.asarray(lineage.parent) == -1).all()
    assert (np.asarray(lineage.generation) == 0).all()
    np.testing.assert_array_equal(lineage.founder, np.arange(config.bodies))
    # Both schemes of a seed begin with the same bodies.
    first = jax.device_get(evolved().begin.learner.lineage.genotype)
    jax.tree.map(
        lambda a, b: np.testing.assert_array_equal(a[: config.population], b[: config.population]),
        jax.device_get(lineage.genotype),
        first,
    )


def test_resumed_in_the_middle_it_ends_the_same() -> None:
    state = evolved().middle
    for _ in range(5, CONFIG.num_updates):
        state, _ = evolved().update(state)
    for a, b in zip(jax.tree.leaves(state), jax.tree.leaves(evolved().state), strict=True):
        if jnp.issubdtype(a.dtype, jax.dtypes.prng_key):
            a, b = jax.random.key_data(a), jax.random.key_data(b)
        np.testing.assert_array_equal(a, b)


def test_one_program_serves_the_whole_evolution() -> None:
    evolved()
    assert evolved().update._cache_size() == 1


def test_evaluation_plays_the_best() -> None:
    told = jax.jit(evolved().system.evaluate)(evolved().state, jax.random.key(1))
    assert told["score"].shape == (CONFIG.keep, CONFIG.eval_episodes)
    np.testing.assert_array_equal(told["length"], 4)
    # Their mean actions cost less than actions of width 1.
    assert (np.asarray(told["score"]) > np.asarray(told["random_score"])).all()


def test_tournaments() -> None:
    fitness = jnp.array([9.0, 1.0, 2.0, -jnp.inf, 8.0, 7.0, jnp.nan, jnp.nan])
    config = dataclasses.replace(CONFIG, population=4, tournament=3)
    draw = jax.jit(jax.vmap(lambda k, f: evolution.tournament(config, fitness, f, k), (0, None)))
    won = np.asarray(draw(jax.random.split(jax.random.key(0), 400), 6))
    # The window is rows 2 to 5; row 3 can only win three draws of itself, and then the best does.
    assert set(won) == {2, 4, 5}
    share = (won == 4).mean()
    assert abs(share - (1 - (3 / 4) ** 3 + (1 / 4) ** 3)) < 0.08
    assert (np.asarray(draw(jax.random.split(jax.random.key(1), 50), 1)) == 0).all()


def test_tournaments_without_replacement() -> None:
    fitness = jnp.array([9.0, 1.0, 2.0, -jnp.inf, 8.0, 7.0, jnp.nan, jnp.nan])
    config = dataclasses.replace(CONFIG, population=4, tournament=3, replacement=False)
    draw = jax.jit(jax.vmap(lambda k, f: evolution.tournament(config, fitness, f, k), (0, None)))
    won = np.asarray(draw(jax.random.split(jax.random.key(0), 400), 6))
    # Three of the rows 2 to 5: only the best and the second can win, the best in three of four.
    assert set(won) == {4, 5}
    assert abs((won == 4).mean() - 3 / 4) < 0.08
    # Fewer have finished than are drawn.
    assert (np.asarray(draw(jax.random.split(jax.random.key(1), 50), 2)) == 0).all()


@pytest.mark.slow
def test_the_originals_whole_fitness_and_common_random_numbers() -> None:
    config = dataclasses.replace(CONFIG, int_fitness=True, common_random_numbers=True)
    system = derl.make(config, derl.Hyper())
    state = jax.jit(system.init)(jax.random.key(0))
    keys = jax.random.key_data(state.learner.slots.key)
    assert len(np.unique(keys.reshape(-1, keys.shape[-1]), axis=0)) == 1
    update = jax.jit(system.update)
    for _ in range(3):
        state, _ = update(state)
    fitness = state.learner.lineage.fitness[:4]
    np.testing.assert_array_equal(fitness, np.trunc(fitness))
    assert np.isfinite(fitness).any()


def test_the_ring_drifts_as_the_papers_asynchronous_workers_do() -> None:
    """A trait, N(0, 1) of founders, a child's its parent's plus N(-0.3, 1); fitness adds N(0, 1).

    The paper's sizes. Mean trait 6.0, mean and largest generation 6.9 and 9.4, founders surviving
    27 of the staggered ring, 6.1, 7.1, 10.1 and 24 of the original's asynchronous workers; a plain
    synchronous round of 288 gives 8.1, 9.2, 11.8 and 12.
    """
    trait, mean, most, founders = _drift(derl.Config())
    assert 5.2 < trait < 7.0
    assert 6.2 < mean < 7.9
    assert 8.5 < most < 11
    assert 18 < founders < 34
    together = _drift(derl.Config(phases=1))
    assert together[0] > trait + 1
    assert together[3] < founders - 6


def _drift(config: derl.Config, seeds: int = 6) -> np.ndarray:
    """Mean trait, mean and largest generation and founders of the last window, mean of seeds."""
    total, group = config.bodies // config.group * config.group, config.group
    compete = jax.vmap(lambda f, n, k: evolution.tournament(config, f, n, k), (None, None, 0))

    def run(key: jax.Array) -> tuple:
        draw, key = jax.random.split(key)
        step, luck = jax.random.normal(draw, (2, total))

        def phase(carry: tuple, p: jax.Array) -> tuple:
            trait, fitness, ages, founder = carry
            rows = p * group + jnp.arange(group)
            finished = evolution.completed(config, p)
            known = jnp.where(jnp.arange(total) < finished, fitness, jnp.nan)
            parents = compete(known, finished, jax.random.split(jax.random.fold_in(key, p), group))
            first = rows < config.population
            own = jnp.where(first, step[rows], trait[parents] - 0.3 + step[rows])
            return (
                trait.at[rows].set(own),
                fitness.at[rows].set(own + luck[rows]),
                ages.at[rows].set(jnp.where(first, 0, ages[parents] + 1)),
                founder.at[rows].set(jnp.where(first, rows, founder[parents])),
            ), None

        zero, none = jnp.zeros(total), jnp.zeros(total, jnp.int32)
        start = (zero, zero, none, none)
        return jax.lax.scan(phase, start, jnp.arange(total // group))[0]

    trait, _, ages, founder = jax.jit(jax.vmap(run))(jax.random.split(jax.random.key(0), seeds))
    last = slice(-config.population, None)
    alive = [len(np.unique(f[last])) for f in np.asarray(founder)]
    return np.array(
        [trait[:, last].mean(), ages[:, last].mean(), ages.max(axis=1).mean(), np.mean(alive)]
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"terrain": "lava"}, "unknown terrain 'lava'; legal: flat"),
        ({"scheme": "luck"}, "unknown scheme 'luck'; legal: tournament, random"),
        ({"population": 2, "slots": 2}, "population of 2 is smaller than its tournaments of 3"),
        ({"phases": 3}, "4 slots are no multiple of the 3 phases"),
        ({"slots": 6, "phases": 3, "bodies": 24, "population": 8}, "4 iterations are no multiple"),
        ({"bodies": 25}, "25 bodies are no multiple of the 2 slots that finish at once"),
        ({"slots": 16}, r"population must lie between slots \(16\) and bodies \(24\), not 8"),
        ({"bodies": 4}, r"between slots \(4\) and bodies \(4\), not 8"),
        ({"keep": 5}, "keep must be at most the 4 slots, not 5"),
        ({"phases": 0}, "phases must be at least 1, not 0"),
    ],
)
def test_settings_of_which_no_program_can_be_made_are_refused(changes: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        derl.make(dataclasses.replace(CONFIG, **changes), derl.Hyper())


@pytest.mark.slow
def test_the_readmes_code_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """As it stands, with a small evolution for the preset."""
    page = (Path(derl.__file__).parent / "README.md").read_text()
    monkeypatch.setitem(derl.PRESETS, "quick", Preset(CONFIG, derl.Hyper(), CONFIG.num_updates))
    names: dict = {}
    for code in re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL):
        exec(code, names)
    assert int(evolution.completed(CONFIG, names["state"].num_updates)) == CONFIG.bodies
    assert names["told"].shape == (CONFIG.keep, CONFIG.eval_episodes)
    assert names["curves"].shape == (4, LIFE.iterations)


@pytest.mark.parametrize("name", sorted(derl.PRESETS))
def test_presets_are_sound_and_keep_the_papers_ratios(name: str) -> None:
    preset = derl.PRESETS[name]
    preset.config.check()
    assert preset.num_updates == preset.config.num_updates
    assert preset.config.slots * 2 == preset.config.population
    assert preset.config.bodies == pytest.approx(7 * preset.config.population, rel=0.02)
