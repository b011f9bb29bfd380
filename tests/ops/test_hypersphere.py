"""Directions: unit, evenly spread, and safe where there is none."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_suite.ops import hypersphere


def test_a_projection_has_length_one_and_keeps_its_direction():
    x = np.random.default_rng(0).normal(size=(7, 5)) * 30
    expected = x / np.linalg.norm(x, axis=1, keepdims=True)
    np.testing.assert_allclose(hypersphere.project(jnp.asarray(x)), expected, rtol=1e-5, atol=1e-6)


def test_at_nothing_the_projection_is_nothing_and_has_a_gradient():
    zero = jnp.zeros(4)
    np.testing.assert_array_equal(hypersphere.project(zero), 0)
    jacobian = jax.jacobian(hypersphere.project)(zero)
    assert np.isfinite(jacobian).all()


def test_a_projection_moves_only_across_the_direction():
    x = jnp.array([0.3, -1.2, 2.0])
    jacobian = jax.jacobian(hypersphere.project)(x)
    unit, length = x / jnp.linalg.norm(x), jnp.linalg.norm(x)
    np.testing.assert_allclose(jacobian, (jnp.eye(3) - jnp.outer(unit, unit)) / length, atol=1e-6)


def test_draws_are_unit_and_have_no_favourite_direction():
    z = np.asarray(hypersphere.uniform(jax.random.key(0), (20_000, 3)))
    np.testing.assert_allclose(np.linalg.norm(z, axis=1), 1.0, rtol=1e-5)
    # Moments of the even distribution: 0 and I / 3, each within 5 standard errors.
    assert np.abs(z.mean(0)).max() < 5 * np.sqrt(1 / 3 / len(z))
    assert np.abs(z.T @ z / len(z) - np.eye(3) / 3).max() < 5 * np.sqrt(0.1 / len(z))
    # Archimedes: on a sphere in three dimensions each coordinate is uniform on -1 .. 1.
    counts = np.histogram(z[:, 0], bins=10, range=(-1, 1))[0]
    assert np.abs(counts - 2000).max() < 5 * np.sqrt(2000)


def test_likelihood_is_the_cosine_but_for_a_constant():
    mean, z = jnp.array([[0.6, 0.8], [1.0, 0.0]]), jnp.array([[0.8, 0.6], [0.0, -1.0]])
    found = hypersphere.von_mises_fisher(mean, z)
    np.testing.assert_allclose(found, [0.96, 0.0], atol=1e-6)


@pytest.mark.parametrize(
    ("other", "expected"), [([1.0, 0], 0.0), ([0, 1.0], 0.5), ([-1.0, 0], 1.0), ([0.6, 0.8], 0.2)]
)
def test_distance_is_0_for_the_same_direction_and_1_for_opposite_ones(other, expected):
    found = hypersphere.distance(jnp.array([1.0, 0.0]), jnp.array(other))
    assert float(found) == pytest.approx(expected, abs=1e-6)
