import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from jaxrl_suite.nets.pool import max_pool, max_pool_blocks


def flax_pool(x):
    return nn.max_pool(x, (3, 3), strides=(2, 2), padding="SAME")


def in_blocks(x):
    n, height, width, channels = x.shape
    blocks = x.reshape(n, height // 2, 2, width // 2, 2, channels)
    return max_pool_blocks(blocks.transpose(0, 1, 3, 2, 4, 5))


@functools.partial(jax.jit, static_argnums=0)
def value_and_gradient(pool, x, weights):
    y, back = jax.vjp(pool, x)
    return y, back(weights)[0]


def images(shape, levels, dtype=jnp.float32):
    """Few levels: nearly every window has several maxima."""
    generator = np.random.default_rng(0)
    x = jnp.asarray(generator.integers(-levels, 1, shape), dtype)
    out = (shape[0], -(-shape[1] // 2), -(-shape[2] // 2), shape[3])
    return x, jnp.asarray(generator.normal(size=out), dtype)


# Sides of both parities, and the smallest.
SIDES = [(21, 42), (11, 11), (84, 6), (6, 7), (1, 1), (2, 3)]


@pytest.mark.parametrize("sides", SIDES)
@pytest.mark.parametrize("levels", [0, 1, 1000])
def test_pool_equals_flax_to_the_bit_with_ties(sides, levels):
    x, weights = images((3, *sides, 5), levels)
    ours = value_and_gradient(max_pool, x, weights)
    theirs = value_and_gradient(flax_pool, x, weights)
    jax.tree.map(np.testing.assert_array_equal, ours, theirs)
    np.testing.assert_array_equal(jax.jit(max_pool)(x), theirs[0])  # without its gradient


def test_gradient_of_a_flat_image_goes_to_the_first_of_every_window():
    _, gradient = value_and_gradient(max_pool, jnp.zeros((1, 4, 4, 1)), jnp.ones((1, 2, 2, 1)))
    np.testing.assert_array_equal(
        gradient[0, ..., 0], [[1, 0, 1, 0], [0, 0, 0, 0], [1, 0, 1, 0], [0, 0, 0, 0]]
    )


@pytest.mark.parametrize("levels", [1, 1000])
def test_pool_of_blocks_is_the_same(levels):
    x, weights = images((2, 12, 18, 3), levels)
    jax.tree.map(
        np.testing.assert_array_equal,
        value_and_gradient(in_blocks, x, weights),
        value_and_gradient(flax_pool, x, weights),
    )


def test_pool_in_bfloat16_and_under_vmap():
    x, weights = images((2, 9, 10, 3), 2, jnp.bfloat16)
    ours = value_and_gradient(max_pool, x, weights)
    assert {leaf.dtype for leaf in ours} == {jnp.dtype(jnp.bfloat16)}
    mapped = jax.vmap(functools.partial(value_and_gradient, max_pool))(x[:, None], weights[:, None])
    jax.tree.map(lambda one, other: np.testing.assert_array_equal(one, other[:, 0]), ours, mapped)
    theirs = value_and_gradient(flax_pool, x, weights)
    np.testing.assert_array_equal(ours[0], theirs[0])
    # XLA may keep more digits between the additions of up to four windows.
    np.testing.assert_allclose(
        ours[1].astype(jnp.float32), theirs[1].astype(jnp.float32), rtol=0.03, atol=0.03
    )
