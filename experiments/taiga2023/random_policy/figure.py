"""Scores of the random policy, variant by variant.

python -m experiments.taiga2023.random_policy.figure     (a few seconds; reads results/scores.jsonl)
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from experiments import publish
from experiments.publish import Row, select, values
from experiments.taiga2023.random_policy.sweep import RESULTS
from jaxrl_suite.report import figures, stats, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def _episodes(rows: Sequence[Row], game: str) -> np.ndarray:
    """[episodes, variants]."""
    scores = select(rows, "returns", game=game)  # [seeds, variants, episodes]
    return np.moveaxis(scores, 1, -1).reshape(-1, scores.shape[1])


def draw(rows: Sequence[Row]) -> dict[str, "Figure"]:
    """A figure a game, except where every score is zero."""
    drawn = {}
    for game in values(rows, "game"):
        scores = _episodes(rows, game)
        if not scores.any():
            continue
        names = next(row["variants"] for row in rows if row["game"] == game)
        drawn[game] = figures.bars(
            names,
            {"random": scores},
            x_label="score of a game",
            title=f"{game.replace('_', ' ').capitalize()}: the random policy on every variant",
            subtitle=f"mean of {len(scores)} games and 95% interval (Student's t)",
            colours={"random": style.REFERENCE},
        )
    return drawn


def sections(rows: Sequence[Row]) -> dict[str, str]:
    """Every variant of every game."""
    body = []
    for game in values(rows, "game"):
        names = next(row["variants"] for row in rows if row["game"] == game)
        scores = _episodes(rows, game)
        for name, of_variant in zip(names, scores.T, strict=True):
            mean = publish.plus_minus(stats.mean_interval(of_variant), ".1f")
            body.append([game, name, mean, f"{of_variant.min():g} to {of_variant.max():g}"])
    return {"numbers": publish.table(["game", "variant", "score", "range"], body)}


def finding(rows: Sequence[Row]) -> str:
    """The span of the variants' means."""
    parts = []
    for game in values(rows, "game"):
        means = _episodes(rows, game).mean(axis=0)
        parts.append(f"{game} {means.min():.1f} to {means.max():.1f} ({len(means)} variants)")
    return f"Means of the variants: {', '.join(parts)}"


STUDY = publish.Study("taiga2023/random_policy", RESULTS, draw, sections, finding)

if __name__ == "__main__":
    publish.publish(STUDY)
