"""What of HarmoDT's settings matters, one at a time, on directions of a four-legged body.

python -m experiments.hu2024.ablations.sweep      (about a minute a run on a core)

The preset "directions", evaluated as in `directions/`, whose rows are those of the preset itself.
Varied are the masks' density, the number of swaps, the interval of mask updates, lambda, the mode
(the released code's computation), whose gradient decides what comes back, and the context.
"""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from experiments.hu2024.directions.sweep import EPISODES, PRESET, data, run
from experiments.results import ResultsFile, settings_of
from jaxrl_suite.runtime.compile_cache import enable_compile_cache
from jaxrl_suite.systems import harmodt

RESULTS = Path(__file__).parent / "results" / "runs.jsonl"
SEEDS = 3
STEPS = PRESET.config.updates * PRESET.config.interval


def _every(interval: int) -> harmodt.Config:
    """Masks follow after so many steps, of as many as the preset makes."""
    return dataclasses.replace(PRESET.config, interval=interval, updates=STEPS // interval)


def _masks(**changes: Any) -> harmodt.Config:
    masks = dataclasses.replace(PRESET.config.masks, **changes)
    return dataclasses.replace(PRESET.config, masks=masks)


def _context(steps: int) -> harmodt.Config:
    of = dataclasses.replace(PRESET.config.data, context=steps)
    return dataclasses.replace(PRESET.config, data=of)


# What is varied -> value -> configuration; the preset's own values are in `directions/`.
CONFIGS: dict[str, dict[str, harmodt.Config]] = {
    "density": {f"{x:g}": _masks(density=x) for x in (0.3, 0.5, 0.95)},
    "swaps at most": {str(x): _masks(most=x) for x in (5, 100)},
    "steps between mask updates": {str(x): _every(x) for x in (25, 500)},
    "lambda": dict.fromkeys(("0", "1", "10"), PRESET.config),
    "mode": {"repo": _masks(mode="repo")},
    "recovery": {"masked": _masks(recovery="masked")},
    "context": {str(x): _context(x) for x in (5, 20)},
}


def hyper_of(varied: str, value: str) -> harmodt.Hyper:
    """The preset's, but for lambda."""
    if varied == "lambda":
        return PRESET.hyper._replace(importance_weight=float(value))
    return PRESET.hyper


def main() -> None:
    """Runs whatever the results file lacks."""
    enable_compile_cache()
    keys = ("varied", "value", "seed")
    settings = settings_of(PRESET, seeds=SEEDS, episodes=EPISODES)
    results = ResultsFile(RESULTS, keys=keys, settings=settings)
    seen, unseen = data()
    for varied, values in CONFIGS.items():
        for value, config in values.items():
            for seed in range(SEEDS):
                at = {"varied": varied, "value": value, "seed": seed}
                if results.lacks(**at):
                    row = run(config, hyper_of(varied, value), seen, unseen, seed)
                    results.add([{**at, **row}])
                    print(varied, value, seed, np.mean(row["seen"]).round(1), flush=True)


if __name__ == "__main__":
    main()
