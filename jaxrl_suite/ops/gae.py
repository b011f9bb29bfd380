"""Generalised advantage estimation on one sequence."""

import chex
import jax
import jax.numpy as jnp


def gae(
    values: jax.Array,
    rewards: jax.Array,
    discounts: jax.Array,
    lambda_: chex.Numeric,
    cut: jax.Array | None = None,
) -> jax.Array:
    r"""Advantages of a sequence.

    .. math::

      \delta_t = r_t + \gamma_t v_{t+1} - v_t, \qquad
      A_t = \delta_t + \gamma_t \lambda A_{t+1}

    Where an episode was cut off by a time limit, :math:`A_t = 0`: its future is not known, and the
    return :math:`A_t + v_t` is the value itself.

    Args:
      values: [T+1], v_0 .. v_T.
      rewards: [T], r_t, received after the action of step t.
      discounts: [T], gamma, or 0 where step t ended the episode for whatever reason.
      lambda_: [], between one-step (0) and Monte-Carlo (1).
      cut: bool [T], step t ended the episode by a time limit; None for nowhere.

    Returns:
      [T].

    Source: Schulman et al. 2016, equations 11 to 16.
    """
    chex.assert_rank([values, rewards, discounts], 1)
    chex.assert_equal_shape([rewards, discounts, values[1:]])
    known = jnp.ones_like(rewards) if cut is None else 1.0 - cut.astype(rewards.dtype)
    delta = (rewards + discounts * values[1:] - values[:-1]) * known
    return _summed(delta, discounts * lambda_)


def gae_bootstrapped(
    values: jax.Array,
    next_values: jax.Array,
    rewards: jax.Array,
    discounts: jax.Array,
    ended: jax.Array,
    lambda_: chex.Numeric,
) -> jax.Array:
    r"""Advantages where what an action leads to is valued by itself.

    .. math::

      \delta_t = r_t + \gamma_t v'_t - v_t, \qquad
      A_t = \delta_t + \gamma_t \lambda (1 - e_t) A_{t+1}

    :math:`v'_t` may differ from :math:`v_{t+1}`: at the end of an episode it values the last state
    and not the next episode's first, so that a time limit bootstraps; and where a policy is told
    something new with the next step (another latent), it values the state under what it was told.

    Args:
      values: [T], v_t.
      next_values: [T], v'_t, of the state after step t, before any reset.
      rewards: [T], r_t.
      discounts: [T], gamma, or 0 where step t terminated the episode.
      ended: bool [T], step t ended the episode, for whatever reason.
      lambda_: [], between one-step (0) and Monte-Carlo (1).

    Returns:
      [T].

    Source: Schulman et al. 2016, equations 11 to 16.
    """
    chex.assert_rank([values, next_values, rewards, discounts, ended], 1)
    chex.assert_equal_shape([values, next_values, rewards, discounts, ended])
    delta = rewards + discounts * next_values - values
    return _summed(delta, jnp.where(ended, 0.0, discounts * lambda_))


def _summed(delta: jax.Array, factor: jax.Array) -> jax.Array:
    """A_t = delta_t + factor_t A_{t+1}, [T]."""

    def back(after: jax.Array, step: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        delta_t, factor_t = step
        advantage = delta_t + factor_t * after
        return advantage, advantage

    zero = jnp.zeros((), delta.dtype)
    return jax.lax.scan(back, zero, (delta, factor), reverse=True)[1]
