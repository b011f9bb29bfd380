"""Evaluation: whole episodes of any variants of the game, side by side.

Arcade games are played on the device, by pure functions that the caller may jit; Atari's emulators
are on the host, so for them these functions run as they are.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from jaxrl_suite.core import Metrics
from jaxrl_suite.envs import arcade, rollout
from jaxrl_suite.nets.actor_critic import Carry
from jaxrl_suite.systems.impala import build, emulated
from jaxrl_suite.systems.impala.config import Config


def evaluate_policy(
    config: Config, variants: Sequence[str], params: dict, key: jax.Array
) -> Metrics:
    """Returns of the stochastic policy on the named variants, seen in training or not.

    Args:
      config: of the run that made the parameters.
      variants: names of variants of config.game.
      params: of the network.
      key: random key.

    Returns:
      As :func:`play`.
    """
    if config.is_atari:
        return emulated.evaluate(config, variants, params, key)
    network = build.network(config)
    carry = network.initial_carry(len(variants) * config.eval_episodes)
    return play(config, variants, build.policy(network), params, carry, key)


def evaluate_random(config: Config, variants: Sequence[str], key: jax.Array) -> Metrics:
    """The same for uniformly random actions: the baseline of every table."""
    if config.is_atari:
        return emulated.evaluate_random(config, variants, key)
    return play(config, variants, build.random_policy(config.num_actions), {}, (), key)


def play(
    config: Config,
    variants: Sequence[str],
    policy: rollout.Policy,
    params: dict,
    carry: Carry,
    key: jax.Array,
) -> Metrics:
    """Plays `config.eval_episodes` first episodes of every variant, side by side.

    Only the first episode of every environment counts: later ones would favour short episodes.

    Returns:
      return: float32 [], mean over variants and episodes, undiscounted and unclipped.
      return_per_variant: [N].
      episode_returns: [N, E].
      episode_length: float32 [], mean number of steps.
    """
    num_variants, episodes = len(variants), config.eval_episodes
    environment = build.environment(config)
    start_key, step_key = jax.random.split(key)
    tasks = arcade.stack_variants(arcade.make(config.game), variants)
    state = rollout.start(environment, tasks, num_variants * episodes, carry, start_key)
    unfinished = jnp.full(num_variants * episodes, jnp.nan)

    def step(carried: tuple, key: jax.Array) -> tuple[tuple, None]:
        state, returns, lengths = carried
        state, _ = rollout.advance(environment, policy, params, state, key)
        first_end = jnp.isnan(returns) & state.episodes.ended
        returns = jnp.where(first_end, state.episodes.last_return, returns)
        lengths = jnp.where(first_end, state.episodes.last_length, lengths)
        return (state, returns, lengths), None

    # Every first episode has ended after time_limit steps, at the latest by truncation.
    keys = jax.random.split(step_key, config.time_limit)
    lengths = jnp.zeros(num_variants * episodes, jnp.int32)
    (_, returns, lengths), _ = jax.lax.scan(step, (state, unfinished, lengths), keys)
    by_variant = rollout.split_axis(returns, 0, num_variants)
    return {
        "return": jnp.mean(by_variant),
        "return_per_variant": jnp.mean(by_variant, axis=1),
        "episode_returns": by_variant,
        "episode_length": jnp.mean(lengths.astype(jnp.float32)),
    }


def record_episodes(
    config: Config, variants: Sequence[str], params: dict, key: jax.Array, *, num_steps: int
) -> jax.Array:
    """Films the policy, an environment a variant.

    Returns:
      uint8 [N, num_steps, height, width, 3].
    """
    if config.is_atari:
        return emulated.record(config, variants, params, key, num_steps=num_steps)
    network = build.network(config)
    environment = build.environment(config)
    start_key, step_key = jax.random.split(key)
    tasks = arcade.stack_variants(arcade.make(config.game), variants)
    carry = network.initial_carry(len(variants))
    state = rollout.start(environment, tasks, len(variants), carry, start_key)

    def step(state: rollout.RolloutState, key: jax.Array) -> tuple[rollout.RolloutState, jax.Array]:
        picture = jax.vmap(environment.render)(state.episodes, state.task)
        state, _ = rollout.advance(environment, build.policy(network), params, state, key)
        return state, picture

    _, pictures = jax.lax.scan(step, state, jax.random.split(step_key, num_steps))
    return jnp.swapaxes(pictures, 0, 1)
