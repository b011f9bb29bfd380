"""Perceptrons for control, whose inputs may be padded."""

import jax
import jax.numpy as jnp
from flax import linen as nn


class GaussianActor(nn.Module):
    """Mean and log standard deviation of a normal policy; the latter is one parameter an action.

    Attributes:
      action_size: A.
      hidden: units of the tanh layers.
    """

    action_size: int
    hidden: tuple[int, ...] = (64, 64)

    @nn.compact
    def __call__(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        """[..., D] -> mean [..., A], log standard deviation [A]."""
        log_std = self.param("log_std", nn.initializers.zeros, (self.action_size,))
        return _perceptron(x, self.hidden, self.action_size), log_std


class Critic(nn.Module):
    """A value.

    Attributes:
      hidden: units of the tanh layers.
    """

    hidden: tuple[int, ...] = (64, 64)

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[..., D] -> [...]."""
        return _perceptron(x, self.hidden, 1)[..., 0]


def _perceptron(x: jax.Array, hidden: tuple[int, ...], size: int) -> jax.Array:
    for units in hidden:
        x = nn.tanh(nn.Dense(units, kernel_init=nn.initializers.orthogonal())(x))
    return nn.Dense(size, kernel_init=nn.initializers.orthogonal())(x)


def masked_orthogonal(key: jax.Array, mask: jax.Array, units: int) -> jax.Array:
    """A first layer for padded inputs, [D, units]: orthogonal in the rows that are used, else 0.

    What a layer of just the used inputs would begin with, a random matrix with orthonormal rows,
    or columns if there are more rows: the polar factor of a normal matrix.

    Args:
      key: random key.
      mask: [D], 1 for inputs in use.
      units: of the layer.
    """
    normal = jax.random.normal(key, (mask.shape[0], units)) * mask[:, None]
    left, _, right = jnp.linalg.svd(normal, full_matrices=False)
    return (left @ right) * mask[:, None]
