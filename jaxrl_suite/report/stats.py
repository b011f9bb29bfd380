"""Statistics of few seeds and several tasks: aggregates with honest intervals.

Which interval to use:

* one number a seed, few seeds (3 to about 10): :func:`mean_interval`, Student's t. At n = 5 a
  percentile bootstrap of the mean is too narrow twice over: its spread is that of the
  population formula (a factor sqrt((n - 1) / n) = 0.89 too small) and its quantiles are the
  normal's 1.96 and not t's 2.78. On normal data it covers about 83% where it says 95%; a test
  counts it. (Hesterberg 2015, "What teachers should know about the bootstrap", section 4.)
* runs x tasks, an aggregate over both: :func:`bootstrap_interval`, stratified over tasks, as
  in Agarwal et al. 2021, "Deep reinforcement learning at the edge of the statistical
  precipice". The tasks multiply the sample, which is what makes the bootstrap usable.

NumPy only (scipy, a dependency of jax, for one quantile); nothing here runs on a device.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jaxrl_suite.core import UsageError

# Below this an interval says more about luck than about the method, so none is given.
MIN_SEEDS = 3


class Interval(NamedTuple):
    """A point estimate and its interval; scalars, or arrays of one shape.

    `low` and `high` are NaN where there were too few seeds for an interval.
    """

    point: NDArray
    low: NDArray
    high: NDArray


def iqm(scores: ArrayLike) -> float:
    """Interquartile mean: the mean of the middle 50% of all scores, runs x tasks pooled.

    With n sorted scores, floor(n / 4) are dropped at either end: the definition of rliable
    (Agarwal et al. 2021, section 4.3), which is ``scipy.stats.trim_mean(scores, 0.25)``.

    Args:
      scores: any shape, pooled.

    Returns:
      The mean of what is left. NaN if any score is NaN: sorting would put a NaN at the upper
      end, where trimming drops a crashed run as if it had been the best one.
    """
    flat = np.asarray(scores, float).ravel()
    if flat.size == 0:
        raise UsageError("iqm needs at least one score")
    if np.isnan(flat).any():
        return float("nan")
    cut = flat.size // 4
    # Partitioning orders just enough: what lies between the two cuts, not within them.
    middle = np.partition(flat, (cut, flat.size - cut - 1))[cut : flat.size - cut]
    return float(middle.mean())


def mean_interval(x: ArrayLike, *, level: float = 0.95, axis: int = 0) -> Interval:
    """Mean over seeds with Student's t interval.

    mean +- t(n - 1, (1 + level) / 2) * s / sqrt(n), s with n - 1 in its denominator.

    Args:
      x: one number a seed, the seeds along `axis`.
      level: confidence level, in (0, 1).
      axis: which axis holds the seeds.

    Returns:
      The interval, without `axis`; the bounds are NaN for fewer than three seeds.
    """
    _check_level(level)
    x = np.asarray(x, float)
    if x.ndim == 0 or x.shape[axis] == 0:
        raise UsageError(f"mean_interval needs an axis of seeds, not an array of shape {x.shape}")
    n = x.shape[axis]
    mean = x.mean(axis)
    if n < MIN_SEEDS:
        nothing = np.full_like(mean, np.nan)
        return Interval(mean, nothing, nothing)
    from scipy.special import stdtrit  # not scipy.stats, which takes a second to import

    half = stdtrit(n - 1, 0.5 + level / 2) * x.std(axis, ddof=1) / np.sqrt(n)
    return Interval(mean, mean - half, mean + half)


def bootstrap_interval(
    scores: ArrayLike | tuple[ArrayLike, ...],
    statistic: Callable[..., float] = iqm,
    *,
    level: float = 0.95,
    num: int = 2000,
    seed: int = 0,
) -> Interval:
    """Stratified bootstrap, percentile interval (Agarwal et al. 2021, section 4.1).

    Each replicate draws, for every task by itself, as many runs as there are, with
    replacement; the tasks stay. The interval is the central `level` of the statistic's
    replicates.

    Args:
      scores: [runs, tasks], or several such arrays, resampled independently.
      statistic: of the array (or arrays), for instance :func:`iqm` or, of two arrays,
        :func:`probability_of_improvement`.
      level: confidence level, in (0, 1).
      num: replicates.
      seed: of NumPy's generator; the same seed gives the same interval.

    Returns:
      The statistic of the scores themselves and its interval.
    """
    _check_level(level)
    samples = tuple(map(_runs_by_tasks, scores if isinstance(scores, tuple) else (scores,)))
    if num < 1:
        raise UsageError(f"num must be at least 1, not {num}")
    point = np.asarray(statistic(*samples))
    if min(len(sample) for sample in samples) < MIN_SEEDS:
        nothing = np.full(point.shape, np.nan)
        return Interval(point, nothing, nothing)
    generator = np.random.default_rng(seed)
    replicates = [statistic(*(_resample(generator, s) for s in samples)) for _ in range(num)]
    low, high = np.quantile(replicates, [0.5 - level / 2, 0.5 + level / 2], axis=0)
    return Interval(point, low, high)


def probability_of_improvement(x: ArrayLike, y: ArrayLike) -> float:
    """How probably a run of X beats a run of Y on a task drawn at random.

    mean over tasks of P(x > y) + P(x = y) / 2, runs paired in every way (Agarwal et al. 2021,
    section 4.3): the Mann-Whitney U divided by the number of pairs.

    Args:
      x: [runs of X, tasks].
      y: [runs of Y, tasks], the same tasks in the same order.

    Returns:
      A probability; NaN if a score is NaN.
    """
    x, y = _runs_by_tasks(x), _runs_by_tasks(y)
    if x.shape[1] != y.shape[1]:
        raise UsageError(f"the same tasks are needed in both, not {x.shape[1]} and {y.shape[1]}")
    # sign gives 1, 0, -1 for better, equal, worse, and keeps a NaN.
    return float((np.sign(x[:, None] - y[None]).mean() + 1) / 2)


def mann_whitney(x: ArrayLike, y: ArrayLike) -> float:
    """Two-sided p of the hypothesis that x and y are drawn from one distribution.

    Exact for small samples without ties, else by the normal approximation (Mann & Whitney 1947,
    "On a test of whether one of two random variables is stochastically larger than the other").

    Args:
      x: one number a run, of X.
      y: the same of Y.
    """
    from scipy.stats import mannwhitneyu

    for sample in (x, y):
        if np.ndim(sample) != 1 or not len(sample) or not np.isfinite(sample).all():
            raise UsageError("mann_whitney needs two lists of finite numbers, neither empty")
    if np.ptp([*x, *y]) == 0:
        return 1.0  # nothing to order; the normal approximation would divide by a spread of zero
    return float(mannwhitneyu(x, y).pvalue)


def holm(p: ArrayLike) -> NDArray:
    """p values adjusted for there being several, so that one is wrong at most at the stated rate.

    The i-th smallest of n, from 0, becomes max over j <= i of min(1, (n - j) p_j) (Holm 1979, "A
    simple sequentially rejective multiple test procedure").

    Args:
      p: [n].

    Returns:
      [n], in the order given.
    """
    p = np.asarray(p, float)
    if p.ndim != 1 or not np.all((p >= 0) & (p <= 1)):
        raise UsageError(f"p must be a list of probabilities, not {p.tolist()}")
    order = np.argsort(p, kind="stable")
    steps = np.minimum(1.0, (len(p) - np.arange(len(p))) * p[order])
    adjusted = np.empty_like(p)
    adjusted[order] = np.maximum.accumulate(steps)
    return adjusted


def _resample(generator: np.random.Generator, scores: NDArray) -> NDArray:
    """Draws runs with replacement within each task."""
    return np.take_along_axis(scores, generator.integers(len(scores), size=scores.shape), axis=0)


def _runs_by_tasks(scores: ArrayLike) -> NDArray:
    scores = np.asarray(scores, float)
    if scores.ndim != 2 or 0 in scores.shape:
        raise UsageError(f"scores must have the shape [runs, tasks], not {list(scores.shape)}")
    return scores


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise UsageError(f"level must lie between 0 and 1, not {level}")
