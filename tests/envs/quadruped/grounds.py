"""Episodes of the playground as tests play them: sixteen at once, terrains by hand."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl_suite.envs.quadruped import machine, playground, robot
from jaxrl_suite.envs.quadruped import terrain as terrains
from jaxrl_suite.envs.quadruped.perception import Blocks
from jaxrl_suite.envs.quadruped.terrain import KINDS, Terrain

COUNT = 16
CALM = (0.0, 0.0)  # N, no pushes


@functools.cache
def env():
    return playground.playground()


@functools.cache
def programs():
    """reset and step, compiled, of a batch and one task."""
    many = env()
    return (
        jax.jit(jax.vmap(many.reset, in_axes=(0, None))),
        jax.jit(jax.vmap(many.step, in_axes=(0, 0, 0, None))),
    )


def scene():
    """The robot alone."""
    sizes = machine.simulation(playground.MECHANICS, obstacles=4).sizes
    return machine.scene_of(playground.MECHANICS, sizes)


def keys(seed):
    return jax.random.split(jax.random.key(seed), COUNT)


def mixed(**given):
    """A course of all kinds."""
    return playground.course(dict.fromkeys(KINDS, 1.0), **given)


@functools.cache
def begun(seed=0):
    return programs()[0](keys(seed), mixed())[0]


def step(episode, action=None, course=None, seed=0):
    action = hold(episode) if action is None else action
    # As a reset makes them, lest something is compiled anew.
    episode = jax.tree.map(lambda a, b: jnp.asarray(a, b.dtype), episode, begun())
    return programs()[1](episode, action, keys(seed), course or mixed(push=CALM))


def hold(episode):
    """What brings the joints to the stand."""
    return jnp.asarray(robot.STAND, jnp.float32)[None] - episode.state.q[:, 7:]


def made(*boxes, kind="hurdle", target=50.0, width=5.0, speed=1.0):
    """A terrain of boxes (x from, x to, z from, z to)."""
    centre, half = np.zeros((terrains.NUM_BLOCKS, 3)), np.ones((terrains.NUM_BLOCKS, 3))
    for i, (a, b, low, high) in enumerate(boxes):
        centre[i] = (a + b) / 2, 0, (low + high) / 2
        half[i] = (b - a) / 2, width, (high - low) / 2
    exists = np.arange(terrains.NUM_BLOCKS) < len(boxes)
    of = lambda x: jnp.asarray(x, jnp.float32)  # noqa: E731
    blocks = Blocks(of(centre), of(half), jnp.asarray(exists))
    place, kind = of([target, 0.0]), jnp.asarray(KINDS.index(kind), jnp.int32)
    return Terrain(blocks, of(width), of(0.2), place, of(speed), kind)


def standing(terrain, x=0.0, z=robot.STAND_HEIGHT, v=0.0, friction=1.0):
    """Robots in their stand on a terrain, x, z, v and friction [16] or the same for all."""
    episode = begun()
    full = lambda a: jnp.broadcast_to(jnp.asarray(a, jnp.float32), COUNT)  # noqa: E731
    rest = jax.tree.map(lambda a: jnp.zeros_like(a[0]), episode.state)
    one = machine.state_of(rest, machine.stand())
    many = lambda tree: jax.tree.map(  # noqa: E731
        lambda a: jnp.broadcast_to(a[None], (COUNT, *a.shape)), tree
    )
    state = many(one)
    q = state.q.at[:, 0].set(full(x)).at[:, 2].set(full(z))
    v = state.v.at[:, 0].set(full(v))
    return episode._replace(
        state=state._replace(q=q, v=v),
        terrain=many(terrain),
        friction=full(friction),
        first=terrain.target[0] - full(x),
        distance=terrain.target[0] - full(x),
    )
