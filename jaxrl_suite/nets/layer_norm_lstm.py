"""An LSTM whose sums are normalised, over sequences in which episodes begin.

Source: Ba et al. 2016, section 4 of the supplement, in the form of OpenAI's baselines, which
Han et al. 2024 use.
"""

import jax
import jax.numpy as jnp
from flax import linen as nn

Carry = tuple[jax.Array, jax.Array]  # cell and output, [B, H] each


def blank(batch: int, units: int) -> Carry:
    """Before the first step."""
    return jnp.zeros((batch, units)), jnp.zeros((batch, units))


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
        norm = lambda name: nn.LayerNorm(epsilon=1e-5, name=name)  # noqa: E731
        inputs = nn.Dense(wide, use_bias=False, kernel_init=orthogonal, name="input")(x)
        inputs = norm("input_norm")(inputs)
        recurrent = self.param("recurrent", orthogonal, (self.units, wide))
        bias = self.param("bias", nn.initializers.zeros, (wide,))
        of_output, of_cell = norm("output_norm"), norm("cell_norm")

        def step(cell: nn.Module, carry: Carry, given: tuple) -> tuple[Carry, jax.Array]:
            told, begins = given
            c, h = (jnp.where(begins[:, None], 0.0, y) for y in carry)
            gates = told + of_output(h @ recurrent) + bias[None]
            i, f, o, u = jnp.split(gates, 4, axis=-1)
            c = nn.sigmoid(f) * c + nn.sigmoid(i) * nn.tanh(u)
            h = nn.sigmoid(o) * nn.tanh(of_cell(c))
            return (c, h), h

        scan = nn.scan(step, variable_broadcast="params", split_rngs={"params": False})
        return scan(self, carry, (inputs, fresh))
