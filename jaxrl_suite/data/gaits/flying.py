"""Jumps: a crouch, a push, free fall along a parabola, and a landing."""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jaxrl_suite.data.gaits.curves import ease, quintic
from jaxrl_suite.data.gaits.stride import GRAVITY


class Flight(NamedTuple):
    """A jump.

    takeoff: time at which the last foot leaves the ground (s).
    apex: highest place of the base (m).
    ends: heights of the base at take-off and at landing (m).
    low: height of the base in the crouches before and after (m).
    rest: time in which the base comes down to the one, and rises from the other (s).
    pitch: of the base at take-off and at landing, nose down (rad); in the air it turns evenly.
    tuck: height by which feet are lifted more than by the gait, halfway (m).
    """

    takeoff: float
    apex: float
    ends: tuple[float, float] = (0.34, 0.33)
    low: float = 0.23
    rest: float = 0.2
    pitch: tuple[float, float] = (0.0, 0.0)
    tuck: float = 0.1

    @property
    def speeds(self) -> tuple[float, float]:
        """Of the base upwards at take-off, and downwards at landing (m/s)."""
        up, down = (float(np.sqrt(2.0 * GRAVITY * (self.apex - end))) for end in self.ends)
        return up, down

    @property
    def seconds(self) -> float:
        """In the air."""
        return sum(self.speeds) / GRAVITY

    @property
    def landing(self) -> float:
        """Time at which the first foot touches down (s)."""
        return self.takeoff + self.seconds

    @property
    def presses(self) -> tuple[float, float]:
        """Times from crouch to take-off, and from landing to crouch (s), at an even speed-up."""
        ways = zip(self.ends, self.speeds, strict=True)
        before, after = (2.0 * (end - self.low) / speed for end, speed in ways)
        return before, after

    @property
    def span(self) -> tuple[float, float]:
        """Times of the beginning of the crouch before, and the end of the one after (s)."""
        before, after = self.presses
        return self.takeoff - before - self.rest, self.landing + after + self.rest


def calm(flights: Sequence[Flight], time: np.ndarray, fade: float) -> np.ndarray:
    """Share [N] in which a gait rocks the body: none in a jump, fading over `fade` seconds."""
    left = np.ones(len(time))
    for flight in flights:
        begin, end = flight.span
        left = left * np.maximum(ease((begin - time) / fade), ease((time - end) / fade))
    return left


def flown(
    flights: Sequence[Flight], time: np.ndarray, height: np.ndarray, pitch: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Heights and pitches [N] of the base, those of the gait, with jumps, and when it is in the
    air, bool [N]."""
    height, pitch, air = height.copy(), pitch.copy(), np.zeros(len(time), bool)
    for flight in flights:
        begin, end = flight.span
        rate = (flight.pitch[1] - flight.pitch[0]) / flight.seconds
        turn = [
            (begin, float(np.interp(begin, time, pitch)), 0.0, 0.0),
            (flight.takeoff, flight.pitch[0], rate, 0.0),
            (flight.landing, flight.pitch[1], rate, 0.0),
            (end, float(np.interp(end, time, pitch)), 0.0, 0.0),
        ]
        (up, down), (before, after) = flight.speeds, flight.presses
        way = [
            (begin, float(np.interp(begin, time, height)), 0.0, 0.0),
            (flight.takeoff - before, flight.low, 0.0, 0.75 * up / before),
            (flight.takeoff, flight.ends[0], up, -GRAVITY),
            (flight.landing, flight.ends[1], -down, -GRAVITY),
            (flight.landing + after, flight.low, 0.0, 0.75 * down / after),
            (end, float(np.interp(end, time, height)), 0.0, 0.0),
        ]
        for curve, knots in ((height, way), (pitch, turn)):
            for one, two in itertools.pairwise(knots):
                own = (time >= one[0]) & (time <= two[0])
                share = (time[own] - one[0]) / (two[0] - one[0])
                curve[own] = quintic(one[1:], two[1:], share, two[0] - one[0])
        air |= (time >= flight.takeoff) & (time <= flight.landing)
    return height, pitch, air


def tucked(flight: Flight, time: np.ndarray) -> np.ndarray:
    """Height by which feet are lifted for a jump, [N] (m): at rest at its beginning and end."""
    share = np.clip((time - flight.takeoff) / flight.seconds, 0.0, 1.0)
    return flight.tuck * (4.0 * share * (1.0 - share)) ** 1.5
