"""Scores that can be pooled over variants, whose returns have different scales."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from experiments.publish import Row, select
from jaxrl_suite.report import stats

STAGES = ("zero_shot", "finetuned", "finetuned_reset")


def best_means(rows: Sequence[Row], setting: Sequence[str]) -> np.ndarray:
    """Of every variant, the largest mean over seeds of any setting and stage: [variants].

    Args:
      rows: of one game and split.
      setting: the fields that make a setting; a setting's rows differ by seed only.
    """
    settings = dict.fromkeys(tuple((name, row[name]) for name in setting) for row in rows)
    means = []
    for where in map(dict, settings):
        present = [s for s in STAGES if all(s in r for r in rows if where.items() <= r.items())]
        means += [select(rows, stage, **where).mean(axis=0) for stage in present]
    return np.max(means, axis=0)


def normalised(returns: ArrayLike, low: ArrayLike, high: ArrayLike) -> np.ndarray:
    """(return - low) / (high - low), variant by variant: 0 is low, 1 is high.

    Args:
      returns: [seeds, variants].
      low: [variants], for instance the random policy's returns.
      high: [variants], above low.
    """
    low, high = np.asarray(low), np.asarray(high)
    return (np.asarray(returns) - low) / np.where(high > low, high - low, np.nan)


def pooled(scores: np.ndarray) -> stats.Interval:
    """Interquartile mean over variants, seed by seed; mean over seeds, Student's t interval.

    The bootstrap stratified by task is not for this: it draws the runs of every task by
    themselves, but here one run plays all variants, so that a good run is good on most of them.
    Drawn apart, these would count as independent and the interval would come out too narrow.

    Args:
      scores: [seeds, variants].
    """
    return stats.mean_interval(per_seed(scores))


def per_seed(scores: np.ndarray) -> np.ndarray:
    """Interquartile mean over variants: [seeds, variants] -> [seeds]."""
    return np.array([stats.iqm(of_seed) for of_seed in scores])
