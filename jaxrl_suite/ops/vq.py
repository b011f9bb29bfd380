"""Vector quantisation: a latent becomes the nearest of K code vectors.

Source: van den Oord et al. 2017, equation 3; Han et al. 2024, whose losses are means over
dimensions, not sums.
"""

from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp


class Quantised(NamedTuple):
    """A latent and its code.

    code: int32 [...], of the nearest vector.
    vector: [..., D], that vector.
    passed: [..., D], its value with the latent's gradient, z + sg(e - z).
    """

    code: jax.Array
    vector: jax.Array
    passed: jax.Array


def nearest(codebook: jax.Array, z: jax.Array) -> jax.Array:
    """argmin_k |z - e_k|^2, int32 [...]; codebook [K, D], z [..., D]."""
    chex.assert_rank(codebook, 2)
    # |z|^2 is the same for all; without it one product does.
    square = jnp.sum(codebook**2, axis=1)
    with jax.default_matmul_precision("highest"):  # near ties are the rule in a small codebook
        apart = jax.lax.broadcast(square, z.shape[:-1]) - 2.0 * z @ codebook.T
    return jnp.argmin(apart, axis=-1).astype(jnp.int32)


def quantise(codebook: jax.Array, z: jax.Array) -> Quantised:
    """The nearest code of z [..., D] in a codebook [K, D], with the straight-through gradient."""
    code = nearest(codebook, z)
    vector = codebook[code]
    return Quantised(code, vector, z + jax.lax.stop_gradient(vector - z))


def codebook_loss(z: jax.Array, vector: jax.Array) -> jax.Array:
    """mean (e - sg z)^2, []: pulls code vectors to the latents that chose them."""
    return jnp.mean((vector - jax.lax.stop_gradient(z)) ** 2)


def commitment_loss(z: jax.Array, vector: jax.Array) -> jax.Array:
    """mean (sg e - z)^2, []: keeps latents near their codes."""
    return jnp.mean((jax.lax.stop_gradient(vector) - z) ** 2)


def frequencies(code: jax.Array, count: int) -> jax.Array:
    """Share of each of `count` codes among code [...], [K]; shares sum to 1."""
    return jnp.bincount(code.reshape(-1), length=count) / code.size


def perplexity(shares: jax.Array) -> jax.Array:
    """exp(-sum p log p), []: 1 if one code does all, K if all are used alike; shares [K]."""
    logs = jnp.where(shares > 0, jnp.log(jnp.where(shares > 0, shares, 1.0)), 0.0)
    return jnp.exp(-jnp.sum(shares * logs))


class Average(NamedTuple):
    """Moving averages of a codebook.

    count: [K], how often a code is chosen in an update.
    total: [K, D], sum of the latents that chose it.
    """

    count: jax.Array
    total: jax.Array


def averaged(
    average: Average, z: jax.Array, code: jax.Array, decay: chex.Numeric
) -> tuple[Average, jax.Array]:
    r"""The codebook as a moving average of the latents that chose each code.

    .. math::

      N_k \leftarrow d N_k + (1 - d) n_k, \quad m_k \leftarrow d m_k + (1 - d) \sum_{i \to k} z_i,
      \quad e_k = m_k / N_k

    with Laplace smoothing of the counts, so that no code divides by 0.

    Args:
      average: before.
      z: [B, D].
      code: int32 [B].
      decay: d, [].

    Returns:
      The averages after, and the codebook [K, D].

    Source: van den Oord et al. 2017, appendix A.1.
    """
    size = average.count.shape[0]
    chosen = jnp.bincount(code, length=size)
    total = jax.ops.segment_sum(z, code, size)
    count = decay * average.count + (1.0 - decay) * chosen
    total = decay * average.total + (1.0 - decay) * total
    whole, least = jnp.sum(count), 1e-5
    smooth = (count + least) / (whole + size * least) * whole
    return Average(count, total), total / smooth[:, None]


def revived(
    codebook: jax.Array, average: Average, z: jax.Array, key: jax.Array, least: chex.Numeric
) -> tuple[jax.Array, Average]:
    """Codes that are chosen less often than `least` start anew at a random latent of the batch.

    Args:
      codebook: [K, D].
      average: of the same codes.
      z: [B, D].
      key: which latents.
      least: moving average of choices an update below which a code is dead.

    Returns:
      The codebook and the averages, as if each new code had been chosen `least` times.
    """
    size = codebook.shape[0]
    dead = average.count < least
    fresh = z[jax.random.randint(key, (size,), 0, z.shape[0])]
    count = jnp.where(dead, least, average.count)
    total = jnp.where(dead[:, None], least * fresh, average.total)
    return jnp.where(dead[:, None], fresh, codebook), Average(count, total)


def k_means(z: jax.Array, key: jax.Array, size: int, steps: int = 10) -> jax.Array:
    """A codebook [size, D] of the means of clusters of z [B, D] (Lloyd's algorithm).

    It begins with random latents; a cluster that loses all its members keeps its mean.
    """
    begin = z[jax.random.choice(key, z.shape[0], (size,), replace=z.shape[0] < size)]

    def step(_: int, codebook: jax.Array) -> jax.Array:
        code = nearest(codebook, z)
        count = jnp.bincount(code, length=size)
        total = jax.ops.segment_sum(z, code, size)
        return jnp.where(count[:, None] > 0, total / jnp.maximum(count, 1)[:, None], codebook)

    return jax.lax.fori_loop(0, steps, step, begin)


def fsq(z: jax.Array, levels: int) -> tuple[jax.Array, jax.Array]:
    r"""Finite scalar quantisation: every dimension of z becomes one of `levels` numbers.

    .. math::

      y = (L - 1) / 2 \tanh z, \qquad \hat y = \lfloor y \rceil, \qquad
      \text{passed} = (y + sg(\hat y - y)) \cdot 2 / (L - 1)

    Args:
      z: [..., D].
      levels: L, odd, at least 3.

    Returns:
      code, int32 [...], the digits read as a number of base L; and the passed value [..., D] in
      [-1, 1], with the gradient of y.

    Source: Mentzer et al. 2023, section 3.
    """
    half = (levels - 1) / 2
    y = half * jnp.tanh(z)
    digit = jnp.round(y)
    base = levels ** jnp.arange(z.shape[-1])
    code = (digit + half).astype(jnp.int32) @ base
    return code.astype(jnp.int32), (y + jax.lax.stop_gradient(digit - y)) / half
