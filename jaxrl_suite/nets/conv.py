"""The convolutions of the torsos, each in the form that is quick where it is used.

They are all ``nn.Conv`` to the caller: same parameters, same numbers up to rounding.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from jaxrl_suite.nets.pool import max_pool, max_pool_blocks

# Up to this many cells a side the patches are gathered and multiplied: they cost nine times the
# input's memory, which a board of 10x10 does not notice and a screen of 84x84 does. It pays
# twice: vmapping over seeds turns a lax convolution into a grouped one, and a lax convolution
# inside a loop runs single-threaded on CPU; a matrix product suffers neither.
LARGEST_PATCHED_SIDE = 16

# XLA's convolution on CPU reaches its speed only where the channels fill a vector register.
_FULL_REGISTER = 16

_NHWC = ("NHWC", "HWIO", "NHWC")


def on_cpu() -> bool:
    """Whether programs are compiled for CPU; the choice of form is one of speed alone."""
    return jax.default_backend() == "cpu"


class Conv3x3(nn.Module):
    """3x3 convolution, stride 1, NHWC, with the parameters of ``nn.Conv``.

    features: output channels.
    padding: "SAME" or "VALID".
    pool: a max-pool (3x3, stride 2, SAME) follows.
    screen: the input is a screen, or what a network made of one; None asks the input's size.
    dtype: computation; parameters stay float32.
    """

    features: int
    padding: str = "SAME"
    pool: bool = False
    screen: bool | None = None
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[N, H, W, C] -> [N, H', W', features]."""
        shape = (3, 3, x.shape[-1], self.features)
        kernel = self.param("kernel", nn.initializers.lecun_normal(), shape)
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        x, kernel, bias = nn.dtypes.promote_dtype(x, kernel, bias, dtype=self.dtype)
        screen = is_screen(x) if self.screen is None else self.screen
        if screen and self.pool and self.padding == "SAME" and _fits_blocks(x):
            y = max_pool_blocks(convolve_blocks(x, kernel))
        else:
            form = _convolve_screen if screen else _convolve_board
            y = form(x, kernel, self.padding)
            y = max_pool(y) if self.pool else y
        # Behind the pool, where there are a quarter of the elements: the maximum is the same.
        return y + bias.reshape(1, 1, 1, -1)


def as_floats(x: jax.Array, dtype: jnp.dtype) -> jax.Array:
    """What networks compute with: uint8 is read as 0..255, anything else as it is."""
    return x.astype(dtype) * (1.0 / 255.0) if x.dtype == jnp.uint8 else x.astype(dtype)


class ConvStrided(nn.Module):
    """VALID convolution whose stride divides the kernel's side, with ``nn.Conv``'s parameters.

    features: output channels.
    side: of the kernel.
    stride: in both directions.
    dtype: computation; parameters stay float32.
    """

    features: int
    side: int
    stride: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[N, H, W, C], floats or uint8 pixels -> [N, H', W', features]."""
        shape = (self.side, self.side, x.shape[-1], self.features)
        kernel = self.param("kernel", nn.initializers.lecun_normal(), shape)
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        kernel, bias = nn.dtypes.promote_dtype(kernel, bias, dtype=self.dtype)
        return convolve_strided(x, kernel, self.stride) + bias.reshape(1, 1, 1, -1)


def is_screen(x: jax.Array) -> bool:
    """Whether images [..., H, W, C] are too large for patches."""
    return max(x.shape[-3:-1]) > LARGEST_PATCHED_SIDE


def _convolve_board(x: jax.Array, kernel: jax.Array, padding: str) -> jax.Array:
    """[N, H, W, C] with [3, 3, C, F] -> [N, H', W', F], by patches."""
    if padding == "SAME":
        x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    height, width = x.shape[1] - 2, x.shape[2] - 2
    taps = [x[:, i : i + height, j : j + width] for i in range(3) for j in range(3)]
    return jnp.concatenate(taps, axis=-1) @ kernel.reshape(-1, kernel.shape[-1])


def _convolve_screen(x: jax.Array, kernel: jax.Array, padding: str) -> jax.Array:
    """[N, H, W, C] with [3, 3, C, F] -> [N, H', W', F], by the compiler's convolution."""
    if padding == "SAME" and on_cpu():
        return _convolve_same(x, kernel)
    return _lax_convolve(x, kernel, padding)


def _lax_convolve(x: jax.Array, kernel: jax.Array, padding: Any) -> jax.Array:
    return jax.lax.conv_general_dilated(x, kernel, (1, 1), padding, dimension_numbers=_NHWC)


# One after the other under vmap: a grouped convolution, which vmapped kernels would become, takes
# a slow path on CPU.
@jax.custom_batching.sequential_vmap
def _same(x: jax.Array, kernel: jax.Array) -> jax.Array:
    return _lax_convolve(x, kernel, "SAME")


@jax.custom_batching.sequential_vmap
def _kernel_gradient(x: jax.Array, gradient: jax.Array) -> jax.Array:
    """[N, H, W, C] and [N, H, W, F] -> [3, 3, C, F].

    A convolution, too: with the images as channels, x as [C, H, W, N] and a window [H, W] of the
    gradient, [H, W, N, F]. XLA derives the same, but leaves the axes where they are; turned into
    the order that its quick path takes it is faster for hundreds of images, and far faster inside
    a loop, where the other order is computed element by element.
    """
    y = _lax_convolve(x.transpose(3, 1, 2, 0), gradient.transpose(1, 2, 0, 3), ((1, 1), (1, 1)))
    return y.transpose(1, 2, 0, 3)


@jax.custom_vjp
def _convolve_same(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """The SAME convolution of screens on CPU, with gradients that may stand in a loop."""
    return _same(x, kernel)


def _convolve_same_forward(x: jax.Array, kernel: jax.Array) -> tuple[jax.Array, tuple]:
    return _same(x, kernel), (x, kernel)


def _convolve_same_backward(saved: tuple, gradient: jax.Array) -> tuple[jax.Array, jax.Array]:
    x, kernel = saved
    turned = jnp.swapaxes(kernel[::-1, ::-1], 2, 3)
    return _same(gradient, turned), _kernel_gradient(x, gradient)


_convolve_same.defvjp(_convolve_same_forward, _convolve_same_backward)


def _fits_blocks(x: jax.Array) -> bool:
    """Whether :func:`convolve_blocks` is the quicker form: few channels, on CPU."""
    _, height, width, channels = x.shape
    return on_cpu() and height % 2 == width % 2 == 0 and channels < _FULL_REGISTER


def convolve_blocks(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """The SAME 3x3 convolution, 2x2 outputs at a time, as one matrix product.

    Four outputs share a 4x4 window: with the four grey frames of a screen that is 64 numbers in
    and, with 16 features, 64 out. It makes 16/9 of the products and is still several times quicker
    than a convolution of 4 channels, and the max-pool behind it finds its elements in blocks.

    Args:
      x: [N, H, W, C], even sides.
      kernel: [3, 3, C, F].

    Returns:
      [N, H/2, W/2, 2, 2, F].
    """
    batch, height, width, channels = x.shape
    features = kernel.shape[-1]
    rows, columns = height // 2, width // 2
    x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    blocks = space_to_depth(x, 2)
    taps = [blocks[:, i : i + rows, j : j + columns] for i in (0, 1) for j in (0, 1)]
    windows = jnp.concatenate(taps, axis=-1).reshape(-1, 16 * channels)
    # The kernel at its four places in the 4x4 window, [4, 4, C, 2, 2, F].
    place = lambda p, q: jnp.pad(kernel, ((p, 1 - p), (q, 1 - q), (0, 0), (0, 0)))  # noqa: E731
    placed = jnp.stack([jnp.stack([place(p, q) for q in (0, 1)], 3) for p in (0, 1)], 3)
    # Rows and columns of the window as block and place in the block, as in `windows`.
    placed = placed.reshape(2, 2, 2, 2, channels, 4 * features).transpose(0, 2, 1, 3, 4, 5)
    y = windows @ placed.reshape(16 * channels, 4 * features)
    return y.reshape(batch, rows, columns, 2, 2, features)


def space_to_depth(x: jax.Array, side: int) -> jax.Array:
    """Blocks of pixels as channels: [N, H, W, C] -> [N, H/side, W/side, side * side * C]."""
    if x.dtype == jnp.uint8 and x.shape[-1] == 4:
        # Four frames are one word: a quarter of the elements to move.
        words = space_to_depth(jax.lax.bitcast_convert_type(x, jnp.uint32)[..., None], side)
        return jax.lax.bitcast_convert_type(words, jnp.uint8).reshape(*words.shape[:3], -1)
    batch, height, width, channels = x.shape
    x = x.reshape(batch, height // side, side, width // side, side, channels)
    x = x.transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(batch, height // side, width // side, -1)


def convolve_strided(x: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
    """VALID convolution as one matrix product of blocks, whose parts are then added up.

    Every block of stride x stride pixels is multiplied once with all parts of the kernel it may
    meet. Gathering the windows first would write each pixel (side / stride)^2 times, which costs
    more than the product.

    Args:
      x: [N, H, W, C], sides at least the kernel's; uint8 is read as 0..255.
      kernel: [S, S, C, F], S a multiple of `stride`.
      stride: in both directions.

    Returns:
      [N, H', W', F].
    """
    side, _, channels, features = kernel.shape
    reach = side // stride
    rows, columns = ((size - side) // stride + 1 for size in x.shape[1:3])
    height, width = rows + reach - 1, columns + reach - 1
    kernel = kernel.reshape(reach, stride, reach, stride, channels, features)
    kernel = kernel.transpose(1, 3, 4, 0, 2, 5).reshape(stride * stride * channels, -1)

    # Computed again for the gradient: as floats the blocks are four times the pixels, and memory
    # is what they would cost.
    @jax.checkpoint
    def multiply(x: jax.Array, kernel: jax.Array) -> jax.Array:
        # Pixels beyond the last window are cut off: the rest divides into blocks.
        blocks = space_to_depth(x[:, : height * stride, : width * stride], stride)
        return as_floats(blocks, kernel.dtype).reshape(-1, blocks.shape[-1]) @ kernel

    parts = multiply(x, kernel).reshape(-1, height, width, reach, reach, features)
    places = [(i, j) for i in range(reach) for j in range(reach)]
    return sum(parts[:, i : i + rows, j : j + columns, i, j] for i, j in places)
