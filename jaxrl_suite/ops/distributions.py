"""The three action distributions of the suite, over the last axis of their parameters.

They are pytrees (NamedTuples of arrays) with methods; log-probabilities are in nats and in
the precision of the parameters, so pass float32 whatever the network computes in.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp


class Categorical(NamedTuple):
    """Distribution over {0, .., A-1} given unnormalised logits [..., A]."""

    logits: jax.Array

    def sample(self, key: jax.Array) -> jax.Array:
        """An action, int32 [...]."""
        return jax.random.categorical(key, self.logits).astype(jnp.int32)

    def log_prob(self, action: jax.Array) -> jax.Array:
        """log p(action), [...]; action is int [...]."""
        # A sum with a one-hot rather than a gather: its gradient is no scatter.
        chosen = jax.nn.one_hot(action, self.logits.shape[-1], dtype=self.logits.dtype)
        log_probs = jax.nn.log_softmax(self.logits)
        # where, not a product: 0 * -inf of an impossible other action would be NaN.
        return jnp.sum(jnp.where(chosen > 0, log_probs, 0.0), axis=-1)

    def entropy(self) -> jax.Array:
        """-sum p log p, [...], in nats; an impossible action adds 0."""
        log_probs = jax.nn.log_softmax(self.logits)
        probs = jnp.exp(log_probs)
        # where before the product, so that its gradient has no 0 * -inf either.
        return -jnp.sum(probs * jnp.where(probs > 0, log_probs, 0.0), axis=-1)

    def kl(self, other: "Categorical") -> jax.Array:
        """KL(self || other) = sum p (log p - log q), [...]; an impossible action adds 0."""
        log_p, log_q = jax.nn.log_softmax(self.logits), jax.nn.log_softmax(other.logits)
        probs = jnp.exp(log_p)
        log_p, log_q = (jnp.where(probs > 0, x, 0.0) for x in (log_p, log_q))
        return jnp.sum(probs * (log_p - log_q), axis=-1)


class DiagonalNormal(NamedTuple):
    """Independent normals: mean and log standard deviation, [..., D] each."""

    mean: jax.Array
    log_std: jax.Array

    def sample(self, key: jax.Array) -> jax.Array:
        """mean + std * noise, [..., D]; differentiable in the parameters."""
        noise = jax.random.normal(key, self.mean.shape, self.mean.dtype)
        return self.mean + jnp.exp(self.log_std) * noise

    def log_prob(self, action: jax.Array) -> jax.Array:
        """Sum over D of the normal log-densities, [...]."""
        normalised = (action - self.mean) * jnp.exp(-self.log_std)
        return jnp.sum(-0.5 * normalised**2 - self.log_std - 0.5 * math.log(2.0 * math.pi), axis=-1)

    def entropy(self) -> jax.Array:
        """sum_d log_std_d + D/2 log(2 pi e), [...]."""
        log_std = jnp.broadcast_to(self.log_std, self.mean.shape)
        return jnp.sum(log_std + 0.5 * math.log(2.0 * math.pi * math.e), axis=-1)

    def kl(self, other: "DiagonalNormal") -> jax.Array:
        """KL(self || other), summed over D, [...]."""
        variance_ratio = jnp.exp(2.0 * (self.log_std - other.log_std))
        shift = ((self.mean - other.mean) * jnp.exp(-other.log_std)) ** 2
        terms = 0.5 * (variance_ratio + shift - 1.0) + other.log_std - self.log_std
        return jnp.sum(terms, axis=-1)


class TanhNormal(NamedTuple):
    """tanh of a diagonal normal: actions in (-1, 1)^D (Haarnoja et al. 2018, appendix C).

    Its entropy has no closed form, so it has none here: estimate it by -log_prob of a sample.
    """

    mean: jax.Array
    log_std: jax.Array

    def sample(self, key: jax.Array) -> jax.Array:
        """tanh(u), u from the underlying normal, [..., D]."""
        return jnp.tanh(DiagonalNormal(self.mean, self.log_std).sample(key))

    def log_prob(self, action: jax.Array) -> jax.Array:
        """log N(atanh a) - sum_d log(1 - a_d^2), [...].

        An action at the bound, which float32 rounding can give, is read as the nearest number
        inside it.
        """
        bound = 1.0 - jnp.finfo(self.mean.dtype).epsneg
        pre_tanh = jnp.arctanh(jnp.clip(action, -bound, bound))
        # log(1 - tanh(u)^2) = 2 (log 2 - u - softplus(-2u)), which does not cancel for large u.
        log_slope = 2.0 * (math.log(2.0) - pre_tanh - jax.nn.softplus(-2.0 * pre_tanh))
        normal = DiagonalNormal(self.mean, self.log_std)
        return normal.log_prob(pre_tanh) - jnp.sum(log_slope, axis=-1)
