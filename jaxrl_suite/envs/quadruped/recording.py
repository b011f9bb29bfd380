"""The robot's motion as MuJoCo writes it, to be looked at."""

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import mujoco
import numpy as np

from jaxrl_suite import physics
from jaxrl_suite.envs.quadruped import perception, robot
from jaxrl_suite.envs.quadruped.arena import NUM_WALLS, arena
from jaxrl_suite.envs.quadruped.game import POST, ROBOTS, Game, Rules
from jaxrl_suite.envs.quadruped.perception import Blocks
from jaxrl_suite.envs.quadruped.terrain import JOYSTICK, Terrain

_STEP = 0.004  # s; a recording is not stepped
_LEG = {"hip": 0.035, "thigh": 0.025, "shank": 0.015}  # m, radii to look at
_ABOVE = 0.35  # m, of the ball above the chaser
_WALL, _MARK = (0.5, 0.55, 0.6, 0.15), (0.9, 0.3, 0.2, 1.0)  # colours
_FLAG = (0.95, 0.75, 0.1, 1.0)


def recorded(states: physics.State, terrain: Terrain | None = None) -> tuple[str, np.ndarray]:
    """A model and its positions.

    Limbs are drawn although only the feet and the trunk touch anything; walls can be seen through.

    Args:
      states: of one robot, leaves [T, ...].
      terrain: that it is on, with a ball where it is to go; none for level ground.

    Returns:
      MJCF, and qpos [T, nq].
    """
    spec = _drawn()
    if terrain is not None:
        _draw_terrain(spec, terrain)
    spec.compile()
    return spec.to_xml(), _positions(states)


def played(
    games: Game, rules: Rules | None = None, blocks: Blocks | None = None
) -> tuple[str, np.ndarray]:
    """A game's model and positions: robots 0 and 1, the flag, and a ball above the chaser.

    Names of robot 1 begin with "other_". Whoever paints the picture gives each robot its colour.

    Args:
      games: one game, leaves [T, ...].
      rules: that it was played by.
      blocks: that stand in the arena.

    Returns:
      MJCF, and qpos [T, nq].
    """
    spec, other = _drawn(), _drawn()
    other.delete(other.geom("ground"))
    spec.attach(other, prefix="other_", frame=spec.worldbody.add_frame())
    around = arena((rules or Rules()).side, blocks)
    for i, (centre, half) in enumerate(_existing(around)):
        _box(spec.worldbody, centre, half, **({"rgba": _WALL} if i < NUM_WALLS else {}))
    ball = (0.06, 0.0, 0.0)  # m
    _draw_mark(spec, "flag", type=mujoco.mjtGeom.mjGEOM_BOX, size=POST, rgba=_FLAG)
    _draw_mark(spec, "chaser", type=mujoco.mjtGeom.mjGEOM_SPHERE, size=ball, rgba=_MARK)
    spec.compile()

    chaser, states = np.asarray(games.chaser), games.states
    bases = np.asarray(states.q)[np.arange(len(chaser)), chaser, :3]
    stand = np.asarray(perception.heights(around, jnp.asarray(games.flag))) + POST[2]
    robots = [_positions(jax.tree.map(lambda x, i=i: x[:, i], states)) for i in range(ROBOTS)]
    flag = np.column_stack([games.flag, stand])
    still = np.tile([1.0, 0.0, 0.0, 0.0], (len(chaser), 1))
    above = bases + np.array([0.0, 0.0, _ABOVE])
    return spec.to_xml(), np.hstack([*robots, flag, still, above, still])


def _drawn() -> mujoco.MjSpec:
    """The robot with its limbs."""
    spec = mujoco.MjSpec.from_string(robot.mjcf(_STEP))
    _draw_limbs(spec)
    return spec


def _positions(states: physics.State) -> np.ndarray:
    """qpos [T, 19] of one robot."""
    body = robot.body(_STEP)
    return np.asarray(physics.layout(body.sizes, body.model).to_mujoco(states)[0])


def _existing(blocks: Blocks) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Centres and half sizes."""
    there = np.flatnonzero(np.asarray(blocks.exists))
    return zip(np.asarray(blocks.centre)[there], np.asarray(blocks.half)[there], strict=True)


def _draw_mark(spec: mujoco.MjSpec, name: str, **look: object) -> None:
    """Something to look at that is moved about."""
    body = spec.worldbody.add_body(name=name)
    body.add_freejoint()
    body.add_geom(mass=1.0, contype=0, conaffinity=0, **look)


def _draw_limbs(spec: mujoco.MjSpec) -> None:
    for leg, side in zip(robot.LEGS, robot.SIDES, strict=True):
        ends = {
            "hip": (0.0, side * robot.ABDUCTION, 0.0),
            "thigh": (0.0, 0.0, -robot.THIGH),
            "shank": (0.0, 0.0, -robot.SHANK),
        }
        for link, end in ends.items():
            spec.body(f"{leg}_{link}").add_geom(
                type=mujoco.mjtGeom.mjGEOM_CAPSULE,
                fromto=(0.0, 0.0, 0.0, *end),
                size=(_LEG[link], 0.0, 0.0),
                mass=0.0,
                contype=0,
                conaffinity=0,
            )


def _draw_terrain(spec: mujoco.MjSpec, terrain: Terrain) -> None:
    world = spec.worldbody
    for centre, half in _existing(terrain.blocks):
        _box(world, centre, half)
    thick, width = float(terrain.thickness), float(terrain.half_width)
    for side in (-1.0, 1.0):
        _box(world, (0.0, side * (width + thick / 2), 1.0), (100.0, thick / 2, 1.0), rgba=_WALL)
    if terrain.kind != JOYSTICK:
        world.add_geom(
            type=mujoco.mjtGeom.mjGEOM_SPHERE,
            pos=(*np.asarray(terrain.target, float), 0.6),
            size=(0.08, 0.0, 0.0),
            rgba=_MARK,
            contype=0,
            conaffinity=0,
        )


def _box(world: mujoco.MjsBody, centre: np.ndarray, half: np.ndarray, **look: tuple) -> None:
    """A box; whoever paints the picture colours those that have no colour."""
    world.add_geom(
        type=mujoco.mjtGeom.mjGEOM_BOX,
        pos=np.asarray(centre, float),
        size=np.asarray(half, float),
        contype=1,
        conaffinity=1,
        **look,
    )
