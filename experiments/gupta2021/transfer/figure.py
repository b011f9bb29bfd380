"""Figure and numbers of the transfer experiment, from its results alone.

python -m experiments.gupta2021.transfer.figure
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from experiments import publish
from experiments.gupta2021.transfer.sweep import PRESET, RESULTS, SCHEMES, TOP
from experiments.publish import Row, bracketed, plus_minus, select, stacked, values
from jaxrl_suite.report import figures
from jaxrl_suite.report.stats import (
    MIN_SEEDS,
    Interval,
    holm,
    mann_whitney,
    mean_interval,
    probability_of_improvement,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Share of a life -> its name.
BUDGETS = {0.2: "a fifth of a life", 1.0: "a whole life"}
RESAMPLES = 1000


def ends(rows: Sequence[Row], scheme: str, task: str, share: float) -> np.ndarray:
    """The task's measure after a share of life, of every run's fittest: [runs, TOP]."""
    of = {"scheme": scheme, "task": task}
    curve = np.stack([select(rows, "curve", rank=rank, **of) for rank in range(TOP)], axis=1)
    last = max(1, round(share * curve.shape[2]))
    return curve[:, :, max(0, last - PRESET.config.life.window) : last].mean(axis=2)


def better(rows: Sequence[Row], tasks: Sequence[str], share: float) -> Interval:
    """How probably a body of evolution beats one of random search, mean over tasks.

    The interval is the percentile bootstrap's over runs: bodies of one run are relatives and go
    together, in all tasks. NaN for fewer runs than make one.
    """
    pairs = [[ends(rows, scheme, task, share) for scheme in SCHEMES] for task in tasks]

    def chance(runs: np.ndarray) -> float:
        drawn = [[x[of].reshape(-1, 1) for x, of in zip(pair, runs, strict=True)] for pair in pairs]
        return float(np.mean([probability_of_improvement(*both) for both in drawn]))

    count = len(pairs[0][0])
    point = chance(np.tile(np.arange(count), (2, 1)))
    if count < MIN_SEEDS:
        return Interval(point, np.nan, np.nan)
    draws = np.random.default_rng(0).integers(count, size=(RESAMPLES, 2, count))
    return Interval(point, *np.quantile([chance(draw) for draw in draws], [0.025, 0.975]))


def p_values(rows: Sequence[Row], share: float) -> np.ndarray:
    """Of the tasks, Mann-Whitney over runs' means with Holm's correction: [tasks]."""
    pairs = [
        [ends(rows, scheme, task, share).mean(axis=1) for scheme in SCHEMES]
        for task in values(rows, "task")
    ]
    return holm([mann_whitney(*pair) for pair in pairs])


def draw(rows: Sequence[Row]) -> dict[str, "Figure"]:
    """Probabilities of all tasks, after part of a life and the whole."""
    tasks = values(rows, "task")
    series = {
        name: stacked(
            [better(rows, [task], share) for task in tasks] + [better(rows, tasks, share)]
        )
        for share, name in BUDGETS.items()
    }
    runs = len(ends(rows, "tournament", tasks[0], 1.0))
    figure = figures.bars(
        [*tasks, "mean of all"],
        series,
        x_label="probability that a body of evolution does better than one of random search",
        title="Bodies in tasks that they were not evolved for",
        subtitle=f"the {TOP} fittest bodies of {runs} runs of either; whiskers: 95% bootstrap over "
        "runs",
    )
    figure.axes[0].axvline(0.5, color="black", linewidth=0.8)
    return {"figure": figure}


def sections(rows: Sequence[Row]) -> dict[str, str]:
    """A row a task."""
    body = []
    corrected = {share: p_values(rows, share) for share in BUDGETS}
    for i, task in enumerate(values(rows, "task")):
        cells = [task]
        for share in BUDGETS:
            both = [ends(rows, scheme, task, share).mean(axis=1) for scheme in SCHEMES]
            cells += [plus_minus(mean_interval(x), ".3f") for x in both]
            cells += [bracketed(better(rows, [task], share)), f"{corrected[share][i]:.2f}"]
        body.append(cells)
    head = ["task"]
    for name in BUDGETS.values():
        head += [f"evolution, {name}", "random search", "evolution better", "p"]
    return {"numbers": publish.table(head, body)}


def finding(rows: Sequence[Row]) -> str:
    """Over all tasks."""
    tasks = values(rows, "task")
    words = [
        f"{bracketed(better(rows, tasks, share))} after {name}" for share, name in BUDGETS.items()
    ]
    ahead = [task for task in tasks if better(rows, [task], 1.0).point > 0.5]
    return (
        "Probability that a body of evolution does better than one of random search, mean of "
        f"{len(tasks)} tasks: {', '.join(words)}; more often than not in {len(ahead)} tasks"
    )


STUDY = publish.Study("gupta2021/transfer", RESULTS, draw, sections, finding)

if __name__ == "__main__":
    publish.publish(STUDY)
