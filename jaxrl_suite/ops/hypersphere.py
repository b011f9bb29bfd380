"""Directions: points of the unit sphere, and the distribution that is a normal's counterpart there.

Source: Peng et al. 2022, section 5; Mardia and Jupp 2000, section 9.3.
"""

import jax
import jax.numpy as jnp

_LEAST = 1e-12


def project(x: jax.Array) -> jax.Array:
    """x / |x| over the last axis, [..., Z]; differentiable at 0, where the result is 0."""
    square = jnp.sum(x * x, axis=-1, keepdims=True)
    return x / jnp.sqrt(jnp.maximum(square, _LEAST))


def uniform(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Uniform on the sphere: a normal vector, projected; `shape` is [..., Z]."""
    return project(jax.random.normal(key, shape))


def von_mises_fisher(mean: jax.Array, z: jax.Array) -> jax.Array:
    """log q(z) = mean . z + constant, [...], of concentration 1; both [..., Z], unit."""
    return jnp.sum(mean * z, axis=-1)


def distance(z: jax.Array, other: jax.Array) -> jax.Array:
    """(1 - z . z') / 2, [...]: 0 for the same direction, 1 for opposite ones."""
    return 0.5 - 0.5 * jnp.sum(z * other, axis=-1)
