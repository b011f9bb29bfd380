"""The 10x10 board that the games share: bitboards, observation planes, pictures.

A *board* is int32 [SIZE]: one word a row, in which bit `c` stands for the cell in column `c`.
Row 0 is at the top. Moving everything on a board is then one shift, a collision of any number
of objects is one bitwise and, and an observation is one more shift: no gather and no scatter,
which XLA turns into slow loops on a CPU.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

SIZE = 10  # rows and columns
ROWS = np.arange(SIZE, dtype=np.int32)
FULL_ROW = (1 << SIZE) - 1  # the word of a row whose cells are all taken

CELL = 16  # pixels a cell
_GAP = 1  # pixels of dark border on every side of a cell

Colour = tuple[int, int, int]
BACKGROUND: Colour = (18, 20, 30)
FLOOR: Colour = (27, 30, 43)


def put(row: jax.Array, word: jax.Array) -> jax.Array:
    """A board on which one row holds `word` and the others nothing; int32 [SIZE]."""
    return jnp.where(row == ROWS, word, 0)


def place(row: jax.Array, column: jax.Array) -> jax.Array:
    """A board with one object; `column` must lie in 0 <= column < SIZE."""
    return put(row, jnp.left_shift(1, column))


def shift_rows(board: jax.Array, by: int) -> jax.Array:
    """Moves every object `by` rows down (up if negative); what leaves the board is gone."""
    gone = jnp.zeros(abs(by), board.dtype)
    parts = (gone, board[:-by]) if by > 0 else (board[-by:], gone)
    return jnp.concatenate(parts)


def shift_columns(board: jax.Array, right: jax.Array) -> jax.Array:
    """Moves every object one column, rightwards where `right`; what leaves the board is gone.

    `right` is a bool, a scalar or one value a row.
    """
    return jnp.where(right, (board << 1) & FULL_ROW, board >> 1)


def touch(board: jax.Array, other: jax.Array) -> jax.Array:
    """Do two boards share a cell? bool []."""
    return jnp.any((board & other) != 0)


def occupied(board: jax.Array) -> jax.Array:
    """A board as cells: bool [SIZE, SIZE]."""
    return ((board[:, None] >> ROWS[None, :]) & 1) != 0


def _computed_once(words: jax.Array) -> jax.Array:
    """Its argument, in a form that XLA does not compute anew wherever it is used.

    XLA for CPU would fuse the whole step into the expansion of words to cells, and so repeat it
    for each cell of a row; an optimization barrier is gone before fusion. It never repeats a
    remainder, though, and this one changes nothing: a word is less than 2^31 - 1. Measured with
    jax 0.10.2 on Space Invaders in `episodic`: 4 times as fast.
    """
    return jax.lax.rem(words, jnp.int32(2**31 - 1))


def planes(*boards: jax.Array) -> jax.Array:
    """Boards as an observation: bool [SIZE, SIZE, len(boards)]."""
    words = _computed_once(jnp.stack(boards))
    # The plane axis moves last at the end, because columns side by side vectorise.
    return jnp.moveaxis(((words[:, :, None] >> ROWS[None, None, :]) & 1) != 0, 0, -1)


def span(column: jax.Array, width: jax.Array) -> jax.Array:
    """The word of an object that is `width` cells wide and whose left cell is in `column`."""
    return jnp.left_shift(jnp.left_shift(1, width) - 1, column)


def paint(layers: Sequence[tuple[jax.Array, Colour]]) -> jax.Array:
    """Draws boards over each other, later ones on top; uint8 [SIZE*CELL, SIZE*CELL, 3]."""
    picture = jnp.broadcast_to(jnp.array(FLOOR, jnp.uint8), (SIZE, SIZE, 3))
    for board, colour in layers:
        ink = jnp.array(colour, jnp.uint8)[None, None, :]
        picture = jnp.where(occupied(board)[:, :, None], ink, picture)
    picture = jnp.repeat(jnp.repeat(picture, CELL, axis=0), CELL, axis=1)
    inside = np.isin(np.arange(SIZE * CELL) % CELL, np.arange(_GAP, CELL - _GAP))
    inside = (inside[:, None] & inside[None, :])[:, :, None]
    return jnp.where(inside, picture, jnp.array(BACKGROUND, jnp.uint8)[None, None, :])
