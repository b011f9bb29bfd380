"""Figures and numbers of players of tag and their opponents, from their results alone.

python -m experiments.han2024.league.figure
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from experiments import publish
from experiments.han2024.league.sweep import METHODS, RESULTS
from experiments.publish import Row, along, bracketed, plus_minus, select, values
from jaxrl_suite.report import figures, style
from jaxrl_suite.report.stats import mean_interval
from jaxrl_suite.systems.lifelike import elo

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LEAGUE, ALONE = METHODS
# Of games while learning: label of the axis, title.
LEARNING = {
    "tagged": ("share of games (0 to 1)", "Games that end with a tag"),
    "fallen": ("share of games (0 to 1)", "Games that end with a fall"),
    "length": ("steps of 20 ms", "How long a game lasts"),
    "switches": ("flags a game", "Flags, each of which swaps the roles"),
}
TOURNAMENT = {
    "tagged": ("share that ends with a tag", ".2f"),
    "fallen": ("with a fall", ".2f"),
    "switches": ("flags a game", ".2f"),
    "length": ("length, steps of 20 ms", ".0f"),
}
# A method has one colour in all panels.
COLOURS = dict(zip(METHODS, style.PALETTE, strict=False))


def _won(rows: Sequence[Row]) -> np.ndarray:
    """Games won, [seeds, methods, snapshots, methods, snapshots]."""
    won, count = select(rows, "won"), len(METHODS)
    size = won.shape[1] // count
    return won.reshape(-1, count, size, count, size)


def _ratings(rows: Sequence[Row]) -> dict[str, np.ndarray]:
    """Elo of every snapshot by method, [seeds, snapshots]; of mean 0 over both in every seed."""
    rated = np.array([elo(won, won + won.T) for won in select(rows, "won")])
    return dict(zip(METHODS, np.split(rated, len(METHODS), axis=1), strict=True))


def _last(rows: Sequence[Row]) -> dict[str, np.ndarray]:
    """Share of games that a method's last snapshot wins against all of the other's, [seeds]."""
    won, found = _won(rows), {}
    for own, method in enumerate(METHODS):
        wins = won[:, own, -1, 1 - own].sum(axis=1)
        found[method] = wins / (wins + won[:, 1 - own, :, own, -1].sum(axis=1))
    return found


def draw(rows: Sequence[Row]) -> dict[str, "Figure"]:
    """Ratings and what games were like while learning, and who wins against whom."""
    return {"figure": _overview(rows), "matrix": _matrix(rows)}


def _overview(rows: Sequence[Row]) -> "Figure":
    """Ratings, whom the league has met, and curves of its games and of self-play's."""
    figure, axes = figures.panels(2 + len(LEARNING), width=5.0)
    figures.curves(
        {name: (rows[0]["updates"], y) for name, y in _ratings(rows).items()},
        x_label="update of the snapshot",
        y_label="Elo (0: mean of a seed's players)",
        title="How good snapshots are",
        colours=COLOURS,
        ax=axes[0],
    )
    _opponents(rows, axes[1])
    for ax, (name, (label, title)) in zip(axes[2:], LEARNING.items(), strict=True):
        series = {}
        for method in METHODS:
            curve = select(rows, f"curve_{method}_{name}")
            series[method] = along(rows[0]["actions"], curve)
        figures.curves(
            series, x_label="actions", y_label=label, title=title, colours=COLOURS, ax=ax
        )
    return figure


def _opponents(rows: Sequence[Row], ax: "Axes") -> None:
    """Games of the league, by opponent: snapshots, oldest first, and itself."""
    updates = rows[0]["updates"]
    met = select(rows, f"met_{LEAGUE}")
    figures.bars(
        [*(f"update {update}" for update in updates), "itself"],
        {LEAGUE: np.column_stack([met[:, : len(updates)], met[:, -1]])},
        x_label="games while learning",
        title="Whom the league meets",
        colours=COLOURS,
        ax=ax,
    )


def _matrix(rows: Sequence[Row]) -> "Figure":
    """Who wins against whom, mean over seeds."""
    won = select(rows, "won")
    games = won + won.swapaxes(1, 2)
    shares = np.full(won.shape, np.nan)
    np.divide(100 * won, games, out=shares, where=games > 0)
    updates = rows[0]["updates"]
    size, middle = len(updates), (len(updates) - 1) // 2
    against = [
        f"{update}\n{method if i == middle else ''}"
        for method in METHODS
        for i, update in enumerate(updates)
    ]
    figure, (ax,) = figures.panels(1, width=10.0, height=7.6)
    figures.heatmap(
        shares.mean(axis=0),
        [f"{method} {update}" for method in METHODS for update in updates],
        against,
        x_label="against the snapshot of update",
        y_label="snapshot of update",
        title="Games that the row wins against the column, %",
        subtitle=f"mean of {len(won)} seeds, {games.max():.0f} games a pair; a draw is half a one",
        form=".0f",
        ax=ax,
    )
    for line in (ax.axhline, ax.axvline):  # between the methods
        line(size, color=style.INK, linewidth=1.2)
    return figure


def sections(rows: Sequence[Row]) -> dict[str, str]:
    """A row a method; and what games of the tournament were like."""
    return {"numbers": _numbers(rows), "games": _games(rows)}


def _numbers(rows: Sequence[Row]) -> str:
    wins, body = _last(rows), []
    for method, rating in _ratings(rows).items():
        gain = mean_interval(rating[:, -1] - rating[:, 0])
        body.append(
            [
                method,
                plus_minus(mean_interval(rating[:, -1]), ".0f"),
                bracketed(gain, "+.0f"),
                plus_minus(mean_interval(wins[method])),
            ]
        )
    head = [
        "",
        "Elo of the last snapshot",
        "gain over the first",
        "share of games won by the last against all of the other's",
    ]
    return publish.table(head, body)


def _games(rows: Sequence[Row]) -> str:
    cells = [
        plus_minus(mean_interval(select(rows, name)), form)
        for name, (_, form) in TOURNAMENT.items()
    ]
    return publish.table([label for label, _ in TOURNAMENT.values()], [cells])


def finding(rows: Sequence[Row]) -> str:
    """How much better the league's last snapshot is than that of self-play, by seed."""
    rating = _ratings(rows)
    gain = mean_interval(rating[LEAGUE][:, -1] - rating[ALONE][:, -1])
    return (
        f"Elo of the last snapshot after {rows[0]['actions']:,} actions, {LEAGUE} less {ALONE} "
        f"of the same seed: {bracketed(gain, '+.0f')}; {len(values(rows, 'seed'))} seeds"
    )


STUDY = publish.Study("han2024/league", RESULTS, draw, sections, finding)

if __name__ == "__main__":
    publish.publish(STUDY)
