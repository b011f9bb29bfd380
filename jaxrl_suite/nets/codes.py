"""Networks of coded skills: an encoder that sees what is to come, a decoder that acts on a code.

Source: Han et al. 2024 and its released code, whose sizes are the defaults.
"""

import jax
import jax.numpy as jnp
from flax import linen as nn


def normc(scale: float = 1.0) -> nn.initializers.Initializer:
    """Normal, every column of a kernel scaled to this length."""

    def init(key: jax.Array, shape: tuple[int, ...], dtype: jnp.dtype = jnp.float32) -> jax.Array:
        x = jax.random.normal(key, shape, dtype)
        return scale * x / jnp.linalg.norm(x, axis=0, keepdims=True)

    return init


def uniform_codebook(key: jax.Array, size: int, width: int) -> jax.Array:
    """[size, width], uniform within +- sqrt(3 / size)."""
    bound = (3.0 / size) ** 0.5
    return jax.random.uniform(key, (size, width), minval=-bound, maxval=bound)


class Value(nn.Module):
    """A value of body and future.

    Attributes:
      hidden: units of the tanh layers.
    """

    hidden: tuple[int, ...] = (256, 256)

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[..., I] -> [...]."""
        for i, units in enumerate(self.hidden):
            x = nn.tanh(nn.Dense(units, kernel_init=normc(), name=f"hidden_{i}")(x))
        return nn.Dense(1, kernel_init=normc(), name="value")(x)[..., 0]


class Encoder(nn.Module):
    """A latent, from what the robot senses and is to do.

    Attributes:
      size: of its output.
      hidden: units of the relu layers.
    """

    size: int = 32
    hidden: tuple[int, ...] = (256, 256)

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[..., I] -> [..., size]."""
        for i, units in enumerate(self.hidden):
            x = nn.relu(nn.Dense(units, kernel_init=normc(), name=f"hidden_{i}")(x))
        return nn.Dense(self.size, kernel_init=normc(), name="latent")(x)


class Decoder(nn.Module):
    """Mean action, from what the robot senses and a latent; it does not see what is to come.

    Attributes:
      action_size: A.
      sensed: units of the layer that what is sensed passes through.
      told: of the layer that the latent passes through.
      hidden: of the relu layers that see both.
    """

    action_size: int = 12
    sensed: int = 64
    told: int = 32
    hidden: tuple[int, ...] = (256, 256)

    @nn.compact
    def __call__(self, body: jax.Array, latent: jax.Array) -> jax.Array:
        """[..., P] and [..., D] -> [..., A]."""
        dense = lambda units, name: nn.Dense(units, kernel_init=normc(), name=name)  # noqa: E731
        x = nn.relu(dense(self.sensed, "sensed")(body))
        y = nn.relu(dense(self.told, "told")(latent))
        x = jnp.concatenate([x, y], axis=-1)
        for i, units in enumerate(self.hidden):
            x = nn.relu(dense(units, f"hidden_{i}")(x))
        return nn.Dense(self.action_size, kernel_init=normc(0.01), name="mean")(x)


class CodePrior(nn.Module):
    """Logits of the code that the encoder would choose, from what the robot senses alone.

    Attributes:
      size: K, codes.
      hidden: units of the relu layers.
    """

    size: int = 256
    hidden: tuple[int, ...] = (256, 256)

    @nn.compact
    def __call__(self, body: jax.Array) -> jax.Array:
        """[..., P] -> [..., K]."""
        for i, units in enumerate(self.hidden):
            body = nn.relu(nn.Dense(units, name=f"hidden_{i}")(body))
        return nn.Dense(self.size, kernel_init=normc(0.01), name="logits")(body)
