"""Does one policy do what several experts have learned, each on its own terrain?

python -m experiments.han2024.distil.sweep      (about 20 minutes, one process a core)

A seed's experts are those of `experiments.han2024.terrain` that choose codes, the student is the
preset `distil`. All of them, and the student before it has learned, play episodes on every terrain
without noise and pushes; each terrain has the same starts for all.
"""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import numpy as np

from experiments.han2024.levels import SKILLS, learned, skills
from experiments.han2024.terrain import sweep as terrain
from experiments.han2024.terrain.sweep import TERRAINS, alone, tested
from experiments.results import ResultsFile, settings_of
from jaxrl_suite.runtime.compile_cache import enable_compile_cache
from jaxrl_suite.systems import lifelike

RESULTS = Path(__file__).parent / "results" / "seeds.jsonl"
SEEDS = 3
TAUGHT = "easiest"  # level of terrains that the preset distils at
STUDENT, UNTRAINED = "student", "untrained student"
POLICIES = (*TERRAINS, STUDENT, UNTRAINED)
EXPERT = terrain.preset_of(terrain.SKILLED, TERRAINS[0])
_DISTIL = lifelike.PRESETS["distil"]
PRESET = _DISTIL._replace(
    config=dataclasses.replace(
        _DISTIL.config, terrains=TERRAINS, playground=EXPERT.config.playground
    )
)
CURVES = ("kl", "agreement", "score")


def row_of(seed: int) -> dict[str, Any]:
    """What every policy does on every terrain, [POLICIES, TERRAINS] of each outcome."""
    below = skills()
    experts = [terrain.walker_of(terrain.SKILLED, kind, seed) for kind in TERRAINS]
    student = learned(PRESET, seed, CURVES, STUDENT, below, experts)
    system = lifelike.make(PRESET.config, PRESET.hyper, below.below)
    untrained = jax.jit(system.init)(jax.random.key(seed))
    states = (*(level.state for level in (*experts, student)), untrained)
    key, on = jax.random.key(1000 + seed), [alone(PRESET.config, kind) for kind in TERRAINS]
    told = [[tested(c, state, key) for c in on] for state in states]
    row: dict[str, Any] = {"seed": seed}
    row["actions"] = PRESET.num_updates * PRESET.config.frames_per_update
    row |= {name: [[x[name] for x in line] for line in told] for name in told[0][0]}
    return row | {f"curve_{name}": curve for name, curve in student.curves.items()}


def main() -> None:
    """Runs whatever the results file lacks."""
    enable_compile_cache()
    settings = settings_of(
        PRESET,
        updates=PRESET.num_updates,
        experts=settings_of(EXPERT, updates=EXPERT.num_updates),
        skills=settings_of(SKILLS, updates=SKILLS.num_updates),
        policies=POLICIES,
        seeds=SEEDS,
    )
    results = ResultsFile(RESULTS, keys=("seed",), settings=settings)
    for seed in range(SEEDS):
        if results.lacks(seed=seed):
            row = row_of(seed)
            results.add([row])
            print(seed, np.round(row[f"{TAUGHT}_return"], 3).tolist(), flush=True)


if __name__ == "__main__":
    main()
