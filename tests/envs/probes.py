"""Environments so small that every number they give is known beforehand."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrl_suite.envs.base import Environment, TimeStep

NO_IMAGE = jnp.zeros((1, 1, 3), jnp.uint8)


class Counting(NamedTuple):
    """Task of :func:`counting`: the episode terminates at this count."""

    length: jax.Array


def counting(num_actions: int = 3) -> Environment:
    """Counts its steps; the observation is (count, executed action before it).

    The action a taken at count n earns 10 n + a + 1, so a reward tells both.
    """

    def reset(key: jax.Array, task: Counting):
        del key, task
        count = jnp.zeros((), jnp.int32)
        return count, jnp.stack([0.0, 0.0])

    def step(count: jax.Array, action: jax.Array, key: jax.Array, task: Counting):
        del key
        reward = 10.0 * count + action + 1.0
        count = count + 1
        observation = jnp.stack([count, action]).astype(jnp.float32)
        return count, TimeStep(observation, reward, count == task.length, jnp.zeros((), bool))

    return Environment(reset, step, (2,), num_actions, lambda *_: NO_IMAGE)


# Of two_step(), for action probabilities p (second step) by hand: the first action earns
# FIRST_REWARD[a] and leads to the second state, where action b earns SECOND_REWARD[b] and ends it.
FIRST_REWARD = (1.0, -0.5)
SECOND_REWARD = (0.25, 0.75)


def two_step() -> Environment:
    """Two states in a row, two actions in each; the observation is a board that names the state."""

    def board(state: jax.Array) -> jax.Array:
        return jnp.broadcast_to(jax.nn.one_hot(state, 3), (3, 3, 3))

    def reset(key: jax.Array, task: jax.Array):
        del key, task
        state = jnp.zeros((), jnp.int32)
        return state, board(state)

    def step(state: jax.Array, action: jax.Array, key: jax.Array, task: jax.Array):
        del key, task
        rewards = jnp.array([FIRST_REWARD, SECOND_REWARD, (0.0, 0.0)])
        reward = rewards[state, action]
        state = state + 1
        return state, TimeStep(board(state), reward, state == 2, jnp.zeros((), bool))

    return Environment(reset, step, (3, 3, 3), 2, lambda *_: NO_IMAGE)
