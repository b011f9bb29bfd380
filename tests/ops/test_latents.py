"""Both spaces of latents: each by hand, and the same wherever vectors are unit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_suite.ops import hypersphere
from jaxrl_suite.ops.latents import GAUSSIAN, SPACES, SPHERE


def test_the_sphere_is_the_hyperspheres():
    assert SPACES == {"sphere": SPHERE, "gaussian": GAUSSIAN}
    z, other = jnp.array([0.6, 0.8]), jnp.array([0.8, 0.6])
    assert float(SPHERE.log_density(z, other)) == pytest.approx(0.96, abs=1e-6)
    assert float(SPHERE.distance(z, other)) == pytest.approx(0.02, abs=1e-6)
    key = jax.random.key(0)
    np.testing.assert_array_equal(SPHERE.draw(key, (7, 3)), hypersphere.uniform(key, (7, 3)))


@pytest.mark.parametrize("size", [2, 4, 16])
def test_draws_are_normal_and_of_mean_square_length_1(size):
    z = np.asarray(GAUSSIAN.draw(jax.random.key(0), (20_000, size)))
    # Moments of N(0, I / Z), each within 5 standard errors.
    assert np.abs(z.mean(0)).max() < 5 * np.sqrt(1 / size / len(z))
    assert np.abs(z.T @ z / len(z) - np.eye(size) / size).max() < 5 * np.sqrt(2 / len(z)) / size
    square = (z**2).sum(1)
    assert square.mean() == pytest.approx(1.0, abs=5 * np.sqrt(2 / size / len(z)))
    assert square.std() == pytest.approx(np.sqrt(2 / size), rel=0.05)


def test_no_latent_is_drawn_as_none():
    for space in SPACES.values():
        assert space.draw(jax.random.key(0), (3, 0)).shape == (3, 0)


def test_in_a_gaussian_space_nothing_is_projected():
    x = jnp.array([[3.0, -4.0], [0.0, 0.0]])
    np.testing.assert_array_equal(GAUSSIAN.project(x), x)
    np.testing.assert_allclose(SPHERE.project(x), [[0.6, -0.8], [0, 0]], atol=1e-6)


def test_density_and_distance_of_a_gaussian_space_by_hand():
    mean, z = jnp.array([[1.0, 2.0], [0.0, 0.0]]), jnp.array([[2.0, 2.5], [0.0, 3.0]])
    # 1 - (1 + 1/4) / 2 and 1 - 9 / 2.
    np.testing.assert_allclose(GAUSSIAN.log_density(mean, z), [0.375, -3.5], atol=1e-6)
    np.testing.assert_allclose(GAUSSIAN.distance(mean, z), [0.3125, 2.25], atol=1e-6)


def test_the_densities_slope_draws_a_mean_to_the_latent():
    mean, z = jnp.array([0.3, -1.0]), jnp.array([2.0, 0.5])
    np.testing.assert_allclose(jax.grad(GAUSSIAN.log_density)(mean, z), z - mean, atol=1e-6)


def test_both_spaces_agree_on_unit_vectors():
    a, b = hypersphere.uniform(jax.random.key(0), (2, 500, 5))
    for name in ("log_density", "distance"):
        on_sphere, gaussian = (getattr(space, name)(a, b) for space in (SPHERE, GAUSSIAN))
        np.testing.assert_allclose(on_sphere, gaussian, atol=1e-5)
    np.testing.assert_allclose(GAUSSIAN.log_density(a, a), 1.0, atol=1e-6)
    np.testing.assert_allclose(GAUSSIAN.distance(a, -a), 1.0, atol=1e-5)
