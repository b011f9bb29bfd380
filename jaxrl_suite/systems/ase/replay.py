"""Windows of before, in a ring of fixed size: a discriminator that forgot could be fooled."""

from typing import NamedTuple

import jax
import jax.numpy as jnp


class Ring(NamedTuple):
    """windows: [R, W]; count: int32 [], written so far, places written again counted again."""

    windows: jax.Array
    count: jax.Array


def empty(size: int, width: int) -> Ring:
    """Room for so many windows."""
    return Ring(jnp.zeros((size, width)), jnp.zeros((), jnp.int32))


def pushed(ring: Ring, windows: jax.Array, kept: int, key: jax.Array) -> Ring:
    """With windows [B, W] more: all while there is room, then so many of them, drawn at random.

    B is at most the ring's size.
    """
    size, count = ring.windows.shape[0], windows.shape[0]
    full = ring.count >= size
    writes = jnp.where(full, kept, count)
    order = jax.random.permutation(key, count)
    place = (ring.count + jnp.arange(count)) % size
    place = jnp.where(jnp.arange(count) < writes, place, size)  # beyond the end: not written
    return Ring(ring.windows.at[place].set(windows[order], mode="drop"), ring.count + writes)


def drawn(ring: Ring, instead: jax.Array, key: jax.Array) -> jax.Array:
    """As many as `instead` [B, W], with repetition; those themselves while it is empty."""
    there = jnp.minimum(ring.count, ring.windows.shape[0])
    index = jax.random.randint(key, (instead.shape[0],), 0, jnp.maximum(there, 1))
    return jnp.where(there > 0, ring.windows[index], instead)
