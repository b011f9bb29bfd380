import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_suite.ops import popart

update = jax.jit(popart.update)


def moments(mean, sigma):
    mean, sigma = np.asarray(mean, np.float32), np.asarray(sigma, np.float32)
    return popart.PopArtState(jnp.asarray(mean), jnp.asarray(sigma**2 + mean**2))


def test_begins_as_the_identity():
    state = popart.init(3)
    np.testing.assert_array_equal(state.mean, 0.0)
    np.testing.assert_array_equal(state.sigma, 1.0)


def test_rescaled_head_keeps_the_unnormalised_outputs():
    generator = np.random.default_rng(0)
    kernel = generator.normal(size=(16, 3)).astype(np.float32)
    bias = generator.normal(size=3).astype(np.float32)
    features = generator.normal(size=(5, 16)).astype(np.float32)
    old, new = moments([0, 2, -1], [1, 0.5, 3]), moments([5, 2, -2], [10, 0.1, 3])
    new_kernel, new_bias = popart.rescale_head(kernel, bias, old, new)

    def unnormalised(kernel, bias, state):
        return (features @ kernel + bias[None, :]) * state.sigma[None, :] + state.mean[None, :]

    np.testing.assert_allclose(
        unnormalised(new_kernel, new_bias, new),
        unnormalised(kernel, bias, old),
        rtol=1e-5,
        atol=1e-5,
    )
    # Not because nothing changed.
    assert not np.allclose(new_kernel, kernel)
    np.testing.assert_array_equal(popart.rescale_head(kernel, bias, old, old)[0], kernel)


def test_moments_converge_to_those_of_the_targets():
    generator = np.random.default_rng(1)
    task_index = jnp.array([0, 1, 1, 0])
    true_mean, true_sigma = np.array([3.0, -20.0]), np.array([0.5, 7.0])
    state = popart.init(2)
    valid = jnp.ones((50, 4), bool)
    for _ in range(300):
        noise = generator.normal(size=(50, 4))
        targets = true_mean[task_index] + true_sigma[task_index] * noise
        state = update(state, jnp.asarray(targets, jnp.float32), task_index, valid, 0.05)
    # One batch has 100 targets a task; the average over about 1/0.05 batches leaves 2-3%.
    np.testing.assert_allclose(state.mean, true_mean, atol=0.1 * true_sigma.max())
    np.testing.assert_allclose(state.sigma, true_sigma, rtol=0.15)


def test_one_step_is_a_weighted_mean():
    state = moments([1.0, 0.0], [1.0, 1.0])
    targets = jnp.array([[2.0, 10.0], [4.0, 30.0]])
    out = update(state, targets, jnp.array([0, 1]), jnp.ones((2, 2), bool), 0.25)
    np.testing.assert_allclose(out.mean, [0.75 * 1 + 0.25 * 3, 0.25 * 20], rtol=1e-6)
    np.testing.assert_allclose(
        out.second_moment, [0.75 * 2 + 0.25 * 10, 0.75 * 1 + 0.25 * 500], rtol=1e-6
    )


def test_absent_task_keeps_its_moments():
    state = moments([1.0, 2.0, 3.0], [1.0, 2.0, 3.0])
    targets, task_index = jnp.full((4, 2), 50.0), jnp.array([2, 0])
    # Task 1 is in no column; task 0 only in a column without a valid step.
    valid = jnp.stack([jnp.ones(4, bool), jnp.zeros(4, bool)], axis=1)
    out = update(state, targets, task_index, valid, 0.5)
    np.testing.assert_array_equal(out.mean[:2], state.mean[:2])
    np.testing.assert_array_equal(out.second_moment[:2], state.second_moment[:2])
    np.testing.assert_allclose(out.mean[2], 26.5, rtol=1e-6)


@pytest.mark.parametrize("garbage", [1e6, np.nan, np.inf])
def test_invalid_targets_do_not_count(garbage):
    state = popart.init(1)
    targets = jnp.array([[1.0, garbage], [garbage, 3.0]])
    valid = jnp.array([[True, False], [False, True]])
    out = update(state, targets, jnp.array([0, 0]), valid, 1.0)
    np.testing.assert_allclose(out.mean, [2.0], rtol=1e-6)
    np.testing.assert_allclose(out.second_moment, [5.0], rtol=1e-6)


def test_sigma_stays_within_its_bounds():
    # Rounding can make a variance negative, and a task with constant targets has none.
    negative = popart.PopArtState(jnp.array([10.0, 3.0]), jnp.array([99.9, 9.0]))
    np.testing.assert_allclose(negative.sigma, 1e-4, rtol=1e-6)
    np.testing.assert_allclose(moments([0.0], [1e8]).sigma, 1e6, rtol=1e-6)
