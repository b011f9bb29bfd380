"""Curves of which motions are made, over time in seconds."""

import numpy as np


def ease(share: np.ndarray) -> np.ndarray:
    """The way of least jerk from 0 to 1: 10 u^3 - 15 u^4 + 6 u^5, u cut to 0 .. 1."""
    u = np.clip(share, 0.0, 1.0)
    return u**3 * (10.0 + u * (6.0 * u - 15.0))


def through(times: np.ndarray, values: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Values [K, ...] at times [K], with the way of least jerk in between, at times [N]."""
    place = np.clip(np.searchsorted(times, at, side="right") - 1, 0, len(times) - 2)
    share = ease((at - times[place]) / (times[place + 1] - times[place]))
    share = share.reshape(-1, *[1] * (values.ndim - 1))
    return values[place] + share * (values[place + 1] - values[place])


def quintic(
    start: tuple[float, ...], end: tuple[float, ...], share: np.ndarray, seconds: float
) -> np.ndarray:
    """The polynomial of fifth degree between two states (place, speed, acceleration).

    Args:
      start: the first state.
      end: the second one.
      share: [N], of the way, 0 to 1.
      seconds: of the whole.
    """
    powers = np.arange(6)
    rows = [_derivative(powers, x, order) for x in (0.0, 1.0) for order in range(3)]
    wanted = [value * seconds**order for state in (start, end) for order, value in enumerate(state)]
    return np.polynomial.polynomial.polyval(share, np.linalg.solve(np.stack(rows), wanted))


def integral(rate: np.ndarray, step: float) -> np.ndarray:
    """Of rates [N] over time, by trapezoids, 0 at first."""
    return np.concatenate([[0.0], np.cumsum((rate[1:] + rate[:-1]) / 2) * step])


def _derivative(powers: np.ndarray, x: float, order: int) -> np.ndarray:
    """Of x^k at x, by k."""
    factor = np.ones(len(powers))
    for i in range(order):
        factor = factor * (powers - i)
    return factor * np.where(powers >= order, x ** np.maximum(powers - order, 0), 0.0)
