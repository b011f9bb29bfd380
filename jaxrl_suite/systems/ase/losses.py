"""Losses and rewards, on rows [B] of a batch.

Source: Peng et al. 2022, sections 4 to 6, and its released code.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxrl_suite.core import Metrics
from jaxrl_suite.ops.latents import Space

PyTree = Any
_LEAST = 1e-4  # of 1 - D, which bounds the style reward by 2 x 9.21
_APART = 1e-5  # added to a distance of latents that divides


def style_reward(logit: jax.Array) -> jax.Array:
    """-2 log max(1 - sigmoid(logit), 1e-4), [...]: 0 to 18.42, large where D takes it for a clip.

    differs: the published objective is -log(1 - D); the factor 2 is the released code's scale.
    """
    return -2.0 * jnp.log(jnp.maximum(1.0 - jax.nn.sigmoid(logit), _LEAST))


def skill_reward(space: Space, guess: jax.Array, latent: jax.Array) -> jax.Array:
    """max(0, log q(z)), [...]: how surely the encoder finds the latent in what was done.

    On the sphere mu_q . z.
    """
    return jnp.maximum(0.0, space.log_density(guess, latent))


def masked_mean(x: jax.Array, mask: jax.Array) -> jax.Array:
    """Mean over the rows of mask 1, []; 0 without any."""
    return jnp.sum(x * mask) / jnp.maximum(jnp.sum(mask), 1.0)


def policy_loss(
    log_prob: jax.Array, old: jax.Array, advantage: jax.Array, mask: jax.Array, clip: jax.Array
) -> jax.Array:
    """PPO's: -min(w A, clip(w, 1 - c, 1 + c) A) with w the ratio of probabilities, [].

    Rows that acted without noise, mask 0, say nothing about the policy's gradient.
    """
    # Their probability is no probability; their ratio must not overflow.
    ratio = jnp.exp(jnp.where(mask > 0, log_prob - old, 0.0))
    bounded = jnp.clip(ratio, 1.0 - clip, 1.0 + clip)
    return masked_mean(-jnp.minimum(ratio * advantage, bounded * advantage), mask)


def bound_loss(mean: jax.Array, mask: jax.Array) -> jax.Array:
    """Sum over actions of max(0, |mean| - 1)^2, []: servos do not follow what lies beyond."""
    return masked_mean(jnp.sum(jnp.maximum(jnp.abs(mean) - 1.0, 0.0) ** 2, axis=-1), mask)


def diversity_loss(
    space: Space,
    mean: jax.Array,
    other: jax.Array,
    z: jax.Array,
    other_z: jax.Array,
    mask: jax.Array,
) -> jax.Array:
    """(1 - D(mean, mean') / D(z, z'))^2, []: latents that differ are to act differently.

    D of actions is the mean over them of the squared difference, both cut to +-1; D of latents is
    their space's, on the sphere (1 - z . z') / 2.
    """
    acts = jnp.mean((jnp.clip(mean, -1.0, 1.0) - jnp.clip(other, -1.0, 1.0)) ** 2, axis=-1)
    ratio = acts / (space.distance(z, other_z) + _APART)
    return masked_mean((1.0 - ratio) ** 2, mask)


def gradient_penalty(logit: Callable[[jax.Array], jax.Array], windows: jax.Array) -> jax.Array:
    """Mean of |gradient of the logit with respect to the window|^2, [].

    Args:
      logit: [B, W] -> [B], of each row by itself.
      windows: [B, W], normalised ones of clips: there a discriminator must stay smooth.
    """
    gradient = jax.grad(lambda x: jnp.sum(logit(x)))(windows)  # rows do not meet
    return jnp.mean(jnp.sum(gradient**2, axis=-1))


def kernels(params: PyTree) -> list[jax.Array]:
    """Weights of a discriminator without biases, and without the encoder's."""
    return [layer["kernel"] for name, layer in params.items() if name != "encoder"]


def discriminator_loss(
    apply: Callable[[PyTree, jax.Array], tuple[jax.Array, jax.Array]],
    params: PyTree,
    windows: jax.Array,
    old: jax.Array,
    clips: jax.Array,
    penalties: tuple[jax.Array, jax.Array, jax.Array],
) -> tuple[jax.Array, jax.Array, Metrics]:
    """Binary cross entropy, smooth around the clips, of small weights.

    1/2 (H(D(policy and old), 0) + H(D(clips), 1)) + c_gp penalty + c_logit |w_logit|^2
    + c_decay sum |W|^2.

    Args:
      apply: ``(params, windows [B, W]) -> (logits [B], guessed latents [B, Z])``.
      params: of the discriminator.
      windows: [B, W], normalised, of the policy now.
      old: [B, W], of before.
      clips: [B, W], of demonstrations.
      penalties: c_gp, c_logit, c_decay.

    Returns:
      The loss; the latents that the encoder guesses for `windows`, [B, Z]; metrics.
    """
    now, guess = apply(params, windows)
    before, _ = apply(params, old)
    real, _ = apply(params, clips)
    fake = jnp.concatenate([now, before])
    entropy = 0.5 * (jnp.mean(jax.nn.softplus(fake)) + jnp.mean(jax.nn.softplus(-real)))
    penalty = gradient_penalty(lambda x: apply(params, x)[0], clips)
    c_gp, c_logit, c_decay = penalties
    squares = sum(jnp.sum(kernel**2) for kernel in kernels(params))
    total = entropy + c_gp * penalty
    total = total + c_logit * jnp.sum(params["logit"]["kernel"] ** 2) + c_decay * squares
    return (
        total,
        guess,
        {
            "discriminator_loss": entropy,
            "gradient_penalty": penalty,
            "accuracy_policy": jnp.mean((now < 0).astype(jnp.float32)),
            "accuracy_clips": jnp.mean((real > 0).astype(jnp.float32)),
        },
    )


def encoder_loss(space: Space, guess: jax.Array, z: jax.Array) -> jax.Array:
    """-mean log q(z), []; on the sphere -mean mu_q . z, of a von Mises-Fisher distribution."""
    return -jnp.mean(space.log_density(guess, z))
