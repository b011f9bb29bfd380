"""Figure and numbers of one policy made of several, from their results alone.

python -m experiments.han2024.distil.figure
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from experiments import publish
from experiments.han2024.distil.sweep import (
    POLICIES,
    RESULTS,
    STUDENT,
    TAUGHT,
    TERRAINS,
    UNTRAINED,
)
from experiments.han2024.terrain.figure import ENDLESS
from experiments.han2024.terrain.sweep import LEVELS
from experiments.publish import Row, along, plus_minus, select
from jaxrl_suite.report import figures
from jaxrl_suite.report.stats import mean_interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CURVES = {
    "kl": ("divergence from the expert, nats", "How far the student is from its experts"),
    "agreement": ("share of choices (0 to 1)", "The same likeliest code as the expert"),
}


def draw(rows: Sequence[Row]) -> dict[str, "Figure"]:
    """What every policy does on every terrain, and how the student learns."""
    figure, axes = figures.panels(len(LEVELS) + len(CURVES), width=5.0)
    names = [f"{policy} expert" if policy in TERRAINS else policy for policy in POLICIES]
    for ax, level in zip(axes, LEVELS, strict=False):
        returns = select(rows, f"{level}_return")
        figures.heatmap(
            returns.mean(axis=0),
            names,
            TERRAINS,
            x_label="terrain",
            y_label="",
            title=f"Return at the {level} level",
            subtitle=f"mean of {len(returns)} seeds",
            form=".3f",
            ax=ax,
        )
    for ax, (name, (label, title)) in zip(axes[len(LEVELS) :], CURVES.items(), strict=True):
        curve = select(rows, f"curve_{name}")
        points = along(rows[0]["actions"], curve)
        figures.curves({STUDENT: points}, x_label="actions", y_label=label, title=title, ax=ax)
    return {"figure": figure}


def _returns(rows: Sequence[Row], policy: str, terrain: str, level: str) -> np.ndarray:
    """Of every seed."""
    found = select(rows, f"{level}_return")
    return found[:, POLICIES.index(policy), TERRAINS.index(terrain)]


def _percent(rows: Sequence[Row], terrain: str, level: str) -> np.ndarray | None:
    """The student's return in % of that of its seed's expert; None if one returns nothing."""
    expert, student = (_returns(rows, x, terrain, level) for x in (terrain, STUDENT))
    return 100 * student / expert if expert.min() > 0 else None


def sections(rows: Sequence[Row]) -> dict[str, str]:
    """A row a terrain and level."""
    body = []
    for terrain in TERRAINS:
        for level in [TAUGHT] if terrain == ENDLESS else LEVELS:
            returns = [
                plus_minus(mean_interval(_returns(rows, policy, terrain, level)), ".3f")
                for policy in (terrain, STUDENT, UNTRAINED)
            ]
            percent = _percent(rows, terrain, level)
            if percent is None:
                told = f"none: {_worthless(rows, terrain, level)}"
            else:
                told = plus_minus(mean_interval(percent), ".0f")
            body.append([terrain, "" if terrain == ENDLESS else level, *returns, told])
    head = ["terrain", "level", "its expert", STUDENT, UNTRAINED, "student in % of the expert"]
    return {"numbers": publish.table(head, body)}


def _worthless(rows: Sequence[Row], terrain: str, level: str) -> str:
    """Why there is no share of what the experts return."""
    expert = _returns(rows, terrain, terrain, level)
    if expert.mean() <= 0:
        return "the experts' mean is not above 0"
    return f"{np.sum(expert <= 0)} of {len(expert)} experts not above 0"


def finding(rows: Sequence[Row]) -> str:
    """The student's share of its experts' returns, mean over terrains."""
    found = {terrain: _percent(rows, terrain, TAUGHT) for terrain in TERRAINS}
    shares = {terrain: x for terrain, x in found.items() if x is not None}
    without = [
        f"; no share of {terrain}: {_worthless(rows, terrain, TAUGHT)}"
        for terrain in TERRAINS
        if terrain not in shares
    ]
    told = "none"
    if shares:
        mean = np.mean(list(shares.values()), axis=0)
        each = (f"{kind} {plus_minus(mean_interval(x), '.0f')}" for kind, x in shares.items())
        told = f"{plus_minus(mean_interval(mean), '.0f')}, mean of {', '.join(each)}"
    return (
        f"Student's return in % of its experts' on their own terrains, {TAUGHT} level, after "
        f"{rows[0]['actions']:,} actions: {told}{''.join(without)}; {len(rows)} seeds"
    )


STUDY = publish.Study("han2024/distil", RESULTS, draw, sections, finding)

if __name__ == "__main__":
    publish.publish(STUDY)
