"""Skills whose right answer is known: a point whose clips are eight directions.

python -m experiments.peng2022.planar.sweep      (about 3 minutes on two CPU cores)

Every method trains the low level of the preset `planar` (307,200 actions), five seeds side by side
in one program. What its skills are is measured by 256 latents, each held for 2 s. Then the skills
are frozen, and a high level learns to be where a target is ("location"), in 2,048,000 actions of
the low level (400 updates of 64 environments x 16 x 5); "from scratch" learns the same task, by as
many actions, without skills.
"""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import numpy as np

from experiments.peng2022.methods import METHODS, hyper_of
from experiments.results import ResultsFile, settings_of
from jaxrl_suite.core import Preset, System, train
from jaxrl_suite.envs.character import Rules
from jaxrl_suite.runtime.compile_cache import enable_compile_cache
from jaxrl_suite.systems import ase

RESULTS = Path(__file__).parent / "results" / "seeds.jsonl"
SEEDS, LATENTS, TASK_UPDATES = 5, 256, 400
PRESET = ase.PRESETS["planar"]
STARTS = Rules(horizon=90, window=4, reference=0.0, fallen=0.0, recovery=0.0, spared=0)


def high_of(config: ase.Config) -> ase.Config:
    """Of the high level that commands what a low level has learned."""
    return dataclasses.replace(config, level="high", task="location", rules=STARTS)


HIGH = high_of(PRESET.config)
# With a tenth of the discriminator's reward, as published, some seeds hold the one skill that
# it likes best and never go to the target: it gives up to 18 a step, the task 1 at most.
HIGH_HYPER = ase.PRESETS["task"].hyper._replace(
    learning_rate=3e-4, log_std=-1.6, task=0.98, style=0.02
)
# Without skills: the low level's learner with the task's reward alone.
SCRATCH = dataclasses.replace(
    PRESET.config,
    task="location",
    rules=STARTS,
    networks=dataclasses.replace(PRESET.config.networks, latent=0, discriminator=()),
    # As many actions and gradient steps an update as the high level's.
    num_steps=HIGH.num_steps * HIGH.repeat,
    minibatch=PRESET.config.minibatch * HIGH.repeat,
    mixed=False,
)
SCRATCH_HYPER = PRESET.hyper._replace(
    learning_rate=1e-3, log_std=-1.6, task=1.0, style=0.0, skill=0.0
)
SCRATCH_NAME = "from scratch"


def low(preset: Preset, keys: jax.Array) -> tuple[Any, dict[str, jax.Array], ase.Measured]:
    """Controllers of all seeds, their learning curves, and what their skills are."""
    config, hyper, updates = preset
    system = ase.make(config, hyper)

    def one(key: jax.Array) -> tuple:
        learn, measure = jax.random.split(key)
        state, curves = train(system, updates)(system.init(learn))
        world = state.source.world
        found = ase.measure_skills(config, state.learner.params, world, measure, LATENTS)
        return state, {name: curves[name] for name in ("style_reward", "skill_reward")}, found

    return jax.jit(jax.vmap(one))(keys)


def _learned(system: System, key: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Learning curve and return of the task."""
    learn, play = jax.random.split(key)
    end, curves = train(system, TASK_UPDATES)(system.init(learn))
    return curves["task_reward"], system.evaluate(end, play)["normalised_return"]


def high(config: ase.Config, states: Any, keys: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Learning curve and return of the task, by the skills of all seeds of a low level."""

    def one(state: Any, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        system = ase.make(high_of(config), HIGH_HYPER, ase.skills_of(config, state))
        return _learned(system, key)

    return jax.jit(jax.vmap(one))(states, keys)


def scratch(keys: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Learning curve and return of the task without skills."""
    system = ase.make(SCRATCH, SCRATCH_HYPER)
    return jax.jit(jax.vmap(lambda key: _learned(system, key)))(keys)


def _keys() -> tuple[jax.Array, jax.Array]:
    """Of the low level and of the task, of all seeds."""
    learn, task = jax.random.split(jax.random.key(0))
    return jax.random.split(learn, SEEDS), jax.random.split(task, SEEDS)


def _task_row(told: tuple[np.ndarray, np.ndarray], seed: int) -> dict[str, Any]:
    curve, returns = told
    return {"task_return": float(returns[seed]), "task_curve": _short(curve[seed])}


def rows_by_skills(preset: Preset, **label: Any) -> list[dict[str, Any]]:
    """A row a seed: what the skills of a setting are, and the task by them."""
    keys, task_keys = _keys()
    states, curves, found = low(preset, keys)
    task = jax.device_get(high(preset.config, states, task_keys))
    curves, found = jax.device_get((curves, found))
    rows = []
    for seed in range(SEEDS):
        row = {**label, "seed": seed, **_task_row(task, seed)}
        row |= {f"curve_{name}": _short(x[seed]) for name, x in curves.items()}
        row |= {name: float(x[seed]) for name, x in found.metrics.items()}
        row["histogram"] = [round(float(x), 4) for x in found.histogram[seed]]
        pairs = found.transitions[seed].astype(float)
        row["transitions"] = (pairs / pairs.sum()).round(4).tolist()
        rows.append(row)
    return rows


def rows_of(method: str) -> list[dict[str, Any]]:
    """A row a seed."""
    if method != SCRATCH_NAME:
        preset = PRESET._replace(hyper=hyper_of(method, PRESET.hyper))
        return rows_by_skills(preset, method=method)
    task = jax.device_get(scratch(_keys()[1]))
    return [{"method": method, "seed": seed, **_task_row(task, seed)} for seed in range(SEEDS)]


def _short(curve: np.ndarray, points: int = 50) -> list[float]:
    """Means of so many equal parts of a curve."""
    return [round(float(part.mean()), 4) for part in np.array_split(curve, points)]


def settings() -> dict[str, Any]:
    """What all rows share."""
    return settings_of(
        PRESET,
        updates=PRESET.num_updates,
        task_updates=TASK_UPDATES,
        task_rate=HIGH_HYPER.learning_rate,
        latents=LATENTS,
        seeds=SEEDS,
    )


def show(label: str, rows: list[dict[str, Any]]) -> None:
    """A line of means over seeds."""
    told = ("coverage", "entropy", "skill_reward", "pairwise_distance", "task_return")
    means = {n: round(float(np.mean([r[n] for r in rows])), 3) for n in told if n in rows[0]}
    print(label, means, flush=True)


def main() -> None:
    """Runs whatever the results file lacks."""
    enable_compile_cache()
    results = ResultsFile(RESULTS, keys=("method", "seed"), settings=settings())
    for method in (*METHODS, SCRATCH_NAME):
        if results.lacks(method=method):
            rows = rows_of(method)
            results.add(rows)
            show(method, rows)


if __name__ == "__main__":
    main()
