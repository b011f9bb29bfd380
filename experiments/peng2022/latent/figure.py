"""Figure and numbers of latent spaces and sizes, from their results alone.

python -m experiments.peng2022.latent.figure
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from experiments import publish
from experiments.peng2022.latent.sweep import RESULTS, SIZES
from experiments.publish import Row, difference, plus_minus, select, values
from jaxrl_suite.report import figures
from jaxrl_suite.report.stats import mean_interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN = (
    ("coverage", "share of 8 directions", "Coverage"),
    ("entropy", "entropy of their shares over log 8", "Evenness"),
    ("pairwise_distance", "normalised velocity", "Distance of motions"),
    ("task_return", "return of 1", "A task by the skills"),
)
BOTH = 4, 16  # sizes that both spaces have


def _sizes(rows: Sequence[Row]) -> dict[str, list[int]]:
    """Those of each space that have been run, in the sweep's order."""
    run = {(row["space"], row["latent"]) for row in rows}
    found = {
        space: [size for size in sizes if (space, size) in run] for space, sizes in SIZES.items()
    }
    return {space: sizes for space, sizes in found.items() if sizes}


def draw(rows: Sequence[Row]) -> dict[str, "Figure"]:
    """Each measure against the size of the latent."""
    figure, axes = figures.panels(len(SHOWN))
    for ax, (name, label, title) in zip(axes, SHOWN, strict=True):
        series = {}
        for space, sizes in _sizes(rows).items():
            of = [select(rows, name, space=space, latent=size) for size in sizes]
            series[space] = (sizes, np.stack(of, axis=1))
        figures.intervals(
            series, x_label="numbers of a latent", y_label=label, x_scale="log", title=title, ax=ax
        )
    return {"figure": figure}


def sections(rows: Sequence[Row]) -> dict[str, str]:
    """A row a setting."""
    body = []
    for space, sizes in _sizes(rows).items():
        for size in sizes:
            cells = [
                plus_minus(mean_interval(select(rows, name, space=space, latent=size)))
                for name, *_ in SHOWN
            ]
            body.append([space, str(size), *cells])
    head = ["space", "numbers", "coverage", "entropy", "distance of motions", "return of the task"]
    return {"numbers": publish.table(head, body)}


def finding(rows: Sequence[Row]) -> str:
    """The Gaussian space against the sphere, at the sizes that both have."""
    words = []
    for name, label in (("coverage", "coverage"), ("task_return", "return of a task")):
        for size in BOTH:
            sphere, gaussian = (
                select(rows, name, space=space, latent=size) for space in ("sphere", "gaussian")
            )
            gain = difference(sphere, gaussian)
            words.append(
                f"{label} with {size} numbers {plus_minus(mean_interval(sphere))} and "
                f"{plus_minus(mean_interval(gaussian))}, "
                f"{gain.point:+.2f} [{gain.low:+.2f}, {gain.high:+.2f}]"
            )
    seeds = len(values(rows, "seed"))
    return f"Sphere and Gaussian space, difference: {'; '.join(words)}; {seeds} seeds"


STUDY = publish.Study("peng2022/latent", RESULTS, draw, sections, finding)

if __name__ == "__main__":
    publish.publish(STUDY)
