"""Networks of skills: their sizes, and what a latent of length 0 and the heads do."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_suite.nets.skills import Discriminator, SkillActor, SkillCritic
from jaxrl_suite.ops import hypersphere

SENSE, WINDOW, LATENT, ACTION = 223, 1250, 64, 28


def size(params):
    return sum(leaf.size for leaf in jax.tree.leaves(params))


def shapes(net, *lengths):
    made = lambda: net.init(jax.random.key(0), *(jnp.zeros(n) for n in lengths))["params"]  # noqa: E731
    return jax.eval_shape(made)


def test_default_networks_are_as_large_as_the_originals():
    """6,823,326 numbers in all."""
    actor = shapes(SkillActor(ACTION), SENSE, LATENT)
    style = {name: layer for name, layer in actor.items() if name.startswith("style")}
    critic = shapes(SkillCritic(), SENSE, LATENT)
    judge = shapes(Discriminator(), WINDOW)
    encoder = judge.pop("encoder")
    assert size(style) == 181_056
    assert size(actor) - size(style) == 1_883_676
    assert size(critic) == 1_869_825
    assert size(judge) == 2_855_937
    assert size(encoder) == 32_832
    assert sum(map(size, (actor, critic, judge, encoder))) == 6_823_326


@pytest.fixture(scope="module")
def actor():
    net = SkillActor(3, hidden=(16, 8), style=(8, 4))
    params = net.init(jax.random.key(0), jnp.zeros(5), jnp.zeros(2))["params"]
    return net, params


def test_the_latent_changes_the_mean_through_a_tanh_layer_alone(actor):
    net, params = actor
    seen = jnp.ones((2, 5))
    apply = lambda z: net.apply({"params": params}, seen, jnp.asarray(z))  # noqa: E731
    one = apply([[1.0, 0], [0, 1.0]])
    assert np.abs(np.asarray(one[0] - one[1])).max() > 1e-4
    # Far out the layers of the latent saturate: what they add is bounded.
    far, farther = apply([[1e4, 0]] * 2), apply([[1e5, 0]] * 2)
    np.testing.assert_allclose(far, farther, atol=1e-5)


def test_last_layers_are_drawn_as_in_the_original():
    """Uniform within +-1 for style and logit, within +-0.1 for the encoder, whose bias is 0."""
    params = SkillActor(ACTION).init(jax.random.key(0), jnp.zeros(9), jnp.zeros(LATENT))["params"]
    judge = Discriminator((32, 512)).init(jax.random.key(1), jnp.zeros(9))["params"]
    for kernel, bound in (
        (params["style_2"]["kernel"], 1.0),
        (judge["logit"]["kernel"], 1.0),
        (judge["encoder"]["kernel"], 0.1),
    ):
        assert 0.95 * bound < np.abs(kernel).max() <= bound
        assert np.std(kernel) == pytest.approx(bound / np.sqrt(3), rel=0.1)
    assert (np.asarray(judge["encoder"]["bias"]) == 0).all()


def test_without_a_latent_there_are_no_layers_for_one():
    params = shapes(SkillActor(3, (16, 8)), 5, 0)
    assert sorted(params) == ["hidden_0", "hidden_1", "mean"]
    assert params["hidden_0"]["kernel"].shape == (5, 16)


def test_a_bounded_mean_stays_within_1(actor):
    net = SkillActor(3, hidden=(16, 8), bounded=True)
    params = net.init(jax.random.key(0), jnp.zeros(5), jnp.zeros(0))["params"]
    seen = 100.0 * jax.random.normal(jax.random.key(1), (50, 5))
    mean = np.asarray(net.apply({"params": params}, seen, jnp.zeros((50, 0))))
    assert np.abs(mean).max() <= 1.0
    free, own = actor
    loose = free.apply({"params": own}, seen, jnp.ones((50, 2)))
    assert np.abs(np.asarray(loose)).max() > 1.0


def test_the_encoder_answers_with_a_direction_and_shares_the_trunk():
    net = Discriminator((16, 8), latent=4)
    params = net.init(jax.random.key(0), jnp.zeros(6))["params"]
    windows = jax.random.normal(jax.random.key(1), (10, 6))
    logit, guess = net.apply({"params": params}, windows)
    assert logit.shape == (10,)
    np.testing.assert_allclose(np.linalg.norm(guess, axis=1), 1.0, rtol=1e-5)
    moved = jax.grad(lambda p: net.apply({"params": p}, windows)[1].sum())(params)
    assert np.abs(moved["hidden_0"]["kernel"]).max() > 0
    assert np.abs(moved["logit"]["kernel"]).max() == 0
    free = Discriminator((16, 8), latent=4, project=lambda x: x)
    loose_logit, loose = free.apply({"params": params}, windows)
    np.testing.assert_array_equal(loose_logit, logit)
    assert np.linalg.norm(loose, axis=1).std() > 1e-3
    np.testing.assert_allclose(hypersphere.project(loose), guess, atol=1e-6)


def test_without_an_encoder_the_direction_is_empty():
    net = Discriminator((16, 8), latent=0)
    params = net.init(jax.random.key(0), jnp.zeros(6))["params"]
    assert "encoder" not in params
    assert net.apply({"params": params}, jnp.zeros((10, 6)))[1].shape == (10, 0)


def test_a_critic_is_told_the_latent_as_it_is():
    net = SkillCritic((16, 8))
    params = net.init(jax.random.key(0), jnp.zeros(5), jnp.zeros(2))["params"]
    assert params["hidden_0"]["kernel"].shape == (7, 16)
    assert net.apply({"params": params}, jnp.zeros((3, 4, 5)), jnp.zeros((3, 4, 2))).shape == (3, 4)
