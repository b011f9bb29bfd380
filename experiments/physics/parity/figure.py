"""Figure and numbers of the parity experiment, from its results alone.

python -m experiments.physics.parity.figure
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from experiments import publish
from experiments.physics.parity.sweep import RESULTS
from experiments.publish import Row, values
from jaxrl_suite.report import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MARKS = {"unimals": "o", "quadruped": "s", "humanoid": "^"}


def draw(rows: Sequence[Row]) -> dict[str, "Figure"]:
    """Median and 99% quantile of every quantity, bodies side by side."""
    with style.house():
        from matplotlib import pyplot

        quantities = values(rows, "quantity")
        figure, ax = pyplot.subplots(figsize=(9, 0.36 * len(quantities) + 1.6))
        groups = values(rows, "bodies")
        for look, group in zip(style.looks(groups), groups, strict=True):
            of_group = [row for row in rows if row["bodies"] == group]
            shift = 0.24 * (groups.index(group) - (len(groups) - 1) / 2)
            height = [quantities.index(row["quantity"]) + shift for row in of_group]
            low = [max(row["median"], 1e-13) for row in of_group]
            high = [max(row["p99"], 1e-13) for row in of_group]
            ax.hlines(height, low, high, color=look["color"], lw=2, alpha=0.6)
            ax.plot(low, height, MARKS[group], color=look["color"], label=group, ms=5)
        ax.set_xscale("log")
        ax.set_yticks(range(len(quantities)), quantities)
        ax.invert_yaxis()
        ax.set_xlabel("difference from MuJoCo C (relative, or m and rad of positions)")
        ax.legend(loc="lower right")
        style.head(ax, "This engine beside MuJoCo C", "mark: median; line: to the 99% quantile")
        figure.tight_layout()
    return {"figure": figure}


def sections(rows: Sequence[Row]) -> dict[str, str]:
    """All errors."""
    body = [
        [
            row["quantity"],
            row["bodies"],
            str(row["count"]),
            *(f"{row[k]:.1e}" for k in ("median", "p99", "max")),
        ]
        for row in sorted(rows, key=lambda row: values(rows, "quantity").index(row["quantity"]))
    ]
    head = ["quantity", "bodies", "count", "median", "99% quantile", "largest"]
    return {"numbers": publish.table(head, body)}


def finding(rows: Sequence[Row]) -> str:
    """The chief ones, worst group."""
    worst = lambda quantity, field: max(  # noqa: E731
        row[field] for row in rows if row["quantity"] == quantity
    )
    return (
        f"Acceleration in the air: median {worst('acceleration in the air', 'median'):.1e}, "
        f"99% {worst('acceleration in the air', 'p99'):.1e}; positions after 100 float32 steps: "
        f"median {worst('position after 100 steps, float32, 8x8', 'median'):.1e}; after 200 "
        f"float64 steps: largest {worst('position after 200 steps, float64, 20x16', 'max'):.1e}"
    )


STUDY = publish.Study("physics/parity", RESULTS, draw, sections, finding)

if __name__ == "__main__":
    publish.publish(STUDY)
