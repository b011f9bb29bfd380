"""Figure and numbers of tasks by skills and from scratch, from their results alone.

python -m experiments.peng2022.tasks.figure
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from experiments import publish
from experiments.peng2022.tasks.sweep import HIGH, METHODS, RESULTS, SCRATCH, SKILLED, TASKS
from experiments.publish import Row, along, difference, plus_minus, select
from jaxrl_suite.report import figures
from jaxrl_suite.report.stats import mean_interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WHEN = ("untrained", "learned")


def draw(rows: Sequence[Row]) -> dict[str, "Figure"]:
    """Learning curves of both tasks: what episodes return, and how long they are."""
    figure, axes = figures.panels(2 * len(TASKS))
    horizon = HIGH.config.rules.horizon
    shown = (
        ("curve_return", 1 / horizon, "return of 1", "return"),
        ("curve_length", 1.0, f"actions of an episode ({horizon} at most)", "how long it stands"),
    )
    panels = iter(axes)
    for name, scale, label, title in shown:
        for task in TASKS:
            series = {}
            for method in METHODS:
                curve = scale * select(rows, name, method=method, task=task)
                series[method] = along(rows[0]["actions"], curve)
            figures.curves(
                series,
                x_label="actions of the low level",
                y_label=label,
                title=f"{task.capitalize()}: {title}",
                ax=next(panels),
            )
    return {"figure": figure}


def _returns(rows: Sequence[Row], method: str, task: str) -> tuple[np.ndarray, np.ndarray]:
    untrained, learned = (
        select(rows, f"{when}_normalised_return", method=method, task=task) for when in WHEN
    )
    return untrained, learned


def sections(rows: Sequence[Row]) -> dict[str, str]:
    """A row a task and method."""
    body = []
    for task in TASKS:
        for method in METHODS:
            untrained, learned = _returns(rows, method, task)
            gain = difference(learned, untrained)
            lengths = (
                plus_minus(
                    mean_interval(100 * select(rows, f"{when}_length", method=method, task=task)),
                    ".1f",
                )
                for when in WHEN
            )
            returns = (plus_minus(mean_interval(x), ".3f") for x in (untrained, learned))
            change = f"{gain.point:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}]"
            body.append([task, method, *returns, change, *lengths])
    head = ["task", "method", "return untrained", "return learned", "difference"]
    head += [f"% of 10 s {when}" for when in WHEN]
    return {"numbers": publish.table(head, body)}


def finding(rows: Sequence[Row]) -> str:
    """Returns by skills and from scratch."""
    words = []
    for task in TASKS:
        skilled, scratch = (_returns(rows, method, task)[1] for method in (SKILLED, SCRATCH))
        gain = difference(skilled, scratch)
        words.append(
            f"{task} by skills {plus_minus(mean_interval(skilled), '.3f')}, from scratch "
            f"{plus_minus(mean_interval(scratch), '.3f')}, difference "
            f"{gain.point:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}]"
        )
    seeds = len({row["seed"] for row in rows})
    return f"Return of 1 after {rows[0]['actions']:,} actions: {'; '.join(words)}; {seeds} seeds"


STUDY = publish.Study("peng2022/tasks", RESULTS, draw, sections, finding)

if __name__ == "__main__":
    publish.publish(STUDY)
