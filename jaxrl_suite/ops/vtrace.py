"""V-trace: off-policy targets from clipped importance ratios, on one sequence.

Espeholt et al. 2018, "IMPALA: Scalable Distributed Deep-RL with Importance Weighted
Actor-Learner Architectures", section 4.1 and Remark 2.
"""

from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp


class VTraceTargets(NamedTuple):
    """What V-trace gives the losses; both are constants for the gradient.

    values: [T], the targets v_t of the critic.
    advantages: [T], the actor's advantages, importance ratio included.
    """

    values: jax.Array
    advantages: jax.Array


def vtrace(
    values: jax.Array,
    rewards: jax.Array,
    discounts: jax.Array,
    ratios: jax.Array,
    *,
    rho_bar: chex.Numeric = 1.0,
    c_bar: chex.Numeric = 1.0,
    pg_rho_bar: chex.Numeric = 1.0,
    lambda_: chex.Numeric = 1.0,
    alpha: chex.Numeric = 1.0,
    sample_mask: jax.Array | None = None,
) -> VTraceTargets:
    r"""V-trace targets and policy-gradient advantages of one sequence.

    With :math:`w_t = \pi(a_t|x_t) / \mu(a_t|x_t)` and
    :math:`\mathrm{clip}(\bar w, w) = \alpha \min(\bar w, w) + (1 - \alpha) w`:

    .. math::
      \hat\rho_t &= \mathrm{clip}(\bar\rho, w_t), \qquad
          c_t = \lambda\,\mathrm{clip}(\bar c, w_t) \\
      \delta_t &= \hat\rho_t (r_t + g_t V(x_{t+1}) - V(x_t)) \\
      e_T &= 0, \qquad e_t = \delta_t + g_t c_t e_{t+1}, \qquad v_t = V(x_t) + e_t \\
      A_t &= \mathrm{clip}(\bar\rho_{pg}, w_t)
             (r_t + g_t [\lambda v_{t+1} + (1 - \lambda) V(x_{t+1})] - V(x_t))

    with :math:`v_T = V(x_T)`. On-policy and with lambda 1, v_t is the n-step return. A step
    whose ratio is 0 keeps v_t = V(x_t) and ends every sum that reaches it: that is how
    reset steps between two episodes are kept out.

    Args:
      values: [T+1], V(x_0) .. V(x_T), any unit; the last one bootstraps.
      rewards: [T], r_t results from a_t.
      discounts: [T], g_t: gamma, or 0 where a_t terminated the episode.
      ratios: [T], w_t, >= 0, in float32 and unclipped.
      rho_bar: clip of the ratio in the temporal difference; fixes *which* policy is valued.
      c_bar: clip of the trace; changes only the speed of contraction.
      pg_rho_bar: clip of the ratio in the advantage.
      lambda_: in [0, 1], mixes one-step and n-step targets.
      alpha: in [0, 1], leaky V-trace (Zahavy et al. 2020, section 4.2): 1 clips, 0 does not.
      sample_mask: bool [T], optional; where False the step contributes no error of its own and
        passes the accumulated error of later steps through unchanged, as in rlax.

    Returns:
      :class:`VTraceTargets`, under ``stop_gradient``.
    """
    chex.assert_rank([values, rewards, discounts, ratios], 1)
    chex.assert_equal_shape([rewards, discounts, ratios])
    chex.assert_shape(values, (rewards.shape[0] + 1,))
    if sample_mask is None:
        sample_mask = jnp.ones_like(rewards, dtype=bool)
    chex.assert_equal_shape([rewards, sample_mask])

    def clip(bound: chex.Numeric) -> jax.Array:
        return alpha * jnp.minimum(bound, ratios) + (1.0 - alpha) * ratios

    v_tm1, v_t = values[:-1], values[1:]
    td_errors = clip(rho_bar) * (rewards + discounts * v_t - v_tm1)
    traces = discounts * lambda_ * clip(c_bar)

    def backward(later: jax.Array, step: tuple[jax.Array, ...]) -> tuple[jax.Array, jax.Array]:
        td_error, trace, learnable = step
        error = jnp.where(learnable, td_error + trace * later, later)
        return error, error

    zero = jnp.zeros_like(values[0])
    _, errors = jax.lax.scan(backward, zero, (td_errors, traces, sample_mask), reverse=True)
    targets = v_tm1 + errors
    # The last step has no later target inside the sequence: v_T := V(x_T).
    next_targets = jnp.concatenate([targets[1:], values[-1:]])
    q_values = rewards + discounts * (lambda_ * next_targets + (1.0 - lambda_) * v_t)
    advantages = clip(pg_rho_bar) * (q_values - v_tm1)
    return VTraceTargets(jax.lax.stop_gradient(targets), jax.lax.stop_gradient(advantages))
