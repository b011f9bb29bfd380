"""A square with walls: what stands in it, what can be touched of it, and what can be seen."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl_suite.envs.quadruped import perception
from jaxrl_suite.envs.quadruped.perception import Blocks
from jaxrl_suite.physics import rotations

THICKNESS, HEIGHT = 0.2, 2.0  # m, of a wall; a height map's points are 0.1 m apart
_SIDES = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
NUM_WALLS = len(_SIDES)


class Square(NamedTuple):
    """Level ground within four walls, as :class:`physics.Ground`.

    Of floor and walls what is nearest is what a point may touch. differs: walls are as high as need
    be.

    half_side: [], from the centre to the walls (m).
    """

    half_side: jax.Array

    def __call__(self, point: jax.Array) -> tuple[jax.Array, jax.Array]:
        """See :class:`physics.Ground`."""
        walls = self.half_side - jnp.abs(point[:2])
        wall, nearest = jnp.min(walls), jnp.arange(2) == jnp.argmin(walls)
        inward = jnp.append(jnp.where(nearest, -jnp.sign(point[:2]), 0.0), 0.0)
        up = jnp.array([0.0, 0.0, 1.0])
        return jnp.minimum(point[2], wall), jnp.where(wall < point[2], inward, up)


def arena(side: float, blocks: Blocks | None = None) -> Blocks:
    """All that there is to see: four walls, `side` (m) apart, then blocks [B] within; [4 + B]."""
    upright = np.full((NUM_WALLS, 1), 0.5 * HEIGHT)
    centre = np.hstack([0.5 * (side + THICKNESS) * _SIDES, upright])
    half = np.where(_SIDES != 0, 0.5 * THICKNESS, 0.5 * side + THICKNESS)
    walls = Blocks(
        jnp.asarray(centre, jnp.float32),
        jnp.asarray(np.hstack([half, upright]), jnp.float32),
        jnp.ones(NUM_WALLS, bool),
    )
    if blocks is None:
        return walls
    return jax.tree.map(lambda *x: jnp.concatenate(x), walls, blocks)


def visible(blocks: Blocks, start: jax.Array, places: jax.Array) -> jax.Array:
    """bool [P]: no block is between a point [3] and places [P, 3] (m)."""
    way = places - start[None]
    origins = jnp.broadcast_to(start[None], way.shape)
    free = perception.distances(blocks, origins, rotations.normalise(way))
    return free >= jnp.linalg.norm(way, axis=1)
