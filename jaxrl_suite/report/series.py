"""What a figure is given: series over seeds, checked and reduced to intervals.

No matplotlib here: only what is drawn where.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from jaxrl_suite.core import UsageError
from jaxrl_suite.report import stats

# label: (x, y), y [seeds, x] or what the caller made of it
Series = Mapping[str, tuple[ArrayLike, ArrayLike | stats.Interval]]


def summarise(series: Series) -> dict[str, tuple[np.ndarray, stats.Interval]]:
    """Checks shapes and reduces seeds to an interval for every x."""
    if not series:
        raise UsageError("a figure needs at least one series")
    summary = {}
    for label, (x, y) in series.items():
        x = np.asarray(x)
        if not isinstance(y, stats.Interval):
            y = np.asarray(y, float)
            if y.ndim != 2:
                raise UsageError(f"series {label!r}: y must be [seeds, x], not {list(y.shape)}")
            y = stats.mean_interval(y)
        y = stats.Interval(*(np.asarray(part, float) for part in y))
        if x.ndim != 1 or y.point.shape != x.shape:
            raise UsageError(f"series {label!r}: {x.size} x, but y for {y.point.size}")
        summary[label] = (x, y)
    return summary


def caption(series: Series, drawn: str) -> str | None:
    """Says what the marks are and from how many seeds; None for intervals made elsewhere."""
    seeds = {len(y) for _, y in series.values() if not isinstance(y, stats.Interval)}
    if not seeds:
        return None
    low, high = min(seeds), max(seeds)
    count = f"{low} to {high} seeds" if low < high else "1 seed" if low == 1 else f"{low} seeds"
    if high < stats.MIN_SEEDS:
        return f"{'one run' if high == 1 else 'mean'}, {count}: too few for an interval"
    return f"mean of {count}; {drawn}: 95% interval (Student's t)"


def listed(x: ArrayLike) -> list:
    """As a list of Python values, so that 4 prints as 4 in a list with names."""
    return x.tolist() if hasattr(x, "tolist") else list(x)


def dodged(xs: list, names: list, scale: str, place: float) -> np.ndarray:
    """Where to draw, each series a little aside so that whiskers do not cover each other."""
    if scale == "categorical":
        return np.array([names.index(x) for x in xs]) + 0.05 * place
    x = np.asarray(xs, float)
    if scale == "log":
        return x * 2 ** (0.04 * place)
    return x + 0.008 * place * np.ptp(np.asarray(names, float))


def arms(interval: stats.Interval) -> np.ndarray:
    """Whisker lengths [2, x]; none (0) where there is no interval."""
    arms = np.stack([interval.point - interval.low, interval.high - interval.point])
    return np.nan_to_num(np.maximum(arms, 0))


def rows(sections: Sequence[str]) -> tuple[np.ndarray, list[tuple[float, str]]]:
    """Row of each group, a row left free for a heading wherever the section changes."""
    rows, headings, row, last = [], [], 0.0, ""
    for section in sections:
        if section != last:
            headings.append((row, section))
            row, last = row + 1, section
        rows.append(row)
        row += 1
    return np.asarray(rows), headings
