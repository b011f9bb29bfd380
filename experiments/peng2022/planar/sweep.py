"""Skills whose right answer is known: a point whose clips are eight directions.

python -m experiments.peng2022.planar.sweep      (about 5 minutes on two CPU cores)

Every method trains the low level of the preset `planar` (307,200 actions), five seeds side by side
in one program. What its skills are is measured by 256 latents, each held for 2 s. Then the skills
are frozen, and a high level learns to be where a target is ("location"), by as many actions of the
low level (200 updates of 64 environments x 16 x 5); "from scratch" learns the same task, by as many
actions, without skills.
"""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import numpy as np

from experiments.peng2022.methods import METHODS, hyper_of
from experiments.results import ResultsFile, settings_of
from jaxrl_suite.core import train
from jaxrl_suite.envs.character import Rules
from jaxrl_suite.runtime.compile_cache import enable_compile_cache
from jaxrl_suite.systems import ase

RESULTS = Path(__file__).parent / "results" / "seeds.jsonl"
SEEDS, LATENTS, TASK_UPDATES = 5, 256, 200
PRESET = ase.PRESETS["planar"]
STARTS = Rules(horizon=90, window=4, reference=0.0, fallen=0.0, recovery=0.0, spared=0)
HIGH = dataclasses.replace(PRESET.config, level="high", task="location", rules=STARTS)
HIGH_HYPER = ase.PRESETS["task"].hyper._replace(learning_rate=1e-3, log_std=-1.6)
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


def low(method: str, keys: jax.Array) -> tuple[Any, dict[str, jax.Array], ase.Measured]:
    """Controllers of all seeds, their learning curves, and what their skills are."""
    config, hyper, updates = PRESET
    system = ase.make(config, hyper)

    def one(key: jax.Array) -> tuple:
        learn, measure = jax.random.split(key)
        state, curves = train(system, updates)(system.init(learn, hyper_of(method, hyper)))
        world = state.source.world
        found = ase.measure_skills(config, state.learner.params, world, measure, LATENTS)
        return state, {name: curves[name] for name in ("style_reward", "skill_reward")}, found

    return jax.jit(jax.vmap(one))(keys)


def high(states: Any, keys: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Learning curve and return of the task, by the skills of all seeds; None for from scratch."""

    def one(state: Any, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        learn, play = jax.random.split(key)
        if state is None:
            system = ase.make(SCRATCH, SCRATCH_HYPER)
        else:
            skills = ase.skills_of(PRESET.config, state)
            system = ase.make(HIGH, HIGH_HYPER, skills)
        end, curves = train(system, TASK_UPDATES)(system.init(learn))
        return curves["task_reward"], system.evaluate(end, play)["normalised_return"]

    return jax.jit(jax.vmap(one, in_axes=(None if states is None else 0, 0)))(states, keys)


def rows_of(method: str) -> list[dict[str, Any]]:
    """A row a seed."""
    learn, task = jax.random.split(jax.random.key(0))
    keys, task_keys = (jax.random.split(key, SEEDS) for key in (learn, task))
    states, curves, found = (None, {}, None)
    if method != SCRATCH_NAME:
        states, curves, found = low(method, keys)
    task_curve, returns = jax.device_get(high(states, task_keys))
    curves, found = jax.device_get((curves, found))
    rows = []
    for seed in range(SEEDS):
        row: dict[str, Any] = {"method": method, "seed": seed}
        row |= {"task_return": float(returns[seed]), "task_curve": _short(task_curve[seed])}
        for name, x in curves.items():
            row[f"curve_{name}"] = _short(x[seed])
        if found is not None:
            row |= {name: float(x[seed]) for name, x in found.metrics.items()}
            row["histogram"] = [round(float(x), 4) for x in found.histogram[seed]]
        rows.append(row)
    return rows


def _short(curve: np.ndarray, points: int = 50) -> list[float]:
    """Means of so many equal parts of a curve."""
    return [round(float(part.mean()), 4) for part in np.array_split(curve, points)]


def main() -> None:
    """Runs whatever the results file lacks."""
    enable_compile_cache()
    settings = settings_of(
        PRESET,
        updates=PRESET.num_updates,
        task_updates=TASK_UPDATES,
        latents=LATENTS,
        seeds=SEEDS,
    )
    results = ResultsFile(RESULTS, keys=("method", "seed"), settings=settings)
    for method in (*METHODS, SCRATCH_NAME):
        if results.lacks(method=method):
            rows = rows_of(method)
            results.add(rows)
            told = ("coverage", "entropy", "skill_reward", "pairwise_distance", "task_return")
            means = {
                n: round(float(np.mean([r[n] for r in rows])), 3) for n in told if n in rows[0]
            }
            print(method, means, flush=True)


if __name__ == "__main__":
    main()
