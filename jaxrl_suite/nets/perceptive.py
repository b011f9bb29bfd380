"""Networks of a robot that sees where it goes: the ground, what is ahead, walls, and a target.

Source: Han et al. 2024 and its released code; the sizes are theirs.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from jaxrl_suite.nets.codes import normc
from jaxrl_suite.nets.layer_norm_lstm import Carry, LayerNormLSTM

GRID = (25, 13)  # points of a map
# differs: the original's networks see metres; a missed ray of 20 m would drown all else.
_DEPTH, _RAY = 3.0, 20.0  # m, the largest distances
TOLD = ("height", "depth", "rays", "target")


class MapTorso(nn.Module):
    """Of a map of 25 x 13 points, 28 numbers."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[..., 25 * 13] -> [..., 28]."""
        lead = x.shape[:-1]
        x = x.reshape(-1, *GRID, 1)
        layers = ((4, 1, 1), (4, 4, 2), (4, 2, 2), (1, 2, 1))
        for i, (channels, size, stride) in enumerate(layers):
            conv = nn.Conv(channels, (size, size), (stride, stride), name=f"conv_{i}")
            x = nn.relu(conv(x))
        return x.reshape(*lead, -1)


class RayTorso(nn.Module):
    """Of distances all around, 32 numbers; the first ray follows the last."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[..., 128] -> [..., 32]."""
        lead = x.shape[:-1]
        x = x.reshape(-1, x.shape[-1], 1)
        for i, (channels, stride) in enumerate(((4, 1), (4, 2), (4, 2), (1, 1))):
            conv = nn.Conv(channels, (4,), (stride,), padding="CIRCULAR", name=f"conv_{i}")
            x = nn.relu(conv(x))
        return x.reshape(*lead, -1)


class Perception(nn.Module):
    """64 numbers of everything outside of the robot.

    Attributes:
      told: keys of the observation; without "target" the robot is not told one.
    """

    told: tuple[str, ...] = TOLD

    @nn.compact
    def __call__(self, observation: dict[str, jax.Array]) -> jax.Array:
        """Of keys [..., ·] -> [..., 64]."""
        parts = [
            MapTorso(name="height")(observation["height"]),
            RayTorso(name="rays")(observation["rays"] / _RAY),
            MapTorso(name="depth")(observation["depth"] / _DEPTH),
        ]
        if "target" in self.told:
            parts.append(nn.relu(nn.Dense(32, name="target")(observation["target"])))
        return nn.relu(nn.Dense(64, name="fusion")(jnp.concatenate(parts, axis=-1)))


class PerceptivePolicy(nn.Module):
    """Outputs of a policy that remembers.

    Attributes:
      outputs: how many.
      units: of its memory.
    """

    outputs: int
    units: int = 32

    @nn.compact
    def __call__(
        self, observation: dict[str, jax.Array], fresh: jax.Array, carry: Carry
    ) -> tuple[Carry, jax.Array]:
        """Keys [T, B, ·], bool [T, B] -> carry, [T, B, outputs]."""
        body = nn.relu(nn.Dense(64, name="body")(observation["body"]))
        x = jnp.concatenate([body, Perception(name="perception")(observation)], axis=-1)
        x = nn.relu(nn.Dense(256, name="joint")(x))
        carry, x = LayerNormLSTM(self.units, name="memory")(x, fresh, carry)
        return carry, nn.Dense(self.outputs, kernel_init=normc(0.01), name="outputs")(x)


class PerceptiveValue(nn.Module):
    """A value that remembers.

    Attributes:
      units: of its memory.
    """

    units: int = 32

    @nn.compact
    def __call__(
        self, observation: dict[str, Any], fresh: jax.Array, carry: Carry
    ) -> tuple[Carry, jax.Array]:
        """Keys [T, B, ·], bool [T, B] -> carry, [T, B]."""
        body = nn.relu(nn.Dense(128, name="body")(observation["body"]))
        seen = Perception(name="perception")(observation)
        seen = nn.relu(nn.Dense(128, name="seen")(seen))
        x = nn.tanh(nn.Dense(256, name="joint")(jnp.concatenate([body, seen], axis=-1)))
        carry, x = LayerNormLSTM(self.units, name="memory")(x, fresh, carry)
        return carry, nn.Dense(1, kernel_init=normc(), name="value")(x)[..., 0]
