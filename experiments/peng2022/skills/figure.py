"""Figure and numbers of the humanoid's skills, from its results alone.

python -m experiments.peng2022.skills.figure
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from experiments import publish
from experiments.peng2022.skills.sweep import RESULTS
from experiments.publish import Row, difference, plus_minus, select, values
from jaxrl_suite.report import figures
from jaxrl_suite.report.stats import mean_interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CURVES = (
    ("curve_style_reward", "style reward a step (0 to 18.42)", "Taken for a clip"),
    ("curve_skill_reward", "skill reward a step (0 to 1)", "The latent found in the motion"),
    ("curve_length", "steps of an episode that ended", "How long it stands"),
    ("curve_accuracy_policy", "share of the policy's windows told", "The discriminator"),
)
SHOWN = {
    "style_reward": "style reward",
    "skill_reward": "skill reward",
    "length": "share of 4 s survived",
    "entropy": "entropy",
    "pairwise_distance": "distance of motions",
    "recovery_rate": "stand up",
}


def draw(rows: Sequence[Row]) -> dict[str, "Figure"]:
    """Learning curves."""
    figure, axes = figures.panels(len(CURVES))
    for ax, (name, label, title) in zip(axes, CURVES, strict=True):
        series = {}
        for method in values(rows, "method"):
            curve = select(rows, name, method=method)
            actions = rows[0]["actions"] / curve.shape[1]
            series[method] = (actions * np.arange(1, curve.shape[1] + 1), curve)
        figures.curves(series, x_label="actions", y_label=label, title=title, ax=ax)
    return {"figure": figure}


def sections(rows: Sequence[Row]) -> dict[str, str]:
    """A row a method, before and after."""
    body = []
    for method in values(rows, "method"):
        for when in ("untrained", "learned"):
            cells = [
                plus_minus(mean_interval(select(rows, f"{when}_{name}", method=method)))
                for name in SHOWN
            ]
            body.append([f"{method}, {when}", *cells])
    return {"numbers": publish.table(["", *SHOWN.values()], body)}


def finding(rows: Sequence[Row]) -> str:
    """What the untrained policy and the learned come to, and the style reward while training."""
    style = select(rows, "curve_style_reward")
    # In its first part the discriminator still learns what clips are.
    pairs = {"style reward while training": (style[:, 1], style[:, -1])}
    for name, label in (
        ("style_reward", "style reward by the last discriminator"),
        ("skill_reward", "latent found again"),
        ("entropy", "entropy"),
        ("length", "share of 4 s survived"),
    ):
        ends = (select(rows, f"{when}_{name}") for when in ("untrained", "learned"))
        pairs[label] = tuple(ends)
    words = []
    for label, (before, after) in pairs.items():
        gain = difference(after, before)
        words.append(
            f"{label} {before.mean():.2f} to {after.mean():.2f}, "
            f"{gain.point:+.2f} [{gain.low:+.2f}, {gain.high:+.2f}]"
        )
    return f"{rows[0]['actions']:,} actions: {'; '.join(words)}; {len(style)} seeds"


STUDY = publish.Study("peng2022/skills", RESULTS, draw, sections, finding)

if __name__ == "__main__":
    publish.publish(STUDY)
