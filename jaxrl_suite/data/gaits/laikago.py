"""Puts motions of Laikago, as motion_imitation (Peng et al. 2020) has them, on the quadruped.

Frames are those of the URDF file laikago_toes_limits of pybullet, from which all numbers here are.
Its base has x to the left, y up and z ahead; what turns that into x ahead, y left and z up, the
rotation (.5, .5, .5, .5), is part of the base's quaternion in the file and is divided out. Its
origin lies 2.4 cm behind the middle of the hips, which is ours.

Legs are FR, FL, RR, RL, joints abduction, hip and knee, as ours. An abduction is about the axis
ahead on the left and about its opposite on the right. Hips and knees turn about the axis to the
left, the opposite of ours; at zero the thigh leans back by 0.599 rad, and the line from knee to toe
by 0.088 rad. Hence, with s = -1 on the right and 1 on the left,

    abduction = s q1,   hip = -(q2 + 0.599),   knee = (0.599 - 0.088) - q3.

The robot's own software says 0.66 instead of 0.511, of the knee's motor and not of the toe.

Angles are taken as they are, so that a leg points where Laikago's does. Ours are shorter, 0.4515 m
to 0.503 m; the base's path shrinks by as much. What remains is small: where the thigh sits beside
its hip (9 cm here, 6 there), and how far apart the hips are (39 cm here, 44 there).
"""

import math

import numpy as np

from jaxrl_suite.core import UsageError
from jaxrl_suite.data.motion import Clip
from jaxrl_suite.envs import turns
from jaxrl_suite.envs.quadruped import robot

REST = np.array([0.5, 0.5, 0.5, 0.5])  # the same in both orders
MIDDLE = (0.242889 - 0.194401) / 2  # m, between the hips, ahead of the origin
KNEE, TOE = (0.20833, 0.1422), (0.25, 0.022)  # m down and back, from hip to knee and knee to toe
THIGH, SHANK = math.hypot(*KNEE), math.hypot(*TOE)
LEAN, BEND = math.atan2(*KNEE[::-1]), math.atan2(*TOE[::-1])  # rad, back
RATIO = (robot.THIGH + robot.SHANK) / (THIGH + SHANK)
LOOPS = ("Clamp", "Wrap")
LONG = 6.0  # s, of motions that repeat themselves


def converted(clip: Clip, file: dict, about: str) -> Clip:
    """A clip of ours.

    Args:
      clip: the file's numbers.
      file: all of it: its LoopMode, and what moves on when it repeats itself.
      about: what a message calls the clip.

    Raises:
      UsageError: an unknown LoopMode.
    """
    if file["LoopMode"] not in LOOPS:
        raise UsageError(f"{about}: LoopMode is {file['LoopMode']!r}; legal: {', '.join(LOOPS)}")
    quaternion = turns.multiply(clip.quaternion, turns.conjugate(REST))
    middle = clip.position + turns.rotate(quaternion, np.array([MIDDLE, 0.0, 0.0]))
    abduction, hip, knee = (clip.hinges[:, i::3] for i in range(3))
    angles = [robot.SIDES * abduction, -(hip + LEAN), LEAN - BEND - knee]
    clip = clip._replace(
        position=middle * RATIO,
        quaternion=quaternion,
        hinges=np.stack(angles, axis=2).reshape(len(middle), 12),
    )
    if file["LoopMode"] == "Clamp":
        return clip
    moves, turning = (file.get(f"EnableCycleOffset{x}", False) for x in ("Position", "Rotation"))
    return repeated(clip, bool(moves), bool(turning))


def repeated(clip: Clip, moves: bool, turning: bool) -> Clip:
    """A motion whose last frame is its first one again, so often that it lasts 6 s.

    Args:
      clip: once.
      moves: it goes on from where it has led, or else from where it began.
      turning: the same of its heading.
    """
    laps = math.ceil(LONG * clip.fps / (len(clip.position) - 1))
    ahead = turns.rotate(clip.quaternion[[0, -1]], np.array([1.0, 0.0, 0.0]))
    heading = np.arctan2(ahead[:, 1], ahead[:, 0])
    turn = (heading[1] - heading[0]) * turning
    way = (clip.position[-1] - clip.position[0]) * np.array([1.0, 1.0, 0.0]) * moves
    begin = clip.position[0] * np.array([1.0, 1.0, 0.0])
    positions, quaternions, place = [], [], begin
    for lap in range(laps):
        about = np.array([math.cos(lap * turn / 2), 0.0, 0.0, math.sin(lap * turn / 2)])
        positions.append(place + turns.rotate(about, clip.position - begin)[:-1])
        quaternions.append(turns.multiply(about, clip.quaternion)[:-1])
        place = place + turns.rotate(about, way)
    return clip._replace(
        position=np.concatenate(positions),
        quaternion=np.concatenate(quaternions),
        balls=np.zeros((laps * (len(clip.position) - 1), 0, 4)),
        hinges=np.tile(clip.hinges[:-1], (laps, 1)),
    )
