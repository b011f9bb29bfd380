"""The IMPALA loss over a batch of sequences, and what it tells about the policy lag."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrl_suite.core import Metrics
from jaxrl_suite.envs.rollout import Sequences
from jaxrl_suite.nets.actor_critic import ActorCritic
from jaxrl_suite.ops import importance, popart
from jaxrl_suite.ops.distributions import Categorical
from jaxrl_suite.ops.policy_gradient import ClipParameters, Correction, actor_critic_terms
from jaxrl_suite.systems.impala.config import Hyper


class LossOutput(NamedTuple):
    """What the loss returns beside its value.

    metrics: scalars, summable over disjoint parts of a batch.
    value_targets: [T, B], unnormalised.
    log_ratios: [T, B], log pi/mu of every step.
    rounding: float32 [], largest deviation of an on-policy ratio from 1 by rounding alone.
    """

    metrics: Metrics
    value_targets: jax.Array
    log_ratios: jax.Array
    rounding: jax.Array


def loss(
    params: dict,
    network: ActorCritic,
    batch: Sequences,
    on_policy: jax.Array,
    moments: popart.PopArtState,
    hyper: Hyper,
    correction: Correction,
) -> tuple[jax.Array, LossOutput]:
    r"""Sum of the policy, value and entropy losses over time and batch.

    .. math::
      L = \sum_{t,b} \ell^\pi_{t,b}
          + c_V \tfrac12 \Big(\frac{v_{t,b} - V(x_{t,b})}{\sigma_b}\Big)^2
          - c_H H[\pi(\cdot|x_{t,b})]

    with the policy loss and targets of :func:`actor_critic_terms`. With PopArt the network's
    value is normalised, :math:`V = \sigma n(x) + \mu` by the moments of the column's variant;
    without it sigma is 1 and mu 0.

    Where the parameters that acted are the very ones that learn, pi/mu is 1 by definition. Two
    compiled programs of one function still round differently, so for such columns log mu is
    taken from this very computation, and what the rounding would have been is reported.

    Args:
      params: of the network.
      network: the actor-critic.
      batch: B columns of T steps.
      on_policy: bool [B], the column was acted by `params`.
      moments: PopArt's moments.
      hyper: numbers of the learning rule.
      correction: the off-policy correction.

    Returns:
      The loss, float32 [], and :class:`LossOutput`.

    Source: Espeholt et al. 2018, section 4.2; sums as in the released code.
    """
    inputs = (batch.observation, batch.first, batch.last_action, batch.last_reward)
    outputs, _ = network.apply(params, *inputs, batch.carry)
    policy = Categorical(outputs.logits[:-1])
    log_probs = policy.log_prob(batch.action)
    raw = batch.behaviour_log_prob
    behaviour = jnp.where(on_policy[None, :], jax.lax.stop_gradient(log_probs), raw)

    head = batch.task_index if network.num_values > 1 else jnp.zeros_like(batch.task_index)
    chosen = jax.nn.one_hot(head, network.num_values)
    normalised = jnp.einsum("tbv,bv->tb", outputs.values, chosen)
    sigma, mean = moments.sigma[head], moments.mean[head]
    values = normalised * sigma[None, :] + mean[None, :]

    rewards = jnp.clip(batch.reward, -hyper.reward_clip, hyper.reward_clip)
    discounts = hyper.gamma * (1.0 - batch.terminated)
    clips = ClipParameters(
        hyper.rho_bar, hyper.c_bar, hyper.pg_rho_bar, hyper.lambda_, hyper.ppo_epsilon
    )
    terms = jax.vmap(
        lambda *columns: actor_critic_terms(correction, *columns[:-1], clips, columns[-1]),
        in_axes=(1, 1, 1, 1, 1, 1, 0),
        out_axes=1,
    )(log_probs, behaviour, values, rewards, discounts, batch.valid, sigma)

    errors = (terms.value_targets - mean[None, :]) / sigma[None, :] - normalised[:-1]
    policy_loss = jnp.sum(terms.policy_loss)
    value_loss = 0.5 * jnp.sum(jnp.where(batch.valid, errors**2, 0.0))
    entropy = jnp.sum(jnp.where(batch.valid, policy.entropy(), 0.0))
    total = policy_loss + hyper.baseline_cost * value_loss - hyper.entropy_cost * entropy
    metrics = {
        "loss": total,
        "loss_policy": policy_loss,
        "loss_value": value_loss,
        "entropy": entropy,
        "num_valid": jnp.sum(batch.valid.astype(jnp.float32)),
    }
    deviation = jnp.abs(jnp.exp(log_probs - raw) - 1.0)
    counts = batch.valid & on_policy[None, :]
    output = LossOutput(
        metrics,
        terms.value_targets,
        jax.lax.stop_gradient(log_probs - behaviour),
        jax.lax.stop_gradient(jnp.max(jnp.where(counts, deviation, 0.0))),
    )
    return total, output


# Upper ends of the lag histogram's buckets: 0, 1, 2-4, 5-16, 17-64, more.
LAG_BUCKETS = (0, 1, 4, 16, 64)


def lag_metrics(lag: jax.Array, valid: jax.Array, log_ratios: jax.Array) -> Metrics:
    """Policy lag and importance ratios of a batch.

    Args:
      lag: int32 [B], updates between acting and learning.
      valid: bool [T, B].
      log_ratios: [T, B], log pi/mu.

    Returns:
      Mean and largest lag; the shares of columns in the buckets of LAG_BUCKETS; mean and
      largest ratio; effective sample size of the ratios as a share of the valid steps.
    """
    edges = jnp.asarray(LAG_BUCKETS)
    bucket = jnp.sum(lag[:, None] > edges[None, :], axis=1)
    ratios = jnp.where(valid, jnp.exp(log_ratios), 0.0)
    num_valid = jnp.maximum(jnp.sum(valid), 1)
    return {
        "lag_mean": jnp.mean(lag.astype(jnp.float32)),
        "lag_max": jnp.max(lag).astype(jnp.float32),
        "lag_histogram": jnp.mean(jax.nn.one_hot(bucket, len(LAG_BUCKETS) + 1), axis=0),
        "ratio_mean": jnp.sum(ratios) / num_valid,
        "ratio_max": jnp.max(ratios),
        "effective_sample_size": importance.effective_sample_size(log_ratios, valid),
    }
