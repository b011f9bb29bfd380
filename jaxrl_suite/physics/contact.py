"""Contacts of spheres and capsules with the ground and with each other; the deepest are kept."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl_suite.physics import box_contact, rotations
from jaxrl_suite.physics.candidates import Candidates
from jaxrl_suite.physics.ground import Ground
from jaxrl_suite.physics.kinematics import Kinematics
from jaxrl_suite.physics.model import Model, Sizes, State
from jaxrl_suite.physics.scene import Scene

_PARALLEL = 1e-9  # of ae - b^2, below which two axes have no single closest pair
_UPRIGHT = 1e-4  # length of a capsule axis's tangential part below which it sets no direction


class Contacts(NamedTuple):
    """The K deepest.

    active: bool [K].
    distance, friction: [K].
    position: [K, 3].
    frame: [K, 3, 3], rows normal, tangent, tangent.
    first, second: int32 [K].
    dropped: int32 [], active contacts that found no slot.
    """

    active: jax.Array
    distance: jax.Array
    friction: jax.Array
    position: jax.Array
    frame: jax.Array
    first: jax.Array
    second: jax.Array
    dropped: jax.Array


def closest_points(p1: jax.Array, d1: jax.Array, p2: jax.Array, d2: jax.Array) -> tuple:
    """Closest points of the segments p1 + s d1 and p2 + t d2, s and t in [0, 1].

    A point is a segment of length zero. (Ericson 2005, section 5.1.9.)

    Returns:
      Two points, [3] each.
    """
    r = p1 - p2
    a, e, b, c, f = d1 @ d1, d2 @ d2, d1 @ d2, d1 @ r, d2 @ r
    positive = lambda x: jnp.where(x > _PARALLEL, x, 1.0)  # noqa: E731
    cross = a * e - b * b
    s = jnp.where(cross > _PARALLEL, jnp.clip((b * f - c * e) / positive(cross), 0.0, 1.0), 0.0)
    free = jnp.where(e > _PARALLEL, (b * s + f) / positive(e), 0.0)
    t = jnp.clip(free, 0.0, 1.0)
    again = jnp.where(a > _PARALLEL, jnp.clip((b * t - c) / positive(a), 0.0, 1.0), 0.0)
    # Where the second is a point, the first still has a nearest one.
    s = jnp.where((t == free) & (e > _PARALLEL), s, again)
    return p1 + s * d1, p2 + t * d2


def on_ground(
    model: Model,
    kin: Kinematics,
    ends: jax.Array,
    origin: jax.Array,
    ground: Ground,
    friction: jax.Array,
) -> Candidates:
    """Every end of every segment as a sphere above the ground.

    Args:
      model: of NB links with G segments.
      kin: its pose.
      ends: [NB, G, 2, 3], of the segments, relative to the root.
      origin: [3], the root's place in the world.
      ground: see :class:`Ground`.
      friction: of the ground.
    """
    size, segments = model.radius.shape
    points = ends.reshape(-1, 3)
    height, normal = jax.vmap(ground)(origin[None] + points)
    radius = jnp.repeat(model.radius.reshape(-1), 2)
    distance = height - radius
    position = points - normal * (radius + 0.5 * distance)[:, None]
    axis = rotations.normalise(ends[:, :, 1] - ends[:, :, 0])
    is_capsule = model.segment_mask[:, :, 1:]
    links = jnp.repeat(jnp.arange(size), 2 * segments)
    return Candidates(
        distance,
        position,
        normal,
        jnp.repeat((axis * is_capsule).reshape(-1, 3), 2, axis=0),
        jnp.full_like(links, size),
        links,
        jnp.maximum(jnp.repeat(model.friction.reshape(-1), 2), friction),
        model.segment_mask.reshape(-1) > 0,
    )


def between_links(model: Model, ends: jax.Array) -> Candidates:
    """Every pair of segments of different links."""
    size, segments = model.radius.shape
    link = np.repeat(np.arange(size), segments)
    one, two = (index.astype(np.int32) for index in np.triu_indices(size * segments, 1))
    one, two = (index[link[one] != link[two]] for index in (one, two))
    ends = ends.reshape(-1, 2, 3)
    capsule = model.segment_mask.reshape(-1, 2)
    base, along = ends[:, 0], (ends[:, 1] - ends[:, 0]) * capsule[:, 1:]
    near, far = jax.vmap(closest_points)(base[one], along[one], base[two], along[two])
    radius = model.radius.reshape(-1)
    apart = far - near
    gap = jnp.linalg.norm(apart, axis=-1)
    normal = jnp.where(gap[:, None] > 0, rotations.normalise(apart), jnp.eye(3)[:1])
    distance = gap - radius[one] - radius[two]
    mu = model.friction.reshape(-1)
    possible = model.pair_mask[link[one], link[two]] * capsule[one, 0] * capsule[two, 0]
    return Candidates(
        distance,
        near + normal * (radius[one] + 0.5 * distance)[:, None],
        normal,
        jnp.zeros_like(normal),
        jnp.asarray(link[one], jnp.int32),
        jnp.asarray(link[two], jnp.int32),
        jnp.maximum(mu[one], mu[two]),
        possible > 0,
    )


def contact_frame(normal: jax.Array, hint: jax.Array) -> jax.Array:
    """Rows normal, t1, t2 = n x t1, [3, 3].

    t1 is the tangential part of the hint where it has one, else of the y axis, or of the z axis
    where the normal is within 60 degrees of y; as in MuJoCo's C engine.
    """
    along = hint - normal * (normal @ hint)
    y, z = jnp.zeros(3).at[1].set(1.0), jnp.zeros(3).at[2].set(1.0)
    other = jnp.where(jnp.abs(normal[1]) < 0.5, y, z)
    other = other - normal * (normal @ other)
    tangent = rotations.normalise(jnp.where(along @ along > _UPRIGHT**2, along, other))
    return jnp.stack([normal, tangent, jnp.cross(normal, tangent)])


def find(
    sizes: Sizes, scene: Scene, kin: Kinematics, state: State, *, self_collision: bool
) -> Contacts:
    """The K deepest contacts of a body, its obstacles and its boxes."""
    model, origin = scene.model, state.q[:3]
    ends = kin.position[:, None, None] + jnp.einsum("bij,bgej->bgei", kin.rotation, model.segment)
    found = [on_ground(model, kin, ends, origin, scene.ground, scene.ground_friction)]
    if self_collision and sizes.num_bodies > 1:
        found.append(between_links(model, ends))
    world = sizes.num_bodies
    if sizes.obstacles:
        near = scene.obstacles._replace(position=scene.obstacles.position - origin[None])
        index = jnp.full(sizes.obstacles, world)
        found.append(box_contact.with_links(model, ends, near, index))
    if sizes.boxes:
        boxes = scene.boxes._replace(position=state.box_q[:, :3], quaternion=state.box_q[:, 3:])
        near = boxes._replace(position=boxes.position - origin[None])
        index = world + 1 + jnp.arange(sizes.boxes)
        found.append(box_contact.with_links(model, ends, near, index))
        found.append(
            box_contact.corners_on_ground(boxes, origin, scene.ground, scene.ground_friction, world)
        )
    return deepest(jax.tree.map(lambda *x: jnp.concatenate(x), *found), sizes.contacts)


def deepest(candidates: Candidates, num_contacts: int) -> Contacts:
    """Keeps so many; those that do not touch have a place, too, where there is room."""
    touching = candidates.possible & (candidates.distance < 0)
    depth = jnp.where(touching, -candidates.distance, -1.0)
    num_contacts = min(num_contacts, depth.shape[0])
    depth, index = jax.lax.top_k(depth, num_contacts)
    kept = jax.tree.map(lambda x: x[index], candidates)
    active = depth > 0
    return Contacts(
        active,
        kept.distance,
        kept.friction,
        kept.position,
        jax.vmap(contact_frame)(kept.normal, kept.hint),
        kept.first,
        kept.second,
        jnp.sum(touching).astype(jnp.int32) - jnp.sum(active).astype(jnp.int32),
    )
