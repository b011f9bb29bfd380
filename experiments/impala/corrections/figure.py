"""Return of every off-policy correction against the policy lag, with and without replay.

python -m experiments.impala.corrections.figure      (a few seconds; reads results/returns.jsonl)
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from experiments import publish
from experiments.impala.corrections.sweep import RESULTS
from experiments.publish import Row, select, values
from jaxrl_suite.report import figures, stats

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LABELS = {
    "none": "none",
    "epsilon": "epsilon",
    "one_step_is": "one-step IS",
    "ppo": "PPO clip",
    "vtrace": "V-trace",
}


def _returns(rows: Sequence[Row], correction: str, replay: float, lag: int) -> np.ndarray:
    return select(rows, "return", correction=correction, replay=replay, lag=lag)


def _name(replay: float) -> str:
    return f"{replay:.0%} replayed" if replay else "no replay"


def _pairs(rows: Sequence[Row]) -> dict[float, list[str]]:
    """The corrections that each replay setting has, in the order of LABELS."""
    found = {(row["replay"], row["correction"]) for row in rows}
    return {
        replay: [name for name in LABELS if (replay, name) in found]
        for replay in values(rows, "replay")
    }


def draw(rows: Sequence[Row]) -> dict[str, "Figure"]:
    """A panel without and a panel with replay."""
    lags, pairs = values(rows, "lag"), _pairs(rows)
    figure, axes = figures.panels(len(pairs), width=5.0, height=4.0, sharey=True)
    series = {
        replay: {
            LABELS[name]: (
                lags,
                stats.mean_interval(
                    np.stack([_returns(rows, name, replay, lag) for lag in lags], axis=1)
                ),
            )
            for name in corrections
        }
        for replay, corrections in pairs.items()
    }
    seeds = len({row["seed"] for row in rows})
    for ax, replay in zip(axes, pairs, strict=True):
        ax.set_ylim(publish.limits(y for panel in series.values() for _, y in panel.values()))
        figures.intervals(
            series[replay],
            x_label="actor hold k: the lag runs through 0..k updates",
            y_label="return after training" if ax is axes[0] else None,
            title=_name(replay).capitalize(),
            subtitle=f"mean of {seeds} seeds; whiskers: 95% interval (Student's t)",
            ax=ax,
        )
    return {"figure": figure}


def sections(rows: Sequence[Row]) -> dict[str, str]:
    """Returns; V-trace's advantage at the largest lag; how far off policy the data were."""
    lags, pairs = values(rows, "lag"), _pairs(rows)

    def returned(replay: float, correction: str) -> list[str]:
        means = [stats.mean_interval(_returns(rows, correction, replay, lag)) for lag in lags]
        return [_name(replay), LABELS[correction], *map(publish.plus_minus, means)]

    def diagnosis(replay: float, correction: str) -> list[str]:
        def mean(field: str, lag: int) -> float:
            return select(rows, field, correction=correction, replay=replay, lag=lag).mean()

        fields = ("lag_mean", "effective_sample_size", "ratio_max")
        cells = [" / ".join(f"{mean(field, lag):.3g}" for field in fields) for lag in lags]
        return [_name(replay), LABELS[correction], *cells]

    def difference(replay: float, correction: str) -> list[str]:
        pair = [[_returns(rows, n, replay, lag) for n in ("vtrace", correction)] for lag in lags]
        cells = [publish.bracketed(publish.difference(*of_lag), "+.1f") for of_lag in pair]
        return [_name(replay), LABELS[correction], *cells]

    settings = [(replay, name) for replay in pairs for name in pairs[replay]]
    others = [s for s in settings if s[1] != "vtrace" and "vtrace" in pairs[s[0]]]
    columns = ["", "correction", *[f"k = {lag}" for lag in lags]]
    return {
        "numbers": publish.table(columns, [returned(*s) for s in settings]),
        "differences": publish.table(columns, [difference(*s) for s in others]),
        "off_policy": publish.table(columns, [diagnosis(*s) for s in settings]),
    }


def finding(rows: Sequence[Row]) -> str:
    """V-trace against no correction and against the best other one, at the largest lag."""
    lag, pairs = max(values(rows, "lag")), _pairs(rows)
    parts = []
    for replay, names in pairs.items():
        if "vtrace" not in names or len(names) < len(LABELS):
            continue
        own = _returns(rows, "vtrace", replay, lag)
        others = [n for n in names if n != "vtrace"]
        best = max(others, key=lambda n: _returns(rows, n, replay, lag).mean())
        versus = [
            f"{publish.bracketed(gain, '+.2f')} against {LABELS[name]}"
            for name in dict.fromkeys(["none", best])
            for gain in [publish.difference(own, _returns(rows, name, replay, lag))]
        ]
        parts.append(
            f"{_name(replay)}: V-trace {publish.plus_minus(stats.mean_interval(own))}, "
            + ", ".join(versus)
        )
    return f"At k = {lag}, {'; '.join(parts)}" if parts else "not all corrections are there yet"


STUDY = publish.Study("impala/corrections", RESULTS, draw, sections, finding)

if __name__ == "__main__":
    publish.publish(STUDY)
