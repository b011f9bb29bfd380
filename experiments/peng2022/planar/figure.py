"""Figures and numbers of the point's skills, from its results alone.

python -m experiments.peng2022.planar.figure
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from experiments import publish
from experiments.peng2022.methods import METHODS
from experiments.peng2022.planar.sweep import HIGH, PRESET, RESULTS, SCRATCH_NAME, TASK_UPDATES
from experiments.publish import Row, along, difference, plus_minus, select, values
from jaxrl_suite.report import figures
from jaxrl_suite.report.stats import mean_interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COMPARED = ("ASE", "no skill discovery")
SHOWN = {
    "coverage": ("coverage", ".2f"),
    "entropy": ("entropy", ".2f"),
    "transition_coverage": ("transitions covered", ".2f"),
    "pairwise_distance": ("distance of motions", ".2f"),
    "skill_reward": ("latent found again", ".2f"),
    "style_reward": ("style reward", ".2f"),
}


def _curve(rows: Sequence[Row], name: str, method: str, frames: int) -> tuple:
    """Where a curve's points lie, and the curve of every seed."""
    return along(frames, select(rows, name, method=method))


def draw(rows: Sequence[Row]) -> dict[str, "Figure"]:
    """What the skills are and what they are good for, and what follows what."""
    return {"figure": _overview(rows), "transitions": _transitions(rows)}


def _overview(rows: Sequence[Row]) -> "Figure":
    """Coverage and entropy, the latent found again, which directions, and the task."""
    figure, axes = figures.panels(4)
    learned = [m for m in METHODS if m in values(rows, "method")]
    measures = ("coverage", "entropy", "transition_coverage")
    figures.bars(
        learned,
        {
            SHOWN[name][0]: np.stack([select(rows, name, method=m) for m in learned], axis=1)
            for name in measures
        },
        x_label="share of 8 directions, of the largest entropy, of 56 pairs",
        title="What the skills cover",
        ax=axes[0],
    )
    frames = PRESET.num_updates * PRESET.config.batch
    figures.curves(
        {m: _curve(rows, "curve_skill_reward", m, frames) for m in learned},
        x_label="actions",
        y_label="skill reward a step (0 to 1)",
        title="The latent found in the motion",
        ax=axes[1],
    )
    shares = [select(rows, "histogram", method=m) for m in learned]
    figures.heatmap(
        np.array([100 * np.sort(x, axis=1)[:, ::-1].mean(axis=0) for x in shares]),
        learned,
        range(1, shares[0].shape[1] + 1),
        x_label="directions of a seed, the one met most first",
        y_label="",
        title="Windows of each direction, %",
        subtitle=f"mean of {len(shares[0])} seeds",
        form=".0f",
        ax=axes[2],
    )
    actions = TASK_UPDATES * HIGH.frames_per_update
    figures.curves(
        {m: _curve(rows, "task_curve", m, actions) for m in [*learned, SCRATCH_NAME]},
        x_label="actions of the low level",
        y_label="task reward a step (0 to 1)",
        title="A task by the skills, and without any",
        ax=axes[3],
    )
    return figure


def _transitions(rows: Sequence[Row]) -> "Figure":
    """Pairs of directions before and after a switch, with skill discovery and without."""
    figure, axes = figures.panels(len(COMPARED), width=5.2, height=4.2)
    for ax, method in zip(axes, COMPARED, strict=True):
        pairs = 100 * _by_frequency(
            select(rows, "transitions", method=method), select(rows, "histogram", method=method)
        )
        places = range(1, pairs.shape[-1] + 1)
        figures.heatmap(
            pairs.mean(axis=0),
            places,
            places,
            x_label="direction after, the one met most first",
            y_label="direction before",
            title=f"{method}: pairs of directions, %",
            subtitle=f"mean of {len(pairs)} seeds; all alike would be {100 / pairs[0].size:.1f}",
            form=".1f",
            ax=ax,
        )
    return figure


def _by_frequency(pairs: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Matrices [seeds, M, M] with each seed's directions in order of their shares [seeds, M].

    Seeds that lack a direction lack different ones.
    """
    order = np.argsort(-shares, axis=1, kind="stable")
    return np.stack([own[np.ix_(i, i)] for own, i in zip(pairs, order, strict=True)])


def sections(rows: Sequence[Row]) -> dict[str, str]:
    """A row a method."""
    body = []
    for method in values(rows, "method"):
        has = method in METHODS
        cells = [
            plus_minus(mean_interval(select(rows, name, method=method)), form) if has else ""
            for name, (_, form) in SHOWN.items()
        ]
        cells.append(plus_minus(mean_interval(select(rows, "task_return", method=method))))
        body.append([method, *cells])
    head = ["method", *(label for label, _ in SHOWN.values()), "return of the task"]
    return {"numbers": publish.table(head, body)}


def finding(rows: Sequence[Row]) -> str:
    """Coverage with and without skill discovery, and the task's return."""
    full, without = (select(rows, "coverage", method=m) for m in COMPARED)
    gain = difference(full, without)
    returns = {m: select(rows, "task_return", method=m) for m in values(rows, "method")}
    told = ", ".join(f"{m} {plus_minus(mean_interval(x))}" for m, x in returns.items())
    return (
        f"Directions covered: {plus_minus(mean_interval(full))} of all, without skill discovery "
        f"{plus_minus(mean_interval(without))}, difference "
        f"{gain.point:+.2f} [{gain.low:+.2f}, {gain.high:+.2f}]; return of a task: {told}; "
        f"{len(full)} seeds"
    )


STUDY = publish.Study("peng2022/planar", RESULTS, draw, sections, finding)

if __name__ == "__main__":
    publish.publish(STUDY)
