"""Figure and numbers of following a clip, from its results alone.

python -m experiments.peng2022.tracking.figure
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from experiments import publish
from experiments.peng2022.tracking.sweep import RESULTS
from experiments.publish import Row, along, difference, plus_minus, select
from jaxrl_suite.report import figures
from jaxrl_suite.report.stats import mean_interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN = (
    ("curve_task_reward", "tracking reward a step (0 to 1)", "How well it follows"),
    ("curve_length", "steps of an episode (300 at most)", "How long it stands"),
)
WHEN = ("untrained", "learned")


def draw(rows: Sequence[Row]) -> dict[str, "Figure"]:
    """Learning curves."""
    figure, axes = figures.panels(len(SHOWN))
    for ax, (name, label, title) in zip(axes, SHOWN, strict=True):
        curve = select(rows, name)
        points = along(rows[0]["actions"], curve)
        figures.curves({"walk": points}, x_label="actions", y_label=label, title=title, ax=ax)
    return {"figure": figure}


def _returns(rows: Sequence[Row]) -> tuple[np.ndarray, np.ndarray]:
    untrained, learned = (select(rows, f"{when}_normalised_return") for when in WHEN)
    return untrained, learned


def sections(rows: Sequence[Row]) -> dict[str, str]:
    """Before and after."""
    untrained, learned = _returns(rows)
    body = [
        [
            when,
            plus_minus(mean_interval(x), ".3f"),
            plus_minus(mean_interval(100 * select(rows, f"{when}_length")), ".1f"),
        ]
        for when, x in zip(WHEN, (untrained, learned), strict=True)
    ]
    gain = difference(learned, untrained)
    body.append(["difference", f"{gain.point:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}]", ""])
    return {"numbers": publish.table(["", "return of 1", "% of an episode's time"], body)}


def finding(rows: Sequence[Row]) -> str:
    """Return before and after."""
    untrained, learned = _returns(rows)
    gain = difference(learned, untrained)
    return (
        f"Return after {rows[0]['actions']:,} actions: {plus_minus(mean_interval(learned), '.3f')} "
        f"of 1, untrained {plus_minus(mean_interval(untrained), '.3f')}, difference "
        f"{gain.point:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}]; {len(learned)} seeds"
    )


STUDY = publish.Study("peng2022/tracking", RESULTS, draw, sections, finding)

if __name__ == "__main__":
    publish.publish(STUDY)
