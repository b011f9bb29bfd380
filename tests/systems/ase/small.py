"""The planar system in small, and what its tests share."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl_suite.core import train
from jaxrl_suite.envs.character import Rules
from jaxrl_suite.systems import ase
from jaxrl_suite.systems.ase import Config, Networks

HYPER = ase.PRESETS["planar"].hyper
CONFIG = Config(
    body="planar",
    rules=Rules(horizon=20, window=3, fallen=0.0, recovery=0.0, spared=0, falls=1),
    networks=Networks(latent=3, hidden=(16,), style=(8, 4), discriminator=(16, 8)),
    hidden=(16,),
    num_envs=8,
    num_steps=6,
    epochs=2,
    minibatch=16,
    discriminated=8,
    demonstrations=16,
    replay=96,
    kept=10,
    eval_episodes=4,
)
HIGH = dataclasses.replace(CONFIG, level="high", task="location", repeat=3)


@functools.cache
def system(config=CONFIG):
    return ase.make(config, HYPER)


@functools.cache
def begun(config=CONFIG):
    return jax.jit(system(config).init)(jax.random.key(0))


@functools.cache
def update(config=CONFIG):
    """One update, compiled."""
    return jax.jit(system(config).update)


@functools.cache
def trained(config=CONFIG, count=6):
    return jax.jit(train(system(config), count))(begun(config))


def raw(x):
    """Keys as the numbers that they are."""
    return jax.random.key_data(x) if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else x


def same(a, b):
    """Bit for bit."""
    jax.tree.map(lambda x, y: np.testing.assert_array_equal(raw(x), raw(y)), a, b)
