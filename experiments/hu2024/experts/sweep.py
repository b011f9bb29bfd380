"""How good are the scripted experts that the data sets are collected from? All fifty tasks.

python -m experiments.hu2024.experts.sweep      (about 2 minutes on two CPU cores)

EnvPool's simulations differ from release to release, and the newest for Python 3.11 is not that
for 3.12, so the release is part of a row: the sweep adds those of the one that is installed.
"""

from pathlib import Path
from typing import Any

import numpy as np

from experiments.results import ResultsFile
from jaxrl_suite.envs import metaworld

RESULTS = Path(__file__).parent / "results" / "episodes.jsonl"
EPISODES = 10  # a task, without noise, 500 steps each
SEED = 0


def measure(task: str) -> dict[str, Any]:
    """Return, success at the last step and number of the first step with success, by episode."""
    pool = metaworld.Pool(task, EPISODES, SEED)
    played = metaworld.play(pool, metaworld.Expert(task, EPISODES))
    pool.close()
    solved = played.success.any(axis=0)
    first = played.success.argmax(axis=0) + 1
    return {
        "task": task,
        "seed": SEED,
        **metaworld.versions(),
        "return": np.sum(played.reward, axis=0, dtype=np.float64).round(1).tolist(),
        "final": played.success[-1].tolist(),
        "first_success": [int(t) if s else None for t, s in zip(first, solved, strict=True)],
    }


def main() -> None:
    """Plays all that the results file lacks."""
    settings = {"episodes": EPISODES, "seed": SEED}
    results = ResultsFile(RESULTS, keys=("task", "seed", "envpool", "metaworld"), settings=settings)
    for task in metaworld.MT50:
        if results.lacks(task=task, **metaworld.versions()):
            row = measure(task)
            results.add([row])
            print(task, row["first_success"])


if __name__ == "__main__":
    main()
