"""Clips from plans: the base, the feet, and the joints' angles that lead from one to the other."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jaxrl_suite.data.gaits import curves, flying, starts, walking
from jaxrl_suite.data.gaits.flying import Flight
from jaxrl_suite.data.gaits.walking import Course, Feet, Passage, Pause
from jaxrl_suite.data.motion import Clip
from jaxrl_suite.envs import turns
from jaxrl_suite.envs.quadruped import legs

SOURCE = "procedural"


class Leap(NamedTuple):
    """A jump in the stride: in the extended flight of a bound, after so many strides."""

    strides: int
    flight: Flight


class Posture(NamedTuple):
    """How the base leaves the place where it would stand.

    times: [K] (s).
    poses: [K, 6]: x, y, z (m), roll, pitch and yaw (rad).
    """

    times: np.ndarray
    poses: np.ndarray


class Raised(NamedTuple):
    """Feet that leave the ground and come back to where they stood.

    legs: whose.
    times: [R, 4], when they begin to rise, are up, begin to sink, are down (s).
    places: [L, 3], seen from the base, up (m).
    """

    legs: Sequence[int]
    times: np.ndarray
    places: np.ndarray


class Plan(NamedTuple):
    """A clip to be.

    name, group: of the clip.
    passages: what it does.
    blend: time in which a passage replaces another (s).
    leaps: jumps in the stride of the first passage.
    hops: jumps of all four feet at once.
    posture: of the base.
    raised: feet.
    """

    name: str
    group: str
    passages: Sequence[Passage]
    blend: float = 0.8
    leaps: Sequence[Leap] = ()
    hops: Sequence[Flight] = ()
    posture: Posture | None = None
    raised: Raised | None = None


class Made(NamedTuple):
    """A clip with what is known of it.

    clip: float64.
    stands: bool [F, 4], feet on the ground.
    air: bool [F], in a jump.
    """

    clip: Clip
    stands: np.ndarray
    air: np.ndarray


def composed(plan: Plan) -> Made:
    """A clip of a plan."""
    at, flights = _timed(plan)
    swings = walking.swings_of(plan.passages, at)
    own = np.array([(hop.takeoff, hop.landing) for hop in plan.hops]).reshape(-1, 2)
    swings = [np.sort(np.concatenate([x, own]), axis=0) for x in swings]
    feet = walking.feet_of(plan.passages, at, swings, flights)
    calm = flying.calm(flights, at.time, plan.blend / 2)
    y, z, roll, pitch = walking.rocked(plan.passages, at) * calm
    height = walking.mixed(plan.passages, at, "height") + z
    pitch = walking.mixed(plan.passages, at, "tilt") + pitch
    height, pitch, air = flying.flown(flights, at.time, height, pitch)
    base = np.stack([np.zeros_like(y), y, height, roll, pitch, np.zeros_like(y)], axis=1)
    if plan.posture:
        base = base + curves.through(plan.posture.times, plan.posture.poses, at.time)
    position, quaternion = _world(at, base)
    if plan.raised:
        feet = _lifted(feet, at.time, position, quaternion, plan.raised)
    first, last = np.searchsorted(at.time, [-1e-9, at.time[-1] - walking.BEYOND + 1e-9])
    pick = lambda x: x[first : last : walking.FINE]  # noqa: E731
    position, quaternion, place = map(pick, (position, quaternion, feet.place))
    seen = turns.rotate(turns.conjugate(quaternion)[:, None], place - position[:, None])
    labels = (plan.name, plan.group, SOURCE)
    frames = (position, quaternion, np.zeros((len(position), 0, 4)), legs.angles(seen))
    clip = Clip(*labels, *frames, fps=float(walking.FPS), loop=False)
    return Made(starts.marked(clip, "plan"), pick(feet.stands), pick(air))


def _timed(plan: Plan) -> tuple[Course, list[Flight]]:
    """The plan, integrated, and its jumps with their times."""
    pauses, lifts = [], []
    for leap in plan.leaps:
        gait = plan.passages[0].gait
        lift, land = gait.offsets[2] + gait.duty, gait.offsets[0]
        rest = leap.flight.seconds - (land - lift) / gait.frequency
        pauses.append(Pause(leap.strides + (lift + land) / 2, rest))
        lifts.append(leap.strides + lift)
    at = walking.course(plan.passages, plan.blend, pauses)
    flights = [
        leap.flight._replace(takeoff=walking.crossing(at, lift))
        for leap, lift in zip(plan.leaps, lifts, strict=True)
    ]
    return at, [*plan.hops, *flights]


def _world(at: Course, base: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Position [N, 3] and quaternion [N, 4] of a base [N, 6] that is told from its place on the
    ground: x, y, z, roll, pitch, yaw."""
    x, y, z, roll, pitch, yaw = base.T
    cos, sin = np.cos(at.heading), np.sin(at.heading)
    place = at.place + np.stack([cos * x - sin * y, sin * x + cos * y], axis=1)
    turned = turns.multiply(turns.about_y(pitch), _about(0, roll))
    return np.column_stack([place, z]), turns.multiply(_about(2, at.heading + yaw), turned)


def _about(axis: int, angle: np.ndarray) -> np.ndarray:
    """Rotation by `angle` [N] (rad) about an axis, [N, 4]."""
    found = np.zeros((len(angle), 4))
    found[:, 0], found[:, 1 + axis] = np.cos(angle / 2), np.sin(angle / 2)
    return found


def _lifted(
    feet: Feet, time: np.ndarray, position: np.ndarray, quaternion: np.ndarray, raised: Raised
) -> Feet:
    """The feet, some of them up."""
    up = np.zeros(len(time))
    for begin, high, sink, down in raised.times:
        up += curves.ease((time - begin) / (high - begin))
        up -= curves.ease((time - sink) / (down - sink))
    place, stands = feet.place.copy(), feet.stands.copy()
    for leg, seen in zip(raised.legs, raised.places, strict=True):
        there = position + turns.rotate(quaternion, seen)
        place[:, leg] += up[:, None] * (there - place[:, leg])
        stands[:, leg] &= up <= 0.0
    return Feet(place, stands)
