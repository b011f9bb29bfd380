"""Figure and numbers of the transfer experiment, from its results alone.

python -m experiments.gupta2021.transfer.figure
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from experiments import publish
from experiments.gupta2021.transfer.sweep import PRESET, RESULTS, TOP
from experiments.publish import Row, plus_minus, stacked, values
from jaxrl_suite.report import figures
from jaxrl_suite.report.stats import (
    Interval,
    bootstrap_interval,
    holm,
    mann_whitney,
    mean_interval,
    probability_of_improvement,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Share of a life -> its name.
BUDGETS = {0.2: "a fifth of a life", 1.0: "a whole life"}


def ends(rows: Sequence[Row], scheme: str, task: str, share: float) -> np.ndarray:
    """The task's measure after a share of life, of every body: [bodies]."""
    found = [row["curve"] for row in rows if row["scheme"] == scheme and row["task"] == task]
    curve, window = np.array(found), PRESET.config.life.window
    last = max(1, round(share * curve.shape[1]))
    return curve[:, max(0, last - window) : last].mean(axis=1)


def better(rows: Sequence[Row], task: str, share: float) -> Interval:
    """How probably a body of evolution beats one of random search."""
    pair = tuple(ends(rows, scheme, task, share)[:, None] for scheme in ("tournament", "random"))
    return bootstrap_interval(pair, probability_of_improvement)


def p_values(rows: Sequence[Row], share: float) -> np.ndarray:
    """Of the tasks, Mann-Whitney with Holm's correction: [tasks]."""
    pairs = [
        [ends(rows, scheme, task, share) for scheme in ("tournament", "random")]
        for task in values(rows, "task")
    ]
    return holm([mann_whitney(*pair) for pair in pairs])


def draw(rows: Sequence[Row]) -> dict[str, "Figure"]:
    """Probabilities of all tasks, after part of a life and the whole."""
    tasks = values(rows, "task")
    series = {
        name: stacked([better(rows, task, share) for task in tasks])
        for share, name in BUDGETS.items()
    }
    count = len(ends(rows, "tournament", tasks[0], 1.0))
    figure = figures.bars(
        tasks,
        series,
        x_label="probability that a body of evolution does better than one of random search",
        title="Bodies in tasks that they were not evolved for",
        subtitle=f"{count} bodies of either, the {TOP} fittest of a run; whiskers: 95% bootstrap",
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
            both = [ends(rows, scheme, task, share) for scheme in ("tournament", "random")]
            cells += [plus_minus(mean_interval(x), ".3f") for x in both]
            cells.append(f"{corrected[share][i]:.2f}")
        body.append(cells)
    head = ["task"]
    for name in BUDGETS.values():
        head += [f"evolution, {name}", f"random search, {name}", "p"]
    return {"numbers": publish.table(head, body)}


def finding(rows: Sequence[Row]) -> str:
    """Tasks that either side is better at."""
    tasks, p = values(rows, "task"), p_values(rows, 1.0)
    chance = [float(better(rows, task, 1.0).point) for task in tasks]
    ahead = [task for task, c in zip(tasks, chance, strict=True) if c > 0.5]
    sure = [task for task, x in zip(tasks, p, strict=True) if x < 0.05]
    return (
        f"Bodies of evolution do better than those of random search in {len(ahead)} of "
        f"{len(tasks)} tasks by the point estimate, mean probability {np.mean(chance):.2f}; "
        f"differences beyond Holm's 0.05: {', '.join(sure) or 'none'}"
    )


STUDY = publish.Study("gupta2021/transfer", RESULTS, draw, sections, finding)

if __name__ == "__main__":
    publish.publish(STUDY)
