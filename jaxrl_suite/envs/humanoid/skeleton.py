"""The character: 15 bodies, 12 joints, 28 degrees of freedom, 49 kg.

x points forward, y left, z up; in the zero pose it stands with its arms hanging down. Its measures
are those of the character that DeepMimic and its successors train (Peng et al. 2018, 2022); the
file is our own. Hands are welded to the lower arms, so that 13 links move.

differs: the originals' feet are boxes; here a box gives the mass and four spheres under it touch.
Thighs, upper arms and clavicles touch nothing, other parts the ground alone.
"""

import functools
import math
from typing import NamedTuple

import numpy as np

from jaxrl_suite import physics

TIMESTEP = 1.0 / 120.0  # s
STAND = 0.89  # m, of the pelvis at a start from the default pose


class Joint(NamedTuple):
    """A joint and its servo.

    name: of the joint.
    link: that it moves.
    limits: degrees about x, y and z of a ball; of a hinge about y alone.
    kp: N m/rad.
    kd: N m s/rad.
    effort: largest torque about an axis (N m).
    armature: kg m^2.
    """

    name: str
    link: str
    limits: tuple[tuple[float, float], ...]
    kp: float
    kd: float
    effort: float
    armature: float

    @property
    def is_ball(self) -> bool:
        """Three degrees of freedom, not one."""
        return len(self.limits) == 3

    @property
    def offset(self) -> float:
        """Angle that the action 0 asks for (rad)."""
        return 0.0 if self.is_ball else math.radians(sum(self.limits[0]) / 2)

    @property
    def scale(self) -> float:
        """Angle that a unit of action adds (rad)."""
        if self.is_ball:
            most = max(abs(bound) for pair in self.limits for bound in pair)
            return min(1.2 * math.radians(most), math.pi)
        low, high = self.limits[0]
        return 0.7 * math.radians(high - low)


def _mirrored(joint: Joint) -> Joint:
    """Of the left side: what turns about x and z turns the other way."""
    name, link = (x.replace("right", "left") for x in (joint.name, joint.link))
    flip = lambda pair: (-pair[1], -pair[0])  # noqa: E731
    limits = joint.limits
    if joint.is_ball:
        limits = (flip(limits[0]), limits[1], flip(limits[2]))
    return joint._replace(name=name, link=link, limits=limits)


_ARM = (
    Joint(
        "right_shoulder", "right_upper_arm", ((-180, 45), (-180, 60), (-90, 90)), 400, 40, 100, 0.02
    ),
    Joint("right_elbow", "right_lower_arm", ((-160, 0),), 300, 30, 70, 0.01),
)
_LEG = (
    Joint("right_hip", "right_thigh", ((-60, 15), (-140, 60), (-60, 35)), 500, 50, 200, 0.02),
    Joint("right_knee", "right_shin", ((0, 160),), 500, 50, 150, 0.02),
    Joint("right_ankle", "right_foot", ((-30, 30), (-55, 55), (-40, 40)), 400, 40, 90, 0.01),
)
# In the order in which actions, clips and links hold them.
JOINTS: tuple[Joint, ...] = (
    Joint("abdomen", "torso", ((-60, 60), (-60, 90), (-50, 50)), 1000, 100, 200, 0.02),
    Joint("neck", "head", ((-50, 50), (-40, 60), (-45, 45)), 100, 10, 50, 0.01),
    *_ARM,
    *map(_mirrored, _ARM),
    *_LEG,
    *map(_mirrored, _LEG),
)
LINKS: tuple[str, ...] = ("pelvis", *(joint.link for joint in JOINTS))
BALLS = np.array([i for i, joint in enumerate(JOINTS) if joint.is_ball])
HINGES = np.array([i for i, joint in enumerate(JOINTS) if not joint.is_ball])
ACTION_SIZE = 3 * len(BALLS) + len(HINGES)  # 28

HAND = (0.0, 0.0, -0.2589)  # m, in the lower arm
FEET = ("right_foot", "left_foot")
HANDS = ("right_hand", "left_hand")
LOWER_ARMS = ("right_lower_arm", "left_lower_arm")


class Geom(NamedTuple):
    """A shape: a sphere has one point, a capsule two, a box its half-sizes.

    ends: of its axis, in the body (m).
    radius: (m).
    touches: the ground.
    half: of a box (m).
    """

    ends: tuple[tuple[float, float, float], ...]
    radius: float
    touches: bool = True
    half: tuple[float, float, float] | None = None

    @property
    def volume(self) -> float:
        """m^3."""
        if self.half is not None:
            return 8.0 * math.prod(self.half)
        length = math.dist(*self.ends) if len(self.ends) == 2 else 0.0
        return math.pi * self.radius**2 * (length + 4.0 / 3.0 * self.radius)


class Part(NamedTuple):
    """A link: where it hangs on its parent (m), its mass (kg) and its shapes."""

    parent: str
    offset: tuple[float, float, float]
    mass: float
    geoms: tuple[Geom, ...]


def _rod(top: float, bottom: float, radius: float, touches: bool = True) -> Geom:
    return Geom(((0.0, 0.0, top), (0.0, 0.0, bottom)), radius, touches)


SOLE = 0.015  # m, radius of the spheres under a foot
_FOOT, _FOOT_HALF = (0.045, 0.0, -0.0225), (0.0885, 0.045, 0.0275)
SOLES = tuple(
    (
        _FOOT[0] + x * (_FOOT_HALF[0] - SOLE),
        y * (_FOOT_HALF[1] - SOLE),
        _FOOT[2] - _FOOT_HALF[2] + SOLE,
    )
    for x in (1, -1)
    for y in (1, -1)
)
# Of the right side and the middle.
_PARTS: dict[str, Part] = {
    "pelvis": Part(
        "", (0, 0, STAND), 10.0, (Geom(((0, 0, 0.07),), 0.09), Geom(((0, 0, 0.205),), 0.07))
    ),
    "torso": Part(
        "pelvis",
        (0, 0, 0.2362),
        12.0,
        (
            Geom(((0, 0, 0.12),), 0.11),
            Geom(((-0.006, -0.046, 0.229), (-0.017, -0.128, 0.238)), 0.045, False),
            Geom(((-0.006, 0.046, 0.229), (-0.017, 0.128, 0.238)), 0.045, False),
        ),
    ),
    "head": Part("torso", (0, 0, 0.2239), 3.9, (Geom(((0, 0, 0.175),), 0.095),)),
    "right_upper_arm": Part(
        "torso", (-0.0241, -0.1831, 0.2435), 1.5, (_rod(-0.05, -0.23, 0.045, False),)
    ),
    "right_lower_arm": Part(
        "right_upper_arm", (0, 0, -0.2748), 1.0, (_rod(-0.0525, -0.1875, 0.04),)
    ),
    "right_thigh": Part("pelvis", (0, -0.0849, 0), 4.5, (_rod(-0.06, -0.36, 0.055, False),)),
    "right_shin": Part("right_thigh", (0, 0, -0.4215), 3.0, (_rod(-0.045, -0.355, 0.05),)),
    "right_foot": Part(
        "right_shin", (0, 0, -0.4099), 1.0, (Geom((_FOOT,), 0.0, False, _FOOT_HALF),)
    ),
}
HAND_MASS, HAND_RADIUS = 0.5, 0.04  # kg, m


def part(link: str) -> Part:
    """A link of either side."""
    if not link.startswith("left"):
        return _PARTS[link]
    right = _PARTS[link.replace("left", "right")]
    x, y, z = right.offset
    return right._replace(parent=right.parent.replace("right", "left"), offset=(x, -y, z))


def _numbers(values: tuple[float, ...]) -> str:
    return " ".join(f"{value:.10g}" for value in values)


def _geom(geom: Geom, mass: float) -> str:
    inert = "" if geom.touches else ' contype="0" conaffinity="0"'
    if geom.half is not None:
        shape = f'type="box" size="{_numbers(geom.half)}" pos="{_numbers(geom.ends[0])}"'
    elif len(geom.ends) == 2:
        fromto = _numbers((*geom.ends[0], *geom.ends[1]))
        shape = f'type="capsule" size="{geom.radius}" fromto="{fromto}"'
    else:
        shape = f'type="sphere" size="{geom.radius}" pos="{_numbers(geom.ends[0])}"'
    return f'<geom {shape} mass="{mass:.10g}"{inert}/>'


def _body(link: str) -> str:
    of = part(link)
    volume = sum(geom.volume for geom in of.geoms)
    geoms = [_geom(geom, of.mass * geom.volume / volume) for geom in of.geoms]
    if link in LOWER_ARMS:
        geoms.append(_geom(Geom((HAND,), HAND_RADIUS), HAND_MASS))
    if link in FEET:
        geoms += [_geom(Geom((place,), SOLE), 0.0) for place in SOLES]
    joint = "<freejoint/>"
    for joint_of in JOINTS:
        if joint_of.link == link:
            joint = _joint(joint_of)
    inner = "".join(
        _body(other) for other in LINKS if other != "pelvis" and part(other).parent == link
    )
    return f'<body name="{link}" pos="{_numbers(of.offset)}">{joint}{"".join(geoms)}{inner}</body>'


def _joint(joint: Joint) -> str:
    """MuJoCo's ball has one limit, the largest angle; a half turn is none."""
    common = f'name="{joint.name}" damping="{joint.kd}" armature="{joint.armature}"'
    if not joint.is_ball:
        low, high = joint.limits[0]
        return f'<joint {common} type="hinge" axis="0 1 0" limited="true" range="{low} {high}"/>'
    most = max(abs(bound) for pair in joint.limits for bound in pair)
    limit = f' limited="true" range="0 {most}"' if most < 180 else ""
    return f'<joint {common} type="ball"{limit}/>'


def _servos(joint: Joint) -> str:
    common = f'joint="{joint.name}" kp="{joint.kp}" forcelimited="true"'
    common += f' forcerange="{-joint.effort} {joint.effort}"'
    gears = ("1 0 0 0 0 0", "0 1 0 0 0 0", "0 0 1 0 0 0") if joint.is_ball else ("1",)
    return "".join(f'<position {common} gear="{gear}"/>' for gear in gears)


def mjcf(others: str = "") -> str:
    """The character on level ground; parts touch it, or nothing, and not each other.

    Args:
      others: further elements of the worldbody, after the character, as XML.
    """
    return (
        f'<mujoco><compiler angle="degree"/><option timestep="{TIMESTEP:.17g}"/><default>'
        '<geom contype="1" conaffinity="0" condim="3" friction="1 0.005 0.0001"/></default>'
        '<worldbody><geom name="ground" type="plane" size="0 0 1" contype="1" conaffinity="1"/>'
        f"{_body('pelvis')}{others}</worldbody>"
        f"<actuator>{''.join(map(_servos, JOINTS))}</actuator></mujoco>"
    )


@functools.cache
def body() -> physics.Body:
    """The character as the engine knows it."""
    return physics.from_mjcf(mjcf())
