"""HarmoDT, its variants and its baselines on MT5, from near-optimal and sub-optimal data.

python -m experiments.hu2024.mt5.sweep      (3 to 6 minutes a run on a core; extra metaworld)

The quick preset. Trajectories are collected first, 200 episodes a task and tier, the sub-optimal
ones twice: cut 25 steps after the first success, as the near-optimal ones are, and whole. Every run
is evaluated four times while it trains, at new goals of one seed for all, 10 episodes a task: the
last evaluation is the headline, the best one is given beside it, since papers report that.
"""

from pathlib import Path

import numpy as np

from experiments.hu2024.learning import WINDOWS, run
from experiments.hu2024.methods import configs
from experiments.results import ResultsFile, settings_of
from jaxrl_suite.data import collect, load
from jaxrl_suite.envs import metaworld
from jaxrl_suite.runtime.compile_cache import enable_compile_cache
from jaxrl_suite.runtime.rundir import ROOT
from jaxrl_suite.systems import harmodt

RESULTS = Path(__file__).parent / "results" / "runs.jsonl"
SEEDS, EVALUATIONS, EPISODES, COLLECTED = 3, 4, 10, 200
# Quality, and steps that are kept after the first success; None keeps whole episodes.
TIERS = {"near": ("near", 25), "sub": ("sub", 25), "sub-whole": ("sub", None)}
PRESET = harmodt.PRESETS["quick"]
CONFIGS = configs(PRESET.config, len(metaworld.MT5))


def data_of(tier: str) -> harmodt.Dataset:
    """Trajectories of a tier, collected if need be."""
    directory = ROOT / "hu2024" / f"mt5-{tier}"
    quality, keep = TIERS[tier]
    collect(directory, metaworld.MT5, tier=quality, episodes=COLLECTED, keep_after_success=keep)
    return harmodt.build(PRESET.config.data, load(directory))


def main() -> None:
    """Runs whatever the results file lacks."""
    enable_compile_cache()
    settings = settings_of(
        PRESET,
        seeds=SEEDS,
        episodes=EPISODES,
        collected=COLLECTED,
        windows=WINDOWS,
        **metaworld.versions(),
    )
    results = ResultsFile(RESULTS, keys=("tier", "method", "seed", "task"), settings=settings)
    for tier in TIERS:
        data = data_of(tier)
        for method in CONFIGS:
            for seed in range(SEEDS):
                if results.lacks(tier=tier, method=method, seed=seed):
                    rows = run(
                        CONFIGS[method],
                        PRESET.hyper,
                        data,
                        seed,
                        evaluations=EVALUATIONS,
                        episodes=EPISODES,
                    )
                    results.add({"tier": tier, "method": method, **row} for row in rows)
                    solved = np.mean([row["any"][-1] for row in rows])
                    print(tier, method, seed, solved.round(3), flush=True)


if __name__ == "__main__":
    main()
