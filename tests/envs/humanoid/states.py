"""Random states of the humanoid, here and in MuJoCo's C engine."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import mujoco
import numpy as np

from jaxrl_suite import physics
from jaxrl_suite.envs import humanoid
from jaxrl_suite.envs.clips import Pose
from jaxrl_suite.envs.humanoid import figure, skeleton
from jaxrl_suite.physics import rotations


class Made(NamedTuple):
    """The figure, its scene, and its functions compiled for many states."""

    figure: object
    scene: physics.Scene
    sizes: physics.Sizes
    sense: object
    frame: object
    pose: object
    move: object


@functools.cache
def made():
    body = humanoid.humanoid()
    scene = body.scene()
    sizes = figure.simulation().sizes
    many = lambda f, n: jax.jit(jax.vmap(f, in_axes=(None,) + (0,) * n))  # noqa: E731
    return Made(
        body, scene, sizes, many(body.sense, 1), many(body.frame, 1), many(body.pose, 1),
        many(body.move, 2),
    )  # fmt: skip


def unit(generator, *shape):
    q = generator.normal(size=(*shape, 4))
    return q / np.linalg.norm(q, axis=-1, keepdims=True)


def poses(count, seed=0, speed=2.0):
    """Anywhere, turned and bent in any way, and moving."""
    generator = np.random.default_rng(seed)
    balls, hinges = len(skeleton.BALLS), len(skeleton.HINGES)
    pose = Pose(
        generator.normal(size=(count, 3)),
        unit(generator, count),
        unit(generator, count, balls),
        generator.uniform(-2, 2, (count, hinges)),
        speed * generator.normal(size=(count, 3)),
        speed * generator.normal(size=(count, 3)),
        speed * generator.normal(size=(count, balls, 3)),
        speed * generator.normal(size=(count, hinges)),
    )
    return Pose(*(jnp.asarray(x, jnp.float32) for x in pose))


def states(count, seed=0, speed=2.0):
    """Of the engine, [count]."""
    return made().pose(made().scene, poses(count, seed, speed))


def row(tree, i):
    return jax.tree.map(lambda x: x[i], tree)


def turned(state, yaw, shift=(0.0, 0.0)):
    """The same state in a world that is turned about the vertical and shifted."""
    turn = jnp.array([np.cos(yaw / 2), 0, 0, np.sin(yaw / 2)])
    matrix = rotations.to_matrix(turn)
    q = state.q.at[..., :3].set(state.q[..., :3] @ matrix.T)
    q = q.at[..., :2].add(jnp.asarray(shift).reshape((1,) * (q.ndim - 1) + (2,)))
    quaternion = rotations.multiply(jnp.broadcast_to(turn, q[..., 3:7].shape), state.q[..., 3:7])
    v = state.v.at[..., :3].set(state.v[..., :3] @ matrix.T)
    return state._replace(q=q.at[..., 3:7].set(quaternion), v=v)


class Reference(NamedTuple):
    """The same file in C."""

    model: mujoco.MjModel
    data: mujoco.MjData
    layout: physics.Layout


@functools.cache
def reference():
    model = mujoco.MjModel.from_xml_string(humanoid.mjcf())
    body, sizes = skeleton.body(), made().sizes
    places = physics.layout(sizes, physics.pad(body.model, body.sizes, sizes))
    return Reference(model, mujoco.MjData(model), places)


def into_c(state):
    """Puts one state into C."""
    of = reference()
    qpos, qvel, _ = of.layout.to_mujoco(state)
    mujoco.mj_resetData(of.model, of.data)
    of.data.qpos[:], of.data.qvel[:] = qpos, qvel
    mujoco.mj_forward(of.model, of.data)
    return of
