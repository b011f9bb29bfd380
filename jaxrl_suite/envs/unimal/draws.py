"""Choices from uniform numbers.

Whoever makes a body draws all numbers it may need in one go and hands them down: a call of
jax.random is several hundred operations to compile, a slice is one.
"""

import jax
import jax.numpy as jnp


def whole(u: jax.Array, count: int | jax.Array) -> jax.Array:
    """int32, uniform in 0 .. count - 1, from `u` uniform in [0, 1)."""
    return jnp.minimum((u * count).astype(jnp.int32), count - 1)


def one_of(u: jax.Array, among: jax.Array) -> jax.Array:
    """int32 [], index of one True of bool [n], uniform; 0 where there is none."""
    number = whole(u, jnp.sum(among, dtype=jnp.int32))
    return jnp.argmax(jnp.cumsum(among) > number).astype(jnp.int32)
