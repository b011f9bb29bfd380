"""The published network on all fifty tasks, on one large GPU.

python -m experiments.hu2024.mt50.sweep      (minutes on an H100; extra metaworld)

The preset `gpu`, shortened, from near-optimal trajectories, 100 episodes a task. One seed: what is
asked is whether fifty tasks are learned at all, and in which time; `mt5/` compares the methods.
Beside the published context of 20 steps stands one of a single step, as in the preset `quick`.
"""

import dataclasses
import importlib.metadata
import os
from pathlib import Path

import numpy as np

from experiments.hu2024.learning import WINDOWS, run
from experiments.hu2024.methods import configs
from experiments.results import ResultsFile, settings_of
from jaxrl_suite.data import collect, digest, load
from jaxrl_suite.envs import metaworld
from jaxrl_suite.runtime.compile_cache import enable_compile_cache
from jaxrl_suite.runtime.rundir import ROOT
from jaxrl_suite.systems import harmodt

RESULTS = Path(__file__).parent / "results" / "runs.jsonl"
DATA = ROOT / "hu2024" / "mt50-near"
EPISODES, COLLECTED, SEED = 10, 100, 0
PRESET = harmodt.PRESETS["gpu"]
# Method, steps that the policy looks back on, updates; a step that looks back on one is cheaper.
RUNS = (("HarmoDT-F", 20, 20), ("HarmoDT-F", 1, 40), ("Prompt-DT", 1, 40))


def config_of(method: str, context: int, updates: int) -> harmodt.Config:
    """The preset's, shortened."""
    config = configs(PRESET.config, len(metaworld.MT50))[method]
    data = dataclasses.replace(config.data, context=context)
    return dataclasses.replace(config, data=data, updates=updates)


def main() -> None:
    """Runs whatever the results file lacks."""
    enable_compile_cache()
    collect(DATA, metaworld.MT50, tier="near", episodes=COLLECTED)
    episodes = load(DATA)
    settings = settings_of(
        PRESET,
        runs=RUNS,
        episodes=EPISODES,
        collected=COLLECTED,
        digest=digest(DATA),
        windows=WINDOWS,
        envpool=importlib.metadata.version("envpool"),
    )
    results = ResultsFile(RESULTS, keys=("method", "context", "seed", "task"), settings=settings)
    for method, context, updates in RUNS:
        if results.lacks(method=method, context=context, seed=SEED):
            config = config_of(method, context, updates)
            rows = run(
                config,
                PRESET.hyper,
                harmodt.build(config.data, episodes),
                SEED,
                evaluations=1,
                episodes=EPISODES,
                threads=min(EPISODES, os.cpu_count() or 1),
            )
            results.add({"method": method, "context": context, **row} for row in rows)
            solved = np.mean([row["any"][-1] for row in rows])
            seconds = rows[0]["seconds"], rows[0]["compile_seconds"]
            print(method, context, solved.round(3), *seconds, flush=True)


if __name__ == "__main__":
    main()
