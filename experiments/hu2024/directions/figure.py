"""Figures and numbers of the directions experiment, from its results alone.

python -m experiments.hu2024.directions.figure
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from experiments import publish
from experiments.hu2024.directions.sweep import RESULTS
from experiments.hu2024.methods import METHODS
from experiments.publish import Row, plus_minus, select, stacked
from jaxrl_suite.report import figures
from jaxrl_suite.report.stats import Interval, mean_interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIDES = {"seen": "directions learned", "unseen": "directions never seen"}
# Return, of DaCe-DT (2026), table of unseen tasks, Ant-dir, who reprint HarmoDT's row.
REPORTED = {"MTDT": 165.3, "Prompt-DT": 278.7, "HarmoDT-F": 298.3}


def score(rows: Sequence[Row], side: str) -> Interval:
    """Mean over directions, with its interval over the seeds; nan without any."""
    if side not in rows[0]:
        return Interval(*[np.array(np.nan)] * 3)
    return mean_interval(select(rows, side).mean(axis=1))


def by_method(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Rows of every method that there is."""
    found = {name: [row for row in rows if row["method"] == name] for name in METHODS}
    return {name: of for name, of in found.items() if of}


def draw(rows: Sequence[Row]) -> dict[str, "Figure"]:
    """Return by method; by direction; the harmony score while training."""
    methods = by_method(rows)
    bars = {
        label: stacked([score(of, side) for of in methods.values()])
        for side, label in SIDES.items()
    }
    drawn = {
        "figure": figures.bars(
            list(methods),
            bars,
            x_label="return of an episode (25 x m), mean of directions",
            title="Running in directions told by a prompt",
        )
    }
    tasks, some = rows[0]["tasks"], [name for name in methods if "unseen" in methods[name][0]]
    expert = np.array([*rows[0]["expert_seen"], *rows[0]["expert_unseen"]])
    nothing = np.full_like(expert, np.nan)
    each = {
        name: mean_interval(np.concatenate([select(methods[name], side) for side in SIDES], axis=1))
        for name in some
        if name in ("HarmoDT-F", "Prompt-DT")
    }
    seen = len(rows[0]["expert_seen"])
    drawn["by_direction"] = figures.bars(
        tasks,
        {**each, "expert, best eight": Interval(expert, nothing, nothing)},
        x_label="return of an episode (25 x m)",
        sections=["learned"] * seen + ["never seen"] * (len(tasks) - seen),
        title="Return by direction",
    )
    curves = {
        name: (np.arange(1, len(of[0]["harmony"]) + 1), select(of, "harmony"))
        for name, of in methods.items()
        if "harmony" in of[0]
    }
    drawn["harmony"] = figures.curves(
        curves,
        x_label="updates of the masks",
        y_label="average harmony score",
        title="Agreement of the tasks' gradients",
    )
    return drawn


def sections(rows: Sequence[Row]) -> dict[str, str]:
    """A row a method."""
    body = []
    for name, of in by_method(rows).items():
        cells = [plus_minus(score(of, side), ".0f") if side in of[0] else "" for side in SIDES]
        reported = REPORTED.get(name)
        body.append([name, str(len(of)), *cells, "" if reported is None else f"{reported:g}"])
    expert = [f"{np.mean(rows[0][f'expert_{side}']):.0f}" for side in SIDES]
    body.append(["expert, best eight", "", *expert, ""])
    head = ["method", "seeds", *SIDES.values(), "as reported, Ant-dir, another body and reward"]
    return {"numbers": publish.table(head, body)}


def finding(rows: Sequence[Row]) -> str:
    """Returns of every method."""
    words = []
    for name, of in by_method(rows).items():
        each = [plus_minus(score(of, side), ".0f") for side in SIDES if side in of[0]]
        words.append(f"{name} {' and '.join(each)}")
    expert = " and ".join(f"{np.mean(rows[0][f'expert_{side}']):.0f}" for side in SIDES)
    return f"Return on learned and on new directions: {', '.join(words)}; expert {expert}"


STUDY = publish.Study("hu2024/directions", RESULTS, draw, sections, finding)

if __name__ == "__main__":
    publish.publish(STUDY)
