"""HarmoDT, its variants and its baselines on MT5, from near-optimal and sub-optimal data.

python -m experiments.hu2024.mt5.sweep      (about 6 minutes a run, two CPU cores; extra metaworld)

The quick preset. Trajectories are collected first, 200 episodes a task and tier. Every run is
evaluated four times while it trains, at new goals of one seed for all, 10 episodes a task: the last
evaluation is the headline, the best one is given beside it, since papers report that.
"""

import dataclasses
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np

from experiments.hu2024.methods import configs
from experiments.results import ResultsFile
from jaxrl_suite.core import train
from jaxrl_suite.data import collect, load
from jaxrl_suite.envs import metaworld
from jaxrl_suite.runtime.compile_cache import enable_compile_cache
from jaxrl_suite.runtime.rundir import ROOT
from jaxrl_suite.systems import harmodt
from jaxrl_suite.systems.harmodt.evaluate import make_policy, play

RESULTS = Path(__file__).parent / "results" / "runs.jsonl"
SEEDS, EVALUATIONS, EPISODES, COLLECTED = 3, 4, 10, 200
TIERS = ("near", "sub")
PRESET = harmodt.PRESETS["quick"]
GOALS = 1000  # seed of the evaluation's goals, and of the windows whose gradients are compared
WINDOWS = 256  # of each task
CONFIGS = configs(PRESET.config, len(metaworld.MT5))


def data_of(tier: str) -> harmodt.Dataset:
    """Trajectories of a tier, collected if need be."""
    directory = ROOT / "hu2024" / f"mt5-{tier}"
    collect(directory, metaworld.MT5, tier=tier, episodes=COLLECTED)
    return harmodt.build(PRESET.config.data, load(directory))


def run(method: str, data: harmodt.Dataset, seed: int) -> list[dict[str, Any]]:
    """Trains and evaluates; a row a task. Seconds are of training, compilation included."""
    config = CONFIGS[method]
    system = harmodt.make(config, PRESET.hyper, data)
    state = jax.jit(system.init)(jax.random.key(seed))
    part = jax.jit(train(system, config.updates // EVALUATIONS))
    policy, targets = make_policy(config, data), np.asarray(data.data.target)
    agree = jax.jit(harmodt.agreement(config, data, WINDOWS))
    found, losses, harmony, seconds = [], [], [], 0.0
    for _ in range(EVALUATIONS):
        begun = time.perf_counter()
        state, metrics = part(state)
        losses.append(float(metrics["loss"][-5:].mean()))
        seconds += time.perf_counter() - begun
        harmony.append(round(float(agree(state.learner, jax.random.key(GOALS))), 5))
        pools = [metaworld.Pool(name, EPISODES, (GOALS, i)) for i, name in enumerate(data.tasks)]
        found.append(play(policy, state.learner, pools, targets, metaworld.EPISODE_LENGTH))
        for pool in pools:
            pool.close()
    return [
        {
            "method": method,
            "seed": seed,
            "task": name,
            "any": [round(float(x.any[i].mean()), 3) for x in found],
            "final": [round(float(x.last[i].mean()), 3) for x in found],
            "return": [round(float(x.returns[i].mean()), 1) for x in found],
            "loss": [round(x, 6) for x in losses],
            "harmony": harmony,
            "seconds": round(seconds, 1),
        }
        for i, name in enumerate(data.tasks)
    ]


def main() -> None:
    """Runs whatever the results file lacks."""
    enable_compile_cache()
    settings = {
        "config": dataclasses.asdict(PRESET.config),
        "hyper": {name: float(x) for name, x in PRESET.hyper._asdict().items()},
        "seeds": SEEDS,
        "episodes": EPISODES,
        "collected": COLLECTED,
        "windows": WINDOWS,
        **metaworld.versions(),
        "jax": jax.__version__,
        "numpy": np.__version__,
    }
    results = ResultsFile(RESULTS, keys=("tier", "method", "seed", "task"), settings=settings)
    for tier in TIERS:
        data = data_of(tier)
        for method in CONFIGS:
            for seed in range(SEEDS):
                if results.lacks(tier=tier, method=method, seed=seed):
                    rows = run(method, data, seed)
                    results.add({"tier": tier, **row} for row in rows)
                    solved = np.mean([row["any"][-1] for row in rows])
                    print(tier, method, seed, solved.round(3), flush=True)


if __name__ == "__main__":
    main()
