"""Figure and numbers of getting across terrains, from their results alone.

python -m experiments.han2024.terrain.figure
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from experiments import publish
from experiments.han2024.terrain.sweep import (
    COMPARED,
    LEVELS,
    METHODS,
    RESULTS,
    SKILLED,
    TERRAINS,
    learned_on,
)
from experiments.publish import Row, along, bracketed, difference, plus_minus, select, values
from jaxrl_suite.report import figures, style
from jaxrl_suite.report.stats import mean_interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SCRATCH = "from scratch"  # compared with SKILLED in the index
ENDLESS = COMPARED  # nothing to reach, and the same at every level
WHEN = ("untrained", "learned")
EASIEST, _ = LEVELS


def _methods(rows: Sequence[Row]) -> list[str]:
    """Those that have been run, in the sweep's order."""
    return [method for method in METHODS if method in values(rows, "method")]


def _ways(rows: Sequence[Row]) -> list[str]:
    """Terrains with a target to reach that have been run."""
    return [x for x in TERRAINS if x != ENDLESS and x in values(rows, "terrain")]


def _of(
    rows: Sequence[Row],
    name: str,
    when: str = "learned",
    method: str = SKILLED,
    terrain: str = ENDLESS,
    level: str = EASIEST,
) -> np.ndarray:
    """An outcome of every seed."""
    return select(rows, f"{when}_{level}_{name}", method=method, terrain=terrain)


def draw(rows: Sequence[Row]) -> dict[str, "Figure"]:
    """Learning curves for every terrain, and scores before and after learning."""
    methods, ways = _methods(rows), _ways(rows)
    # A method has one colour in all panels, whoever else is there.
    colour = dict(zip(METHODS, style.PALETTE, strict=False))
    figure, axes = figures.panels(2 + len(ways) + bool(ways), width=5.0)
    by_skills = f": {SKILLED}"
    for ax, terrain in zip(axes, (ENDLESS, *ways), strict=False):
        series = {}
        for method in methods if terrain == ENDLESS else [SKILLED]:
            curve = select(rows, "curve_score", method=method, terrain=terrain)
            series[method] = along(rows[0]["actions"], curve)
        figures.curves(
            series,
            x_label="actions",
            y_label=f"score on {' and '.join(learned_on(terrain))} (0 to 1)",
            # Of several, each line has its name at its end.
            title=f"For {terrain}, while training{'' if len(series) > 1 else by_skills}",
            colours=colour,
            ax=ax,
        )
    scores = {
        when: np.stack([_of(rows, "score", when, method) for method in methods], axis=1)
        for when in WHEN
    }
    after = axes[1 + len(ways) :]
    label = "score (0 to 1) without noise"
    title = f"{ENDLESS.capitalize()}, before and after"
    figures.bars(methods, scores, x_label=label, title=title, ax=after[0])
    if ways:
        cases = [(terrain, level) for terrain in ways for level in LEVELS]
        scores = {
            when: np.stack(
                [_of(rows, "score", when, terrain=kind, level=level) for kind, level in cases],
                axis=1,
            )
            for when in WHEN
        }
        names = [f"{kind}, {level} level" for kind, level in cases]
        title = f"{SKILLED.capitalize()}, before and after"
        figures.bars(names, scores, x_label=label, title=title, ax=after[1])
    return {"figure": figure}


def sections(rows: Sequence[Row]) -> dict[str, str]:
    """A row a method on the terrain that all have; and a row a terrain and level by skills."""
    return {"numbers": _numbers(rows), "ways": _to_targets(rows)}


def _numbers(rows: Sequence[Row]) -> str:
    body = []
    for method in _methods(rows):
        before, after = (_of(rows, "score", when, method) for when in WHEN)
        cells = [plus_minus(mean_interval(x), ".3f") for x in (before, after)]
        cells.append(bracketed(mean_interval(after - before), "+.3f"))
        less = difference(after, _of(rows, "score")) if method != SKILLED else None
        cells.append(bracketed(less, "+.3f") if less else "")
        body.append([method, *cells])
    head = ["", "untrained", "learned", "gain", f"learned, less {SKILLED}"]
    return publish.table(head, body)


def _to_targets(rows: Sequence[Row]) -> str:
    body = []
    for terrain in _ways(rows):
        for level in LEVELS:
            place = {"terrain": terrain, "level": level}
            cells = [
                plus_minus(mean_interval(_of(rows, name, when, **place)), form)
                for name, form in (("score", ".3f"), ("return", ".3f"), ("reached", ".2f"))
                for when in WHEN
            ]
            before, after = (_of(rows, "score", when, **place) for when in WHEN)
            cells.insert(2, bracketed(mean_interval(after - before), "+.3f"))
            trained = select(rows, "level", method=SKILLED, terrain=terrain)
            body.append([terrain, level, *cells, plus_minus(mean_interval(trained))])
    head = ["terrain", "level", "score untrained", "score learned", "gain", "return untrained"]
    head += ["return learned", *(f"at the target, {when}" for when in WHEN), "level of training"]
    return publish.table(head, body)


def finding(rows: Sequence[Row]) -> str:
    """What learning adds by skills, and how that compares with learning from scratch."""
    before, after = (_of(rows, "score", when) for when in WHEN)
    told = (
        f"Score of 1, {ENDLESS}, {SKILLED}: untrained {plus_minus(mean_interval(before), '.3f')}, "
        f"{plus_minus(mean_interval(after), '.3f')} after {rows[0]['actions']:,} actions, gain "
        f"{bracketed(mean_interval(after - before), '+.3f')}"
    )
    if SCRATCH in _methods(rows):
        scratch = _of(rows, "score", method=SCRATCH)
        told += (
            f"; {SCRATCH} {plus_minus(mean_interval(scratch), '.3f')}, difference "
            f"{bracketed(difference(after, scratch), '+.3f')}"
        )
    for terrain in _ways(rows):
        ends = [
            plus_minus(mean_interval(_of(rows, "score", when, terrain=terrain)), ".3f")
            for when in WHEN
        ]
        told += f"; {terrain}, {EASIEST} level, {' to '.join(ends)}"
    return f"{told}; {len(values(rows, 'seed'))} seeds"


STUDY = publish.Study("han2024/terrain", RESULTS, draw, sections, finding)

if __name__ == "__main__":
    publish.publish(STUDY)
