"""Zero-shot and fine-tuned score on unseen variants against the size of the network.

python -m experiments.impala.capacity.figure         (a few seconds; reads results/returns.jsonl)
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from experiments import publish
from experiments.impala import scores
from experiments.impala.capacity.sweep import RESULTS
from experiments.publish import Row, select, values
from jaxrl_suite.report import figures, stats

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LABELS = {"zero_shot": "Zero-shot", "finetuned": "Fine-tuned"}


def _scores(rows: Sequence[Row], stage: str, width: float, num_variants: int) -> np.ndarray:
    """[seeds, variants], as a share of the variant's best mean."""
    best = scores.best_means(rows, ["width", "num_variants"])
    returns = select(rows, stage, width=width, num_variants=num_variants)
    return scores.normalised(returns, np.zeros_like(best), best)


def _settings(rows: Sequence[Row]) -> dict[int, list[float]]:
    """The widths that there are for every N."""
    return {
        n: values([row for row in rows if row["num_variants"] == n], "width")
        for n in values(rows, "num_variants")
    }


def draw(rows: Sequence[Row]) -> dict[str, "Figure"]:
    """A panel zero-shot, a panel fine-tuned."""
    figure, axes = figures.panels(len(LABELS), width=4.9, height=3.8, sharey=True)
    seeds, variants = len({row["seed"] for row in rows}), len(rows[0]["zero_shot"])
    series = {
        stage: {
            f"N = {n}": (
                widths,
                publish.stacked([scores.pooled(_scores(rows, stage, w, n)) for w in widths]),
            )
            for n, widths in _settings(rows).items()
        }
        for stage in LABELS
    }
    for ax, (stage, label) in zip(axes, LABELS.items(), strict=True):
        ax.set_ylim(publish.limits(y for of in series.values() for _, y in of.values()))
        figures.intervals(
            series[stage],
            x_label="width of the network (1 = quick preset)",
            y_label="score (share of the best)" if ax is axes[0] else None,
            x_scale="log",
            title=f"{label} on unseen variants",
            subtitle=f"IQM of {variants} variants; mean of {seeds} seeds; 95% interval (t)",
            ax=ax,
        )
    return {"figure": figure}


def sections(rows: Sequence[Row]) -> dict[str, str]:
    """Scores and raw returns of every setting."""
    body = []
    for n, widths in _settings(rows).items():
        for width in widths:
            size = select(rows, "num_parameters", width=width, num_variants=n)[0]
            shown = []
            for stage in ("seen", *LABELS):
                returns = select(rows, stage, width=width, num_variants=n).mean(axis=1)
                raw = publish.plus_minus(stats.mean_interval(returns))
                if stage in LABELS:
                    score = publish.bracketed(scores.pooled(_scores(rows, stage, width, n)))
                    raw = f"{score}; {raw}"
                shown.append(raw)
            body.append([str(n), f"{width:g}", f"{size:,}", *shown])
    gains = [
        [str(n), *[publish.bracketed(_gain(rows, stage, n), "+.2f") for stage in LABELS]]
        for n in _settings(rows)
    ]
    head = ["N", "width", "parameters", "seen, return", "zero-shot", "fine-tuned"]
    return {
        "numbers": publish.table(head, body),
        "gains": publish.table(["N", *LABELS.values()], gains),
    }


def _gain(rows: Sequence[Row], stage: str, num_variants: int) -> stats.Interval:
    """Score of the widest network minus that of the narrowest."""
    widths = _settings(rows)[num_variants]
    wide, narrow = (
        scores.per_seed(_scores(rows, stage, width, num_variants))
        for width in (max(widths), min(widths))
    )
    return publish.difference(wide, narrow)


def finding(rows: Sequence[Row]) -> str:
    """What width gains, for every N."""
    counts, widths = list(_settings(rows)), values(rows, "width")
    gains = [f"{publish.bracketed(_gain(rows, 'zero_shot', n), '+.2f')} at N = {n}" for n in counts]
    return (
        f"From width {min(widths):g} to {max(widths):g} the zero-shot score (1 is the best seen) "
        f"changes by {', '.join(gains)}; {len({row['seed'] for row in rows})} seeds"
    )


STUDY = publish.Study("impala/capacity", RESULTS, draw, sections, finding)

if __name__ == "__main__":
    publish.publish(STUDY)
