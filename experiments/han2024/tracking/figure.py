"""Figures and numbers of following clips through bottlenecks, from their results alone.

python -m experiments.han2024.tracking.figure
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from experiments import publish
from experiments.han2024.tracking.sweep import METHODS, PRESET, RESULTS
from experiments.publish import Row, along, bracketed, difference, plus_minus, select, values
from jaxrl_suite.report import figures, style
from jaxrl_suite.report.stats import mean_interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CODES = {
    "perplexity": (f"codes of {PRESET.config.networks.num_codes}", "Codes in use: perplexity"),
    "used": ("share of the codes", "Codes chosen at all"),
    "dwell": ("steps of 20 ms", "How long a code is kept"),
}
GENERATED = {
    "fallen": ("share fallen", ".2f"),
    "speed": ("speed, m/s", ".2f"),
    "distance": ("distance of motions, rad", ".2f"),
}
# What motion is drawn from, in words.
PRIORS = {
    "learned": "codes, learned prior",
    "uniform": "codes, all alike",
    "normal": "normal latents",
}
CODED, FREE = "VQ", "no bottleneck"  # compared in the index
UNTRAINED = "untrained"


def _methods(rows: Sequence[Row]) -> list[str]:
    """Those that have been run, in the sweep's order."""
    return [method for method in METHODS if method in values(rows, "method")]


def _coded(rows: Sequence[Row]) -> list[str]:
    """Those whose latents are codes."""
    return [method for method in _methods(rows) if METHODS[method][0].coded]


def _scores(rows: Sequence[Row], method: str) -> np.ndarray:
    """Means over the kinds of motion, [seeds, moments]."""
    return select(rows, "scores", method=method).mean(axis=2)


def _gains(rows: Sequence[Row], method: str) -> np.ndarray:
    """What learning has added, of every seed."""
    score = _scores(rows, method)
    return score[:, -1] - score[:, 0]


def draw(rows: Sequence[Row]) -> dict[str, "Figure"]:
    """Learning curves, and scores by kind of motion."""
    return {"figure": _curves(rows), "kinds": _kinds(rows)}


def _curves(rows: Sequence[Row]) -> "Figure":
    """How well clips are followed, and what codes are used for meanwhile."""
    actions, coded = rows[0]["actions"], _coded(rows)
    # A method has one colour in all panels, whoever else is there.
    colour = dict(zip(METHODS, style.PALETTE, strict=False))
    figure, axes = figures.panels(1 + len(CODES) * bool(coded), width=5.0)
    scores = {method: _scores(rows, method) for method in _methods(rows)}
    figures.curves(
        {name: (np.linspace(0, actions, y.shape[1]), y) for name, y in scores.items()},
        x_label="actions",
        y_label="score (0 to 1), mean of kinds",
        title="How well clips are followed",
        colours=colour,
        ax=axes[0],
    )
    for ax, (name, (label, title)) in zip(axes[1:], CODES.items(), strict=False):
        series = {}
        for method in coded:
            curve = select(rows, f"curve_{name}", method=method)
            series[method] = along(actions, curve)
        figures.curves(series, x_label="actions", y_label=label, title=title, colours=colour, ax=ax)
    return figure


def _kinds(rows: Sequence[Row]) -> "Figure":
    """Scores at the end by kind of motion, beside those of untrained networks."""
    kinds, methods = rows[0]["kinds"], _methods(rows)
    found = [select(rows, "scores", method=method) for method in methods]
    before = np.concatenate([score[:, 0] for score in found]).mean(axis=0)
    after = [score[:, -1].mean(axis=0) for score in found]
    counts = sorted({len(score) for score in found})
    seeds = f"{counts[0]} to {counts[-1]}" if len(counts) > 1 else f"{counts[0]}"
    return figures.heatmap(
        np.stack([before, *after], axis=1),
        [kind.replace("_", " ") for kind in kinds],
        [UNTRAINED, *(method.replace(" ", "\n") for method in methods)],
        x_label="",
        y_label="kind of motion",
        title="Score, 0 to 1",
        subtitle=f"at the end of training; mean of {seeds} seeds",
        form=".2f",
    )


def sections(rows: Sequence[Row]) -> dict[str, str]:
    """A row a method; and a row a prior that robots have moved by."""
    return {"numbers": _numbers(rows), "generated": _generated(rows)}


def _numbers(rows: Sequence[Row]) -> str:
    body, coded = [], _coded(rows)
    for method in _methods(rows):
        cells = [
            plus_minus(mean_interval(_scores(rows, method)[:, -1]), ".3f"),
            bracketed(mean_interval(_gains(rows, method)), "+.3f"),
        ]
        for name, form in (("perplexity", ".1f"), ("used", ".2f"), ("dwell", ".2f")):
            curve = select(rows, f"curve_{name}", method=method) if method in coded else None
            cells.append("" if curve is None else plus_minus(mean_interval(curve[:, -1]), form))
        body.append([method, *cells])
    codes = PRESET.config.networks.num_codes
    head = [
        "",
        "score of 1",
        "gain over untrained",
        f"perplexity, of {codes}",
        "used",
        "dwell, steps",
    ]
    return publish.table(head, body)


def _generated(rows: Sequence[Row]) -> str:
    body = []
    for method in _methods(rows):
        for prior in METHODS[method][2]:
            cells = [
                plus_minus(mean_interval(select(rows, f"{prior}_{name}", method=method)), form)
                for name, (_, form) in GENERATED.items()
            ]
            body.append([method, PRIORS[prior], *cells])
    head = ["", "moves by", *(label for label, _ in GENERATED.values())]
    return publish.table(head, body) if body else ""


def finding(rows: Sequence[Row]) -> str:
    """Scores of all methods that have been run; codes against no bottleneck, if both have."""
    last = {method: _scores(rows, method)[:, -1] for method in _methods(rows)}
    first = np.concatenate([_scores(rows, method)[:, 0] for method in last])
    told = ", ".join(
        f"{method} {plus_minus(mean_interval(score), '.3f')}" for method, score in last.items()
    )
    compared = ""
    if CODED in last and FREE in last:
        gain = difference(last[CODED], last[FREE])
        compared = f"; {CODED} less {FREE} {bracketed(gain, '+.3f')}"
    return (
        f"Score of 1 after {rows[0]['actions']:,} actions, untrained {first.mean():.3f}: {told}"
        f"{compared}; {len(values(rows, 'seed'))} seeds"
    )


STUDY = publish.Study("han2024/tracking", RESULTS, draw, sections, finding)

if __name__ == "__main__":
    publish.publish(STUDY)
