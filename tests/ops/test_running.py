"""Running statistics against NumPy over everything at once."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_suite.ops import running


@pytest.mark.parametrize("shape", [(), (3,)])
def test_batches_add_up(shape: tuple[int, ...]) -> None:
    generator = np.random.default_rng(0)
    batches = [generator.normal(5.0, 3.0, (size, *shape)) for size in (7, 1, 20, 64, 500)]
    state = running.start(shape)
    for batch in batches:
        state = jax.jit(running.seen)(state, jnp.asarray(batch))
    whole = np.concatenate(batches)
    np.testing.assert_allclose(state.mean, whole.mean(0), rtol=1e-3)
    np.testing.assert_allclose(state.variance, whole.var(0), rtol=1e-3)
    assert float(state.count) == pytest.approx(len(whole), abs=1e-3)


def test_normalised_and_scaled() -> None:
    state = running.Running(jnp.array([1.0, 2.0]), jnp.array([4.0, 9.0]), jnp.asarray(10.0))
    x = jnp.array([[3.0, 2.0], [101.0, -1.0]])
    np.testing.assert_allclose(running.normalised(state, x, 10.0), [[1, 0], [10, -1]], rtol=1e-5)
    reward = running.Running(jnp.asarray(50.0), jnp.asarray(4.0), jnp.asarray(10.0))
    got = running.scaled(reward, jnp.array([2.0, -100.0, 0.0]), 10.0)
    np.testing.assert_allclose(got, [1.0, -10.0, 0.0], rtol=1e-5)


def test_constant_values_stay_finite() -> None:
    state = running.start((1,))
    for _ in range(50):
        state = running.seen(state, jnp.full((1000, 1), 7.0))
    assert np.isfinite(running.normalised(state, jnp.array([[7.0]]), 10.0)).all()
