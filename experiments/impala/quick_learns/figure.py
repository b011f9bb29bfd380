"""Learning curves of the quick preset on every game, beside the random policy.

python -m experiments.impala.quick_learns.figure     (a few seconds; reads results/returns.jsonl)
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from experiments import publish
from experiments.impala.quick_learns.sweep import RESULTS
from experiments.publish import Row, select, values
from jaxrl_suite.report import figures, stats, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def _per_seed(rows: Sequence[Row], game: str, field: str) -> np.ndarray:
    """Mean over variants: [seeds]."""
    return select(rows, field, game=game).mean(axis=1)


def _factor(trained: np.ndarray, random: np.ndarray) -> stats.Interval:
    """Ratio of the means; interval by the delta method, Student's t with n - 1 degrees.

    Both means vary from seed to seed: the relative variances of the two add up.
    """
    from scipy.special import stdtrit

    n, ratio = len(trained), trained.mean() / random.mean()
    relative = [x.var(ddof=1) / n / x.mean() ** 2 for x in (trained, random)]
    half = stdtrit(n - 1, 0.975) * ratio * np.sqrt(sum(relative))
    return stats.Interval(ratio, ratio - half, ratio + half)


def _times(interval: stats.Interval) -> str:
    return publish.bracketed(interval, ".1f") + "x"


def draw(rows: Sequence[Row]) -> dict[str, "Figure"]:
    """A panel a game."""
    games = values(rows, "game")
    figure, axes = figures.panels(len(games), width=4.7, height=3.3)
    for ax, game in zip(axes, games, strict=True):
        curve = select(rows, "curve", game=game)
        frames = select(rows, "frames", game=game)[0]
        x = np.linspace(0, frames, curve.shape[1] + 1)[:-1]
        random = _per_seed(rows, game, "random_train")
        factor = _factor(_per_seed(rows, game, "trained_train"), random)
        series = {
            "trained": (x, stats.mean_interval(curve)),
            "random": (x, stats.mean_interval(np.repeat(random[:, None], len(x), axis=1))),
        }
        ax.set_ylim(publish.limits(y for _, y in series.values()))
        figures.curves(
            series,
            x_label="environment frames",
            y_label="episode return",
            title=f"{game.replace('_', ' ').capitalize()}: {_times(factor)} random",
            subtitle=f"mean of {len(curve)} seeds; bands: 95% interval (Student's t)",
            colours={"random": style.REFERENCE},
            ax=ax,
        )
    return {"figure": figure}


def sections(rows: Sequence[Row]) -> dict[str, str]:
    """Returns of the trained and the random policy, on the variants trained on and on others."""
    body = []
    for game in values(rows, "game"):
        for side, name in (("train", "trained on"), ("unseen", "unseen (zero-shot)")):
            trained = _per_seed(rows, game, f"trained_{side}")
            random = _per_seed(rows, game, f"random_{side}")
            body.append(
                [
                    game,
                    f"{name}, {len(rows[0][f'trained_{side}'])}",
                    publish.plus_minus(stats.mean_interval(trained)),
                    publish.plus_minus(stats.mean_interval(random)),
                    _times(_factor(trained, random)),
                ]
            )
    head = ["game", "variants", "trained return", "random return", "factor"]
    return {"numbers": publish.table(head, body)}


def finding(rows: Sequence[Row]) -> str:
    """The factor of every game."""
    factors = {
        game: _factor(*(_per_seed(rows, game, f"{who}_train") for who in ("trained", "random")))
        for game in values(rows, "game")
    }
    listed = ", ".join(f"{game} {_times(factor)}" for game, factor in factors.items())
    return f"Return over the random policy's, variants trained on: {listed}"


STUDY = publish.Study("impala/quick_learns", RESULTS, draw, sections, finding)

if __name__ == "__main__":
    publish.publish(STUDY)
