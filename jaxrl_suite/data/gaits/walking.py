"""From a plan of gaits and speeds to where the base and the feet are.

Stance feet are fixed in the world by construction: a foot stands where, halfway through its stance,
the gait wants it under the base; in between it swings from one such place to the next.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jaxrl_suite.data.gaits import stride
from jaxrl_suite.data.gaits.curves import ease, integral
from jaxrl_suite.data.gaits.flying import Flight, tucked
from jaxrl_suite.data.gaits.stride import Gait
from jaxrl_suite.envs.quadruped import robot

FPS = 60
FINE = 10  # moments between frames at which paths are integrated
BEYOND = 2.0  # s before and after a clip, so that its first and last strides are whole


class Passage(NamedTuple):
    """A part of a plan.

    seconds: it lasts.
    gait: how the dog goes.
    forward, left: speeds of the base (m/s).
    turn: rate of its heading (rad/s).
    steps: feet are lifted; otherwise the dog stands as the gait has it.
    """

    seconds: float
    gait: Gait
    forward: float = 0.0
    left: float = 0.0
    turn: float = 0.0
    steps: bool = True


class Pause(NamedTuple):
    """All legs' oscillators rest, as in the air: at a phase, in strides, for some seconds."""

    phase: float
    seconds: float


class Course(NamedTuple):
    """N moments of a plan; fields [N] unless told.

    time: 0 at the clip's beginning (s).
    weights: [P, N], of the passages, sum 1.
    phase: of the stride.
    place: [N, 2], on the ground, under the base (m).
    heading: (rad).
    steps: bool, a foot may lift off.
    """

    time: np.ndarray
    weights: np.ndarray
    phase: np.ndarray
    place: np.ndarray
    heading: np.ndarray
    steps: np.ndarray


class Feet(NamedTuple):
    """At the moments [N] of a course.

    place: [N, 4, 3], centres (m, world).
    stands: bool [N, 4].
    """

    place: np.ndarray
    stands: np.ndarray


def course(plan: Sequence[Passage], blend: float, pauses: Sequence[Pause] = ()) -> Course:
    """A plan, integrated: at time 0 phase, place and heading are 0.

    Args:
      plan: passages, one after the other.
      blend: time that a passage takes to replace the one before it (s).
      pauses: of the oscillators, in order.
    """
    seconds = sum(passage.seconds for passage in plan)
    step = 1.0 / (FPS * FINE)
    beyond = round(BEYOND / step)
    time = np.arange(-beyond, round(seconds / step) + beyond + 1) * step
    begins = np.cumsum([passage.seconds for passage in plan])[:-1]
    risen = np.stack([np.ones(len(time)), *(ease((time - begin) / blend) for begin in begins)])
    weights = risen - np.concatenate([risen[1:], np.zeros((1, len(time)))])
    of = lambda name: np.array([float(getattr(p, name)) for p in plan]) @ weights  # noqa: E731
    frequency = np.array([p.gait.frequency for p in plan]) @ weights
    phase, heading = (integral(rate, step) for rate in (frequency, of("turn")))
    phase = _paused(time, phase - phase[beyond], pauses)
    heading = heading - heading[beyond]
    cos, sin = np.cos(heading), np.sin(heading)
    forward, left = of("forward"), of("left")
    speeds = (cos * forward - sin * left, sin * forward + cos * left)
    place = np.stack([integral(speed, step) for speed in speeds], axis=1)
    own = np.array([p.steps for p in plan])[np.searchsorted(begins, time, side="right")]
    # Whoever stops makes the steps that the slowing base still needs.
    steps = own | (of("steps") > 0.02)
    return Course(time, weights, phase, place - place[beyond], heading, steps)


def _paused(time: np.ndarray, phase: np.ndarray, pauses: Sequence[Pause]) -> np.ndarray:
    """The phase [N], resting where it is told to."""
    running = time
    for pause in pauses:
        begin = np.interp(pause.phase, np.interp(running, time, phase), time)
        running = running - np.clip(time - begin, 0.0, pause.seconds)
    return np.interp(running, time, phase)


def mixed(plan: Sequence[Passage], at: Course, name: str) -> np.ndarray:
    """A number of the gaits, or several [..., N], blended as the passages are."""
    return np.moveaxis(np.array([getattr(p.gait, name) for p in plan]), 0, -1) @ at.weights


def crossing(at: Course, strides: float) -> float:
    """The time at which the phase is `strides` (s)."""
    return float(np.interp(strides, at.phase, at.time))


def swings_of(plan: Sequence[Passage], at: Course) -> list[np.ndarray]:
    """Of each leg, times [S, 2] between which its foot is in the air (s)."""
    duty, offsets, found = mixed(plan, at, "duty"), mixed(plan, at, "offsets"), []
    for offset in offsets:
        own = at.phase - offset
        strides = np.arange(np.ceil(own[0]), np.floor(own[-1]))
        lift = np.interp(strides, own - duty, at.time)
        land = np.interp(strides + 1.0, own, at.time)
        allowed = np.interp(lift, at.time, at.steps) > 0.5
        found.append(np.stack([lift, land], axis=1)[allowed])
    return found


def feet_of(
    plan: Sequence[Passage],
    at: Course,
    swings: Sequence[np.ndarray],
    flights: Sequence[Flight] = (),
) -> Feet:
    """Where the feet are.

    Args:
      plan: passages.
      at: the plan, integrated.
      swings: of each leg, times [S, 2] (s).
      flights: jumps, in which the feet are lifted higher.
    """
    stance = mixed(plan, at, "stance")
    clearance = mixed(plan, at, "clearance")
    place = np.zeros((len(at.time), 4, 3))
    stands = np.ones((len(at.time), 4), bool)
    for leg, own in enumerate(swings):
        edges = np.concatenate([[at.time[0]], own.reshape(-1), [at.time[-1]]]).reshape(-1, 2)
        holds = _holds(at, edges.mean(1), stance[leg])
        which = np.searchsorted(own[:, 1], at.time, side="right")
        place[:, leg, :2], place[:, leg, 2] = holds[which], robot.FOOT
        for i, (lift, land) in enumerate(own):
            air = (at.time > lift) & (at.time < land)
            high = float(np.interp((lift + land) / 2, at.time, clearance))
            share = (at.time[air] - lift) / (land - lift)
            # differs: the specification's quintic is a quarter faster halfway than this cubic, and
            # then than the hips' motors at a gallop.
            way = (share**2 * (3.0 - 2.0 * share))[:, None]
            place[air, leg, :2] = holds[i] + way * (holds[i + 1] - holds[i])
            place[air, leg, 2] += high * 16.0 * (share * (1.0 - share)) ** 2
            place[air, leg, 2] += sum(tucked(flight, at.time[air]) for flight in flights)
            stands[air, leg] = False
    return Feet(place, stands)


def _holds(at: Course, times: np.ndarray, stance: np.ndarray) -> np.ndarray:
    """Places [S, 2] on the ground (m) that `stance` [2, N], seen from the base, is at times [S]."""
    of = lambda values: np.interp(times, at.time, values)  # noqa: E731
    x, y, heading = of(stance[0]), of(stance[1]), of(at.heading)
    cos, sin = np.cos(heading), np.sin(heading)
    turned = np.stack([cos * x - sin * y, sin * x + cos * y], axis=1)
    return turned + np.stack([of(at.place[:, 0]), of(at.place[:, 1])], axis=1)


def rocked(plan: Sequence[Passage], at: Course) -> np.ndarray:
    """What the gaits' forces do to the base, [4, N]: y, z (m), roll and pitch (rad)."""
    total = np.zeros((4, len(at.time)))
    for passage, weight in zip(plan, at.weights, strict=True):
        if passage.steps:
            total += weight * stride.at(stride.rocking(passage.gait), at.phase)
    return total
