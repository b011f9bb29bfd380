"""Figure and numbers of getting across terrains, from their results alone.

python -m experiments.han2024.terrain.figure
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from experiments import publish
from experiments.han2024.terrain.sweep import METHODS, RESULTS, TERRAINS
from experiments.publish import Row, along, bracketed, difference, plus_minus, select
from jaxrl_suite.report import figures, style
from jaxrl_suite.report.stats import mean_interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SKILLED, SCRATCH = "skills", "from scratch"  # compared in the index
ENDLESS = "joystick"  # nothing to reach, and the same at every level
WHEN = ("untrained", "learned")
SCORES = dict.fromkeys(TERRAINS, "share of the way (0 to 1)") | {ENDLESS: "sum of rewards (0 to 1)"}


def draw(rows: Sequence[Row]) -> dict[str, "Figure"]:
    """Learning curves of every terrain, and the scores at its hardest."""
    figure, axes = figures.panels(len(TERRAINS) + 1, width=5.0)
    colour = dict(zip(METHODS, style.PALETTE, strict=False))
    for ax, terrain in zip(axes, TERRAINS, strict=False):
        series = {}
        for method in METHODS:
            curve = select(rows, "curve_score", method=method, terrain=terrain)
            series[method] = along(rows[0]["actions"], curve)
        figures.curves(
            series,
            x_label="actions",
            y_label=f"score: {SCORES[terrain]}",
            title=f"{terrain.capitalize()}, while training",
            colours=colour,
            ax=ax,
        )
    figures.bars(
        TERRAINS,
        {
            method: np.stack([_of(rows, "score", method, kind) for kind in TERRAINS], axis=1)
            for method in METHODS
        },
        x_label="score (0 to 1) without noise",
        title="At the hardest level, after learning",
        colours=colour,
        ax=axes[-1],
    )
    return {"figure": figure}


def _of(
    rows: Sequence[Row],
    name: str,
    method: str,
    terrain: str,
    when: str = "learned",
    level: str = "hardest",
) -> np.ndarray:
    """An outcome of every seed."""
    return select(rows, f"{when}_{level}_{name}", method=method, terrain=terrain)


def sections(rows: Sequence[Row]) -> dict[str, str]:
    """A row a terrain and method; and the same at the easiest level, where that is another."""
    easier = [terrain for terrain in TERRAINS if terrain != ENDLESS]
    return {
        "numbers": _numbers(rows, TERRAINS, "hardest"),
        "easiest": _numbers(rows, easier, "easiest"),
    }


def _numbers(rows: Sequence[Row], terrains: Sequence[str], level: str) -> str:
    body = []
    for terrain in terrains:
        for method in METHODS:
            cells = [
                plus_minus(mean_interval(_of(rows, name, method, terrain, when, level)), ".3f")
                for name in ("score", "return")
                for when in WHEN
            ]
            ends = [_of(rows, "reached", method, terrain, level=level)]
            if level == "hardest":
                ends.append(select(rows, "level", method=method, terrain=terrain))
            cells += ["" if terrain == ENDLESS else plus_minus(mean_interval(x)) for x in ends]
            body.append([terrain, method, *cells])
    head = ["terrain", "method", "score untrained", "score learned", "return untrained"]
    head += ["return learned", "share at the target", "level of training"]
    return publish.table(head[: len(body[0])], body)


def finding(rows: Sequence[Row]) -> str:
    """Scores by skills and from scratch at the hardest level."""
    words = []
    for terrain in TERRAINS:
        skilled, scratch = (_of(rows, "score", method, terrain) for method in (SKILLED, SCRATCH))
        words.append(
            f"{terrain} {plus_minus(mean_interval(skilled), '.3f')} and "
            f"{plus_minus(mean_interval(scratch), '.3f')}, "
            f"{bracketed(difference(skilled, scratch), '+.3f')}"
        )
    return (
        f"Score of 1 at the hardest level after {rows[0]['actions']:,} actions, by {SKILLED} and "
        f"{SCRATCH}, difference: {'; '.join(words)}; {len(publish.values(rows, 'seed'))} seeds"
    )


STUDY = publish.Study("han2024/terrain", RESULTS, draw, sections, finding)

if __name__ == "__main__":
    publish.publish(STUDY)
