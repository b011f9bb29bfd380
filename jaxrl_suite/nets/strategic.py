"""Networks of a player: where to head, and what a game is worth.

Source: Han et al. 2024 and its released code; the sizes are theirs.
"""

import jax
import jax.numpy as jnp
from flax import linen as nn

from jaxrl_suite.nets.codes import normc
from jaxrl_suite.nets.layer_norm_lstm import Carry, LayerNormLSTM
from jaxrl_suite.nets.perceptive import Perception

_SEEN = ("height", "depth", "rays")


def _vector(x: jax.Array) -> jax.Array:
    """[..., 29] -> [..., 64]."""
    for i in range(2):
        x = nn.relu(nn.Dense(64, name=f"vector_{i}")(x))
    return x


class StrategicPolicy(nn.Module):
    """A heading (rad), of a player that remembers.

    Attributes:
      units: of its memory.
    """

    units: int = 32

    @nn.compact
    def __call__(
        self, observation: dict[str, jax.Array], fresh: jax.Array, carry: Carry
    ) -> tuple[Carry, jax.Array]:
        """Keys [T, B, ·], bool [T, B] -> carry, [T, B], within -pi and pi."""
        body = nn.relu(nn.Dense(64, name="body")(observation["body"]))
        seen = Perception(_SEEN, name="perception")(observation)
        x = jnp.concatenate([_vector(observation["vector"]), body, seen], axis=-1)
        x = nn.relu(nn.Dense(256, name="joint")(x))
        carry, x = LayerNormLSTM(self.units, name="memory")(x, fresh, carry)
        heading = nn.Dense(1, kernel_init=normc(0.01), name="heading")(x)[..., 0]
        return carry, jnp.clip(heading, -jnp.pi, jnp.pi)


class StrategicValue(nn.Module):
    """A value of all there is to know, whatever the player sees of it.

    Attributes:
      units: of its memory.
    """

    units: int = 32

    @nn.compact
    def __call__(
        self, observation: dict[str, jax.Array], fresh: jax.Array, carry: Carry
    ) -> tuple[Carry, jax.Array]:
        """Keys [T, B, ·], bool [T, B] -> carry, [T, B]."""
        branch = lambda x, name: nn.relu(nn.Dense(128, name=name)(x))  # noqa: E731
        parts = [
            branch(_vector(observation["critic"]), "vector"),
            branch(observation["body"], "body"),
            branch(Perception(_SEEN, name="perception")(observation), "seen"),
        ]
        x = nn.tanh(nn.Dense(256, name="joint")(jnp.concatenate(parts, axis=-1)))
        carry, x = LayerNormLSTM(self.units, name="memory")(x, fresh, carry)
        return carry, nn.Dense(1, kernel_init=normc(), name="value")(x)[..., 0]
