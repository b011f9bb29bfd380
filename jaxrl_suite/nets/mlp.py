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
    def __call__(self, observation: dict[str, jax.Array]) -> tuple[jax.Array, jax.Array]:
        """Of each key [..., D] -> mean [..., A], log standard deviation [A]."""
        log_std = self.param("log_std", nn.initializers.zeros, (self.action_size,))
        return _layer(self.action_size)(_torso(observation, self.hidden)), log_std


class Critic(nn.Module):
    """A value.

    Attributes:
      hidden: units of the tanh layers.
    """

    hidden: tuple[int, ...] = (64, 64)

    @nn.compact
    def __call__(self, observation: dict[str, jax.Array]) -> jax.Array:
        """Of each key [..., D] -> [...]."""
        return _layer(1)(_torso(observation, self.hidden))[..., 0]


def _layer(units: int, name: str | None = None) -> nn.Dense:
    return nn.Dense(units, kernel_init=orthogonal, name=name)


def _torso(observation: dict[str, jax.Array], hidden: tuple[int, ...]) -> jax.Array:
    """Layers ``KEY_0``, ``KEY_1``, .. for every key; if there are several, one joins them."""
    ends = []
    for key, x in sorted(observation.items()):
        for i, units in enumerate(hidden):
            x = nn.tanh(_layer(units, f"{key}_{i}")(x))
        ends.append(x)
    if len(ends) == 1:
        return ends[0]
    return nn.tanh(_layer(hidden[-1], "joined")(jnp.concatenate(ends, axis=-1)))


_POLAR_STEPS = 50  # singular values grow by 3/2 a step: enough for any normal matrix


def orthogonal(key: jax.Array, shape: tuple[int, int], dtype: jnp.dtype = jnp.float32) -> jax.Array:
    """A random matrix with orthonormal rows, or columns if there are more rows; an initialiser.

    The polar factor of a normal matrix, uniform over all such matrices, as the Q of a QR
    decomposition is. Found by X <- 3/2 X - 1/2 X X' X from the matrix over its norm (Bjorck and
    Bowie 1971), for products are quick in a batch and cannot stop XLA's threads: on a CPU two
    batched LAPACK calls at once may each wait for the thread that the other one holds.
    """
    return _polar(jax.random.normal(key, shape, dtype))


def masked_orthogonal(key: jax.Array, mask: jax.Array, units: int) -> jax.Array:
    """A first layer for padded inputs, [D, units]: orthogonal in the rows that are used, else 0.

    What a layer of just the used inputs would begin with, see :func:`orthogonal`.

    Args:
      key: random key.
      mask: [D], 1 for inputs in use.
      units: of the layer.
    """
    return _polar(jax.random.normal(key, (mask.shape[0], units)) * mask[:, None])


def _polar(x: jax.Array) -> jax.Array:
    def step(_: int, x: jax.Array) -> jax.Array:
        return 1.5 * x - 0.5 * (x @ (x.T @ x))

    with jax.default_matmul_precision("highest"):
        return jax.lax.fori_loop(0, _POLAR_STEPS, step, x / jnp.linalg.norm(x))
