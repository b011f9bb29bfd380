import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from jaxrl_suite.nets import conv
from jaxrl_suite.nets.conv import Conv3x3, ConvStrided


class FlaxPooled(nn.Module):
    features: int

    @nn.compact
    def __call__(self, x):
        x = nn.Conv(self.features, (3, 3), name="conv")(x)
        return nn.max_pool(x, (3, 3), strides=(2, 2), padding="SAME")


def outcome(module, params, x):
    """Value, and gradients by the parameters and the input."""

    def loss(params, x):
        y = module.apply(params, x)
        return jnp.sum(jnp.sin(y)), y

    gradients, y = jax.grad(loss, argnums=(0, 1), has_aux=True)(params, x)
    return y, gradients


run = jax.jit(outcome, static_argnums=0)
close = functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-4)


def made(module, x, seed=0):
    params = jax.jit(module.init)(jax.random.key(seed), x)["params"]
    return {"params": params | {"bias": jnp.linspace(-1.0, 1.0, module.features)}}


def images(*shape):
    return jax.random.normal(jax.random.key(1), shape)


# Boards; screens of few channels, in blocks where the sides are even; screens of many.
POOLED = [(10, 8, 4), (18, 20, 3), (17, 20, 3), (20, 14, 16), (19, 18, 17)]


@pytest.mark.parametrize("backend", ["cpu", "another"])
@pytest.mark.parametrize("shape", POOLED)
def test_pooled_convolution_equals_flax(shape, backend, monkeypatch):
    monkeypatch.setattr(conv, "on_cpu", lambda: backend == "cpu")
    ours, theirs = Conv3x3(5, pool=True), FlaxPooled(5)
    x = images(2, *shape)
    params = made(ours, x)
    # A function of its own: what is compiled for one backend is not to serve the other.
    y, gradients = jax.jit(functools.partial(outcome, ours))(params, x)
    y_flax, gradients_flax = run(theirs, {"params": {"conv": params["params"]}}, x)
    close(y, y_flax)
    jax.tree.map(close, gradients[0]["params"], gradients_flax[0]["params"]["conv"])
    close(gradients[1], gradients_flax[1])


def test_a_small_stage_of_a_screen_is_the_same_function():
    x = images(3, 11, 11, 16)
    board, screen = Conv3x3(4, screen=False), Conv3x3(4, screen=True)
    params = made(board, x)
    jax.tree.map(close, run(board, params, x), run(screen, params, x))


@pytest.mark.parametrize("module", [Conv3x3(4, screen=True), Conv3x3(4, pool=True)])
def test_vmap_over_weights_equals_one_by_one(module):
    x = images(3, 2, 18, 18, 3)
    several = [made(module, x[0], seed) for seed in range(3)]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *several)
    expected = [run(module, params, one) for params, one in zip(several, x, strict=True)]
    expected = jax.tree.map(lambda *leaves: jnp.stack(leaves), *expected)
    mapped = jax.vmap(functools.partial(run, module))(stacked, x)
    jax.tree.map(close, mapped, expected)
    # One set of weights, several batches: the gradient variant by variant.
    shared = jax.vmap(functools.partial(run, module), in_axes=(None, 0))(several[0], x)
    jax.tree.map(lambda mine, all_: close(mine[0], all_[0]), shared, expected)


def test_bfloat16_gives_bfloat16_and_float32_gradients_of_the_weights():
    module = Conv3x3(4, pool=True, dtype=jnp.bfloat16)
    x = images(2, 18, 18, 3)
    params = made(module, x)
    y, (by_params, _) = run(module, params, x)
    assert y.dtype == jnp.bfloat16
    assert {leaf.dtype for leaf in jax.tree.leaves(by_params)} == {jnp.dtype(jnp.float32)}
    full, _ = run(Conv3x3(4, pool=True), params, x)
    np.testing.assert_allclose(y.astype(jnp.float32), full, atol=0.05)


# Sizes that the windows cover, and one that they leave a rest of.
@pytest.mark.parametrize("sides", [(20, 24), (23, 30)])
@pytest.mark.parametrize(("side", "stride"), [(8, 4), (4, 2)])
def test_strided_convolution_equals_flax(sides, side, stride):
    ours = ConvStrided(3, side=side, stride=stride)
    theirs = nn.Conv(3, (side, side), strides=stride, padding="VALID")
    x = images(2, *sides, 4)
    params = made(ours, x)
    assert jax.tree.map(jnp.shape, params) == jax.tree.map(jnp.shape, made(theirs, x))
    jax.tree.map(close, run(ours, params, x), run(theirs, params, x))


def test_strided_convolution_reads_pixels_as_fractions():
    pixels = jax.random.bits(jax.random.key(0), (2, 20, 20, 4), jnp.uint8)
    module = ConvStrided(3, side=8, stride=4)
    params = made(module, pixels / 255.0)
    close(module.apply(params, pixels), module.apply(params, pixels / 255.0))
