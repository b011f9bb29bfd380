"""Statistics of a lineage: who descends from whom in an evolution of bodies, and how it fared.

A lineage is a table with one row a body in order of birth. Bodies age in that order too, so the
*living* after `count` bodies are the last `window` of them (the aging tournament of Gupta et al.
2021, "Embodied intelligence via learning and evolution"; Real et al. 2019, "Regularized
evolution"). A body that failed has the fitness -inf: it fills its place among the
living, but no mean counts it.

NumPy only; :mod:`lineage_figures` draws what is computed here.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jaxrl_suite.core import UsageError
from jaxrl_suite.report import stats

FOUNDER = -1  # the parent of a body that has none


class Lineage(NamedTuple):
    """One row a body, in order of birth: body i is row i. Every function here checks it."""

    parent: ArrayLike  # [n] number of the parent, below the body's own; -1 for a founder
    operator: Sequence[str]  # [n] name of the mutation that made the body; "" for a founder
    fitness: ArrayLike  # [n] as selection saw it; -inf for a body that failed
    limbs: ArrayLike  # [n] count
    born: ArrayLike  # [n] phase of the run, never falling


class FounderShares(NamedTuple):
    """Whose descendants live: see :func:`founder_shares`."""

    founders: NDArray  # [f] their numbers, ascending
    counts: NDArray  # [c] bodies searched
    share: NDArray  # [c, f] of the living, each row summing to 1


class RunningMean(NamedTuple):
    """See :func:`running_mean`."""

    mean: NDArray  # [n] NaN where no body of the window has a finite fitness
    ignored: NDArray  # [n] bodies of the window left out, their fitness being -inf


class Effect(NamedTuple):
    """Of one operator: see :func:`operator_effects`."""

    interval: stats.Interval  # of the mean difference, in the unit of the fitness
    children: int  # that the mean counts
    ignored: int  # children left out: they or their parents failed


class ByGeneration(NamedTuple):
    """See :func:`per_generation`."""

    generation: NDArray  # [g] those that have a body to count, ascending
    interval: stats.Interval  # arrays [g]
    bodies: NDArray  # [g] how many the mean counts, over all runs


def checked(lineage: Lineage) -> Lineage:
    """The lineage as NumPy arrays, or a UsageError that names the first row that is wrong."""
    parent, limbs, born = (_integers(lineage, name) for name in ("parent", "limbs", "born"))
    fitness, operator = np.asarray(lineage.fitness, float), tuple(lineage.operator)
    columns = Lineage(parent, operator, fitness, limbs, born)
    sizes = {name: np.shape(column) for name, column in columns._asdict().items()}
    if parent.shape == (0,) or any(size != (len(parent),) for size in sizes.values()):
        told = ", ".join(f"{name} {list(size)}" for name, size in sizes.items())
        raise UsageError(f"a lineage needs columns of one length, at least 1, not {told}")
    number = np.arange(len(parent))
    founds = parent == FOUNDER
    named = np.array([bool(name) for name in operator])
    for wrong, says in (
        ((parent < FOUNDER) | (parent >= number), "parent {parent} is neither -1 nor before it"),
        (~(fitness < np.inf), "fitness {fitness} is neither finite nor -inf"),
        (named & founds, "operator {operator!r}, but a founder has none (parent -1)"),
        (~named & ~founds, "no operator, but a parent ({parent})"),
        (np.diff(born, prepend=born[0]) < 0, "born in phase {born}, before the row above it"),
    ):
        for row in np.flatnonzero(wrong)[:1]:
            cells = {name: column[row] for name, column in columns._asdict().items()}
            raise UsageError(f"lineage, row {row}: {says.format(**cells)}")
    return columns


def check_window(window: int) -> None:
    """A population has at least one body."""
    if window < 1:
        raise UsageError(f"window must be at least 1 body, not {window}")


def generation(lineage: Lineage) -> NDArray:
    """Mutations since the founder, [n]: 0 for a founder, its parent's plus 1 for a child."""
    depth = []
    for parent in checked(lineage).parent.tolist():
        depth.append(0 if parent == FOUNDER else depth[parent] + 1)
    return np.array(depth)


def founder(lineage: Lineage) -> NDArray:
    """Number of the founder from which each body descends, [n]; a founder's is its own."""
    origin = []
    for number, parent in enumerate(checked(lineage).parent.tolist()):
        origin.append(number if parent == FOUNDER else origin[parent])
    return np.array(origin)


def founder_shares(lineage: Lineage, window: int, counts: ArrayLike | None = None) -> FounderShares:
    """Share of each founder's descendants, itself included, among the living.

    share[c, f] = (bodies i of counts[c] - window <= i < counts[c] that descend from f) over
    min(window, counts[c]): the quantity a Muller plot stacks (Muller 1932, "Some genetic
    aspects of sex").

    Args:
      lineage: of one run.
      window: bodies alive at a time, the population.
      counts: bodies searched, each in 1..n; default: every one of them.

    Returns:
      The shares, [counts, founders].
    """
    check_window(window)
    founders, index = np.unique(founder(lineage), return_inverse=True)
    counts = np.arange(1, len(index) + 1) if counts is None else np.asarray(counts)
    if counts.ndim != 1 or not np.all((counts >= 1) & (counts <= len(index))):
        raise UsageError(f"counts must be a list of numbers in 1..{len(index)}")
    share = np.zeros((len(counts), len(founders)))
    for row, count in zip(share, counts.tolist(), strict=True):
        living = index[max(0, count - window) : count]
        row[:] = np.bincount(living, minlength=len(founders)) / len(living)
    return FounderShares(founders, counts, share)


def survivors(share: ArrayLike) -> NDArray:
    """How many founders have a living descendant: [..., founders] to [...]."""
    return np.count_nonzero(_shares(share), axis=-1)


def effective_founders(share: ArrayLike) -> NDArray:
    """exp(-Σ_f s_f ln s_f): as many equally shared founders would be as diverse.

    The Hill number of order 1 (Hill 1973, "Diversity and evenness"): f for f equal shares, near
    1 when one founder has almost all.

    Args:
      share: [..., founders], summing to 1 over the last axis.

    Returns:
      [...], between 1 and :func:`survivors`.
    """
    share = _shares(share)
    return np.exp(-np.sum(share * np.log(np.where(share > 0, share, 1)), axis=-1))


def best_so_far(lineage: Lineage) -> NDArray:
    """Highest fitness among bodies 0..i, [n]; -inf before the first finite one."""
    return np.maximum.accumulate(checked(lineage).fitness)


def running_mean(lineage: Lineage, window: int) -> RunningMean:
    """Mean fitness of the living after each body: of the last `window`, fewer at the start.

    Args:
      lineage: of one run.
      window: bodies alive at a time.

    Returns:
      The mean over finite fitnesses and how many others the window holds.
    """
    check_window(window)
    fitness = checked(lineage).fitness
    finite = np.isfinite(fitness)
    # Differences of sums from the start; centred, so that they lose no digits to a large level.
    level = fitness[finite].mean() if finite.any() else 0.0
    total = _trailing(np.where(finite, fitness - level, 0.0), window)
    counted, ignored = _trailing(finite.astype(int), window), _trailing((~finite) * 1, window)
    mean = np.where(counted > 0, level + total / np.maximum(counted, 1), np.nan)
    return RunningMean(mean, ignored)


def ancestors(lineage: Lineage, number: int) -> NDArray:
    """Numbers of a body's ancestors, its parent first and its founder last; none for a founder."""
    parent = checked(lineage).parent
    if not 0 <= number < len(parent):
        raise UsageError(f"there is no body {number}: this lineage has 0..{len(parent) - 1}")
    line = []
    while (number := int(parent[number])) != FOUNDER:
        line.append(number)
    return np.array(line, int)


def operator_effects(
    *lineages: Lineage, level: float = 0.95, num: int = 2000, seed: int = 0
) -> dict[str, Effect]:
    """Mean of a child's fitness minus its parent's, by the operator that made the child.

    A parent is the winner of a tournament, hence luckier than it is good: with noise in the
    fitness the differences are low by that luck, and even an operator that changes nothing shows
    a loss. Compare operators with one another, which are drawn whatever the parent (but for the
    limits on limbs), and not with 0.

    Children of one parent share its luck, so the bootstrap draws parents, each with all its
    children of that operator.

    Args:
      *lineages: of one run or several; their children are pooled.
      level: confidence level, in (0, 1).
      num: replicates.
      seed: of NumPy's generator.

    Returns:
      Effects by name, the best first; NaN for an operator none of whose children counts.
    """
    operator, family, difference = [], [], []
    for run, lineage in enumerate(map(checked, lineages)):
        child = np.flatnonzero(lineage.parent != FOUNDER)
        parent = lineage.parent[child]
        with np.errstate(invalid="ignore"):  # -inf - -inf
            difference.append(lineage.fitness[child] - lineage.fitness[parent])
        operator += [lineage.operator[i] for i in child]
        family += [(run, number) for number in parent.tolist()]
    operator, difference = np.array(operator, str), np.concatenate([*difference, []])
    family = np.unique(np.array(family).reshape(-1, 2), axis=0, return_inverse=True)[1].ravel()
    effects = {}
    for name in np.unique(operator).tolist():
        of, counts = operator == name, np.isfinite(difference)
        families, index = np.unique(family[of & counts], return_inverse=True)
        bodies = np.bincount(index, minlength=len(families))
        total = np.bincount(index, difference[of & counts], minlength=len(families))
        interval = _ratio_interval(total, bodies, level=level, num=num, seed=seed)
        effects[name] = Effect(interval, int(bodies.sum()), int((of & ~counts).sum()))
    by_effect = sorted(effects, key=lambda name: -np.nan_to_num(effects[name].interval.point))
    return {name: effects[name] for name in by_effect}


def per_generation(*runs: tuple[Lineage, ArrayLike], level: float = 0.95) -> ByGeneration:
    """Mean of a value by generation, with Student's t interval.

    One run: the mean over its bodies of a generation; the interval is of these bodies, which are
    relatives, and does not say where another run would lie. Several runs: the mean over runs of
    that mean, and an interval over runs. NaN bounds below three bodies, or runs.

    Args:
      *runs: each a lineage and its values [n], for instance the fitness; what is not finite is
        left out.
      level: confidence level, in (0, 1).

    Returns:
      The means by generation.
    """
    samples: dict[int, list[NDArray]] = {}
    for lineage, value in runs:
        depth, value = generation(lineage), np.asarray(value, float)
        if value.shape != depth.shape:
            raise UsageError(f"{len(depth)} bodies need as many values, not {list(value.shape)}")
        for g in np.unique(depth[np.isfinite(value)]).tolist():
            samples.setdefault(g, []).append(value[(depth == g) & np.isfinite(value)])
    if not samples:
        raise UsageError("no body of these runs has a finite value")
    found = sorted(samples)
    if len(runs) > 1:
        means = [[sample.mean() for sample in samples[g]] for g in found]
    else:
        means = [samples[g][0] for g in found]
    parts = [stats.mean_interval(mean, level=level) for mean in means]
    interval = stats.Interval(*(np.array(part, float) for part in zip(*parts, strict=True)))
    bodies = np.array([sum(map(len, samples[g])) for g in found])
    return ByGeneration(np.array(found), interval, bodies)


def iterations_to(curve: ArrayLike, criterion: ArrayLike, *, smooth: int = 1) -> NDArray:
    """Training iterations until the score first reaches the criterion: learning speed.

    min {t : mean(curve[t - smooth : t]) >= criterion}, t counted from 1.

    The first passage of a noisy curve comes early by luck; `smooth` averages it out. A mean over
    bodies must not drop those that never arrive, for they are the slow ones:
    ``np.minimum(result, iterations)`` counts them with the budget and gives the restricted mean
    (Royston & Parmar 2013, "Restricted mean survival time").

    Args:
      curve: [n, iterations], the score after each iteration; NaN (no episode has ended yet)
        reaches nothing.
      criterion: a number, or one a body [n].
      smooth: iterations averaged.

    Returns:
      [n] iterations; inf for a body that never gets there.
    """
    curve = _curves(curve)
    if not 1 <= smooth <= curve.shape[1]:
        raise UsageError(f"smooth must lie in 1..{curve.shape[1]} iterations, not {smooth}")
    means = np.lib.stride_tricks.sliding_window_view(curve, smooth, axis=1).mean(-1)
    reached = means >= np.broadcast_to(criterion, len(curve))[:, None]
    return np.where(reached.any(1), reached.argmax(1) + float(smooth), np.inf)


def asymptote(curve: ArrayLike, last: int | None = None) -> NDArray:
    """Mean score over the last iterations, where learning has levelled off, [n].

    Args:
      curve: [n, iterations].
      last: iterations averaged; default: 100 of 1220, as the fitness of Gupta et al. 2021.

    Returns:
      [n]; NaN for a body with a NaN among them.
    """
    curve = _curves(curve)
    last = max(1, round(curve.shape[1] * 100 / 1220)) if last is None else last
    if not 1 <= last <= curve.shape[1]:
        raise UsageError(f"last must lie in 1..{curve.shape[1]} iterations, not {last}")
    return curve[:, -last:].mean(1)


def milestone(curve: ArrayLike, fraction: float = 0.5, last: int | None = None) -> float:
    """A score that is `fraction` of the way from where these bodies start to where they end.

    start + fraction (end - start), the medians over bodies of the first finite score and of the
    asymptote. A fraction of the end alone would mean something else for a score that starts
    below 0 or, with a bonus for every step, far above it.

    Args:
      curve: [n, iterations], for instance of the founders.
      fraction: 0 gives the start, 1 the end.
      last: see :func:`asymptote`.

    Returns:
      The score, a criterion for :func:`iterations_to`; NaN if a body's asymptote is.
    """
    end, curve = np.median(asymptote(curve, last)), _curves(curve)
    start = np.median(curve[np.arange(len(curve)), np.isfinite(curve).argmax(1)])
    return float(start + fraction * (end - start))


def _ratio_interval(total: NDArray, bodies: NDArray, **bootstrap: float) -> stats.Interval:
    """Of Σ total / Σ bodies, drawing families."""
    if not len(total):
        return stats.Interval(*np.full(3, np.nan))
    families = np.arange(len(total))[:, None]
    ratio = lambda drawn: total[(i := drawn.astype(int))].sum() / bodies[i].sum()  # noqa: E731
    return stats.bootstrap_interval(families, ratio, **bootstrap)


def _trailing(x: NDArray, window: int) -> NDArray:
    """Sum over the last `window` entries, fewer at the start."""
    total = np.cumsum(x)
    total[window:] = total[window:] - total[:-window]
    return total


def _integers(lineage: Lineage, name: str) -> NDArray:
    given = np.asarray(getattr(lineage, name))
    if given.size and not np.issubdtype(given.dtype, np.integer):
        raise UsageError(f"lineage: {name} must be integers, not {given.dtype}")
    return given.astype(int)


def _shares(share: ArrayLike) -> NDArray:
    share = np.asarray(share, float)
    if share.ndim < 1 or np.any(share < 0) or not np.allclose(share.sum(-1), 1):
        raise UsageError("shares must not be negative and must sum to 1 over the founders")
    return share


def _curves(curve: ArrayLike) -> NDArray:
    curve = np.asarray(curve, float)
    if curve.ndim != 2 or curve.shape[1] == 0:
        raise UsageError(f"curve must be [bodies, iterations], not {list(curve.shape)}")
    return curve
