"""Generalised advantages against a slow loop and known limits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_suite.ops.gae import gae, gae_bootstrapped

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


def slow_bootstrapped(values, next_values, rewards, discounts, ended, lambda_) -> list[float]:
    advantages, after = [0.0] * len(rewards), 0.0
    for t in reversed(range(len(rewards))):
        if ended[t]:
            after = 0.0
        delta = rewards[t] + discounts[t] * next_values[t] - values[t]
        after = delta + discounts[t] * lambda_ * after
        advantages[t] = after
    return advantages


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("lambda_", [0.0, 0.5, 0.95, 1.0])
def test_bootstrapped_against_a_loop(seed: int, lambda_: float) -> None:
    generator = np.random.default_rng(seed)
    values, next_values, rewards = generator.normal(size=(3, T))
    ended = generator.random(T) < 0.2
    terminated = ended & (generator.random(T) < 0.5)
    discounts = np.where(terminated, 0.0, 0.97)
    rows = (values, next_values, rewards, discounts, ended)
    found = jax.jit(gae_bootstrapped)(*map(jnp.asarray, rows), lambda_)
    np.testing.assert_allclose(found, slow_bootstrapped(*rows, lambda_), atol=1e-5)


def test_bootstrapped_with_the_next_steps_values_is_the_plain_one() -> None:
    """Where nothing is told anew and every end is a termination, both are the same."""
    values, rewards, discounts, _ = sequence(2)
    rows = (values[:-1], values[1:], rewards, discounts, discounts == 0)
    found = gae_bootstrapped(*map(jnp.asarray, rows), 0.9)
    plain = gae(*(jnp.asarray(x) for x in (values, rewards, discounts)), 0.9)
    np.testing.assert_allclose(found, plain, atol=1e-5)


def test_a_new_latent_a_time_limit_and_a_termination_by_hand() -> None:
    """gamma = lambda = 1/2, so that products are short.

    Step 0: after it a new latent; the state is worth 4 under the old one, 10 under the new.
    Step 1: cut off by a time limit in a state that is worth 6.
    Step 2: terminated in a state of which the critic believes 100.
    Step 3: of a third episode.
    """
    values, next_values = [2.0, 10.0, 3.0, 1.0], [4.0, 6.0, 100.0, 8.0]
    rewards, discounts = [1.0, 2.0, 3.0, 4.0], [0.5, 0.5, 0.0, 0.5]
    ended = [False, True, True, False]
    found = gae_bootstrapped(
        *(jnp.asarray(x) for x in (values, next_values, rewards, discounts, ended)), 0.5
    )
    # 3: 4 + 8/2 - 1 = 7. 2: 3 - 3 = 0. 1: 2 + 6/2 - 10 = -5, and nothing of step 2.
    # 0: 1 + 4/2 - 2 = 1, and a quarter of step 1: the recursion runs through a new latent.
    np.testing.assert_allclose(found, [1 - 5 / 4, -5.0, 0.0, 7.0], atol=1e-6)


def test_bootstrapped_refuses_values_of_one_step_more() -> None:
    with pytest.raises(AssertionError):
        gae_bootstrapped(jnp.zeros(6), *[jnp.zeros(5)] * 3, jnp.zeros(5, bool), 0.9)
