"""Importance ratios: estimators of a policy's value from another's data, and their diagnosis."""

from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

from jaxrl_suite.ops.vtrace import vtrace


def effective_sample_size(log_weights: jax.Array, mask: jax.Array) -> jax.Array:
    r"""Kish's effective sample size, as a share of the samples.

    .. math:: \mathrm{ESS} / n = (\sum_i w_i)^2 / (n \sum_i w_i^2)

    1 when all weights are equal, 1/n when one of them is all that counts. It does not change
    when all weights are scaled, so they are scaled by the largest: nothing overflows.

    Args:
      log_weights: [...], logarithms of the weights.
      mask: bool [...], which samples count; at least one.

    Returns:
      float32 [], in (0, 1].

    Source: Kish 1965, Survey Sampling.
    """
    chex.assert_equal_shape([log_weights, mask])
    largest = jnp.max(jnp.where(mask, log_weights, -jnp.inf))
    weights = jnp.where(mask, jnp.exp(log_weights - largest), 0.0)
    return jnp.sum(weights) ** 2 / (jnp.sum(mask) * jnp.sum(weights**2))


class ValueEstimates(NamedTuple):
    """Estimates of V^pi(x_0) from one sequence of another policy; float32 [] each."""

    trajectory: jax.Array
    per_decision: jax.Array
    clipped_step: jax.Array
    vtrace: jax.Array


def value_estimates(
    log_ratios: jax.Array,
    rewards: jax.Array,
    discounts: jax.Array,
    values: jax.Array,
    *,
    clip_epsilon: chex.Numeric = 0.2,
    rho_bar: chex.Numeric = 1.0,
    c_bar: chex.Numeric = 1.0,
) -> ValueEstimates:
    r"""Four ways to correct one sequence of the behaviour policy, for the study of their variance.

    With :math:`w_t = \pi(a_t|x_t)/\mu(a_t|x_t)`, :math:`G_t = \prod_{i<t} g_i`:

    .. math::
      \text{trajectory:}\quad & \Big(\prod_{t<T} w_t\Big)
          \Big(\sum_t G_t r_t + G_T V(x_T)\Big) \\
      \text{per decision:}\quad & \sum_t G_t \Big(\prod_{i \le t} w_i\Big) r_t
          + G_T \Big(\prod_{t<T} w_t\Big) V(x_T) \\
      \text{clipped step:}\quad & V(x_0) + \sum_t G_t\,
          \mathrm{clip}(w_t, 1-\epsilon, 1+\epsilon)\, \delta_t \\
      \text{V-trace:}\quad & v_0

    with :math:`\delta_t = r_t + g_t V(x_{t+1}) - V(x_t)`. The first two are unbiased for
    the bootstrapped T-step value of pi; the third corrects each step by its own ratio only, the
    ratio that PPO clips; the last two trade bias for variance.

    Args:
      log_ratios: [T], log w_t.
      rewards: [T].
      discounts: [T], g_t, 0 where the episode terminated.
      values: [T+1], V(x_0) .. V(x_T).
      clip_epsilon: epsilon of PPO's clip.
      rho_bar: V-trace's clip of the temporal difference.
      c_bar: V-trace's clip of the trace.

    Returns:
      :class:`ValueEstimates`.

    Sources: Precup et al. 2000 (trajectory, per decision); Schulman et al. 2017, equation 7
    (clipped ratio); Espeholt et al. 2018, equation 1.
    """
    chex.assert_rank([log_ratios, rewards, discounts, values], 1)
    chex.assert_equal_shape([log_ratios, rewards, discounts])
    one = jnp.ones_like(rewards[:1])
    survival = jnp.cumprod(jnp.concatenate([one, discounts]))  # G_0 .. G_T
    products = jnp.exp(jnp.cumsum(log_ratios))
    tail = survival[-1] * values[-1]
    ratios = jnp.exp(log_ratios)
    td_errors = rewards + discounts * values[1:] - values[:-1]
    clipped = jnp.clip(ratios, 1.0 - clip_epsilon, 1.0 + clip_epsilon)
    targets = vtrace(values, rewards, discounts, ratios, rho_bar=rho_bar, c_bar=c_bar)
    return ValueEstimates(
        trajectory=products[-1] * (jnp.sum(survival[:-1] * rewards) + tail),
        per_decision=jnp.sum(survival[:-1] * products * rewards) + products[-1] * tail,
        clipped_step=values[0] + jnp.sum(survival[:-1] * clipped * td_errors),
        vtrace=targets.values[0],
    )
