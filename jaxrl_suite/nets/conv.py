"""Convolution as one matrix product, for boards of a few cells and for vmapped weights."""

import jax
import jax.numpy as jnp
from flax import linen as nn

# Up to this many cells a side the patches are gathered and multiplied: they cost nine times the
# input's memory, which a board of 10x10 does not notice and a screen of 84x84 does. It pays
# twice: vmapping over seeds turns a lax convolution into a grouped one, and a lax convolution
# inside a loop runs single-threaded on CPU; a matrix product suffers neither.
_LARGEST_PATCHED_SIDE = 16


class Conv3x3(nn.Module):
    """3x3 convolution, stride 1, NHWC, with the parameters of ``nn.Conv``.

    features: output channels.
    padding: "SAME" or "VALID".
    dtype: computation; parameters stay float32.
    """

    features: int
    padding: str = "SAME"
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[N, H, W, C] -> [N, H', W', features]."""
        shape = (3, 3, x.shape[-1], self.features)
        kernel = self.param("kernel", nn.initializers.lecun_normal(), shape)
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        x, kernel, bias = nn.dtypes.promote_dtype(x, kernel, bias, dtype=self.dtype)
        if max(x.shape[1:3]) > _LARGEST_PATCHED_SIDE:
            dimensions = ("NHWC", "HWIO", "NHWC")
            y = jax.lax.conv_general_dilated(
                x, kernel, (1, 1), self.padding, dimension_numbers=dimensions
            )
        else:
            if self.padding == "SAME":
                x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
            height, width = x.shape[1] - 2, x.shape[2] - 2
            taps = [x[:, i : i + height, j : j + width] for i in range(3) for j in range(3)]
            patches = jnp.concatenate(taps, axis=-1)
            y = patches @ kernel.reshape(-1, self.features)
        return y + bias.reshape(1, 1, 1, -1)
