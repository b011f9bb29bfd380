"""Games of tag as tests play them: eight at once, placed by hand."""

import functools

import jax
import jax.numpy as jnp
import mujoco
import numpy as np

from jaxrl_suite.envs.quadruped import machine, robot, tag

COUNT = 8  # games at once
STILL = np.zeros((2, 6))  # velocities of the bases


@functools.cache
def programs():
    """reset and step, compiled, of a batch, and how often each was traced."""
    env, traces = tag.tag(), {"reset": 0, "step": 0}

    def counted(name, function):
        def call(*args):
            traces[name] += 1
            return function(*args)

        return jax.jit(jax.vmap(call))

    return counted("reset", env.reset), counted("step", env.step), traces


def keys(seed):
    return jax.random.split(jax.random.key(seed), COUNT)


def begun(seed=0):
    return programs()[0](keys(seed))


@functools.cache
def first():
    """A game to change."""
    return jax.tree.map(lambda x: x[0], begun()[0])


def turn(yaw, pitch=0.0, roll=0.0):
    """wxyz of turns about z, then y, then x, each of the body's own axes."""
    q = np.zeros(4)
    mujoco.mju_euler2Quat(q, np.array([yaw, pitch, roll]), "zyx")
    return q


def game(
    places=((-1.0, 0.0), (1.0, 0.0)),
    flag=(0.0, 2.0),
    chaser=0,
    height=robot.STAND_HEIGHT,
    turns=(robot.STAND_TURN, robot.STAND_TURN),
    velocities=STILL,
    **given,
):
    """One game whose robots are in their stand, [2, 2] on the map."""
    start = first()
    states = [
        machine.state_of(
            jax.tree.map(lambda x: jnp.zeros_like(x[0]), start.states),
            machine.stand()._replace(
                position=jnp.array([*place, height]),
                quaternion=jnp.asarray(q, jnp.float32),
                velocity=jnp.asarray(v[:3], jnp.float32),
                spin=jnp.asarray(v[3:], jnp.float32),
            ),
        )
        for place, q, v in zip(places, turns, velocities, strict=True)
    ]
    return start._replace(
        states=jax.tree.map(lambda *x: jnp.stack(x), *states),
        chaser=jnp.asarray(chaser, jnp.int32),
        flag=jnp.array(flag),
        friction=jnp.ones(()),
        **given,
    )


def step(games, action=0.0, seed=0):
    """After an action, the last game repeated to fill the batch: game and time step, NumPy."""
    filled = games + games[-1:] * (COUNT - len(games))
    batch = jax.tree.map(lambda *x: jnp.stack(x), *filled)
    actions = jnp.broadcast_to(jnp.asarray(action, jnp.float32), (COUNT, 2, 12))
    return jax.device_get(programs()[1](batch, actions, keys(seed)))
