"""What the robot sees of the world, in closed form: boxes aligned with the axes, on level ground.

Source: Han et al. 2024 and its released code, which casts rays in its simulator. As in MuJoCo, a
ray that starts inside a box ends where it leaves it, and ground is only met from above.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrl_suite import physics
from jaxrl_suite.physics import rotations

ALONG, ACROSS = 25, 13  # points of a grid
NUM_POINTS = ALONG * ACROSS  # 325
NUM_RAYS = 128
TARGET_SIZE = 3
DEPTH = 3.0  # m, farthest that the front camera sees
RANGE = 20.0  # m, farthest of the rays
_AHEAD, _ASIDE = 1.2, 0.6  # m, half sizes of the height map
_WIDE, _LOW, _HIGH = 0.25, -0.3, 0.1  # m, half width of the front camera, and its z


class Blocks(NamedTuple):
    """Boxes of the world, edges along its axes, [B].

    centre: [B, 3] (m).
    half: [B, 3], half their sizes (m).
    exists: bool [B].
    """

    centre: jax.Array
    half: jax.Array
    exists: jax.Array


def heights(blocks: Blocks, places: jax.Array) -> jax.Array:
    """z of what a ray from far above meets first at places [P, 2] on the map, [P] (m)."""
    away = jnp.abs(places[:, None] - blocks.centre[None, :, :2])
    over = jnp.all(away <= blocks.half[None, :, :2], axis=-1) & blocks.exists[None]
    top = blocks.centre[:, 2] + blocks.half[:, 2]
    return jnp.max(jnp.where(over, top[None], 0.0), axis=1, initial=0.0)


def distances(blocks: Blocks, origins: jax.Array, directions: jax.Array) -> jax.Array:
    r"""How far rays go until they meet a box; inf for those that meet none.

    Between the two planes of axis i a ray is from t_i to T_i; it is in the box from max t_i to
    min T_i, if that is any time at all.

    Args:
      blocks: see :class:`Blocks`.
      origins: [P, 3] (m).
      directions: [P, 3], unit.

    Returns:
      [P] (m).
    """
    enter, leave = -jnp.inf, jnp.inf
    for axis in range(3):
        start, along = origins[:, None, axis], directions[:, None, axis]
        # Along the planes it is between them for ever, or never.
        along = jnp.where(jnp.abs(along) < 1e-12, 1e-12, along)
        low = blocks.centre[None, :, axis] - blocks.half[None, :, axis]
        high = blocks.centre[None, :, axis] + blocks.half[None, :, axis]
        one, two = (low - start) / along, (high - start) / along
        enter = jnp.maximum(enter, jnp.minimum(one, two))
        leave = jnp.minimum(leave, jnp.maximum(one, two))
    met = (enter <= leave) & (leave >= 0) & blocks.exists[None]
    far = jnp.where(enter >= 0, enter, leave)
    return jnp.min(jnp.where(met, far, jnp.inf), axis=1, initial=jnp.inf)


def height_map(blocks: Blocks, state: physics.State) -> jax.Array:
    """z (m, world) of the surface at points [25, 13] that turn with the base in all three axes.

    They are at x = -1.2 .. 1.2 and y = -0.6 .. 0.6 in the base's frame; of where the turned points
    lie only x and y count.
    """
    turn = rotations.to_matrix(state.q[3:7])
    x, y = jnp.linspace(-_AHEAD, _AHEAD, ALONG), jnp.linspace(-_ASIDE, _ASIDE, ACROSS)
    grid = jnp.stack(jnp.meshgrid(x, y, indexing="ij"), axis=-1).reshape(-1, 2)
    places = state.q[None, :2] + grid.astype(turn.dtype) @ turn[:2, :2].T
    return heights(blocks, places).reshape(ALONG, ACROSS)


def front_depth(blocks: Blocks, state: physics.State) -> jax.Array:
    """Distance (m) along the base's x, [25, 13], 3 m at most, from points of a plane across it.

    They are at y = -0.25 .. 0.25 and z = -0.3 .. 0.1 in the base's frame. Ground counts.
    """
    turn = rotations.to_matrix(state.q[3:7])
    y, z = jnp.linspace(-_WIDE, _WIDE, ALONG), jnp.linspace(_LOW, _HIGH, ACROSS)
    grid = jnp.stack(jnp.meshgrid(y, z, indexing="ij"), axis=-1).reshape(-1, 2)
    origins = state.q[None, :3] + grid.astype(turn.dtype) @ turn[:, 1:].T
    ahead = jnp.broadcast_to(turn[None, :, 0], origins.shape)
    down, height = ahead[:, 2], origins[:, 2]
    onto = (down < 0) & (height >= 0)
    ground = jnp.where(onto, -height / jnp.where(onto, down, -1.0), jnp.inf)
    far = jnp.minimum(distances(blocks, origins, ahead), ground)
    return jnp.minimum(far, DEPTH).reshape(ALONG, ACROSS)


def rays(blocks: Blocks, state: physics.State) -> jax.Array:
    """Distance (m) at the base's height, [128], anticlockwise from where it heads, 20 m at most.

    differs: in the original a ray that meets nothing is as long as the world's origin is far.
    """
    angle = yaw(state) + jnp.arange(NUM_RAYS) * (2.0 * jnp.pi / NUM_RAYS)
    level = jnp.stack([jnp.cos(angle), jnp.sin(angle), jnp.zeros_like(angle)], axis=1)
    origins = jnp.broadcast_to(state.q[None, :3], level.shape)
    return jnp.minimum(distances(blocks, origins, level), RANGE)


def target(place: jax.Array, speed: jax.Array, state: physics.State) -> jax.Array:
    """[3]: which way a place [2] on the map (m) is, in the base's x and y, and a speed (m/s).

    The place is taken to be as high as the base, the direction to have length 1.
    """
    away = jnp.append(place - state.q[:2], 0.0)
    seen = (away @ rotations.to_matrix(state.q[3:7]))[:2]
    return jnp.append(rotations.normalise(seen), speed)


def yaw(state: physics.State) -> jax.Array:
    """Which way the base's x axis heads on the map (rad)."""
    ahead = rotations.to_matrix(state.q[3:7])[:, 0]
    return jnp.arctan2(ahead[1], ahead[0])
