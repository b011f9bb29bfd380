"""Does a character learn to follow a clip? The preset `walk`: DeepMimic's task, on two cores.

python -m experiments.peng2022.tracking.sweep      (about 25 minutes, one process a core)

The humanoid is to do what the clip "walk" does, frame by frame, from wherever in it an episode
starts. What an episode returns is the mean of the tracking reward over 10 s, 0 to 1, an episode
that ends early earning nothing from then on; without noise, before and after learning.
"""

import dataclasses
from pathlib import Path
from typing import Any

import jax

from experiments.learning import learn
from experiments.results import ResultsFile, settings_of
from jaxrl_suite.runtime.compile_cache import enable_compile_cache
from jaxrl_suite.systems import ase

RESULTS = Path(__file__).parent / "results" / "seeds.jsonl"
SEEDS, EPISODES = 3, 64
PRESET = ase.PRESETS["walk"]
CURVES = ("task_reward", "length", "return")


def row_of(seed: int) -> dict[str, Any]:
    """What a seed came to."""
    config = dataclasses.replace(PRESET.config, eval_episodes=EPISODES)
    system = ase.make(config, PRESET.hyper)
    evaluate = jax.jit(system.evaluate)
    key = jax.random.key(seed)
    before = jax.device_get(evaluate(jax.jit(system.init)(key), jax.random.key(1000 + seed)))
    updates = PRESET.num_updates
    state, curves = learn(system, PRESET.hyper, updates, seed, CURVES, "walk")
    after = jax.device_get(evaluate(state, jax.random.key(1000 + seed)))
    row: dict[str, Any] = {"task": "walk", "seed": seed, "actions": updates * config.batch}
    for when, told in (("untrained", before), ("learned", after)):
        row |= {f"{when}_{name}": float(told[name]) for name in ("normalised_return", "length")}
    return row | {f"curve_{name}": curve for name, curve in curves.items()}


def main() -> None:
    """Runs whatever the results file lacks."""
    enable_compile_cache()
    settings = settings_of(
        PRESET,
        updates=PRESET.num_updates,
        episodes=EPISODES,
        seeds=SEEDS,
    )
    results = ResultsFile(RESULTS, keys=("task", "seed"), settings=settings)
    for seed in range(SEEDS):
        if results.lacks(task="walk", seed=seed):
            row = row_of(seed)
            results.add([row])
            print({k: v for k, v in row.items() if "curve" not in k}, flush=True)


if __name__ == "__main__":
    main()
