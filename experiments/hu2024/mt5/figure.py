"""Figures and numbers of the MT5 experiment, from its results alone.

python -m experiments.hu2024.mt5.figure
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from experiments import publish
from experiments.hu2024.methods import METHODS
from experiments.hu2024.mt5.sweep import RESULTS
from experiments.publish import Row, plus_minus, stacked, values
from jaxrl_suite.report import figures
from jaxrl_suite.report.stats import Interval, mean_interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TIERS = {
    "near": "near-optimal",
    "sub": "sub-optimal, cut",
    "sub-whole": "sub-optimal, whole",
}
# Success in %, of DaCe-DT (2026), table of MT5, who reprint HarmoDT's rows or ran them themselves.
REPORTED = {
    "HarmoDT-F": {"near": 100.0, "sub": 75.04},
    "HarmoDT-M": {"near": 100.0, "sub": 72.12},
    "HarmoDT-R": {"near": 100.0, "sub": 68.0},
    "Prompt-DT": {"near": 100.0, "sub": 67.0},
    "MTDT": {"near": 100.0, "sub": 64.67},
}


def success(rows: Sequence[Row], tier: str, method: str, field: str = "any") -> np.ndarray:
    """Mean over tasks of every evaluation: [seeds, evaluations]."""
    of = [row for row in rows if row["tier"] == tier and row["method"] == method]
    seeds = values(of, "seed")
    return np.array(
        [np.mean([row[field] for row in of if row["seed"] == s], axis=0) for s in seeds]
    )


def _methods(rows: Sequence[Row], tier: str) -> list[str]:
    there = {row["method"] for row in rows if row["tier"] == tier}
    return [name for name in METHODS if name in there]


def draw(rows: Sequence[Row]) -> dict[str, "Figure"]:
    """Success by method and tier; the harmony score while training."""
    tiers = values(rows, "tier")
    methods = _methods(rows, tiers[0])
    bars = {
        TIERS[tier]: stacked(
            [
                mean_interval(success(rows, tier, name)[:, -1])
                if name in _methods(rows, tier)
                else Interval(*[np.array(np.nan)] * 3)
                for name in methods
            ]
        )
        for tier in tiers
    }
    drawn = {
        "figure": figures.bars(
            methods,
            bars,
            x_label="share of episodes solved at any step, mean of five tasks",
            title="MT5, at the end of training",
        )
    }
    curves = {}
    for name in methods:
        of = [row for row in rows if row["tier"] == tiers[0] and row["method"] == name]
        first = [row for row in of if row["task"] == of[0]["task"]]
        score = np.array([row["harmony"] for row in first], float)
        share = np.arange(1, score.shape[1] + 1) / score.shape[1]
        curves[name] = (share, score)
    drawn["harmony"] = figures.curves(
        curves,
        x_label="share of training",
        y_label="average harmony score",
        title="Agreement of the tasks' gradients",
    )
    return drawn


def sections(rows: Sequence[Row]) -> dict[str, str]:
    """A row a method and tier, and one a task."""
    body, tasks = [], []
    for tier in values(rows, "tier"):
        for name in _methods(rows, tier):
            solved = success(rows, tier, name)
            last, final = solved[:, -1], success(rows, tier, name, "final")[:, -1]
            reported = REPORTED.get(name, {}).get(tier.removesuffix("-whole"))
            cells = [plus_minus(mean_interval(100 * x), ".1f") for x in (last, final)]
            best = plus_minus(mean_interval(100 * solved.max(axis=1)), ".1f")
            told = "" if reported is None else f"{reported:g}"
            of = [row for row in rows if row["tier"] == tier and row["method"] == name]
            minutes = f"{max(row['seconds'] for row in of) / 60:.1f}"
            body.append([tier, name, str(len(last)), *cells, best, minutes, told])
        for task in values(rows, "task"):
            of = [row for row in rows if row["tier"] == tier and row["task"] == task]
            solved = {
                name: [row["any"][-1] for row in of if row["method"] == name]
                for name in _methods(rows, values(rows, "tier")[0])
            }
            each = [f"{100 * np.mean(x):.0f}" if x else "" for x in solved.values()]
            tasks.append([tier, task, *each])
    head = ["data", "method", "seeds", "solved, %", "at the last step, %", "best evaluation, %"]
    head += ["minutes of training, longest", "as reported, other data and rewards, %"]
    return {
        "numbers": publish.table(head, body),
        "tasks": publish.table(["data", "task", *_methods(rows, values(rows, "tier")[0])], tasks),
    }


def finding(rows: Sequence[Row]) -> str:
    """Success of every method on every tier."""
    words = []
    for tier in values(rows, "tier"):
        each = [
            f"{name} {plus_minus(mean_interval(100 * success(rows, tier, name)[:, -1]), '.0f')}"
            for name in _methods(rows, tier)
        ]
        words.append(f"{TIERS[tier]}: {', '.join(each)}")
    return f"Episodes solved on MT5, %. {'; '.join(words)}"


STUDY = publish.Study("hu2024/mt5", RESULTS, draw, sections, finding)

if __name__ == "__main__":
    publish.publish(STUDY)
