"""Running mean and variance of vectors, to normalise what a network sees."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

_FIRST = 1e-4  # weight of the mean 0 and variance 1 that statistics begin with
_LEAST = 1e-8  # added to a variance that divides


class Running(NamedTuple):
    """Statistics of all values so far.

    mean, variance: [...].
    count: [], values seen.
    """

    mean: jax.Array
    variance: jax.Array
    count: jax.Array


def start(shape: tuple[int, ...] = ()) -> Running:
    """Of no value yet: mean 0, variance 1."""
    return Running(jnp.zeros(shape), jnp.ones(shape), jnp.full((), _FIRST))


def seen(running: Running, batch: jax.Array) -> Running:
    """With a batch [B, ...] more.

    The two samples' moments are joined: with d the difference of the means,
    M = M_a + M_b + d^2 n_a n_b / (n_a + n_b) for the sums of squares M.

    Source: Chan, Golub and LeVeque 1979.
    """
    size = batch.shape[0]
    mean, variance = jnp.mean(batch, axis=0), jnp.var(batch, axis=0)
    total = running.count + size
    apart = mean - running.mean
    squares = running.variance * running.count + variance * size
    squares = squares + apart**2 * (running.count * size / total)
    return Running(running.mean + apart * (size / total), squares / total, total)


def normalised(running: Running, x: jax.Array, clip: float) -> jax.Array:
    """(x - mean) / standard deviation, cut to +- clip; x is [..., *mean.shape]."""
    lead = (1,) * (x.ndim - running.mean.ndim)
    mean, variance = (y.reshape(lead + y.shape) for y in running[:2])
    return jnp.clip((x - mean) / jnp.sqrt(variance + _LEAST), -clip, clip)


def scaled(running: Running, x: jax.Array, clip: float) -> jax.Array:
    """x / standard deviation, cut to +- clip: rewards keep their sign."""
    return jnp.clip(x / jnp.sqrt(running.variance + _LEAST), -clip, clip)
