"""Networks of skills: a policy and a critic told a latent, a discriminator that guesses it.

Source: Peng et al. 2022, section 7 and its released code, whose sizes are the defaults.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import linen as nn

from jaxrl_suite.ops import hypersphere


def _within(bound: float) -> nn.initializers.Initializer:
    """Uniform between -bound and bound."""

    def init(key: jax.Array, shape: tuple[int, ...], dtype: jnp.dtype = jnp.float32) -> jax.Array:
        return jax.random.uniform(key, shape, dtype, -bound, bound)

    return init


def _torso(x: jax.Array, hidden: tuple[int, ...]) -> jax.Array:
    for i, units in enumerate(hidden):
        x = nn.relu(nn.Dense(units, name=f"hidden_{i}")(x))
    return x


class SkillActor(nn.Module):
    """Mean action, of an observation and a latent that passes through layers of its own.

    Attributes:
      action_size: A.
      hidden: units of the relu layers.
      style: units of the latent's layers, the last of which is a tanh layer.
      bounded: the mean is a tanh, too.
    """

    action_size: int
    hidden: tuple[int, ...] = (1024, 1024, 512)
    style: tuple[int, ...] = (512, 256, 64)
    bounded: bool = False

    @nn.compact
    def __call__(self, observation: jax.Array, latent: jax.Array) -> jax.Array:
        """[..., O] and [..., Z] -> [..., A]; a latent of length 0 is none."""
        x = observation
        if latent.shape[-1]:
            *inner, last = self.style
            told = latent
            for i, units in enumerate(inner):
                told = nn.relu(nn.Dense(units, name=f"style_{i}")(told))
            told = nn.Dense(last, kernel_init=_within(1.0), name=f"style_{len(inner)}")(told)
            x = jnp.concatenate([x, nn.tanh(told)], axis=-1)
        mean = nn.Dense(self.action_size, name="mean")(_torso(x, self.hidden))
        return nn.tanh(mean) if self.bounded else mean


class SkillCritic(nn.Module):
    """A value.

    Attributes:
      hidden: units of the relu layers.
    """

    hidden: tuple[int, ...] = (1024, 1024, 512)

    @nn.compact
    def __call__(self, observation: jax.Array, latent: jax.Array) -> jax.Array:
        """[..., O] and [..., Z] -> [...]."""
        x = _torso(jnp.concatenate([observation, latent], axis=-1), self.hidden)
        return nn.Dense(1, name="value")(x)[..., 0]


class Discriminator(nn.Module):
    """Tells windows of clips from windows of the policy, and guesses the latent behind them.

    Attributes:
      hidden: units of the relu layers, which both heads share.
      latent: Z, length of the latent; 0 for no encoder.
      project: from what the encoder puts out to the latent that it means.
    """

    hidden: tuple[int, ...] = (1024, 1024, 512)
    latent: int = 64
    project: Callable[[jax.Array], jax.Array] = hypersphere.project

    @nn.compact
    def __call__(self, window: jax.Array) -> tuple[jax.Array, jax.Array]:
        """[..., W] -> logit [...], above 0 for a clip; and a latent [..., Z]."""
        x = _torso(window, self.hidden)
        logit = nn.Dense(1, kernel_init=_within(1.0), name="logit")(x)[..., 0]
        if not self.latent:
            return logit, jnp.zeros((*logit.shape, 0))
        guess = nn.Dense(self.latent, kernel_init=_within(0.1), name="encoder")(x)
        return logit, self.project(guess)
