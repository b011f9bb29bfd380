"""Spaces of latents: the unit sphere, and a Gaussian space of the same scale.

Source: Peng et al. 2022, section 5, for the sphere; the Gaussian space is what it is compared with.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrl_suite.ops import hypersphere


class Space(NamedTuple):
    """A prior of latents, and what is asked of them; latents are [..., Z].

    draw: ``(key, shape [..., Z]) -> z``, of the prior.
    project: what a network puts out -> the latent of the space that it means.
    log_density: ``(mean, z) -> [...]``, log q(z) of the posterior around a mean, but for a constant
      that makes it 1 where a unit z is the mean.
    distance: ``(z, z') -> [...]``, 1 for opposite unit vectors.
    """

    draw: Callable[[jax.Array, tuple[int, ...]], jax.Array]
    project: Callable[[jax.Array], jax.Array]
    log_density: Callable[[jax.Array, jax.Array], jax.Array]
    distance: Callable[[jax.Array, jax.Array], jax.Array]


def normal(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """z ~ N(0, I / Z), so that |z|^2 is 1 on average; `shape` is [..., Z]."""
    return jax.random.normal(key, shape) / max(shape[-1], 1) ** 0.5


def log_normal(mean: jax.Array, z: jax.Array) -> jax.Array:
    """log N(z; mean, I) + constant = 1 - |z - mean|^2 / 2, [...]: z . mean for unit vectors."""
    return 1.0 - 0.5 * jnp.sum((z - mean) ** 2, axis=-1)


def quarter_square(z: jax.Array, other: jax.Array) -> jax.Array:
    """|z - z'|^2 / 4, [...]: (1 - z . z') / 2 for unit vectors."""
    return 0.25 * jnp.sum((z - other) ** 2, axis=-1)


SPHERE = Space(
    hypersphere.uniform, hypersphere.project, hypersphere.von_mises_fisher, hypersphere.distance
)
GAUSSIAN = Space(normal, lambda x: x, log_normal, quarter_square)
SPACES = {"sphere": SPHERE, "gaussian": GAUSSIAN}
