"""Generalised advantages against a slow loop and known limits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_suite.ops.gae import gae

T = 30


def sequence(seed: int) -> tuple[np.ndarray, ...]:
    generator = np.random.default_rng(seed)
    values, rewards = generator.normal(size=T + 1), generator.normal(size=T)
    ended = generator.random(T) < 0.2
    cut = ended & (generator.random(T) < 0.5)
    return values, rewards, np.where(ended, 0.0, 0.97), cut


def slow(values, rewards, discounts, lambda_, cut) -> list[float]:
    advantages, after = [0.0] * T, 0.0
    for t in reversed(range(T)):
        delta = 0.0 if cut[t] else rewards[t] + discounts[t] * values[t + 1] - values[t]
        after = delta + discounts[t] * lambda_ * after
        advantages[t] = after
    return advantages


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("lambda_", [0.0, 0.5, 0.95, 1.0])
def test_against_a_loop(seed: int, lambda_: float) -> None:
    values, rewards, discounts, cut = sequence(seed)
    found = jax.jit(gae)(*(jnp.asarray(x) for x in (values, rewards, discounts)), lambda_, cut)
    np.testing.assert_allclose(found, slow(values, rewards, discounts, lambda_, cut), atol=1e-5)
    without = gae(*(jnp.asarray(x) for x in (values, rewards, discounts)), lambda_)
    none = np.zeros(T, bool)
    np.testing.assert_allclose(without, slow(values, rewards, discounts, lambda_, none), atol=1e-5)


def test_lambda_one_is_the_discounted_return() -> None:
    values, rewards, _, _ = sequence(0)
    discounts = np.full(T, 0.9)
    found = gae(jnp.asarray(values), jnp.asarray(rewards), jnp.asarray(discounts), 1.0)
    weights = 0.9 ** np.arange(T + 1)
    returns = [
        np.sum(weights[: T - t] * rewards[t:]) + weights[T - t] * values[T] for t in range(T)
    ]
    np.testing.assert_allclose(found, np.array(returns) - values[:-1], atol=1e-5)


def test_a_step_that_is_cut_off_teaches_nothing() -> None:
    values, rewards, discounts, _ = sequence(1)
    cut, discounts = np.zeros(T, bool), np.full(T, 0.97)
    cut[10], discounts[10] = True, 0.0
    arrays = [jnp.asarray(x) for x in (values, rewards, discounts)]
    assert gae(*arrays, 0.95, jnp.asarray(cut))[10] == 0


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(AssertionError):
        gae(jnp.zeros(5), jnp.zeros(5), jnp.zeros(5), 0.9)
