"""Augmented random search (Mania et al. 2018): trains a linear policy in one compiled program."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp

from experiments.physics.cheap_start import episodes
from experiments.physics.cheap_start.bodies import Robot
from jaxrl_suite.physics import Options


class Search(NamedTuple):
    """Numbers of the search.

    iterations: updates of the policy.
    pairs: antithetic directions an update; an episode goes both ways along each.
    spread: standard deviation of the directions.
    rate: how far an update goes, for returns of unit spread.
    """

    iterations: int = 100
    pairs: int = 8
    spread: float = 0.05
    rate: float = 0.02

    @property
    def physics_steps(self) -> int:
        """Of a whole training."""
        episode = episodes.CONTROL_STEPS * episodes.PHYSICS_STEPS
        return self.iterations * 2 * self.pairs * episode


def train(
    robot: Robot, options: Options, search: Search, key: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Trains from the policy that does nothing; callers jit.

    Args:
      robot: what is driven.
      options: how physics are solved, in training.
      search: see :class:`Search`.
      key: of everything random.

    Returns:
      weights [A, O], and the mean return of every update's episodes, [iterations].
    """
    shape = len(robot.pose), episodes.num_observations(robot)
    play = jax.vmap(functools.partial(episodes.episode, robot, options))

    def update(weights: jax.Array, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        key_direction, key_start = jax.random.split(key)
        directions = jax.random.normal(key_direction, (search.pairs, *shape))
        steps = search.spread * directions
        states = episodes.starts(robot, key_start, search.pairs)
        # Both of a pair start alike: what differs is due to the policy.
        twice = jax.tree.map(lambda leaf: jnp.concatenate([leaf, leaf]), states)
        returns = play(jnp.concatenate([weights + steps, weights - steps]), twice).returns
        ahead, back = jnp.split(returns, 2)
        gain = (ahead - back) / (jnp.std(returns) + 1e-6)
        change = jnp.mean(gain[:, None, None] * directions, axis=0)
        return weights + search.rate * change, jnp.mean(returns)

    keys = jax.random.split(key, search.iterations)
    return jax.lax.scan(update, jnp.zeros(shape), keys)
