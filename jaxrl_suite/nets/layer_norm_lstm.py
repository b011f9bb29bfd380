"""An LSTM whose sums are normalised, over sequences in which episodes begin.

Source: Ba et al. 2016, section 4 of the supplement, in the form of OpenAI's baselines, which
Han et al. 2024 use.
"""

import jax
import jax.numpy as jnp
from flax import linen as nn

_LEAST = 1e-5  # added to a variance that divides
Carry = tuple[jax.Array, jax.Array]  # cell and output, [B, H] each


def blank(batch: int, units: int) -> Carry:
    """Before the first step."""
    return jnp.zeros((batch, units)), jnp.zeros((batch, units))


class _Norm(nn.Module):
    """Scale and bias [size] of a normalisation, to be used inside a scan."""

    size: int

    @nn.compact
    def __call__(self) -> tuple[jax.Array, jax.Array]:
        ones, zeros = nn.initializers.ones, nn.initializers.zeros
        return self.param("scale", ones, (self.size,)), self.param("bias", zeros, (self.size,))


def normalised(x: jax.Array, scale: jax.Array, bias: jax.Array) -> jax.Array:
    """(x - mean) / standard deviation over the last axis, scaled and shifted, [B, D]."""
    mean = jnp.mean(x, axis=-1, keepdims=True)
    variance = jnp.mean((x - mean) ** 2, axis=-1, keepdims=True)
    return (x - mean) / jnp.sqrt(variance + _LEAST) * scale[None] + bias[None]


class LayerNormLSTM(nn.Module):
    r"""Gates :math:`i, f, o, u = LN(W_x x) + LN(W_h h) + b`, then

    .. math::

      c \leftarrow \sigma(f) c + \sigma(i) \tanh(u), \qquad h \leftarrow \sigma(o) \tanh(LN(c))

    Attributes:
      units: H.
    """

    units: int

    @nn.compact
    def __call__(self, x: jax.Array, fresh: jax.Array, carry: Carry) -> tuple[Carry, jax.Array]:
        """[T, B, I], bool [T, B] where an episode begins, and a carry -> carry, outputs [T, B, H].

        The carry is zero at the steps that begin an episode.
        """
        wide, orthogonal = 4 * self.units, nn.initializers.orthogonal()
        inputs = nn.Dense(wide, use_bias=False, kernel_init=orthogonal, name="input")(x)
        inputs = nn.LayerNorm(epsilon=_LEAST, name="input_norm")(inputs)
        recurrent = self.param("recurrent", orthogonal, (self.units, wide))
        bias = self.param("bias", nn.initializers.zeros, (wide,))
        of_output = _Norm(wide, name="output_norm")()
        of_cell = _Norm(self.units, name="cell_norm")()

        def step(carry: Carry, given: tuple) -> tuple[Carry, jax.Array]:
            told, begins = given
            c, h = (jnp.where(begins[:, None], 0.0, y) for y in carry)
            gates = told + normalised(h @ recurrent, *of_output) + bias[None]
            i, f, o, u = jnp.split(gates, 4, axis=-1)
            c = nn.sigmoid(f) * c + nn.sigmoid(i) * nn.tanh(u)
            h = nn.sigmoid(o) * nn.tanh(normalised(c, *of_cell))
            return (c, h), h

        return jax.lax.scan(step, carry, (inputs, fresh))
