"""The robot: a base and four legs of three hinges each, 13 kg.

x points forward, y left, z up. Legs are front right, front left, hind right, hind left (FR, FL, HR,
HL), joints of each abduction (about x), hip and knee (both about -y); the 12 joints are numbered in
that order everywhere. At zero angles the legs hang down straight; a positive hip or knee swings the
foot forward. Measures are those of the robot of Han et al. 2024; the file is our own.

differs: the original's trunk, thighs, shanks and knee wheels collide, with each other too; here
four spheres for feet and a capsule for the trunk touch the ground. Its origin of the base is the
centre of mass of the trunk, up to 1.1 cm from the frame of the joints, which is the origin here.
"""

import functools
from typing import NamedTuple

import numpy as np

from jaxrl_suite import physics

LEGS = ("FR", "FL", "HR", "HL")
JOINTS = tuple(f"{leg}_{joint}" for leg in LEGS for joint in ("abduction", "hip", "knee"))
SIDES = np.array([-1.0, 1.0, -1.0, 1.0])  # of the legs: 1 left, -1 right
HIPS = np.array([[x, side * 0.06, 0.0] for x, side in zip((0.195,) * 2 + (-0.195,) * 2, SIDES)])  # noqa: B905
ABDUCTION = 0.09  # m, from the hip's origin outwards to the thigh
THIGH, SHANK = 0.2115, 0.24  # m
FOOT = 0.025  # m, radius
LOWER = np.array([-0.872, -4.3633, -2.4496, -0.697, -4.3633, -2.4496] * 2)
UPPER = np.array([0.697, 1.2217, 2.5440, 0.872, 1.2217, 2.5440] * 2)
LOWER[[8, 11]], UPPER[[8, 11]] = -2.3995, 2.5855
SPEED = np.array([20.0, 20.0, 33.0] * 4)  # rad/s, that the motors reach
TORQUE = 18.0  # N m
STIFFNESS, DAMPING = 50.0, 0.5  # of the servos, N m/rad and N m s/rad
MIRRORED = np.array([3, 4, 5, 0, 1, 2, 9, 10, 11, 6, 7, 8])  # joints of the other side
MIRROR_SIGN = np.array([-1.0, 1.0, 1.0] * 4)

TRUNK = (0.18, 0.055)  # m, half length and radius of the capsule
STAND_HEIGHT = 0.334  # m, of the base
# The base leans a little: level, the front feet would hang 2 cm higher than the hind ones.
_LEANS = np.array([0.9996, 0.0138, 0.0235, -0.0003])
STAND_TURN = _LEANS / np.linalg.norm(_LEANS)  # w, x, y, z
STAND = np.array([-0.028, -0.779, 1.687] * 2 + [-0.028, -0.733, 1.567] * 2)  # rad


class Mass(NamedTuple):
    """What a rigid part weighs.

    mass: (kg).
    centre: [3], of mass (m).
    inertia: [3, 3], about it (kg m^2).
    """

    mass: float
    centre: np.ndarray
    inertia: np.ndarray


def _mass(
    mass: float, centre: tuple, diagonal: tuple, xy: float = 0.0, xz: float = 0.0, yz: float = 0.0
) -> Mass:
    inertia = np.diag(diagonal) + np.array([[0, xy, xz], [xy, 0, yz], [xz, yz, 0]])
    return Mass(mass, np.array(centre), inertia)


def _mirror(part: Mass) -> Mass:
    """Of the other side."""
    flip = np.array([1.0, -1.0, 1.0])
    return Mass(part.mass, part.centre * flip, part.inertia * np.outer(flip, flip))


def _joined(one: Mass, two: Mass) -> Mass:
    """Two parts as one, by the parallel axis theorem."""
    mass = one.mass + two.mass
    centre = (one.mass * one.centre + two.mass * two.centre) / mass
    inertia = np.zeros((3, 3))
    for part in (one, two):
        d = part.centre - centre
        inertia += part.inertia + part.mass * (d @ d * np.eye(3) - np.outer(d, d))
    return Mass(mass, centre, inertia)


_BASE = _mass(
    5.76855,
    (-0.00458, 0.00307, 0.00948),
    (0.0478275, 0.105776, 0.121012),
    xy=5.6e-4, xz=1.5e-4, yz=5.4e-4,
)  # fmt: skip


def _leg(front: bool) -> tuple[Mass, Mass, Mass]:
    """Hip, thigh with the wheel at the knee, and shank, of a right leg."""
    hip = _mass(
        0.60318,
        (-0.00287 if front else 0.00287, 0.00035, -0.00047),
        (0.00036534, 0.00064755, 0.00041528),
    )
    if front:
        thigh = _mass(
            0.87783, (-0.00070, 0.02582, -0.02735), (0.0036281, 0.00369602, 0.00075378), yz=5.2e-4
        )
        wheel = _mass(0.06293, (0, -0.0355, -THIGH), (1.75e-5, 2.92e-5, 1.75e-5))
        shank = _mass(0.16888, (0.00155, 0, -0.12442), (0.00151605, 0.0015303, 0.0000341))
    else:
        thigh = _mass(
            0.89043, (-0.00077, 0.02622, -0.02560), (0.00366698, 0.00417229, 0.00119996), yz=4.7e-4
        )
        wheel = _mass(0.120, (0, -0.04795, -THIGH), (2.5e-5, 4e-5, 2.5e-5))
        shank = _mass(0.28839, (0.00171, -0.00016, -0.08671), (0.00208102, 0.00209717, 0.00006551))
    return hip, _joined(thigh, wheel), shank


def parts() -> tuple[Mass, ...]:
    """Of the 13 links, base first, then hip, thigh and shank of every leg."""
    found = [_BASE]
    for leg in LEGS:
        right = _leg(leg[0] == "F")
        found += right if leg[1] == "R" else [_mirror(part) for part in right]
    return tuple(found)


def _inertial(part: Mass) -> str:
    i = part.inertia
    full = (i[0, 0], i[1, 1], i[2, 2], i[0, 1], i[0, 2], i[1, 2])
    return (
        f'<inertial mass="{part.mass:.10g}" pos="{_numbers(part.centre)}" '
        f'fullinertia="{_numbers(full)}"/>'
    )


def _numbers(values: object) -> str:
    return " ".join(f"{value:.10g}" for value in values)


def _leg_body(leg: int) -> str:
    of, shin = parts()[1 + 3 * leg :], LEGS[leg]
    side = SIDES[leg]
    places = (HIPS[leg], (0, side * ABDUCTION, 0), (0, 0, -THIGH))
    inner = f'<geom type="sphere" size="{FOOT}" pos="0 0 {-SHANK}" mass="0"/>'
    for i in (2, 1, 0):
        joint = 3 * leg + i
        axis = "1 0 0" if i == 0 else "0 -1 0"
        inner = (
            f'<body name="{shin}_{("hip", "thigh", "shank")[i]}" pos="{_numbers(places[i])}">'
            f'{_inertial(of[i])}<joint name="{JOINTS[joint]}" axis="{axis}" '
            f'range="{LOWER[joint]} {UPPER[joint]}"/>{inner}</body>'
        )
    return inner


def mjcf(timestep: float, torque: float = TORQUE, friction: float = 1.0) -> str:
    """The robot on level ground, with servos whose error is to the target that they are given.

    Args:
      timestep: (s).
      torque: largest of a joint (N m).
      friction: of feet and ground, each; MuJoCo takes the larger.
    """
    half, radius = TRUNK
    servos = "".join(f'<position joint="{joint}"/>' for joint in JOINTS)
    return (
        f'<mujoco><compiler angle="radian"/><option timestep="{timestep:.17g}"/><default>'
        f'<geom contype="1" conaffinity="0" condim="3" friction="{friction} 0.005 0.0001"/>'
        '<joint type="hinge" limited="true" damping="0.1" armature="0.01"/>'
        f'<position kp="{STIFFNESS}" kv="{DAMPING}" forcelimited="true" '
        f'forcerange="{-torque} {torque}"/></default>'
        '<worldbody><geom name="ground" type="plane" size="0 0 1" contype="1" conaffinity="1"/>'
        f'<body name="base" pos="0 0 {STAND_HEIGHT}"><freejoint/>{_inertial(parts()[0])}'
        f'<geom type="capsule" fromto="{-half} 0 0 {half} 0 0" size="{radius}" mass="0"/>'
        f"{''.join(map(_leg_body, range(4)))}</body></worldbody>"
        f"<actuator>{servos}</actuator></mujoco>"
    )


@functools.cache
def body(timestep: float, torque: float = TORQUE) -> physics.Body:
    """The robot as the engine knows it."""
    return physics.from_mjcf(mjcf(timestep, torque))
