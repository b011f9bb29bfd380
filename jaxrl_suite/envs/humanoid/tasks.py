"""The five tasks of Peng et al. 2022: steering, speed, location, reach and strike.

Rewards lie between 0 and 1. Directions are shown in the frame of the character's heading.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl_suite import physics
from jaxrl_suite.core import UsageError
from jaxrl_suite.envs.character import Motion, Start, Task, no_task
from jaxrl_suite.envs.humanoid import skeleton
from jaxrl_suite.envs.humanoid.figure import PERIOD
from jaxrl_suite.envs.humanoid.observation import bodies, heading, six
from jaxrl_suite.physics import rotations

TASKS: tuple[str, ...] = ("steering", "speed", "location", "reach", "strike")

_SPEEDS = (1.5, 1.6)  # m/s
_FAR = 10.0  # m, half-width of where locations lie
_REACH = 1.0  # m, half-width of where targets to reach lie
_HEIGHTS = (0.2, 2.0)  # m, of those
_NEAR, _NEARER, _FARTHEST = 0.5, 1.5, 10.0  # m, distances of a target to strike
BOX = (0.2, 0.2, 0.9)  # m, half its edges
# differs: the released model's density is not on record here; this one is 8.6 kg, light enough for
# an arm to topple.
_DENSITY = 30.0  # kg/m^3
_AWAY = 1000.0  # m, where the box waits while bodies fall
_STRIKER = "right_lower_arm"  # the hand is welded to it
_PRESSED = 1.0  # N


def box() -> physics.Boxes:
    """The target to strike, out of everybody's way."""
    mass = _DENSITY * 8.0 * float(np.prod(BOX))
    return physics.box((_AWAY, _AWAY, BOX[2]), BOX, mass=mass)


def make_task(name: str) -> Task:
    """A task by name; "none" for nothing to do.

    Raises:
      UsageError: there is no such task.
    """
    made: dict[str, Callable[[], Task]] = {
        "none": no_task,
        "steering": lambda: _heading(faces=True),
        "speed": lambda: _heading(faces=False),
        "location": _location,
        "reach": _reach,
        "strike": _strike,
    }
    if name not in made:
        raise UsageError(f"unknown task {name!r}; legal: {', '.join(made)}")
    return made[name]()


def _unit(angle: jax.Array) -> jax.Array:
    return jnp.stack([jnp.cos(angle), jnp.sin(angle)])


def _local(state: physics.State, vector: jax.Array) -> jax.Array:
    """A vector on the ground [2] as the character sees it."""
    return heading(state.q[3:7])[:2, :2] @ vector


def _ahead(state: physics.State) -> jax.Array:
    """Where the character faces, [2]."""
    return heading(state.q[3:7])[0, :2]


def velocity(motion: Motion) -> jax.Array:
    """Of the root on the ground, from where it was and is, [2] (m/s)."""
    return (motion.after.q[:2] - motion.before.q[:2]) / PERIOD


def _approach(speed: jax.Array) -> jax.Array:
    """exp(-4 max(0, 1 - v)^2), 0 where the speed towards the target v is not above 0."""
    return jnp.where(speed > 0, jnp.exp(-4.0 * jnp.maximum(0.0, 1.0 - speed) ** 2), 0.0)


class Course(NamedTuple):
    """Where to move and to face.

    direction, facing: [], angles in the world (rad).
    speed: [] (m/s).
    left: int32 [], actions until another one is drawn.
    """

    direction: jax.Array
    facing: jax.Array
    speed: jax.Array
    left: jax.Array


def _never(goal: NamedTuple, motion: Motion) -> jax.Array:
    return jnp.zeros((), bool)


def _heading(*, faces: bool) -> Task:
    """Moves at a speed in a direction; for steering it faces another direction meanwhile.

    Steering: 0.7 exp(-0.25 ((v* - v)^2 + 0.1 |v_t|^2)) + 0.3 max(0, facing . f*), with v the speed
    in the direction and v_t the rest of the velocity; the first term is 0 where v is not above 0.
    Speed: the first term over 0.7, in the direction x of the world.

    differs: the released code adds up the components of v_t instead of taking its norm.
    """

    def draw(key: jax.Array, _: physics.State) -> Course:
        one, two, three, four = jax.random.split(key, 4)
        angle = lambda k: jax.random.uniform(k, minval=-jnp.pi, maxval=jnp.pi)  # noqa: E731
        direction, facing = (angle(one), angle(two)) if faces else (jnp.zeros(()),) * 2
        speed = jax.random.uniform(three, minval=_SPEEDS[0], maxval=_SPEEDS[1])
        return Course(direction, facing, speed, jax.random.randint(four, (), 100, 200))

    def observe(scene: physics.Scene, goal: Course, state: physics.State) -> jax.Array:
        parts = [_local(state, _unit(goal.direction)), goal.speed[None]]
        if faces:
            parts.append(_local(state, _unit(goal.facing)))
        return jnp.concatenate(parts)

    def reward(scene: physics.Scene, goal: Course, motion: Motion) -> jax.Array:
        moved, direction = velocity(motion), _unit(goal.direction)
        speed = moved @ direction
        aside = moved - speed * direction
        error = (goal.speed - speed) ** 2 + 0.1 * (aside @ aside)
        moves = jnp.where(speed > 0, jnp.exp(-0.25 * error), 0.0)
        if not faces:
            return moves
        return 0.7 * moves + 0.3 * jnp.maximum(0.0, _ahead(motion.after) @ _unit(goal.facing))

    return Task(
        lambda key, start: (start.state, draw(key, start.state)),
        _redrawn(draw),
        observe,
        reward,
        _never,
        5 if faces else 3,
    )


def _redrawn(draw: Callable) -> Callable:
    """Counts down, and draws a new goal once nothing is left."""

    def advance(key: jax.Array, goal: NamedTuple, state: physics.State) -> NamedTuple:
        left = goal.left - 1
        new = draw(key, state)
        kept = goal._replace(left=left)
        return jax.tree.map(lambda a, b: jnp.where(left <= 0, a, b), new, kept)

    return advance


class Place(NamedTuple):
    """A place to be at, [2] or [3] (m, world), and actions until another one is drawn."""

    target: jax.Array
    left: jax.Array


def _location() -> Task:
    """Goes to a place: 0.5 exp(-0.5 d^2) + 0.4 approach + 0.1 facing it.

    d is the distance (m); approach is 1 from 1 m/s towards the place. Both last terms are full
    where d^2 < 0.5.
    """

    def draw(key: jax.Array, state: physics.State) -> Place:
        one, two = jax.random.split(key)
        offset = jax.random.uniform(one, (2,), minval=-_FAR, maxval=_FAR)
        return Place(state.q[:2] + offset, jax.random.randint(two, (), 100, 200))

    def reward(scene: physics.Scene, goal: Place, motion: Motion) -> jax.Array:
        apart = goal.target - motion.after.q[:2]
        square = apart @ apart
        direction = apart / jnp.sqrt(jnp.maximum(square, 1e-12))
        faces = jnp.maximum(0.0, _ahead(motion.after) @ direction)
        moves = _approach(velocity(motion) @ direction)
        near = square < 0.5
        moves, faces = jnp.where(near, 1.0, moves), jnp.where(near, 1.0, faces)
        return 0.5 * jnp.exp(-0.5 * square) + 0.4 * moves + 0.1 * faces

    return Task(
        lambda key, start: (start.state, draw(key, start.state)),
        _redrawn(draw),
        lambda scene, goal, state: _local(state, goal.target - state.q[:2]),
        reward,
        _never,
        2,
    )


def _reach() -> Task:
    """Brings the right hand to a point: exp(-4 d^2), d its distance (m).

    differs: the released code turns the target about the world's origin, around which all targets
    lie; here it is seen from the root, and lies around where the root is when it is drawn.
    """
    sizes = skeleton.body().sizes

    def draw(key: jax.Array, state: physics.State) -> Place:
        one, two, three = jax.random.split(key, 3)
        offset = jax.random.uniform(one, (2,), minval=-_REACH, maxval=_REACH)
        height = jax.random.uniform(two, (1,), minval=_HEIGHTS[0], maxval=_HEIGHTS[1])
        target = jnp.concatenate([state.q[:2] + offset, height])
        return Place(target, jax.random.randint(three, (), 50, 100))

    def observe(scene: physics.Scene, goal: Place, state: physics.State) -> jax.Array:
        return heading(state.q[3:7]) @ (goal.target - state.q[:3])

    def reward(scene: physics.Scene, goal: Place, motion: Motion) -> jax.Array:
        hand = bodies(sizes, scene, motion.after).position[13]
        apart = hand - observe(scene, goal, motion.after)
        return jnp.exp(-4.0 * (apart @ apart))

    return Task(
        lambda key, start: (start.state, draw(key, start.state)),
        _redrawn(draw),
        observe,
        reward,
        _never,
        3,
    )


def _strike() -> Task:
    """Topples a box with the right arm: 0.6 (1 - up) + 0.4 approach, 1 once up < 0.2.

    up is the cosine between the box's axis and the vertical. The episode ends when anything but
    the right lower arm and the feet is touched.

    differs: the original ends when the box and another part of the body are both touched, by
    whatever; here what touches another part is the box, or the ground after a fall.
    """
    own = np.isin(skeleton.LINKS, [*skeleton.FEET, _STRIKER])

    def begin(key: jax.Array, start: Start) -> tuple[physics.State, tuple]:
        where, far, near, turn = jax.random.split(key, 4)
        limit = jnp.where(jax.random.uniform(far) < 0.5, _NEARER, _FARTHEST)
        distance = jax.random.uniform(near, minval=_NEAR, maxval=limit)
        angle = jax.random.uniform(where, minval=-jnp.pi, maxval=jnp.pi)
        yaw = jax.random.uniform(turn, minval=-jnp.pi, maxval=jnp.pi)
        place = start.state.q[:2] + distance * _unit(angle)
        pose = [
            place,
            jnp.array([BOX[2]]),
            jnp.cos(yaw / 2)[None],
            jnp.zeros(2),
            jnp.sin(yaw / 2)[None],
        ]
        state = start.state._replace(
            box_q=jnp.concatenate(pose)[None], box_v=jnp.zeros_like(start.state.box_v)
        )
        return state, ()

    def observe(scene: physics.Scene, goal: tuple, state: physics.State) -> jax.Array:
        frame, turn = heading(state.q[3:7]), rotations.to_matrix(state.box_q[0, 3:])
        place = state.box_q[0, :3] - state.q[:3].at[2].set(0.0)
        moves, spins = state.box_v[0, :3], turn @ state.box_v[0, 3:]
        return jnp.concatenate([frame @ place, six(frame @ turn), frame @ moves, frame @ spins])

    def reward(scene: physics.Scene, goal: tuple, motion: Motion) -> jax.Array:
        up = rotations.to_matrix(motion.after.box_q[0, 3:])[2, 2]
        apart = motion.after.box_q[0, :2] - motion.after.q[:2]
        direction = apart / jnp.sqrt(jnp.maximum(apart @ apart, 1e-12))
        moves = _approach(velocity(motion) @ direction)
        return jnp.where(up < 0.2, 1.0, 0.6 * jnp.maximum(0.0, 1.0 - up) + 0.4 * moves)

    def over(goal: tuple, motion: Motion) -> jax.Array:
        return jnp.any((motion.touch > _PRESSED) & ~jnp.asarray(own))

    return Task(begin, lambda key, goal, state: goal, observe, reward, over, 15)


def mark(goal: Course | Place, state: physics.State) -> jax.Array:
    """Where to show what a task asks for, [3] (m, world): its place, or 1 m in its direction."""
    if isinstance(goal, Course):
        return jnp.append(state.q[:2] + _unit(goal.direction), 0.05)
    return goal.target if goal.target.shape[-1] == 3 else jnp.append(goal.target, 0.05)
