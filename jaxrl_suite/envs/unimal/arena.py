"""Where a task takes place: a rectangle with the floor at z = 0, and the boxes that bound it."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl_suite import physics
from jaxrl_suite.envs.unimal.body import FRICTION

CELLS = 10  # per metre, of heights
FLOOR = 1.0  # m, of the original's floor, from which its heights in observations are counted
_WALL = 0.5  # m, half the thickness of a wall
_WALL_HEIGHT = 4.0  # m; half of it is below the floor
_GAP = -10.0  # m, height outside the arena
EDGE = 1.0  # m, from the sides, where an episode of running ends

Cell = Callable[[jax.Array, jax.Array], jax.Array]
"""``(i, j) -> height (m)`` of the cell that begins at x = i / 10 m and y = j / 10 m."""


class Arena(NamedTuple):
    """Whole metres, static. The sides are at y = -side and y = side."""

    back: int
    front: int
    side: int

    @property
    def length(self) -> int:
        """Along x (m)."""
        return self.front - self.back

    @property
    def width(self) -> int:
        """Along y (m)."""
        return 2 * self.side


def join(*boxes: physics.Boxes) -> physics.Boxes:
    """All of them, one after the other."""
    return jax.tree.map(lambda *x: jnp.concatenate([jnp.asarray(a) for a in x]), *boxes)


def walls(arena: Arena) -> physics.Boxes:
    """[4]: 1 m thick, 2 m above the floor; back, front, right, left."""
    x, y = (arena.back + arena.front) / 2, arena.side
    across = (_WALL, arena.side + 2 * _WALL, _WALL_HEIGHT / 2)
    along = (arena.length / 2, _WALL, _WALL_HEIGHT / 2)
    made = [
        physics.box((arena.back - _WALL, 0.0, 0.0), across, friction=FRICTION),
        physics.box((arena.front + _WALL, 0.0, 0.0), across, friction=FRICTION),
        physics.box((x, -y - _WALL, 0.0), along, friction=FRICTION),
        physics.box((x, y + _WALL, 0.0), along, friction=FRICTION),
    ]
    return jax.tree.map(lambda *parts: np.concatenate(parts), *made)


def nearest(boxes: physics.Boxes, place: jax.Array, count: int) -> physics.Boxes:
    """The boxes, upright and aligned with the axes, that are nearest to a place [2] (m)."""
    boxes = jax.tree.map(jnp.asarray, boxes)
    gap = jnp.abs(boxes.position[:, :2] - place[None]) - boxes.half_size[:, :2]
    square = jnp.sum(jnp.maximum(gap, 0.0) ** 2, axis=1)
    _, index = jax.lax.top_k(jnp.where(boxes.exists > 0, -square, -jnp.inf), count)
    return jax.tree.map(lambda x: x[index], boxes)


def within_walls(arena: Arena, scene: physics.Scene, place: jax.Array) -> physics.Scene:
    """The scene with the one wall that is nearest to a place [2] (m).

    differs: all four; each costs as much as a quarter of all other contacts between links, and
    only in a corner are two of them in reach.
    """
    return scene._replace(obstacles=nearest(walls(arena), place, 1))


def beyond_sides(arena: Arena, state: physics.State) -> jax.Array:
    """Whether the head is within 1 m of a side."""
    return arena.side - jnp.abs(state.q[1]) <= EDGE


def bounded(arena: Arena, cell: Cell) -> Cell:
    """The cells within the arena, 1 m of walls around them, and nothing beyond.

    Walls are seen as 3 m above the floor, although they are 2 m high, and what is beyond as 11 m
    below it, as in the original.
    """
    low = np.array([arena.back, -arena.side]) * CELLS
    high = np.array([arena.front, arena.side]) * CELLS
    thick = round(2 * _WALL * CELLS)

    def seen(i: jax.Array, j: jax.Array) -> jax.Array:
        inside = lambda more: (  # noqa: E731
            (i >= low[0] - more)
            & (i < high[0] + more)
            & (j >= low[1] - more)
            & (j < high[1] + more)
        )
        wall, gap = _WALL_HEIGHT - FLOOR, _GAP - FLOOR
        return jnp.where(inside(0), cell(i, j), jnp.where(inside(thick), wall, gap))

    return seen


def under(cell: Cell, place: jax.Array) -> jax.Array:
    """Height of the cell at a place [2] (m)."""
    return cell(*jnp.floor(place * CELLS).astype(jnp.int32))
