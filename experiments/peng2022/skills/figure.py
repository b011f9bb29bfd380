"""Figure and numbers of the humanoid's skills, from its results alone.

python -m experiments.peng2022.skills.figure
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from experiments import publish
from experiments.peng2022.skills.sweep import METHODS, RESULTS
from experiments.publish import Row, along, difference, plus_minus, select, values
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
    "coverage": "coverage",
    "entropy": "entropy",
    "pairwise_distance": "distance of motions",
    "recovery_rate": "stand up",
}
# Of the index.
COMPARED = {
    name: SHOWN[name] for name in ("skill_reward", "coverage", "entropy", "pairwise_distance")
}


def _methods(rows: Sequence[Row]) -> list[str]:
    """Those that have been run, in the sweep's order."""
    return [method for method in METHODS if method in values(rows, "method")]


def draw(rows: Sequence[Row]) -> dict[str, "Figure"]:
    """Learning curves."""
    figure, axes = figures.panels(len(CURVES))
    for ax, (name, label, title) in zip(axes, CURVES, strict=True):
        series = {}
        for method in _methods(rows):
            curve = select(rows, name, method=method)
            series[method] = along(rows[0]["actions"], curve)
        figures.curves(series, x_label="actions", y_label=label, title=title, ax=ax)
    return {"figure": figure}


def sections(rows: Sequence[Row]) -> dict[str, str]:
    """A row a method, before and after."""
    body = []
    for method in _methods(rows):
        for when in ("untrained", "learned"):
            cells = [
                plus_minus(mean_interval(select(rows, f"{when}_{name}", method=method)))
                for name in SHOWN
            ]
            body.append([f"{method}, {when}", *cells])
    return {"numbers": publish.table(["", *SHOWN.values()], body)}


def _compared(rows: Sequence[Row]) -> list[tuple[str, str]]:
    """Method and moment of both sides: without and with skill discovery, or before and after."""
    full, *others = _methods(rows)
    return [(others[0], "learned") if others else (full, "untrained"), (full, "learned")]


def finding(rows: Sequence[Row]) -> str:
    """What skill discovery changes; while there is ASE alone, what learning does."""
    sides = _compared(rows)
    words = []
    for name, label in COMPARED.items():
        before, after = (select(rows, f"{when}_{name}", method=method) for method, when in sides)
        gain = difference(after, before)
        words.append(
            f"{label} {before.mean():.2f} to {after.mean():.2f}, "
            f"{gain.point:+.2f} [{gain.low:+.2f}, {gain.high:+.2f}]"
        )
    told = " to ".join(f"{method} ({when})" for method, when in sides)
    seeds = len(values(rows, "seed"))
    return f"{rows[0]['actions']:,} actions, from {told}: {'; '.join(words)}; {seeds} seeds"


STUDY = publish.Study("peng2022/skills", RESULTS, draw, sections, finding)

if __name__ == "__main__":
    publish.publish(STUDY)
