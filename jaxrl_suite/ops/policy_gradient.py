"""The off-policy corrections of the actor-critic loss, behind one switch, on one sequence."""

from typing import Literal, NamedTuple, get_args

import chex
import jax
import jax.numpy as jnp

from jaxrl_suite.core import UsageError
from jaxrl_suite.ops.vtrace import vtrace

Correction = Literal["none", "epsilon", "one_step_is", "ppo", "vtrace"]
CORRECTIONS: tuple[str, ...] = get_args(Correction)


class ClipParameters(NamedTuple):
    """Clips of the importance ratios; numbers that may be swept.

    rho_bar, c_bar, pg_rho_bar, lambda_: see :func:`jaxrl_suite.ops.vtrace.vtrace`.
    ppo_epsilon: half-width of PPO's clip.
    """

    rho_bar: chex.Numeric = 1.0
    c_bar: chex.Numeric = 1.0
    pg_rho_bar: chex.Numeric = 1.0
    lambda_: chex.Numeric = 1.0
    ppo_epsilon: chex.Numeric = 0.2


class ActorCriticTerms(NamedTuple):
    """Per-step terms of the loss.

    policy_loss: [T], differentiable in the log-probabilities.
    value_targets: [T], constants.
    """

    policy_loss: jax.Array
    value_targets: jax.Array


# Keeps log(pi + epsilon) finite: the "epsilon-correction" of Espeholt et al. 2018, section 5.2.2.
_EPSILON = 1e-6


def actor_critic_terms(
    correction: Correction,
    log_probs: jax.Array,
    behaviour_log_probs: jax.Array,
    values: jax.Array,
    rewards: jax.Array,
    discounts: jax.Array,
    valid: jax.Array,
    clips: ClipParameters,
    advantage_scale: chex.Numeric = 1.0,
) -> ActorCriticTerms:
    r"""Policy-gradient loss and value targets under one of five corrections.

    With :math:`w_t = \pi/\mu` at the taken action, on-policy targets :math:`(v, A)` (V-trace
    with w = 1, the n-step return) and V-trace's own :math:`(v^{vt}, A^{vt})`:

    ============ ================================================ ==========
    correction   policy loss                                      target
    ============ ================================================ ==========
    none         :math:`-A \log\pi`                               v
    epsilon      :math:`-A \log(\pi + 10^{-6})`                   v
    one_step_is  :math:`-\min(\bar\rho_{pg}, w) A \log\pi`        v
    ppo          :math:`-\min(w A, clip(w, 1-e, 1+e) A)`          v
    vtrace       :math:`-A^{vt} \log\pi`                          v^{vt}
    ============ ================================================ ==========

    Args:
      correction: which of the five; sets the compiled branch.
      log_probs: [T], log pi(a_t|x_t), carries the gradient.
      behaviour_log_probs: [T], log mu(a_t|x_t).
      values: [T+1], V(x_0) .. V(x_T); no gradient flows through them here.
      rewards: [T].
      discounts: [T], gamma, or 0 where the episode terminated.
      valid: bool [T], False for reset steps: they have no loss and end every sum, whatever
        their other fields hold; only their value counts, a truncated episode bootstraps from it.
      clips: the clipping thresholds.
      advantage_scale: divisor of the advantages (PopArt's sigma), >0.

    Returns:
      :class:`ActorCriticTerms`; the policy loss is 0 where not valid.

    Raises:
      UsageError: unknown correction.

    Sources: Espeholt et al. 2018, sections 4.2 and 5.2.2; Schulman et al. 2017, equation 7.
    """
    chex.assert_rank([log_probs, behaviour_log_probs, values, rewards, discounts, valid], 1)
    if correction not in CORRECTIONS:
        raise UsageError(f"unknown correction {correction!r}; legal: {', '.join(CORRECTIONS)}")
    values = jax.lax.stop_gradient(values)
    # Cleaned before they are used: where() alone would let a non-finite number through to the
    # gradient, as 0 * inf.
    log_probs, behaviour_log_probs, rewards, discounts = (
        jnp.where(valid, x, 0.0) for x in (log_probs, behaviour_log_probs, rewards, discounts)
    )
    ratios = jnp.exp(log_probs - behaviour_log_probs)
    constant_ratios = jax.lax.stop_gradient(ratios)
    if correction == "vtrace":
        weights, thresholds = constant_ratios, (clips.rho_bar, clips.c_bar, clips.pg_rho_bar)
    else:
        # Bounds below 1 would shrink even the ratio 1 of the on-policy targets.
        weights, thresholds = jnp.ones_like(ratios), (1.0, 1.0, 1.0)
    rho_bar, c_bar, pg_rho_bar = thresholds
    # A ratio of 0 keeps a reset step out of every sum.
    targets = vtrace(
        values,
        rewards,
        discounts,
        jnp.where(valid, weights, 0.0),
        rho_bar=rho_bar,
        c_bar=c_bar,
        pg_rho_bar=pg_rho_bar,
        lambda_=clips.lambda_,
    )
    advantages = targets.advantages / advantage_scale
    if correction == "epsilon":
        # differs: IMPALA adds epsilon to log pi; that leaves the gradient as it is, so it is
        # added to pi, which bounds the gradient.
        loss = -advantages * jnp.log(jnp.exp(log_probs) + _EPSILON)
    elif correction == "one_step_is":
        loss = -jnp.minimum(clips.pg_rho_bar, constant_ratios) * advantages * log_probs
    elif correction == "ppo":
        clipped = jnp.clip(ratios, 1.0 - clips.ppo_epsilon, 1.0 + clips.ppo_epsilon)
        loss = -jnp.minimum(ratios * advantages, clipped * advantages)
    else:
        loss = -advantages * log_probs
    return ActorCriticTerms(jnp.where(valid, loss, 0.0), targets.values)
