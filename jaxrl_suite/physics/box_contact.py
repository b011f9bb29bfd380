"""Contacts of boxes: with the body's spheres and capsules, and of free boxes with the ground.

Boxes do not meet each other. differs: MuJoCo clips a capsule against a box's faces and keeps two
points; here both ends and the axis's nearest point count, each as a sphere.
"""

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl_suite.physics import rotations
from jaxrl_suite.physics.candidates import Candidates
from jaxrl_suite.physics.ground import Ground
from jaxrl_suite.physics.model import Model
from jaxrl_suite.physics.scene import Boxes

_CLEARLY = 1e-4  # m, by how much the axis's nearest point must be nearer than both its ends
_CORNERS = np.stack(np.meshgrid(*[[-1.0, 1.0]] * 3, indexing="ij"), -1).reshape(8, 3)


def nearest_on_segment(start: jax.Array, along: jax.Array, half_size: jax.Array) -> jax.Array:
    """Where on start + t along, t in [0, 1], a segment is nearest to a box at the origin.

    The squared distance is convex in t and its slope g(t) = along . (p - clip(p)) linear between
    the planes of the box's faces, so its zero lies between the last of those places with g <= 0
    and the first with g >= 0.

    Args:
      start: [3], in the box's frame.
      along: [3].
      half_size: [3].

    Returns:
      t, [].
    """
    slope = lambda t: jnp.sum(  # noqa: E731
        along * ((p := start + t * along) - jnp.clip(p, -half_size, half_size))
    )
    moving = jnp.where(along == 0, 1.0, along)
    crossings = jnp.concatenate([(-half_size - start) / moving, (half_size - start) / moving])
    times = jnp.concatenate([jnp.clip(crossings, 0.0, 1.0), jnp.array([0.0, 1.0], start.dtype)])
    slopes = jax.vmap(slope)(times)
    before, after = slopes <= 0, slopes >= 0
    low = jnp.max(jnp.where(before, times, 0.0))
    high = jnp.min(jnp.where(after, times, 1.0))
    # Where the slope is zero on a stretch, its middle: low and high have changed places there.
    down, up = slope(low), slope(high)
    share = jnp.where(up > down, -down / jnp.where(up > down, up - down, 1.0), 0.5)
    t = low + jnp.clip(share, 0.0, 1.0) * (high - low)
    return jnp.clip(t, 0.0, 1.0)


def sphere_box(
    centre: jax.Array, radius: jax.Array, half_size: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Distance (m) and normal from the sphere to the box, in the box's frame.

    A centre inside the box leaves through the nearest face.
    """
    closest = jnp.clip(centre, -half_size, half_size)
    apart = closest - centre
    gap = jnp.sqrt(jnp.where(jnp.any(apart != 0), jnp.sum(apart * apart), 1.0))
    outside = jnp.any(apart != 0)
    depth = half_size - jnp.abs(centre)
    face = jnp.argmin(depth)
    inward = -jnp.where(jnp.arange(3) == face, jnp.where(centre < 0, -1.0, 1.0), 0.0)
    distance = jnp.where(outside, gap, -depth[face]) - radius
    return distance, jnp.where(outside, apart / gap, inward)


def with_links(model: Model, ends: jax.Array, boxes: Boxes, index: jax.Array) -> Candidates:
    """Every segment against every box, three spheres each: its ends and its nearest point.

    Args:
      model: of NB links with G segments.
      ends: [NB, G, 2, 3], relative to the root.
      boxes: [N], positions relative to the root.
      index: int32 [N], the boxes' place among the bodies.
    """
    bodies, segments = model.radius.shape
    link = jnp.repeat(jnp.arange(bodies), segments)
    pairs, capsule = ends.reshape(-1, 2, 3), model.segment_mask.reshape(-1, 2)
    radius, mu = model.radius.reshape(-1), model.friction.reshape(-1)

    def one(segment: tuple, place: jax.Array, turn: jax.Array, half: jax.Array) -> tuple:
        ends, used, radius = segment
        back = rotations.conjugate(turn)[None]
        local = rotations.rotate(back, ends - place[None])
        along = (local[1] - local[0]) * used[1]
        t = nearest_on_segment(local[0], along, half)
        centres = jnp.stack([local[0], local[1], local[0] + t * along])
        distance, normal = jax.vmap(sphere_box, (0, None, None))(centres, radius, half)
        normal = rotations.rotate(turn[None], normal)
        world = jnp.stack([ends[0], ends[1], ends[0] + t * (ends[1] - ends[0]) * used[1]])
        clear = distance[2] < jnp.minimum(distance[0], distance[1]) - _CLEARLY
        possible = jnp.stack([used[0] > 0, used[1] > 0, (used[1] > 0) & clear])
        return distance, world + normal * (radius + 0.5 * distance)[:, None], normal, possible

    over_boxes = jax.vmap(one, (None, 0, 0, 0))
    distance, at, normal, possible = jax.vmap(over_boxes, (0, None, None, None))(
        (pairs, capsule, radius), boxes.position, boxes.quaternion, boxes.half_size
    )  # [NB G, N, 3, ...]
    shape = distance.shape
    spread = lambda x, axis: jnp.broadcast_to(  # noqa: E731
        jnp.expand_dims(x, [i for i in range(3) if i != axis]), shape
    ).reshape(-1)
    normal = normal.reshape(-1, 3)
    return Candidates(
        distance.reshape(-1),
        at.reshape(-1, 3),
        normal,
        jnp.zeros_like(normal),
        spread(link, 0).astype(jnp.int32),
        spread(index, 1).astype(jnp.int32),
        jnp.maximum(spread(mu, 0), spread(boxes.friction, 1)),
        possible.reshape(-1) & (spread(boxes.exists, 1) > 0),
    )


def corners_on_ground(
    boxes: Boxes, origin: jax.Array, ground: Ground, ground_friction: jax.Array, world: int
) -> Candidates:
    """The corners of free boxes.

    Args:
      boxes: [N], positions in the world: exact however far the body is.
      origin: [3], the root's place in the world.
      ground: see :class:`Ground`.
      ground_friction: [].
      world: its place among the bodies; the boxes follow it.
    """
    count = boxes.position.shape[0]
    rotation = rotations.to_matrix(boxes.quaternion)
    corners = jnp.asarray(_CORNERS, rotation.dtype)[None] * boxes.half_size[:, None]
    arm = jnp.einsum("nij,ncj->nci", rotation, corners).reshape(-1, 3)
    points = jnp.repeat(boxes.position, 8, axis=0) + arm
    distance, normal = jax.vmap(ground)(points)
    bodies = jnp.repeat(jnp.arange(count, dtype=jnp.int32) + world + 1, 8)
    return Candidates(
        distance,
        points - origin[None] - 0.5 * normal * distance[:, None],
        normal,
        jnp.zeros_like(normal),
        jnp.full_like(bodies, world),
        bodies,
        jnp.maximum(jnp.repeat(boxes.friction, 8), ground_friction),
        jnp.repeat(boxes.exists, 8) > 0,
    )
