import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings

from jaxrl_suite.ops import vq

CODEBOOK = jnp.array([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0]])


def test_nearest_equals_a_loop():
    generator = np.random.default_rng(0)
    codebook, z = generator.normal(size=(7, 3)), generator.normal(size=(5, 4, 3))
    expected = [
        [min(range(7), key=lambda k: np.sum((x - codebook[k]) ** 2)) for x in row] for row in z
    ]
    found = vq.nearest(jnp.asarray(codebook, jnp.float32), jnp.asarray(z, jnp.float32))
    np.testing.assert_array_equal(found, expected)


def test_quantised_value_is_the_code_and_its_gradient_the_latent_s():
    z = jnp.array([0.9, 0.2])
    found = vq.quantise(CODEBOOK, z)
    assert int(found.code) == 1
    np.testing.assert_allclose(found.passed, [1.0, 0.0], atol=1e-7)
    # d/dz of 3 a + 5 b of the passed value, as if it were z itself; nothing reaches the codebook.
    weigh = lambda codebook, z: vq.quantise(codebook, z).passed @ jnp.array([3.0, 5.0])  # noqa: E731
    of_codebook, of_latent = jax.grad(weigh, argnums=(0, 1))(CODEBOOK, z)
    np.testing.assert_array_equal(of_latent, [3.0, 5.0])
    np.testing.assert_array_equal(of_codebook, np.zeros((3, 2)))


def test_losses_are_means_over_dimensions_and_pull_one_side_each():
    z, vector = jnp.array([[1.0, 2.0]]), jnp.array([[0.0, 0.5]])
    # (1 + 1.5^2) / 2
    assert float(vq.codebook_loss(z, vector)) == pytest.approx(1.625)
    assert float(vq.commitment_loss(z, vector)) == pytest.approx(1.625)
    pulled = jax.grad(vq.codebook_loss, argnums=(0, 1))(z, vector)
    np.testing.assert_array_equal(pulled[0], np.zeros((1, 2)))
    np.testing.assert_allclose(pulled[1], [[-1.0, -1.5]])  # 2 (e - z) / 2
    pulled = jax.grad(vq.commitment_loss, argnums=(0, 1))(z, vector)
    np.testing.assert_allclose(pulled[0], [[1.0, 1.5]])
    np.testing.assert_array_equal(pulled[1], np.zeros((1, 2)))


@pytest.mark.parametrize(
    ("shares", "expected"),
    [([1.0, 0, 0, 0], 1.0), ([0.25] * 4, 4.0), ([0.5, 0.5, 0, 0], 2.0), ([0.9, 0.1], 1.384)],
)
def test_perplexity_by_hand(shares, expected):
    assert float(vq.perplexity(jnp.array(shares))) == pytest.approx(expected, abs=1e-3)


def test_frequencies_are_shares():
    np.testing.assert_allclose(
        vq.frequencies(jnp.array([[0, 2], [2, 2]]), 4), [0.25, 0, 0.75, 0], atol=1e-7
    )


def test_moving_average_by_hand():
    average = vq.Average(jnp.array([2.0, 1.0]), jnp.array([[2.0], [5.0]]))
    z, code = jnp.array([[4.0], [8.0]]), jnp.array([0, 0])
    after, codebook = vq.averaged(average, z, code, 0.5)
    np.testing.assert_allclose(after.count, [2.0, 0.5])  # (2 + 2) / 2, (1 + 0) / 2
    np.testing.assert_allclose(after.total, [[7.0], [2.5]])  # (2 + 12) / 2, 5 / 2
    # The smoothing of counts moves vectors by a part in 100,000.
    np.testing.assert_allclose(codebook, [[3.5], [5.0]], rtol=1e-4)


def test_a_code_that_nobody_chooses_keeps_its_vector_in_the_average():
    average = vq.Average(jnp.ones(2), jnp.array([[1.0], [-3.0]]))
    for _ in range(50):
        average, codebook = vq.averaged(average, jnp.ones((8, 1)), jnp.zeros(8, int), 0.9)
    np.testing.assert_allclose(codebook, [[1.0], [-3.0]], rtol=2e-2)


def test_revival_raises_the_perplexity_after_a_collapse():
    generator = np.random.default_rng(1)
    z = jnp.asarray(generator.normal(size=(256, 2)), jnp.float32)
    codebook = jnp.concatenate([jnp.zeros((1, 2)), jnp.full((7, 2), 50.0)])
    of = lambda codebook: vq.perplexity(vq.frequencies(vq.nearest(codebook, z), 8))  # noqa: E731
    assert float(of(codebook)) == 1.0
    average = vq.Average(jnp.array([256.0] + [0.01] * 7), codebook)
    revived, after = vq.revived(codebook, average, z, jax.random.key(0), 1.0)
    assert float(of(revived)) > 4.0
    np.testing.assert_array_equal(revived[0], codebook[0])  # was alive
    np.testing.assert_array_equal(after.count, [256.0] + [1.0] * 7)
    rows = {tuple(x) for x in np.asarray(z).tolist()}
    assert all(tuple(x) in rows for x in np.asarray(revived[1:]).tolist())


def test_no_code_is_revived_below_zero():
    average = vq.Average(jnp.zeros(3), jnp.zeros((3, 2)))
    same, _ = vq.revived(CODEBOOK, average, jnp.ones((4, 2)), jax.random.key(0), 0.0)
    np.testing.assert_array_equal(same, CODEBOOK)


def test_k_means_finds_clusters():
    generator = np.random.default_rng(2)
    centres = np.array([[0, 0], [10, 0], [0, 10], [10, 10]])
    z = np.concatenate([c + 0.1 * generator.normal(size=(50, 2)) for c in centres])
    z = jnp.asarray(z, jnp.float32)

    def off(seed):
        found = np.asarray(vq.k_means(z, jax.random.key(seed), 4))
        apart = np.linalg.norm(found[None] - centres[:, None], axis=-1)
        return apart.min(axis=1).max()

    # Where it begins decides whether two clusters share a mean; one of eight begins well.
    assert min(map(off, range(8))) < 0.1


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(-3, 3), min_size=2, max_size=2), st.sampled_from([3, 5, 7]))
def test_fsq_is_a_grid_with_a_gradient(z, levels):
    z = jnp.asarray(z, jnp.float32)
    code, passed = vq.fsq(z, levels)
    half = (levels - 1) / 2
    digits = np.round(half * np.tanh(np.asarray(z)))
    np.testing.assert_allclose(passed, digits / half, atol=1e-6)
    assert int(code) == int(sum((d + half) * levels**i for i, d in enumerate(digits)))
    slope = jax.grad(lambda z: jnp.sum(vq.fsq(z, levels)[1]))(z)
    np.testing.assert_allclose(slope, 1 - np.tanh(np.asarray(z)) ** 2, atol=1e-5)
