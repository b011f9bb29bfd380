"""Clips whose motion is known, and the environment that follows them."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl_suite.envs import clips as reading
from jaxrl_suite.envs.quadruped import machine, robot, tracking

MECHANICS = machine.Mechanics()


def clip(count, place=lambda t: 0.0 * t, height=robot.STAND_HEIGHT, bend=0.0, fps=60.0):
    """Frames of the stand moved along x to place(t), lifted to a height, knees bending."""
    time = np.arange(count) / fps
    position = np.zeros((count, 3))
    position[:, 0], position[:, 2] = place(time), height
    quaternion = np.tile(robot.STAND_TURN / np.linalg.norm(robot.STAND_TURN), (count, 1))
    hinges = np.tile(robot.STAND, (count, 1))
    hinges[:, 2::3] += bend * np.sin(4.0 * time)[:, None]
    return reading.rates(position, quaternion, np.zeros((count, 0, 4)), hinges, fps)


def gathered(poses, fps=60.0):
    """Clips of frames."""
    length = np.array([len(pose.position) for pose in poses], np.int32)
    frames = reading.Pose(*map(np.concatenate, zip(*poses)))  # noqa: B905
    count = len(poses)
    return reading.Clips(
        frames,
        (np.cumsum(length) - length).astype(np.int32),
        length,
        np.full(count, fps, np.float32),
        np.full(count, 1 / count, np.float32),
        np.zeros(count, bool),
    )


@functools.cache
def two():
    """Standing still for 4 s, and moving on with knees that bend for 3 s."""
    return gathered([clip(241), clip(181, lambda t: 0.3 * t, bend=0.2)])


@functools.cache
def made(obstacle=0.2):
    """(environment, its task, starts) of the two clips."""
    rules = tracking.Rules(obstacle=obstacle)
    clips = two()
    starts = tracking.starts_of(clips, np.ones(len(clips.frames.position), bool), rules.segment)
    env = tracking.follow(MECHANICS, clips, starts, rules)
    sizes = machine.simulation(MECHANICS).sizes
    count = len(starts.clip)
    task = tracking.Tracked(machine.scene_of(MECHANICS, sizes), jnp.full(count, 1 / count))
    return env, task, starts


@functools.cache
def reset():
    """Compiled, of a batch."""
    return jax.jit(jax.vmap(made()[0].reset, in_axes=(0, None)))


@functools.cache
def step():
    """Compiled, of a batch."""
    return jax.jit(jax.vmap(made()[0].step, in_axes=(0, 0, 0, None)))
