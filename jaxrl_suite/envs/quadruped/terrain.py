"""Where the robot is to go, and what is in its way: a corridor along x with rows of boxes.

A terrain is drawn for every episode, of a kind that is a number: one program draws all of them.
Source: Han et al. 2024 and its released code, but for stairs and gaps, which are ours.

differs: the original lines the boxes' edges with thin cylinders that are felt and not seen, to have
feet lifted higher; here is what is seen.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl_suite import physics
from jaxrl_suite.envs.quadruped.perception import Blocks

JOYSTICK, HURDLE, CREEP, BLOCK, HARD_BLOCK, STAIRS, GAP = range(7)
KINDS = ("joystick", "hurdle", "creep", "block", "hard_block", "stairs", "gap")
NUM_BLOCKS = 32  # B, of a terrain
FAR = 100.0  # m, to the target of the joystick
_SETS = np.array([0, 9, 9, 4, 4, 3, 3])  # most sets of boxes on the way to the target
_SLOTS = np.array([1, 1, 1, 4, 8, 9, 6])  # boxes of a set, those that may be missing included
_SPREAD = np.array([0.0, 1.0, 1.0, 3.0, 3.0, 1.0, 1.0])  # m, of the target about the end
_NEAREST = 1.0  # m, of a target
_CORRIDOR = (1.0, 20.0)  # m, between the walls
_THICKNESS = (0.02, 0.5)  # m, of a wall
_WALL = (100.0, 2.0)  # m, half length and height
_OPEN = 1e3  # m, half width of a corridor that is none
_DRAWS = 4  # numbers in 0 .. 1 that a box may use


class Terrain(NamedTuple):
    """What one episode takes place in.

    blocks: [B], in the order of their x, from wall to wall; some of them do not exist.
    half_width: [], from the corridor's middle to its walls (m).
    thickness: [], of the walls (m).
    target: [2], on the map (m).
    speed: [], wanted (m/s).
    kind: int32 [], of KINDS.
    """

    blocks: Blocks
    half_width: jax.Array
    thickness: jax.Array
    target: jax.Array
    speed: jax.Array
    kind: jax.Array


class Row(NamedTuple):
    """Boxes one after the other along x, [B]; those that do not exist take no room.

    before, length, after: of a box and the free stretches around it (m).
    low, high: z of its faces (m).
    exists: bool [B].
    """

    before: jax.Array
    length: jax.Array
    after: jax.Array
    low: jax.Array
    high: jax.Array
    exists: jax.Array


class Corridor(NamedTuple):
    """Level ground between two walls, as :class:`physics.Ground`.

    Of floor and wall what is nearer is what a point may touch. differs: walls are as long and high
    as need be.
    """

    half_width: jax.Array

    def __call__(self, point: jax.Array) -> tuple[jax.Array, jax.Array]:
        """See :class:`physics.Ground`."""
        wall = self.half_width - jnp.abs(point[1])
        inward = jnp.stack([0.0, jnp.where(point[1] > 0, -1.0, 1.0), 0.0])
        up = jnp.array([0.0, 0.0, 1.0])
        return jnp.minimum(point[2], wall), jnp.where(wall < point[2], inward, up)


def _between(u: jax.Array, low: float | jax.Array, high: float | jax.Array) -> jax.Array:
    return low + (high - low) * u


def _row(index: np.ndarray, **given: jax.Array | float) -> Row:
    """A row whose boxes are there and stand on the ground unless said otherwise."""
    full = {"low": 0.0, "exists": True} | given
    return Row(**{name: jnp.broadcast_to(jnp.asarray(x), index.shape) for name, x in full.items()})


def _slots(kind: int) -> tuple[np.ndarray, np.ndarray]:
    """Of every box its place in its set, and the first box of that set, int [B]."""
    index = np.arange(NUM_BLOCKS)
    slot = index % _SLOTS[kind]
    return slot, index - slot


def _hurdle(u: jax.Array, level: jax.Array) -> Row:
    """0.1 m long, U(1, 3) m for each, U(0.05, 0.15) m high; at level 0 a fifth of that."""
    index, room = np.arange(NUM_BLOCKS), _between(u[0], 1.0, 3.0)
    return _row(
        index,
        before=0.5 * room - 0.05,
        length=0.1,
        after=0.5 * room + 0.05,
        high=_between(u[1], 0.05, 0.15) * _between(level, 0.2, 1.0),
    )


def _creep(u: jax.Array, level: jax.Array) -> Row:
    """Bars placed as hurdles, 0.3 m high, U(0.25, 0.30) m above ground; at level 0 0.15 m more."""
    low = _between(u[1], 0.25, 0.30) + 0.15 * (1.0 - level)
    return _hurdle(u, level)._replace(low=low, high=low + 0.3)


def _block(u: jax.Array, level: jax.Array) -> Row:
    """Up in two steps to 0.25 m and down again, four blocks of 0.5 m, 0.25 m apart.

    A set begins U(0, 1) m after the last one's room ends, and takes 5 m. At level 0 heights are a
    fifth of that.
    """
    slot, _ = _slots(BLOCK)
    return _row(
        slot,
        before=jnp.where(slot == 0, u[0] + 0.75, 0.25),
        length=0.5,
        after=jnp.where(slot == 3, 1.5, 0.0),
        high=jnp.array([0.10, 0.25, 0.25, 0.10])[slot] * _between(level, 0.2, 1.0),
    )


def _hard_block(u: jax.Array, level: jax.Array) -> Row:
    """Up in three steps to 0.4 m, across gaps of U(0.25, 0.75) m, and down in two.

    There is a gap, with 1 m of block behind it, while a fair coin says so. At level 0 heights are a
    fifth of that. differs: at most three gaps, which a sixteenth of the original's exceed.
    """
    slot, first = _slots(HARD_BLOCK)
    heads = u[1] < 0.5
    all_heads = heads[first + 3] & (heads[first + 4] | (slot < 4)) & (heads[first + 5] | (slot < 5))
    gap = (slot >= 3) & (slot < 6)
    last = jnp.array([0.75, 0.25, 0.25, 0.0, 0.0, 0.0, 0.25, 0.5])[slot]
    return _row(
        slot,
        before=jnp.where(gap, _between(u[2], 0.25, 0.75), last + jnp.where(slot == 0, u[0], 0.0)),
        length=jnp.array([0.5, 0.5, 1.0, 1.0, 1.0, 1.0, 0.5, 0.5])[slot],
        after=jnp.where(slot == 7, 1.25, 0.0),
        high=jnp.array([0.10, 0.25, 0.4, 0.4, 0.4, 0.4, 0.25, 0.1])[slot]
        * _between(level, 0.2, 1.0),
        exists=all_heads | ~gap,
    )


def _stairs(u: jax.Array, level: jax.Array) -> Row:
    """Ours: 2 to 5 steps up, a landing of 0.8 to 1.2 m on the last of them, and down again.

    Steps are 0.35 to 0.45 m long and 0.04 to 0.15 m high, alike within a flight; at level 0 all of
    0.04 m. A flight begins 1 to 2 m after the last one's end.
    """
    slot, first = _slots(STAIRS)
    steps = 2 + jnp.minimum((u[1, first] * 4).astype(jnp.int32), 3)
    rise = _between(u[2, first], 0.04, _between(level, 0.04, 0.15))
    number = jnp.where(slot == 4, steps, jnp.asarray(np.where(slot < 4, slot + 1, 9 - slot)))
    length = jnp.where(slot == 4, _between(u[3], 0.8, 1.2), _between(u[3, first], 0.35, 0.45))
    return _row(
        slot,
        before=jnp.where(slot == 0, _between(u[0], 1.0, 2.0), 0.0),
        length=length,
        after=0.0,
        high=rise * number,
        exists=(number < steps) | (slot == 4),
    )


def _gap(u: jax.Array, level: jax.Array) -> Row:
    """Ours: two steps up to 0.3 m, 1 to 3 platforms of 1 m behind gaps, and a step down.

    Gaps are 0.1 to 0.5 m. At level 0 all are of 0.1 m, and heights a fifth. A set begins 1 to 2 m
    after the last one's end.
    """
    slot, first = _slots(GAP)
    count = 1 + jnp.minimum((u[1, first] * 3).astype(jnp.int32), 2)
    gap = (slot >= 2) & (slot < 5)
    width = _between(u[2], 0.1, _between(level, 0.1, 0.5))
    lead = jnp.where(slot == 0, _between(u[0], 1.0, 2.0), 0.0)
    return _row(
        slot,
        before=jnp.where(gap, width, lead),
        length=jnp.array([0.5, 1.0, 1.0, 1.0, 1.0, 0.5])[slot],
        after=0.0,
        high=jnp.array([0.15, 0.3, 0.3, 0.3, 0.3, 0.15])[slot] * _between(level, 0.2, 1.0),
        exists=(slot - 1 <= count) | ~gap,
    )


def _nothing(u: jax.Array, level: jax.Array) -> Row:
    """Of the joystick."""
    slot = np.arange(NUM_BLOCKS)
    return _row(slot, before=0.0, length=0.1, after=0.0, high=0.1, exists=False)


_ROWS: tuple[Callable[[jax.Array, jax.Array], Row], ...] = (
    _nothing, _hurdle, _creep, _block, _hard_block, _stairs, _gap,
)  # fmt: skip


def draw(
    key: jax.Array, kind: jax.Array, level: jax.Array, speed: jax.Array, open_joystick: bool = False
) -> Terrain:
    """A terrain of a kind.

    A number of sets of boxes lead to the target, which is near to where the last one ends. Another
    number of them follow it, as far as there are slots, so that the target looks like no end. The
    joystick's target is 100 m ahead.

    differs: a target is at least 1 m away; among hurdles one in a hundred would be at the start.

    Args:
      key: of this terrain.
      kind: int32 [], of KINDS.
      level: [], how hard it is, 0 to 1, which is the original's.
      speed: [2], between which the wanted one lies (m/s).
      open_joystick: whether joystick's corridor has no walls, for targets to be anywhere.
    """
    u = jax.random.uniform(key, (_DRAWS * NUM_BLOCKS + 6,))
    numbers, single = u[6:].reshape(_DRAWS, NUM_BLOCKS), u[:6]
    rows = [row(numbers, level) for row in _ROWS]
    row = jax.tree.map(lambda *x: jnp.stack(x)[kind], *rows)
    most, slots, spread = (jnp.asarray(x)[kind] for x in (_SETS, _SLOTS, _SPREAD))
    sets = jnp.minimum(1 + (single[:2] * most).astype(jnp.int32), most) * slots
    index = jnp.arange(NUM_BLOCKS)
    row = row._replace(exists=row.exists & (index < sets[0] + sets[1]))

    room = jnp.where(row.exists, row.before + row.length + row.after, 0.0)
    behind = index >= sets[0]
    end = jnp.sum(jnp.where(behind, 0.0, room))
    goal = jnp.maximum(end + spread * (2.0 * single[2] - 1.0), _NEAREST)
    goal = jnp.where(kind == JOYSTICK, FAR, goal)
    start = jnp.cumsum(room) - room + jnp.where(behind, jnp.maximum(goal - end, 0.0), 0.0)
    x = start + row.before + 0.5 * row.length

    half_width = 0.5 * _between(single[3], *_CORRIDOR)
    if open_joystick:
        half_width = jnp.where(kind == JOYSTICK, _OPEN, half_width)
    zeros = jnp.zeros(NUM_BLOCKS)
    blocks = Blocks(
        jnp.stack([x, zeros, 0.5 * (row.low + row.high)], axis=1),
        jnp.stack([0.5 * row.length, zeros + half_width, 0.5 * (row.high - row.low)], axis=1),
        row.exists,
    )
    return Terrain(
        blocks,
        half_width,
        _between(single[4], *_THICKNESS),
        jnp.append(goal, 0.0),
        _between(single[5], speed[0], speed[1]),
        jnp.asarray(kind, jnp.int32),
    )


def seen(terrain: Terrain) -> Blocks:
    """All that there is to see, the walls included, [B + 2]."""
    half = jnp.stack([_WALL[0], 0.5 * terrain.thickness, 0.5 * _WALL[1]])
    centre = jnp.stack([0.0, terrain.half_width + half[1], half[2]])
    walls = Blocks(
        jnp.stack([centre, centre * jnp.array([1.0, -1.0, 1.0])]),
        jnp.stack([half, half]),
        jnp.ones(2, bool),
    )
    return jax.tree.map(lambda *x: jnp.concatenate(x), terrain.blocks, walls)


def nearest(blocks: Blocks, x: jax.Array, count: int, friction: jax.Array) -> physics.Boxes:
    """So many boxes that are nearest to a place along x (m), in their order, to be touched."""
    gap = jnp.maximum(jnp.abs(blocks.centre[:, 0] - x) - blocks.half[:, 0], 0.0)
    _, index = jax.lax.top_k(jnp.where(blocks.exists, -gap, -jnp.inf), count)
    near = jax.tree.map(lambda a: a[jnp.sort(index)], blocks)
    still = jax.tree.map(jnp.asarray, physics.no_boxes(count))
    return still._replace(
        position=near.centre,
        half_size=near.half,
        friction=jnp.full(count, friction),
        exists=near.exists.astype(near.centre.dtype),
    )
