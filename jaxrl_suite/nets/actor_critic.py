"""Torsos for images and boards, and the actor-critic with optional memory on top of them."""

import dataclasses
import math
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from jaxrl_suite.core import UsageError
from jaxrl_suite.nets.conv import Conv3x3, ConvStrided, as_floats, is_screen, on_cpu

# So many images of a screen are taken at a time on CPU; see `ActorCritic._features`.
_IMAGES_AT_A_TIME = 48
_SMALLEST_GROUP = 8


@dataclasses.dataclass(frozen=True)
class NetworkConfig:
    """Shape of an actor-critic network.

    Attributes:
      torso: "resnet", IMPALA's residual CNN (Espeholt et al. 2018, figure 3, right), "shallow",
        its small CNN (figure 3, left), or "grid", one 3x3
        convolution for boards of a few cells (MinAtar's, Young and Tian 2019).
      sections: of the resnet, (channels, residual blocks) each; a section halves the image.
      grid_channels: of the grid torso.
      hidden: units of the fully connected layer.
      width: multiplies all channels and hidden units.
      depth: multiplies the residual blocks of every section.
      lstm: units of the LSTM after the fully connected layer; 0 for none.
      last_action_reward: append the one-hot last action and the clipped last reward.
      bfloat16: compute in bfloat16; heads, log-probabilities and parameters stay float32.
    """

    torso: Literal["resnet", "shallow", "grid"] = "resnet"
    sections: tuple[tuple[int, int], ...] = ((16, 2), (32, 2), (32, 2))
    grid_channels: int = 16
    hidden: int = 256
    width: float = 1.0
    depth: int = 1
    lstm: int = 0
    last_action_reward: bool = False
    bfloat16: bool = False

    @property
    def dtype(self) -> jnp.dtype:
        """What the torso computes in."""
        return jnp.bfloat16 if self.bfloat16 else jnp.float32

    def check(self) -> None:
        """Raises UsageError for sizes that no network can have."""
        if self.torso not in TORSOS:
            raise UsageError(f"unknown torso {self.torso!r}; legal: {', '.join(TORSOS)}")
        sizes = [("grid_channels", 1), ("hidden", 1), ("depth", 0), ("lstm", 0)]
        for name, least in sizes:
            if getattr(self, name) < least:
                raise UsageError(f"{name} must be at least {least}, not {getattr(self, name)}")
        if not 0 < self.width < math.inf:
            raise UsageError(f"width must be a number above 0, not {self.width}")
        if not self.sections or any(c < 1 or blocks < 0 for c, blocks in self.sections):
            raise UsageError(
                f"sections {self.sections} must be pairs of channels >= 1 and blocks >= 0"
            )

    def scaled(self, units: int) -> int:
        """`units` times the width multiplier, at least 1."""
        return max(1, round(units * self.width))


class ResidualBlock(nn.Module):
    """x + conv(relu(conv(relu(x))))."""

    features: int
    screen: bool
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[N, H, W, C] -> [N, H, W, C]."""
        y = Conv3x3(self.features, screen=self.screen, dtype=self.dtype)(nn.relu(x))
        return x + Conv3x3(self.features, screen=self.screen, dtype=self.dtype)(nn.relu(y))


class ResNetTorso(nn.Module):
    """IMPALA's residual CNN: sections of convolution, max-pool and residual blocks."""

    config: NetworkConfig

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[N, H, W, C] -> [N, features]."""
        config, screen = self.config, is_screen(x)
        x = as_floats(x, config.dtype)
        for channels, blocks in config.sections:
            features = config.scaled(channels)
            x = Conv3x3(features, pool=True, screen=screen, dtype=config.dtype)(x)
            for _ in range(blocks * config.depth):
                x = ResidualBlock(features, screen, config.dtype)(x)
        return nn.relu(x).reshape(x.shape[0], -1)


class ShallowTorso(nn.Module):
    """IMPALA's small CNN: 8x8 of stride 4 with 16 channels, then 4x4 of stride 2 with 32."""

    config: NetworkConfig

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[N, H, W, C], sides of at least 20 -> [N, features]."""
        config = self.config
        if min(x.shape[1:3]) < 20:
            raise UsageError(
                f"torso 'shallow' needs images of at least 20x20, not {x.shape[1]}x{x.shape[2]}; "
                f"for boards there is 'grid'"
            )
        x = nn.relu(ConvStrided(config.scaled(16), side=8, stride=4, dtype=config.dtype)(x))
        x = nn.relu(ConvStrided(config.scaled(32), side=4, stride=2, dtype=config.dtype)(x))
        return x.reshape(x.shape[0], -1)


class GridTorso(nn.Module):
    """One valid 3x3 convolution: enough for planes of a few cells, and quick on a CPU."""

    config: NetworkConfig

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[N, H, W, C] -> [N, features]."""
        config = self.config
        features = config.scaled(config.grid_channels)
        x = as_floats(x, config.dtype)
        x = nn.relu(Conv3x3(features, padding="VALID", dtype=config.dtype)(x))
        return x.reshape(x.shape[0], -1)


TORSOS = {"resnet": ResNetTorso, "shallow": ShallowTorso, "grid": GridTorso}


class Outputs(NamedTuple):
    """logits: float32 [T, B, A]; values: float32 [T, B, V], V value heads."""

    logits: jax.Array
    values: jax.Array


Carry = tuple[jax.Array, ...]  # () without an LSTM, else (cell, hidden), [B, lstm] each


class ActorCritic(nn.Module):
    """Torso, fully connected layer, optional LSTM, policy and value heads.

    config: shape of the network.
    num_actions: A.
    num_values: V, value heads; more than one gives every task its own (PopArt).
    frames_first: observations are [C, H, W], as emulators stack their frames.
    """

    config: NetworkConfig
    num_actions: int
    num_values: int = 1
    frames_first: bool = False

    def initial_carry(self, batch_size: int) -> Carry:
        """Empty memory for `batch_size` sequences."""
        if not self.config.lstm:
            return ()
        zeros = jnp.zeros((batch_size, self.config.lstm), self.config.dtype)
        return (zeros, zeros)

    def _features(self, torso: nn.Module, x: jax.Array) -> jax.Array:
        """[T, B, H, W, C], or [T, B, C, H, W] -> [T * B, features].

        A learner's batch of screens goes through the torso a few rows at a time on CPU: what a
        layer leaves is in the cache when the next one reads it, and a third of the memory is
        touched. Computing the activations a second time instead of keeping them costs more than
        it saves.
        """

        def apply(torso: nn.Module, x: jax.Array) -> jax.Array:
            return torso(jnp.moveaxis(x, 1, -1) if self.frames_first else x)

        time, batch = x.shape[:2]
        size = images_at_a_time(time, batch)
        # Frames are few: whichever axis is theirs does not make a screen of a board.
        if not is_screen(x) or not on_cpu() or size == time * batch:
            return apply(torso, x.reshape(-1, *x.shape[2:]))
        groups = nn.scan(
            lambda torso, carry, x: (carry, apply(torso, x)),
            variable_broadcast="params",
            split_rngs={"params": False},
        )
        _, features = groups(torso, (), x.reshape(-1, size, *x.shape[2:]))
        return features.reshape(time * batch, -1)

    @nn.compact
    def __call__(
        self,
        observation: jax.Array,
        first: jax.Array,
        last_action: jax.Array,
        last_reward: jax.Array,
        carry: Carry,
    ) -> tuple[Outputs, Carry]:
        """Runs over a whole sequence; time and batch are folded wherever there is no memory.

        Args:
          observation: [T, B, H, W, C], or [T, B, C, H, W] if `frames_first`; uint8 is read as
            0..255, anything else as it is.
          first: bool [T, B], the observation opens an episode: memory is cleared before it.
          last_action: int32 [T, B], 0 at the first observation.
          last_reward: float32 [T, B], 0 at the first observation.
          carry: memory before row 0, from :meth:`initial_carry` or the call before.

        Returns:
          :class:`Outputs` and the memory after the last row.
        """
        config = self.config
        time, batch = first.shape
        torso = TORSOS[config.torso](config, name="torso")
        x = self._features(torso, observation)
        x = nn.relu(nn.Dense(config.scaled(config.hidden), dtype=config.dtype, name="dense")(x))
        if config.last_action_reward:
            action = jax.nn.one_hot(last_action.reshape(-1), self.num_actions)
            reward = jnp.clip(last_reward.reshape(-1, 1), -1.0, 1.0)
            extra = jnp.concatenate([action, reward], axis=-1).astype(config.dtype)
            x = jnp.concatenate([x, extra], axis=-1)
        if config.lstm:
            sequence = x.reshape(time, batch, -1)
            carry, sequence = MaskedLSTM(config.lstm, config.dtype, name="lstm")(
                carry, (sequence, first)
            )
            x = sequence.reshape(time * batch, -1)
        # Heads in float32: a bfloat16 log-probability would make on-policy ratios differ from 1.
        x = x.astype(jnp.float32)
        small = nn.initializers.orthogonal(0.01)  # near-uniform policy at the start
        logits = nn.Dense(self.num_actions, kernel_init=small, name="policy")(x)
        values = nn.Dense(self.num_values, name="value")(x)
        shape = (time, batch, -1)
        return Outputs(logits.reshape(shape), values.reshape(shape)), carry


def images_at_a_time(time: int, batch: int) -> int:
    """Images of a group, [T, B] in equal ones: _IMAGES_AT_A_TIME at most, a whole row at least.

    Whole rows, because a mesh splits B and leaves time whole; but a lone row, somebody acting, may
    be divided, unless its parts would be tiny.
    """
    parts, unit = (batch, 1) if time == 1 else (time, batch)
    fitting = [d for d in range(1, parts + 1) if parts % d == 0 and d * unit <= _IMAGES_AT_A_TIME]
    size = max(fitting, default=1) * unit
    return batch if size < min(batch, _SMALLEST_GROUP) else size


class MaskedLSTM(nn.Module):
    """An LSTM over time whose memory is cleared where an episode opens."""

    features: int
    dtype: jnp.dtype

    @nn.compact
    def __call__(
        self, carry: Carry, sequence: tuple[jax.Array, jax.Array]
    ) -> tuple[Carry, jax.Array]:
        """carry, ([T, B, D], bool [T, B]) -> carry, [T, B, features]."""
        cell = nn.OptimizedLSTMCell(self.features, dtype=self.dtype)

        def step(
            cell: nn.Module, carry: Carry, inputs: tuple[jax.Array, jax.Array]
        ) -> tuple[Carry, jax.Array]:
            x, first = inputs
            carry = jax.tree.map(lambda c: jnp.where(first[:, None], jnp.zeros_like(c), c), carry)
            return cell(carry, x)

        scan = nn.scan(step, variable_broadcast="params", split_rngs={"params": False})
        return scan(cell, carry, sequence)
