"""The primitive level in small, and what its tests share."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl_suite.core import train
from jaxrl_suite.envs.quadruped import Mechanics
from jaxrl_suite.systems import lifelike
from jaxrl_suite.systems.lifelike import Config, Hyper, Networks

NETWORKS = Networks(codes=8, width=4, hidden=(16,), sensed=8, told=4, averaged=True, k_means=True)
CONFIG = Config(
    clips=("stand", "trot"),
    mirrored=False,
    networks=NETWORKS,
    num_envs=8,
    num_steps=8,
    epochs=2,
    minibatches=2,
    eval_episodes=4,
    eval_seconds=0.5,
)
HYPER = Hyper(least=0.5)
UPPER = dataclasses.replace(
    CONFIG, level="epmc", mechanics=Mechanics(torque=16.0), terrains=("hurdle", "creep"), memory=8
)


@functools.cache
def system(config=CONFIG):
    return lifelike.make(config, HYPER)


@functools.cache
def begun(config=CONFIG):
    return jax.jit(system(config).init)(jax.random.key(0))


@functools.cache
def update(config=CONFIG):
    """One update, compiled."""
    return jax.jit(system(config).update)


@functools.cache
def trained(config=CONFIG, count=4):
    return jax.jit(train(system(config), count))(begun(config))


def raw(x):
    """Keys as the numbers that they are."""
    return jax.random.key_data(x) if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else x


def same(a, b):
    """Bit for bit."""
    jax.tree.map(lambda x, y: np.testing.assert_array_equal(raw(x), raw(y)), a, b)


def flat(tree):
    return np.concatenate([np.asarray(x).ravel() for x in jax.tree.leaves(tree)])
