"""Losses and rewards: by hand, by differences, and what each of them must not see."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_suite.nets.skills import Discriminator
from jaxrl_suite.ops import hypersphere
from jaxrl_suite.ops.latents import GAUSSIAN, SPACES, SPHERE
from jaxrl_suite.systems.ase import losses

WIDTH, LATENT, ROWS = 6, 3, 8
NET = Discriminator((16, 8), LATENT)
PENALTIES = (5.0, 0.01, 1e-4)


def apply(params, x):
    return NET.apply({"params": params}, x)


@functools.cache
def params():
    return NET.init(jax.random.key(0), jnp.zeros(WIDTH))["params"]


def windows(seed, rows=ROWS):
    return jnp.asarray(np.random.default_rng(seed).normal(size=(rows, WIDTH)), jnp.float32)


def test_the_style_reward_lies_between_0_and_18_42():
    logit = jnp.array([-1e6, -100.0, -1.0, 0.0, 1.0, 9.0, 100.0, 1e6])
    found = np.asarray(losses.style_reward(logit))
    assert found.min() >= 0
    assert found.max() == pytest.approx(18.42068, rel=1e-5)
    assert (np.diff(found) >= 0).all()
    # At 0: -2 log 1/2. At 1: -2 log(1 - 1 / (1 + 1/e)).
    np.testing.assert_allclose(found[3:5], [1.386294, 2.626523], rtol=1e-5)


def test_the_skill_reward_lies_between_0_and_1():
    guess = hypersphere.uniform(jax.random.key(0), (500, LATENT))
    latent = hypersphere.uniform(jax.random.key(1), (500, LATENT))
    found = np.asarray(losses.skill_reward(SPHERE, guess, latent))
    assert found.min() == 0
    assert 0.9 < found.max() <= 1 + 1e-6
    guess, latent = jnp.array([[0.6, 0.8], [0, 1.0]]), jnp.array([[0.8, 0.6], [0, -1.0]])
    for space in SPACES.values():
        hand = losses.skill_reward(space, guess, latent)
        np.testing.assert_allclose(hand, [0.96, 0], atol=1e-6)
    # Off the sphere: 1 - (0.3^2 + 0.4^2) / 2, and 0 from a squared distance of 2.
    guess, latent = jnp.array([[0.3, 0.4], [0, 0.0]]), jnp.array([[0.0, 0.0], [1.0, 1.0]])
    hand = losses.skill_reward(GAUSSIAN, guess, latent)
    np.testing.assert_allclose(hand, [0.875, 0], atol=1e-6)


def test_the_loss_of_a_policy_is_ppos_clip():
    """Ratios 1, 2, 1/2, 2, 1/2 with a clip of 0.2; the last row acted without noise."""
    ratio = jnp.array([1.0, 2.0, 0.5, 2.0, 0.5, 7.0])
    advantage = jnp.array([3.0, 1.0, 1.0, -1.0, -1.0, 5.0])
    mask = jnp.array([1.0, 1, 1, 1, 1, 0])
    old = jnp.full(6, -2.0)
    one = lambda i: float(  # noqa: E731
        losses.policy_loss(
            old[i, None] + jnp.log(ratio[i, None]),
            old[i, None],
            advantage[i, None],
            mask[i, None],
            0.2,
        )
    )
    # Gains are cut at 1.2, losses are not.
    assert [one(i) for i in range(6)] == pytest.approx([-3.0, -1.2, -0.5, 2.0, 0.8, 0.0], abs=1e-6)
    whole = losses.policy_loss(old + jnp.log(ratio), old, advantage, mask, 0.2)
    assert float(whole) == pytest.approx((-3.0 - 1.2 - 0.5 + 2.0 + 0.8) / 5, abs=1e-6)


def test_the_bound_loss_begins_beyond_1():
    mean = jnp.array([[0.5, -1.0], [1.5, -3.0], [9.0, 9.0]])
    found = losses.bound_loss(mean, jnp.array([1.0, 1, 0]))
    assert float(found) == pytest.approx((0 + 0.25 + 4) / 2, rel=1e-6)


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_the_diversity_loss_compares_actions_with_latents(space):
    z, other = jnp.array([[1.0, 0]] * 3), jnp.array([[-1.0, 0], [0, 1.0], [0, 1.0]])
    mean = jnp.array([[0.5, 0.5], [0.2, -0.2], [4.0, 0.0]])
    acts = jnp.array([[-0.5, 0.5], [0.2, -0.2], [-4.0, 0.0]])
    one = lambda i: float(  # noqa: E731
        losses.diversity_loss(space, *(x[i, None] for x in (mean, acts, z, other)), jnp.ones(1))
    )
    # Ratios: (1/2) / 1; 0; and beyond +-1 the servo cuts, (2^2 / 2) / (1/2).
    assert [one(i) for i in range(3)] == pytest.approx([0.25, 1.0, 9.0], rel=1e-3)
    # The same latent twice: their distance is 0, and nothing divides by it.
    same = losses.diversity_loss(space, mean, mean, z, z, jnp.ones(3))
    assert float(same) == pytest.approx(1.0, rel=1e-6)


@pytest.mark.parametrize("name", ["policy", "bound", "diversity"])
def test_rows_without_noise_add_nothing_to_the_gradient(name):
    """Exactly nothing, however far out they are."""
    generator = np.random.default_rng(0)
    mean, acts = jnp.asarray(3 * generator.normal(size=(2, ROWS, 4)), jnp.float32)
    z, other = hypersphere.uniform(jax.random.key(0), (2, ROWS, LATENT))
    advantage = jnp.asarray(generator.normal(size=ROWS), jnp.float32)
    mask = jnp.asarray(np.arange(ROWS) % 2, jnp.float32)

    def loss(mean, acts):
        if name == "policy":
            log_prob = -jnp.sum((mean - acts) ** 2, axis=1) * 100
            old = jnp.zeros(ROWS) - 50
            return losses.policy_loss(log_prob, old, advantage, mask, 0.2)
        if name == "bound":
            return losses.bound_loss(mean, mask)
        return losses.diversity_loss(SPHERE, mean, acts, z, other, mask)

    gradients = jax.grad(loss, argnums=(0, 1))(0.2 * mean if name != "bound" else mean, 0.2 * acts)
    noisy = np.asarray(mask) > 0
    for gradient in gradients:
        np.testing.assert_array_equal(np.asarray(gradient)[~noisy], 0)
        assert np.isfinite(gradient).all()
    assert np.abs(np.asarray(gradients[0])[noisy]).max() > 0


def test_without_any_noisy_row_a_loss_is_nothing():
    assert float(losses.masked_mean(jnp.ones(3), jnp.zeros(3))) == 0
    assert float(losses.masked_mean(jnp.array([1.0, 5, 9]), jnp.array([1.0, 0, 1]))) == 5


def test_the_penalty_is_the_squared_slope_of_the_logit():
    """By central differences in float64."""
    with jax.enable_x64():
        exact = jax.tree.map(lambda x: jnp.asarray(np.asarray(x), jnp.float64), params())
        rows = jnp.asarray(np.asarray(windows(1)), jnp.float64)
        logit = lambda x: apply(exact, x)[0]  # noqa: E731
        found = float(losses.gradient_penalty(logit, rows))
        step, slopes = 1e-6, np.zeros(rows.shape)
        for i in range(WIDTH):
            move = step * jnp.eye(WIDTH)[i][None]
            slopes[:, i] = np.asarray(logit(rows + move) - logit(rows - move)) / (2 * step)
    assert found == pytest.approx((slopes**2).sum(1).mean(), rel=1e-6)
    assert found > 1e-3


def test_the_penalty_itself_has_a_gradient():
    penalty = lambda p: losses.gradient_penalty(lambda x: apply(p, x)[0], windows(1))  # noqa: E731
    gradient = jax.jit(jax.grad(penalty))(params())
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))
    for layer in ("hidden_0", "hidden_1", "logit"):
        assert np.abs(gradient[layer]["kernel"]).max() > 0
    # Against a difference along that gradient: the second derivative is right, too.
    length = jnp.sqrt(sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(gradient)))
    moved = lambda s: jax.tree.map(lambda p, g: p + s * g / length, params(), gradient)  # noqa: E731
    slope = (penalty(moved(1e-3)) - penalty(moved(-1e-3))) / 2e-3
    assert float(slope) == pytest.approx(float(length), rel=0.02)


def judged(own, old, clips):
    return losses.discriminator_loss(apply, params(), own, old, clips, PENALTIES)


def test_the_penalty_is_taken_on_clips_alone():
    own, old, clips = (windows(seed) for seed in (1, 2, 3))
    penalty = lambda *rows: float(judged(*rows)[2]["gradient_penalty"])  # noqa: E731
    assert penalty(own, old, clips) == penalty(9 * own, old - 4, clips)
    assert penalty(own, old, clips) != penalty(own, old, windows(4))


def test_the_discriminators_loss_is_the_sum_of_its_terms():
    own, old, clips = (windows(seed) for seed in (1, 2, 3))
    total, guess, told = judged(own, old, clips)
    now, before, real = (np.asarray(apply(params(), x)[0], np.float64) for x in (own, old, clips))
    one = lambda x: np.log1p(np.exp(x))  # noqa: E731  -log(1 - sigmoid)
    entropy = 0.5 * (one(np.concatenate([now, before])).mean() + one(-real).mean())
    assert float(told["discriminator_loss"]) == pytest.approx(entropy, rel=1e-5)
    kernels = [np.asarray(params()[k]["kernel"]) for k in ("hidden_0", "hidden_1", "logit")]
    expected = entropy + 5 * float(told["gradient_penalty"]) + 0.01 * (kernels[2] ** 2).sum()
    expected += 1e-4 * sum((k**2).sum() for k in kernels)
    assert float(total) == pytest.approx(expected, rel=1e-5)
    np.testing.assert_allclose(guess, apply(params(), own)[1], atol=1e-6)
    assert float(told["accuracy_policy"]) == pytest.approx((now < 0).mean())
    assert float(told["accuracy_clips"]) == pytest.approx((real > 0).mean())


def test_a_discriminator_that_knows_nothing_has_an_entropy_of_log_2():
    blind = lambda p, x: (jnp.zeros(x.shape[0]), x[:, :2])  # noqa: E731
    _, _, told = losses.discriminator_loss(
        blind, params(), windows(1), windows(2), windows(3), PENALTIES
    )
    assert float(told["discriminator_loss"]) == pytest.approx(np.log(2), rel=1e-6)


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_the_encoders_loss_is_minus_the_mean_cosine_of_directions(space):
    z = hypersphere.uniform(jax.random.key(0), (ROWS, LATENT))
    assert float(losses.encoder_loss(space, z, z)) == pytest.approx(-1.0, rel=1e-5)
    assert float(losses.encoder_loss(space, -z, z)) == pytest.approx(1.0, rel=1e-5)
    learned = jax.grad(lambda p: losses.encoder_loss(space, apply(p, windows(1))[1], z))(params())
    assert np.abs(learned["hidden_0"]["kernel"]).max() > 0
