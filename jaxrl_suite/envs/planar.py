"""A point on a plane whose clips are the directions it may move in: a character of known answers.

All that a skill can be is a direction, so that how many of them a policy has learned can be
counted, and a whole iteration compiles in seconds.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl_suite.core import UsageError
from jaxrl_suite.envs.character import Figure, Motion, Start, Task, no_task
from jaxrl_suite.envs.clips import Clips, Pose, rates

TASKS = ("none", "location")
PERIOD = 1.0 / 30.0  # s
SPEED = 1.0  # m/s, of all clips
_FASTEST = 2.0  # m/s, that an action of 1 asks for
_GRIP = 0.3  # share of the way to the asked velocity in an action
_SIZE = 3.0  # m, half-width of where targets lie
_FAR = 20.0  # m, from the origin, where it has fallen off the plane


class Point(NamedTuple):
    """position: [2] (m); velocity: [2] (m/s)."""

    position: jax.Array
    velocity: jax.Array


def directions(count: int = 8, seconds: float = 2.0) -> Clips:
    """So many clips of even motion, in directions evenly spread."""
    frames = round(seconds / PERIOD) + 1
    angle = 2 * np.pi * np.arange(count) / count
    path = SPEED * PERIOD * np.arange(frames)[None, :, None]
    place = path * np.stack([np.cos(angle), np.sin(angle)], -1)[:, None]
    still = np.tile([1.0, 0, 0, 0], (frames, 1))
    none = np.zeros((frames, 0, 4)), np.zeros((frames, 0))
    of = [rates(np.pad(p, ((0, 0), (0, 1))), still, *none, 1 / PERIOD) for p in place]
    return Clips(
        Pose(*(np.concatenate(x) for x in zip(*of, strict=True))),
        np.arange(count, dtype=np.int32) * frames,
        np.full(count, frames, np.int32),
        np.full(count, 1 / PERIOD, np.float32),
        np.full(count, 1 / count, np.float32),
        np.zeros(count, bool),
    )


def point() -> Figure:
    """The point as a figure: an action asks for a velocity, which it takes up with a lag."""

    def move(scene: tuple, state: Point, action: jax.Array) -> Motion:
        asked = _FASTEST * jnp.clip(action, -1.0, 1.0)
        velocity = state.velocity + _GRIP * (asked - state.velocity)
        after = Point(state.position + PERIOD * velocity, velocity)
        no = jnp.zeros((), bool)
        off = after.position @ after.position > _FAR**2
        return Motion(state, after, jnp.zeros(1), off, no, jnp.zeros((), jnp.int32))

    return Figure(
        scene=lambda: (),
        stand=lambda scene: Point(jnp.zeros(2), jnp.zeros(2)),
        fall=lambda scene, key: Point(jnp.zeros(2), jnp.zeros(2)),
        pose=lambda scene, pose: Point(pose.position[:2], pose.velocity[:2]),
        move=move,
        sense=lambda scene, state: state.velocity,
        frame=lambda scene, state: state.velocity,
        upright=lambda scene, state: jnp.ones((), bool),
        sense_size=2,
        frame_size=2,
        action_size=2,
        period=PERIOD,
    )


def tasks(name: str) -> Task:
    """ "none", or "location": be where a target is, exp(-d^2) for its distance d (m)."""
    if name not in TASKS:
        raise UsageError(f"the point has no task {name!r}; legal: {', '.join(TASKS)}")
    if name == "none":
        return no_task()

    def begin(key: jax.Array, start: Start) -> tuple[Point, jax.Array]:
        offset = jax.random.uniform(key, (2,), minval=-_SIZE, maxval=_SIZE)
        return start.state, start.state.position + offset

    def reward(scene: tuple, goal: jax.Array, motion: Motion) -> jax.Array:
        apart = goal - motion.after.position
        return jnp.exp(-(apart @ apart))

    return Task(
        begin,
        lambda key, goal, state: goal,
        lambda scene, goal, state: goal - state.position,
        reward,
        lambda goal, motion: jnp.zeros((), bool),
        2,
    )
