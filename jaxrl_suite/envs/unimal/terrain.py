"""A corridor of level stretches and obstacles, drawn anew for every episode, as a ground.

What is kept of it is where the pieces are and how the strips of the rugged ones differ: 1 kB for
100 m by 100 m. Heights follow, in cells of 0.1 m, and are bilinear between their centres.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl_suite.envs.unimal.arena import CELLS, Arena
from jaxrl_suite.envs.unimal.draws import whole
from jaxrl_suite.physics.ground import above, bilinear

CURVE, STEPS, RUGGED = range(3)  # kinds of pieces
_START = 6  # m, level, from the back of the arena
_FLAT = (2, 4, 6)  # m, before every piece
_LENGTHS = ((8, 16), (24, 32), (8, 16))  # m, of each kind
_RISES = (0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2)  # m, peak of a curved slope
_STAIRS = (0.0, 0.2, 0.4, 0.6, 0.6, 0.4, 0.2, 0.0)  # m
_WAVES = (10.0, 15.0)  # half periods along a strip
_CLIPS = (0.2, 0.3)  # m, where a strip's wave is cut off
_WAVE_HEIGHT = 2.0  # m, of the whole wave
_NARROWEST, _WIDTHS = 10, 10  # cells, of strips: 10, 11, .. 19


class Corridor(NamedTuple):
    """P pieces, one after the other along x, as wide as the arena.

    start: int32 [P], first cell of a piece, from the arena's back; the last for none.
    length: int32 [P], cells; 0 for none.
    kind: int32 [P], CURVE, STEPS or RUGGED.
    rise: [P], peak of a curved slope (m).
    strips: uint8 [P, S], of a rugged piece, by block of 10 cells from the right side (-y): the
      strip that a block begins with (bits 0 and 1: which wave, which clip), the next one (bits 2
      and 3), and the cell of the block where that begins (0 to 10).
    corner: [2], x and y of the arena's back right corner (m).
    """

    start: jax.Array
    length: jax.Array
    kind: jax.Array
    rise: jax.Array
    strips: jax.Array
    corner: jax.Array

    def of_cell(self, i: jax.Array, j: jax.Array) -> jax.Array:
        """Height (m) at the centre of the cell i along x and j along y, counted from 0 m."""
        first = jnp.round(self.corner * CELLS).astype(jnp.int32)
        width = self.strips.shape[1] * _NARROWEST
        i, j = i - first[0], jnp.clip(j - first[1], 0, width - 1)
        piece = jnp.maximum(jnp.sum(i >= self.start) - 1, 0)
        at, length, kind = i - self.start[piece], self.length[piece], self.kind[piece]
        share = at / jnp.maximum(length - 1, 1)
        curve = self.rise[piece] * jnp.sin(jnp.pi * share)
        part = jnp.clip(len(_STAIRS) * at // jnp.maximum(length, 1), 0, len(_STAIRS) - 1)
        block = self.strips[piece, j // _NARROWEST].astype(jnp.int32)
        code = jnp.where(j % _NARROWEST >= block >> 4, block >> 2, block) & 3
        half = jnp.where(code & 1, _WAVES[1], _WAVES[0]) * share  # half periods
        wave = _WAVE_HEIGHT * jnp.abs(half - 2.0 * jnp.round(0.5 * half))
        rugged = jnp.minimum(wave, jnp.where(code >> 1, _CLIPS[1], _CLIPS[0]))
        steps = jnp.asarray(_STAIRS)[part]
        height = jnp.select([kind == CURVE, kind == STEPS], [curve, steps], rugged)
        return jnp.where((at >= 0) & (at < length), height, 0.0)

    def __call__(self, point: jax.Array) -> tuple[jax.Array, jax.Array]:
        """See :class:`jaxrl_suite.physics.Ground`."""
        place = point[:2] * CELLS - 0.5  # in cells, from the centre of cell 0
        low = jnp.floor(place)
        i, j = low.astype(jnp.int32)
        corners = [self.of_cell(i + a, j + b) for a, b in ((0, 0), (1, 0), (0, 1), (1, 1))]
        cell = jnp.full(2, 1.0 / CELLS)
        return above(*bilinear(jnp.stack(corners), place - low, cell), point)


def num_pieces(arena: Arena) -> int:
    """P, more than which the arena never holds."""
    return int((arena.length - _START) // (min(_FLAT) + min(map(min, _LENGTHS))))


def num_tries(arena: Arena) -> int:
    """Pieces to try until none would fit.

    As long as the longest fits with the longest level stretch, every try uses up at least the
    shortest two; after that at least the shortest level stretch, until the shortest two are more
    than is left.
    """
    least = min(_FLAT) + min(map(min, _LENGTHS))
    most = max(_FLAT) + max(map(max, _LENGTHS))
    surely = max(-(-(arena.length - _START - most) // least), 0)
    return int(surely + -(-(most - least) // min(_FLAT)))


class _Laid(NamedTuple):
    """How far the corridor has been laid (cells), and its pieces so far."""

    end: jax.Array
    count: jax.Array
    pieces: tuple[jax.Array, ...]


def lay(key: jax.Array, arena: Arena) -> _Laid:
    """Lays level stretches and pieces in turn; a piece that does not fit is skipped."""
    total, tries, most = arena.length * CELLS, num_tries(arena), num_pieces(arena)
    u = jax.random.uniform(key, (4, tries))
    draw = lambda u, values: whole(u, len(values))  # noqa: E731
    flat = jnp.asarray(_FLAT)[draw(u[0], _FLAT)] * CELLS
    kind = draw(u[1], _LENGTHS)
    length = jnp.asarray(_LENGTHS)[kind, draw(u[2], _LENGTHS[0])] * CELLS
    rise = jnp.asarray(_RISES)[draw(u[3], _RISES)]

    def put(laid: _Laid, drawn: tuple) -> tuple[_Laid, None]:
        flat, length, kind, rise = drawn
        start = jnp.minimum(laid.end + flat, total)
        fits = start + length <= total
        here = fits & (jnp.arange(most) == laid.count)
        new = (start, length, kind, rise)
        pieces = tuple(jnp.where(here, a, b) for a, b in zip(new, laid.pieces, strict=True))
        end = jnp.where(fits, start + length, start)
        return _Laid(end, laid.count + fits, pieces), None

    none = jnp.zeros(most, jnp.int32)
    slots = (none + total, none, none, jnp.zeros(most))
    begin = _Laid(jnp.asarray(_START * CELLS), jnp.asarray(0), slots)
    # Unrolled it is one kernel: a reset belongs to every step of those that reset within it.
    return jax.lax.scan(put, begin, (flat, length, kind, rise), unroll=tries)[0]


def _strips(key: jax.Array, pieces: int, width: int) -> jax.Array:
    """uint8 [P, width / 10], strips of random width and kind across so many cells.

    The narrowest is as wide as a block, which so holds one strip's end at most.
    """
    bits = jax.random.bits(key, (pieces, width // _NARROWEST))
    code, last = bits & 3, bits.shape[1] - 1
    ends = jnp.cumsum(_NARROWEST + (bits >> 2) % _WIDTHS, axis=1).astype(jnp.int32)
    # Strips that have ended where a block begins.
    row, column = jnp.arange(pieces)[:, None], -(-ends // _NARROWEST)
    first = jnp.cumsum(jnp.zeros_like(ends).at[row, column].add(1, mode="drop"), axis=1)
    of = lambda values, strip: jnp.take_along_axis(values, strip, axis=1)  # noqa: E731
    left = of(ends, first) - _NARROWEST * jnp.arange(last + 1)[None]
    cut = jnp.minimum(left, _NARROWEST).astype(jnp.uint32)
    next_one = jnp.minimum(first + 1, last)
    return (of(code, first) | of(code, next_one) << 2 | cut << 4).astype(jnp.uint8)


def corridor(key: jax.Array, arena: Arena) -> Corridor:
    """A random corridor.

    6 m level from the arena's back, then in turn a level stretch of 2, 4 or 6 m and one of three
    pieces, evenly: half a sine 8 or 16 m long and 0.6, 0.7, .. 1.2 m high; steps of 0.2 m up to
    0.6 m and down again, eight equal parts on 24 or 32 m; or a rugged piece of 8 or 16 m, in strips
    1.0 to 1.9 m wide, each a triangle wave between 0 and 2 m of 10 or 15 half periods, cut off at
    0.2 or 0.3 m.

    Source: Gupta et al. 2021, "Variable terrain", released code.

    Args:
      key: of this corridor.
      arena: static.
    """
    laying, ruling = jax.random.split(key)
    pieces = lay(laying, arena).pieces
    strips = _strips(ruling, num_pieces(arena), arena.width * CELLS)
    return Corridor(*pieces, strips, jnp.asarray(np.array([arena.back, -arena.side])))
