"""Figures and numbers of following a dog's clips, from their results alone.

python -m experiments.han2024.dogs.figure
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from experiments import publish
from experiments.han2024.dogs.sweep import PRESET, RESULTS
from experiments.publish import Row, along, bracketed, plus_minus, select, values
from jaxrl_suite.report import figures, style
from jaxrl_suite.report.stats import mean_interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def _by_category(rows: Sequence[Row]) -> dict[str, np.ndarray]:
    """Scores [seeds, moments]."""
    scores = select(rows, "scores")
    return {name: scores[:, :, i] for i, name in enumerate(rows[0]["clips"])}


def _moments(rows: Sequence[Row]) -> np.ndarray:
    """Actions at which they were tested."""
    return np.linspace(0, rows[0]["actions"], select(rows, "scores").shape[1])


def draw(rows: Sequence[Row]) -> dict[str, "Figure"]:
    """Curves by category, and what codes are used for."""
    return {"figure": _categories(rows), "codes": _codes(rows)}


def _categories(rows: Sequence[Row]) -> "Figure":
    """A panel a category."""
    found, actions = _by_category(rows), _moments(rows)
    counts = rows[0]["clips"]
    figure, axes = figures.panels(len(found), columns=4, width=3.2, height=2.6, sharey=True)
    for i, (ax, (name, scores)) in enumerate(zip(axes, found.items(), strict=False)):
        figures.curves(
            {"score": (actions, scores)},
            x_label="actions",
            y_label="score (0 to 1)" if i % 4 == 0 else None,
            title=name.replace("_", " "),
            subtitle=f"{counts[name]} clips" if counts[name] > 1 else "a clip",
            colours={"score": style.PALETTE[0]},
            ax=ax,
        )
    return figure


def _codes(rows: Sequence[Row]) -> "Figure":
    """Of codes while training."""
    told = {
        "perplexity": f"codes of {PRESET.config.networks.num_codes}",
        "used": "share of the codes",
        "dwell": "steps of 20 ms",
    }
    figure, axes = figures.panels(len(told), columns=3, width=4.0)
    for ax, (name, label) in zip(axes, told.items(), strict=False):
        curve = select(rows, f"curve_{name}")
        points = along(rows[0]["actions"], curve)
        figures.curves({name: points}, x_label="actions", y_label=label, title=name, ax=ax)
    return figure


def sections(rows: Sequence[Row]) -> dict[str, str]:
    """A row a category."""
    body, counts = [], rows[0]["clips"]
    for name, scores in _by_category(rows).items():
        gain = mean_interval(scores[:, -1] - scores[:, 0])
        cells = [plus_minus(mean_interval(scores[:, i]), ".3f") for i in (0, -1)]
        cells.append(bracketed(gain, "+.3f"))
        body.append([name.replace("_", " "), str(counts[name]), *cells])
    head = ["", "clips", "untrained", "learned, of 1", "gain"]
    return {"numbers": publish.table(head, body)}


def finding(rows: Sequence[Row]) -> str:
    """The mean over categories, before and after."""
    scores = select(rows, "scores").mean(axis=2)
    gain = mean_interval(scores[:, -1] - scores[:, 0])
    perplexity = mean_interval(select(rows, "curve_perplexity")[:, -1])
    return (
        f"Score of 1, mean of {len(rows[0]['clips'])} categories, after "
        f"{rows[0]['actions']:,} actions: "
        f"{plus_minus(mean_interval(scores[:, 0]), '.3f')} untrained to "
        f"{plus_minus(mean_interval(scores[:, -1]), '.3f')}, "
        f"{bracketed(gain, '+.3f')}; perplexity {plus_minus(perplexity, '.1f')} of "
        f"{PRESET.config.networks.num_codes}; {len(values(rows, 'seed'))} seeds"
    )


STUDY = publish.Study("han2024/dogs", RESULTS, draw, sections, finding)

if __name__ == "__main__":
    publish.publish(STUDY)
