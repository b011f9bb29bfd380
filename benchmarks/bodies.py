"""Random UNIMAL-like bodies, made here so that benchmarks need no data file.

A sphere with 2 to 10 capsules in a tree, built with the constants of Gupta et al. 2021: what is
drawn is where limbs sit, where they point, how long and heavy they are, and how they turn. A
limb begins at the root's surface, or at the middle or the end of another limb, one limb a place;
none points up, and none touches another at rest but the one it hangs on.
"""

from typing import NamedTuple

import jax
import numpy as np

from jaxrl_suite import physics

ROOT_RADIUS, RADIUS = 0.10, 0.05  # m
LENGTHS = (0.25, 0.35, 0.45)  # m, of a capsule's axis
DENSITIES = tuple(range(500, 1001, 100))  # kg/m^3
GEARS = (150, 200, 250, 300)  # N m
RANGES = (
    (-90, 0), (-60, 0), (-45, 0), (-30, 0), (0, 30), (0, 45), (0, 60), (0, 90),
    (-30, 30), (-45, 45), (-60, 60), (-60, 30), (-30, 60),
)  # degrees  # fmt: skip
MIN_LIMBS, MAX_LIMBS, MAX_DEPTH = 2, 10, 5
TWO_HINGES = 0.3  # share of limbs with two: 1.3 hinges a limb in the published bodies
POPULATION = 36  # bodies of :func:`mixed`
SIZES = physics.Sizes(MAX_LIMBS + 1, hinges=2, contacts=8)
CLEARANCE = 0.01  # m, between limbs at rest, and between the lowest one and the ground
_SAMPLES = np.linspace(0.0, 1.0, 24)  # along a capsule's axis, 2 cm apart or less
_HEAD = """<mujoco><compiler angle="degree"/><option timestep="0.005"/><default>
<geom friction=".7 .1 .1" condim="3" size="{radius}"/>
<joint limited="true" armature="1" damping="1" stiffness="1" solimplimit="0 .99 .01 .5 2"/>
<motor ctrllimited="true" ctrlrange="-1 1"/></default>
<worldbody><geom name="floor" type="plane" size="0 0 1"/>"""


class _Limb(NamedTuple):
    """parent: 0 is the root; depth: of the root's limbs 1; start, end: of the axis (m, from the
    root's centre); side: horizontal, across `direction`, [3] each.
    """

    parent: int
    depth: int
    start: np.ndarray
    end: np.ndarray
    direction: np.ndarray
    side: np.ndarray


def population(count: int, seed: int) -> list[physics.Body]:
    """So many bodies of 2 to 10 limbs, 6 in the mean.

    Args:
      count: of bodies.
      seed: the same seed makes the same bodies.
    """
    generator = np.random.default_rng(seed)
    limbs = generator.integers(MIN_LIMBS, MAX_LIMBS + 1, count)
    return [physics.from_mjcf(_mjcf(int(number), generator)) for number in limbs]


def one(limbs: int, seed: int) -> physics.Body:
    """A body with exactly so many limbs."""
    return physics.from_mjcf(_mjcf(limbs, np.random.default_rng(seed)))


def mixed(batch: int, seed: int) -> tuple[physics.Scene, physics.Sizes, physics.Options]:
    """A population of 36 as one batch, body i mod 36 in environment i, with its options."""
    found = population(min(POPULATION, batch), seed)
    scenes, sizes = physics.stack(found, SIZES)
    index = np.arange(batch) % len(found)
    return jax.tree.map(lambda x: x[index], scenes), sizes, found[0].options


def _mjcf(limbs: int, generator: np.random.Generator) -> str:
    """MJCF of one random body."""
    tree: list[_Limb] = []
    taken: set[tuple[int, float]] = set()
    while len(tree) < limbs:
        # Any parent: bodies come out as chains, stars and what lies between.
        parent = int(generator.integers(len(tree) + 1))
        place = float(generator.choice((0.5, 1.0)))  # along the parent's axis
        limb = _grown(tree, parent, place, generator)
        if limb is not None and (parent, place) not in taken:
            if parent:
                taken.add((parent, place))
            tree.append(limb)
    return _written(tree, generator)


def _grown(
    tree: list[_Limb], parent: int, place: float, generator: np.random.Generator
) -> _Limb | None:
    """A limb of random direction and length at a place of its parent; None if it cannot be."""
    azimuth = 0.25 * np.pi * generator.integers(8)
    polar = np.pi * generator.choice((0.5, 0.75, 1.0), p=(0.4, 0.4, 0.2))  # from up
    length = generator.choice(LENGTHS)
    side = np.array([-np.sin(azimuth), np.cos(azimuth), 0.0])
    flat = np.array([np.cos(azimuth), np.sin(azimuth), 0.0])
    direction = np.sin(polar) * flat + np.cos(polar) * np.array([0.0, 0.0, 1.0])
    origin, depth = ROOT_RADIUS * direction, 1
    if parent:
        on = tree[parent - 1]
        # At an end it may bend by a right angle, not back; from a middle it must lead away.
        along = float(direction @ on.direction)
        if along < -1e-6 or (place < 1.0 and along > 0.75):
            return None
        origin = on.start + place * (on.end - on.start) + RADIUS * direction
        depth = on.depth + 1
    limb = _Limb(parent, depth, origin, origin + length * direction, direction, side)
    others = [other for b, other in enumerate(tree, 1) if b != parent]
    ball = ROOT_RADIUS + RADIUS + CLEARANCE
    free = parent == 0 or _gap(limb, np.zeros((1, 3))) > ball
    free &= all(_gap(limb, _points(other)) > 2 * RADIUS + CLEARANCE for other in others)
    return limb if free and depth <= MAX_DEPTH else None


def _points(limb: _Limb) -> np.ndarray:
    """On the axis, [samples, 3]."""
    return limb.start + _SAMPLES[:, None] * (limb.end - limb.start)


def _gap(limb: _Limb, points: np.ndarray) -> float:
    """Smallest distance between the limb's axis and points (m)."""
    return float(np.min(np.linalg.norm(_points(limb)[:, None] - points[None], axis=-1)))


def _written(tree: list[_Limb], generator: np.random.Generator) -> str:
    """MJCF of a tree, with random densities and joints."""
    parts, motors = [], []
    text = lambda values: " ".join(f"{value:.6g}" for value in values)  # noqa: E731

    def geom(shape: str) -> str:
        return f'<geom {shape} density="{generator.choice(DENSITIES)}"/>'

    def write(index: int, origin: np.ndarray) -> None:
        limb = tree[index - 1]
        parts.append(f'<body name="limb{index}" pos="{text(limb.start - origin)}">')
        axes = [limb.side, np.cross(limb.direction, limb.side)]
        count = 2 if generator.random() < TWO_HINGES else 1
        for s, which in enumerate(generator.permutation(2)[:count]):
            low, high = RANGES[generator.integers(len(RANGES))]
            # The hinge is on the surface, or the axis, that the limb sits on.
            parts.append(
                f'<joint name="hinge{index}_{s}" axis="{text(axes[which])}" '
                f'pos="{text(-RADIUS * limb.direction)}" range="{low} {high}"/>'
            )
            motors.append(f'<motor joint="hinge{index}_{s}" gear="{generator.choice(GEARS)}"/>')
        parts.append(geom(f'type="capsule" fromto="0 0 0 {text(limb.end - limb.start)}"'))
        below(index, limb.start)
        parts.append("</body>")

    def below(parent: int, origin: np.ndarray) -> None:
        for index, limb in enumerate(tree, 1):
            if limb.parent == parent:
                write(index, origin)

    lowest = min([-ROOT_RADIUS, *(limb.end[2] - RADIUS for limb in tree)])
    parts.append(f'<body name="root" pos="0 0 {CLEARANCE - lowest:.6g}"><freejoint/>')
    parts.append(geom(f'type="sphere" size="{ROOT_RADIUS}"'))
    below(0, np.zeros(3))
    body = "".join(parts) + "</body>"
    head = _HEAD.format(radius=RADIUS)
    return f"{head}{body}</worldbody><actuator>{''.join(motors)}</actuator></mujoco>"
