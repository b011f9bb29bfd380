"""Return in the setting trained in against the return in MuJoCo C, and their ratio.

python -m experiments.physics.cheap_start.figure     (a few seconds; reads results/returns.jsonl)
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from experiments import publish
from experiments.physics.cheap_start.sweep import RESULTS
from experiments.publish import Row, select, values
from jaxrl_suite.report import figures, stats, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

KEPT = 0.98  # of the return: what the specification asks for
SERIES = {"as trained": "training", "MuJoCo C": "c"}


def _by_setting(rows: Sequence[Row], field: str, body: str) -> np.ndarray:
    """[seeds, settings]."""
    settings = values(rows, "setting")
    return np.stack([select(rows, field, body=body, setting=s) for s in settings], axis=1)


def _verdict(ratio: stats.Interval) -> str:
    """Whether the interval lies on one side of what has to be kept."""
    if ratio.low >= KEPT:
        return "kept"
    return "lost" if ratio.high < KEPT else "undecided"


def draw(rows: Sequence[Row]) -> dict[str, "Figure"]:
    """A column a body: returns above, ratios below."""
    names, settings = values(rows, "body"), values(rows, "setting")
    seeds = len({row["seed"] for row in rows})
    note = f"mean of {seeds} seeds; whiskers: 95% interval (Student's t)"
    figure, axes = figures.panels(2 * len(names), columns=len(names), width=4.9, height=3.5)
    for body, ax in zip(names, axes[: len(names)], strict=True):
        series = {label: (settings, _by_setting(rows, f, body)) for label, f in SERIES.items()}
        ax.set_ylim(publish.limits(stats.mean_interval(y) for _, y in series.values()))
        figures.intervals(
            series,
            x_label="solver in training",
            y_label="return (m/s)",
            title=f"{body.capitalize()}: return of the trained policy",
            subtitle=note,
            ax=ax,
        )
    for body, ax in zip(names, axes[len(names) :], strict=True):
        figures.intervals(
            {"ratio": (settings, _by_setting(rows, "ratio_c", body))},
            x_label="solver in training",
            y_label="return in C / return as trained",
            title=f"{body.capitalize()}: what is left in MuJoCo C",
            subtitle=f"{note}; dashed: {KEPT:g}",
            ax=ax,
        )
        ax.axhline(1.0, color=style.MUTED, linewidth=0.8)
        ax.axhline(KEPT, color=style.MUTED, linewidth=0.8, linestyle="--")
    return {"figure": figure}


def sections(rows: Sequence[Row]) -> dict[str, str]:
    """Returns, ratios and speeds of every setting."""
    body = []
    for name in values(rows, "body"):
        for setting in values(rows, "setting"):
            where = {"body": name, "setting": setting}
            returns = [
                publish.plus_minus(stats.mean_interval(select(rows, field, **where)), ".3f")
                for field in ("untrained", "training", "c")
            ]
            ratios = [
                stats.mean_interval(select(rows, field, **where))
                for field in ("ratio_converged", "ratio_c")
            ]
            noise = np.mean(select(rows, "ratio_c_error", **where))
            body.append(
                [
                    name,
                    setting,
                    *returns,
                    *(publish.bracketed(ratio, ".3f") for ratio in ratios),
                    f"{noise:.3f}",
                    f"{np.median(select(rows, 'steps_per_cpu_second', **where)):,.0f}",
                    _verdict(ratios[1]),
                ]
            )
    head = ["body", "solver", "untrained", "as trained", "in C", "20x20 / as trained"]
    head += ["C / as trained", "its error a policy", "steps/CPU-s", f"{KEPT:.0%} kept"]
    return {"numbers": publish.table(head, body)}


def finding(rows: Sequence[Row]) -> str:
    """The ratio of every setting, body by body."""
    found = []
    for body in values(rows, "body"):
        of_body = []
        for setting in values(rows, "setting"):
            ratio = stats.mean_interval(select(rows, "ratio_c", body=body, setting=setting))
            of_body.append(f"{publish.bracketed(ratio)} at {setting} ({_verdict(ratio)})")
        found.append(f"{body} {', '.join(of_body)}")
    return f"Return in C over that in the training's setting: {'; '.join(found)}"


STUDY = publish.Study("physics/cheap_start", RESULTS, draw, sections, finding)

if __name__ == "__main__":
    publish.publish(STUDY)
