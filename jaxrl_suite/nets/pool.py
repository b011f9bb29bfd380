"""IMPALA's max-pool (3x3, stride 2, SAME) with a gradient that is no scalar loop on CPU.

Values and gradients are those of ``nn.max_pool``, to the bit. XLA's own gradient,
``select_and_scatter``, visits one element at a time on CPU and holds on to the whole input; here
the input is not kept, only which of the nine elements won, a byte for every output.
"""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np

_NOBODY = 9  # no element of a window, as its elements are 0 to 8


def max_pool(x: jax.Array) -> jax.Array:
    """[N, H, W, C] -> [N, ceil(H/2), ceil(W/2), C]."""
    batch, height, width, channels = x.shape
    # SAME pads an odd side on both ends, an even one at its far end alone; what lies beyond the
    # far end is left to `_taps`.
    odd = ((0, 0), (height % 2, 0), (width % 2, 0), (0, 0))
    x = jnp.pad(x, odd, constant_values=-jnp.inf)
    x = x.reshape(batch, x.shape[1] // 2, 2, x.shape[2] // 2, 2, channels)
    return _max_pool(x, (2, 4))


def max_pool_blocks(x: jax.Array) -> jax.Array:
    """The same on an image of even sides cut into 2x2 blocks, [N, H/2, W/2, 2, 2, C]."""
    return _max_pool(x, (3, 4))


Axes = tuple[int, int]  # where the row and the column within a block lie


def _taps(x: jax.Array, axes: Axes) -> list[jax.Array]:
    """The nine elements of every window in row-major order, [N, K, L, C] each."""

    def tap(i: int, j: int) -> jax.Array:
        row = jax.lax.index_in_dim(x, i % 2, axes[0], keepdims=False)
        phase = jax.lax.index_in_dim(row, j % 2, axes[1] - 1, keepdims=False)
        down, right = i // 2, j // 2
        beyond = ((0, 0), (0, down), (0, right), (0, 0))
        return jnp.pad(phase, beyond, constant_values=-jnp.inf)[:, down:, right:]

    return [tap(i, j) for i in range(3) for j in range(3)]


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def _max_pool(x: jax.Array, axes: Axes) -> jax.Array:
    return functools.reduce(jnp.maximum, _taps(x, axes))


def _forward(x: jax.Array, axes: Axes) -> tuple[jax.Array, jax.Array]:
    """Maxima, and which of the nine they are: the first of equals, as select_and_scatter has it."""
    best, *others = _taps(x, axes)
    winner = jnp.zeros(best.shape, jnp.uint8)
    for index, tap in enumerate(others, 1):
        better = tap > best
        best = jnp.where(better, tap, best)
        winner = jnp.where(better, jnp.uint8(index), winner)
    return best, winner


def _backward(axes: Axes, winner: jax.Array, gradient: jax.Array) -> tuple[jax.Array]:
    """Every element gathers from the up to four windows that it lies in, in one expression."""
    height, width = winner.shape[1:3]
    before = ((0, 0), (1, 0), (1, 0), (0, 0))
    gradient = jnp.pad(gradient, before)
    winner = jnp.pad(winner, before, constant_values=_NOBODY)
    zero = jnp.zeros((), gradient.dtype)

    def from_window(up: int, left: int) -> jax.Array:
        # Which of that window's nine an element is, by its place (p, q) in the block.
        own = np.full((2, 2), _NOBODY + 1, np.uint8)
        for p, q in itertools.product((0, 1), repeat=2):
            if p + 2 * up < 3 and q + 2 * left < 3:
                own[p, q] = 3 * (p + 2 * up) + q + 2 * left
        window = (slice(None), slice(1 - up, 1 - up + height), slice(1 - left, 1 - left + width))
        won = jnp.expand_dims(winner[window], axes)
        shape = [2 if axis in axes else 1 for axis in range(won.ndim)]
        return jnp.where(won == own.reshape(shape), jnp.expand_dims(gradient[window], axes), zero)

    # Windows in row-major order: the sum that select_and_scatter makes, to the bit.
    above = from_window(1, 1) + from_window(1, 0)
    return (above + from_window(0, 1) + from_window(0, 0),)


_max_pool.defvjp(_forward, _backward)
