"""What bodies stand on: pytrees that tell how far a point is above the ground, and which way is up.

Any pytree with ``ground(point [3], m, world) -> (distance (m), unit normal [3])`` will do. Its
arrays are data: under vmap every environment may have its own terrain.
"""

from typing import NamedTuple, Protocol

import jax
import jax.numpy as jnp

from jaxrl_suite.physics import rotations


class Ground(Protocol):
    """Signed distance to the ground and its normal."""

    def __call__(self, point: jax.Array) -> tuple[jax.Array, jax.Array]:
        """[3] (m, world) -> distance (m, negative below), unit normal [3]."""


class Plane(NamedTuple):
    """A plane.

    normal: [3], unit.
    offset: distance of the plane from the world's origin along the normal (m).
    """

    normal: jax.Array
    offset: jax.Array

    def __call__(self, point: jax.Array) -> tuple[jax.Array, jax.Array]:
        """See :class:`Ground`."""
        return self.normal @ point - self.offset, self.normal


def flat(height: float = 0.0) -> Plane:
    """The plane z = height."""
    return Plane(jnp.array([0.0, 0.0, 1.0]), jnp.asarray(height, jnp.result_type(float)))


def inclined(angle: float) -> Plane:
    """A plane through the origin that rises along x by `angle` (rad)."""
    return Plane(
        jnp.array([-jnp.sin(angle), 0.0, jnp.cos(angle)]), jnp.zeros((), jnp.result_type(float))
    )


def bilinear(corners: jax.Array, share: jax.Array, cell: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Height (m) and slopes [2] within a cell.

    Args:
      corners: [4], heights at (0, 0), (1, 0), (0, 1) and (1, 1) (m).
      share: [2], where in the cell, each 0 to 1.
      cell: [2], its sides (m).
    """
    (a, b, c, d), (x, y) = corners, share
    height = a + x * (b - a) + y * (c - a) + x * y * (a - b - c + d)
    slope_x = ((b - a) + y * (a - b - c + d)) / cell[0]
    slope_y = ((c - a) + x * (a - b - c + d)) / cell[1]
    return height, jnp.stack([slope_x, slope_y])


def above(height: jax.Array, slopes: jax.Array, point: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Distance along the normal at the foot, (z - h) n_z, and the normal, where slopes are [2]."""
    up = rotations.normalise(jnp.append(-slopes, 1.0))
    return (point[2] - height) * up[2], up


class HeightField(NamedTuple):
    """Heights on a grid, bilinear in between; beyond the border it goes on level.

    differs: MuJoCo cuts every cell into two triangles; the difference is the cell's twist.

    heights: [X, Y] (m).
    corner: [2], x and y of heights[0, 0] (m).
    cell: [2], sides of a cell along x and y (m).
    """

    heights: jax.Array
    corner: jax.Array
    cell: jax.Array

    def __call__(self, point: jax.Array) -> tuple[jax.Array, jax.Array]:
        """See :class:`Ground`."""
        last = jnp.array(self.heights.shape) - 1
        place = jnp.clip((point[:2] - self.corner) / self.cell, 0.0, last)
        low = jnp.minimum(place.astype(jnp.int32), last - 1)
        i, j = low
        corners = [self.heights[i + a, j + b] for a, b in ((0, 0), (1, 0), (0, 1), (1, 1))]
        height, slopes = bilinear(jnp.stack(corners), place - low, self.cell)
        inside = (point[:2] >= self.corner) & (point[:2] <= self.corner + last * self.cell)
        return above(height, jnp.where(inside, slopes, 0.0), point)
