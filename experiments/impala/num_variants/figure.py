"""Zero-shot and fine-tuned score on unseen variants against the number of pretraining variants.

python -m experiments.impala.num_variants.figure     (a few seconds; reads results/returns.jsonl)
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from experiments import publish
from experiments.impala import scores
from experiments.impala.num_variants.sweep import FINETUNE, RESULTS, SETTINGS
from experiments.publish import Row, select, values
from jaxrl_suite.report import figures, stats, style
from jaxrl_suite.report.series import Series
from jaxrl_suite.systems import impala

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LABELS = {
    "zero_shot": "zero-shot",
    "finetuned": "fine-tuned",
    "finetuned_reset": "fine-tuned, heads reset",
}
FRAMES = FINETUNE * impala.PRESETS["quick"].config.frames_per_update


def _groups(rows: Sequence[Row]) -> Iterator[tuple[str, list[Row]]]:
    """The rows of every game and split that has at least two settings."""
    for split in values(rows, "split"):
        for game in values(rows, "game"):
            group = [row for row in rows if row["split"] == split and row["game"] == game]
            if len(values(group, "num_variants")) > 1:
                yield f"{game.replace('_', ' ').capitalize()}, unseen by {split}", group


def _scores(group: Sequence[Row], stage: str, num_variants: int) -> np.ndarray:
    """[seeds, variants], 0 the random policy, 1 the best mean of the group.

    Variants on which no setting beats the random policy have no such scale and are left out.
    """
    random, best = _scale(group)
    score = scores.normalised(select(group, stage, num_variants=num_variants), random, best)
    return score[:, best > random]


def _scale(group: Sequence[Row]) -> tuple[np.ndarray, np.ndarray]:
    """Of every variant, the random policy's mean return and the best mean of any setting."""
    random = np.mean([row["random"] for row in group], axis=0)
    return random, scores.best_means(group, ["num_variants"])


def _pretrained(group: Sequence[Row]) -> list[int]:
    return [n for n in values(group, "num_variants") if n]


def _stages(group: Sequence[Row]) -> dict[str, str]:
    """Those of LABELS that were run."""
    return {stage: label for stage, label in LABELS.items() if any(stage in row for row in group)}


def draw(rows: Sequence[Row], finetune_frames: int = FRAMES) -> dict[str, "Figure"]:
    """Scores against N, and the fine-tuning curves."""
    groups = list(_groups(rows))
    figure, axes = figures.panels(len(groups), width=5.2, height=3.7, sharey=True)
    series = [_series(group) for _, group in groups]
    for ax, (name, group), of in zip(axes, groups, series, strict=True):
        ax.set_ylim(publish.limits(y for panel in series for _, y in panel.values()))
        seeds = len({row["seed"] for row in group})
        random, best = _scale(group)
        figures.intervals(
            of,
            x_label="pretraining variants N, at equal frames",
            y_label="score (0 random, 1 best)",
            title=name,
            subtitle=f"IQM of {int(np.sum(best > random))} variants; mean of {seeds} seeds; "
            "95% interval (t)",
            colours={"from scratch": style.REFERENCE},
            ax=ax,
        )
    return {"figure": figure, "finetuning": _curves(groups, finetune_frames)}


def _series(group: Sequence[Row]) -> Series:
    counts = _pretrained(group)
    series = {
        label: (
            counts,
            publish.stacked([scores.pooled(_scores(group, stage, n)) for n in counts]),
        )
        for stage, label in _stages(group).items()
    }
    scratch = scores.pooled(_scores(group, "finetuned", 0))
    return series | {"from scratch": (counts, publish.stacked([scratch] * len(counts)))}


def _curves(groups: Sequence[tuple[str, list[Row]]], frames: int) -> "Figure":
    figure, axes = figures.panels(len(groups), width=4.9, height=3.5)
    for ax, (name, group) in zip(axes, groups, strict=True):
        counts = [n for n in (1, 4, 16) if n in _pretrained(group)]
        by_label = {"scratch": 0} | {f"N = {n}": n for n in counts}
        curves = {k: select(group, "finetuning_curve", num_variants=n) for k, n in by_label.items()}
        x = np.linspace(0, frames, curves["scratch"].shape[1] + 1)[:-1]
        figures.curves(
            {label: (x, curve) for label, curve in curves.items()},
            x_label="fine-tuning frames on the unseen variants",
            y_label="return of last episodes",
            title=name,
            colours={"scratch": style.REFERENCE},
            ax=ax,
        )
    return figure


def numbers(rows: Sequence[Row]) -> str:
    """Table of scores and raw returns of every setting."""
    body = []
    for name, group in _groups(rows):
        for n in values(group, "num_variants"):
            stages = [stage for stage in _stages(group) if n or stage == "finetuned"]
            score = {s: publish.bracketed(scores.pooled(_scores(group, s, n))) for s in stages}
            raw = {
                s: publish.plus_minus(
                    stats.mean_interval(select(group, s, num_variants=n).mean(axis=1))
                )
                for s in stages
            }
            shown = [f"{score[s]}; {raw[s]}" if s in stages else "" for s in _stages(rows)]
            seen = ""
            if n:
                returns = select(group, "seen", num_variants=n).mean(axis=1)
                seen = publish.plus_minus(stats.mean_interval(returns))
            body.append([name, str(n) if n else "0 (scratch)", seen, *shown])
    head = ["game and split", "N", "seen, return", *_stages(rows).values()]
    return publish.table(head, body)


def sections(rows: Sequence[Row]) -> dict[str, str]:
    """What was run, and its numbers."""
    there = {(row["game"], row["split"]) for row in rows}
    done, missing = (
        ", ".join(
            f"{game} ({split})" for game, split in SETTINGS if ((game, split) in there) == has
        )
        for has in (True, False)
    )
    present = f"In the results: {done}. Not run yet: {missing or 'nothing'}."
    return {"settings": present, "numbers": numbers(rows)}


def finding(rows: Sequence[Row]) -> str:
    """Zero-shot score at the smallest, the best and the largest N, in every panel."""
    parts = []
    for name, group in _groups(rows):
        score = {n: scores.pooled(_scores(group, "zero_shot", n)) for n in _pretrained(group)}
        best = max(score, key=lambda n: score[n].point)
        shown = sorted({min(score), best, max(score)})
        listed = ", ".join(f"{publish.bracketed(score[n])} at N = {n}" for n in shown)
        parts.append(f"{name}: {listed}" + (f" (best N: {best})" if len(shown) > 2 else ""))
    return f"Zero-shot score (0 random, 1 best). {'; '.join(parts)}"


STUDY = publish.Study("impala/num_variants", RESULTS, draw, sections, finding)

if __name__ == "__main__":
    publish.publish(STUDY)
