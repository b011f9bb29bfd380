"""Pushing an object to a goal: where it lies, what is seen of it, what an action is worth."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl_suite import physics
from jaxrl_suite.envs.unimal.arena import CELLS, Arena, Cell
from jaxrl_suite.envs.unimal.body import FRICTION, SIZES
from jaxrl_suite.envs.unimal.draws import whole
from jaxrl_suite.envs.unimal.episode import TIME_LIMIT, Motion
from jaxrl_suite.envs.unimal.goals import METRE, SUCCESS, gap, goal_ahead
from jaxrl_suite.physics import rotations
from jaxrl_suite.physics.kinematics import kinematics

HALF_EDGE = 0.2  # m, of the box
NUM_OBJECT = 12
PUSHING = dataclasses.replace(SIZES, boxes=1, contacts=16)
GOAL_HALF = (0.5, 0.01)  # m, of the goal's mark: across and high
_DROP = 0.1  # m, that objects and goals are above the highest ground below them
_AHEAD = (15, 25)  # m, from one thing to the next; the last does not occur
_BUFFER = (6, 10)  # m, from the front wall and from the sides, twice what the configuration says
_TRIES = 10  # to place a thing clear of another


class Push(NamedTuple):
    """An object on its way.

    ground: of the environment.
    start, goal: [3], of the object's centre and of the goal (m).
    reached: bool [], the body has been near the object.
    delivered, arrived: bool [], since then the object has, or the body has, been at the goal.
    together: int32 [], actions after both.
    """

    ground: Any
    start: jax.Array
    goal: jax.Array
    reached: jax.Array
    delivered: jax.Array
    arrived: jax.Array
    together: jax.Array


Targets = Callable[[physics.Scene, physics.State], jax.Array]
"""``(scene, state) -> [T, 3]``, points of the object to be near to, relative to the head (m)."""


def box(mass: float) -> physics.Boxes:
    """[1], a cube with edges of 0.4 m."""
    return physics.box((0.0, 0.0, 0.0), (HALF_EDGE,) * 3, mass=mass, friction=FRICTION)


def with_object(scene: physics.Scene, thing: physics.Boxes, task: Push) -> physics.Scene:
    """The scene with the object, which starts where it was put."""
    thing = jax.tree.map(jnp.asarray, thing)
    return scene._replace(boxes=thing._replace(position=task.start[None]))


def begin_push(ground: Any, start: jax.Array, goal: jax.Array) -> Push:
    """Nothing has been reached."""
    no = jnp.zeros((), bool)
    return Push(ground, start, goal, no, no, no, jnp.zeros((), jnp.int32))


def _ahead(u: jax.Array, arena: Arena, x: jax.Array, half: int) -> jax.Array:
    """[2] (m): 15 to 24 m further than x, where the buffers leave room, anywhere across.

    From u [2], uniform in [0, 1).
    """
    side = _BUFFER[1] * CELLS + half
    i = jnp.round((x - arena.back) * CELLS).astype(jnp.int32)
    i = i + CELLS * (_AHEAD[0] + whole(u[0], _AHEAD[1] - _AHEAD[0]))
    i = jnp.minimum(i, (arena.length - _BUFFER[0]) * CELLS - half)
    j = side + whole(u[1], arena.width * CELLS - 2 * side)
    return jnp.stack([i, j]) / CELLS + jnp.array([arena.back, -arena.side])


def above(cell: Cell, place: jax.Array, across: float, high: float) -> jax.Array:
    """[3]: centre of a thing of this half width and half height, 0.1 m over the highest ground."""
    half = int(np.ceil(across * CELLS))
    i, j = jnp.round(place * CELLS).astype(jnp.int32)
    near = np.stack(np.meshgrid(*[np.arange(-half, half)] * 2), -1).reshape(-1, 2)
    top = jnp.max(jax.vmap(cell)(i + near[:, 0], j + near[:, 1]))
    return jnp.append(place, top + high + _DROP)


def goal_above(cell: Cell, place: jax.Array) -> jax.Array:
    """[3]: of a goal."""
    return above(cell, place, *GOAL_HALF)


def place_push(key: jax.Array, arena: Arena, ground: Any, cell: Cell) -> Push:
    """An object 15 to 24 m ahead and a goal as far behind it, both clear of walls and each other.

    Uniform across, but 10 m from the sides; at most up to 6 m from the front wall.
    """
    half, wide = (round(x * CELLS) for x in (HALF_EDGE, GOAL_HALF[0]))
    u = jax.random.uniform(key, (1 + _TRIES, 2))
    place = _ahead(u[0], arena, jnp.zeros(()), half)
    goals = jax.vmap(lambda v: _ahead(v, arena, place[0], wide))(u[1:])
    clear = jnp.any(jnp.abs(goals - place[None]) > (half + wide - 0.5) / CELLS, axis=1)
    goal = goals[jnp.argmax(clear)]
    start = above(cell, place, HALF_EDGE, HALF_EDGE)
    return begin_push(ground, start, goal_above(cell, goal))


def faces(scene: physics.Scene, state: physics.State) -> jax.Array:
    """[6, 3]: the middles of the object's faces."""
    signs = jnp.concatenate([jnp.eye(3), -jnp.eye(3)])
    turn = rotations.to_matrix(state.box_q[0, 3:])
    return middle(scene, state) + signs * scene.boxes.half_size[:1] @ turn.T


def middle(scene: physics.Scene, state: physics.State) -> jax.Array:
    """[1, 3]: the object's centre."""
    return state.box_q[:1, :3] - state.q[None, :3]


def sites(model: physics.Model, state: physics.State) -> jax.Array:
    """[22, 3]: ends and middles of the limbs and the head's centre, relative to it (m).

    Of links that do not exist, the head's centre again. differs: a middle is on the limb's axis,
    where the original rounds it to 1 cm.
    """
    kin = kinematics(SIZES, model, state)
    end = model.segment[:, 0, 0] * model.exists[:, None]
    length = jnp.linalg.norm(end, axis=1)
    share = 0.5 + 0.5 * model.radius[:, 0] / jnp.where(length > 0, length, 1.0)
    along = jnp.concatenate([end, end * share[:, None]])
    turn, origin = jnp.tile(kin.quaternion, (2, 1)), jnp.tile(kin.position, (2, 1))
    exists = jnp.tile(model.exists, 2)[:, None]
    return (origin + rotations.rotate(turn, along)) * exists


def apart(scene: physics.Scene, state: physics.State, targets: Targets) -> jax.Array:
    """Least distance of a site of the body to a target (m)."""
    difference = sites(scene.model, state)[:, None] - targets(scene, state)[None]
    return jnp.min(jnp.linalg.norm(difference, axis=-1))


def push_gain(
    scene: physics.Scene, task: Push, motion: Motion, targets: Targets, margin: float
) -> tuple[Push, jax.Array]:
    """What an action is worth.

    100 per metre that the nearest of the limbs' ends, their middles and the head comes nearer to a
    target on the object, and 10 once when it is within the margin (m). From then on also 100 per
    metre that the object comes nearer to the goal on the map, and 10 in every action after which it
    is within the margin.
    """
    before, after = (apart(scene, at, targets) for at in (motion.before, motion.after))
    reached = task.reached | (after <= margin)
    gain = METRE * (before - after) + SUCCESS * (reached & ~task.reached)
    was, now = (gap(task.goal, at.box_q[0]) for at in (motion.before, motion.after))
    gain = gain + reached * (METRE * (was - now) + SUCCESS * (now <= margin))
    arrived = reached & (gap(task.goal, motion.after.q) <= margin)
    task = task._replace(
        reached=reached,
        delivered=task.delivered | (reached & (now <= margin)),
        arrived=task.arrived | arrived,
    )
    return task._replace(together=task.together + (task.delivered & task.arrived)), gain


def push_metric(scene: physics.Scene, task: Push, motion: Motion, targets: Targets) -> jax.Array:
    """Before the object is reached, 1 less the body's distance to it over the goal's from 0.

    Afterwards 1, and what share of the object's first distance to the goal the body, and what share
    the object has got nearer, 1 each once it has been there; after both the share of the time limit
    that was left, the last action not counted.
    """
    after = motion.after
    distance = apart(scene, after, targets)
    first = jnp.linalg.norm(task.goal[:2] - task.start[:2])
    body = jnp.where(task.arrived, 1.0, 1.0 - gap(task.goal, after.q) / first)
    thing = jnp.where(task.delivered, 1.0, 1.0 - gap(task.goal, after.box_q[0]) / first)
    left = jnp.maximum(task.together - 1, 0) / TIME_LIMIT
    far = 1.0 - distance / jnp.linalg.norm(task.goal[:2])
    return jnp.where(task.reached, 1.0 + body + thing + left, far)


def object_state(task: Push, state: physics.State) -> jax.Array:
    """[12]: the object's place and velocity against the head's, its rotation's rates, the goal.

    In the head's frame (m, m/s, rad/s). The rates are those about the object's own axes, turned as
    if they were the world's, as in the original. differs: there the head's frame is one physics
    step older than the velocities.
    """
    place = state.box_q[0, :3] - state.q[:3]
    velocity = state.box_v[0, :3] - state.v[:3]
    rows = jnp.stack([place, velocity, state.box_v[0, 3:]])
    turned = rows @ rotations.to_matrix(state.q[3:7])
    return jnp.concatenate([turned.reshape(-1), goal_ahead(task.goal, state)])
