"""A body in its surroundings: what a step is told besides the state and the controls."""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl_suite.core import UsageError
from jaxrl_suite.physics.ground import Ground, flat
from jaxrl_suite.physics.kinematics import Tree, prepare
from jaxrl_suite.physics.model import Model, Options, Sizes, pad


class Boxes(NamedTuple):
    """Boxes, [N]: obstacles of the world, or free ones with their start.

    position: [N, 3], of the centres (m, world).
    quaternion: [N, 4].
    half_size: [N, 3] (m).
    friction: [N], sliding.
    mass: [N] (kg); 0 for obstacles and for slots not in use.
    inertia: [N, 3], about the box's own axes (kg m^2).
    exists: [N], 1 for boxes that are there.
    """

    position: Any
    quaternion: Any
    half_size: Any
    friction: Any
    mass: Any
    inertia: Any
    exists: Any


class Scene(NamedTuple):
    """A body and what it meets. Vmapped over a population all leaves have a leading axis [P].

    model: the body.
    tree: its masks, from :func:`prepare`; they follow from the model.
    ground: see :class:`Ground`.
    ground_friction: [].
    obstacles: [NX], boxes that are part of the world.
    boxes: [NF], boxes that move.
    """

    model: Model
    tree: Tree
    ground: Ground
    ground_friction: Any
    obstacles: Boxes
    boxes: Boxes


class Body(NamedTuple):
    """A body as it was loaded: exact sizes, NumPy float64, and what its parts are called.

    model: see :class:`Model`.
    sizes: exactly as large as the body.
    options: of the file it came from.
    link_names: of links 0..NB-1.
    actuators: (link, hinge) of every actuator, in the file's order.
    ground: of the file; level at z = 0 without one.
    ground_friction: of the file's ground; 0 without one.
    obstacles, boxes: of the file.
    """

    model: Model
    sizes: Sizes
    options: Options
    link_names: tuple[str, ...]
    actuators: tuple[tuple[int, int], ...]
    ground: Ground
    ground_friction: float
    obstacles: Boxes
    boxes: Boxes


def no_boxes(count: int = 0) -> Boxes:
    """So many slots for boxes, none in use, NumPy."""
    still = np.tile([1.0, 0, 0, 0], (count, 1))
    zeros, ones = np.zeros, np.ones
    return Boxes(
        zeros((count, 3)), still, ones((count, 3)), zeros(count), zeros(count),
        ones((count, 3)), zeros(count),
    )  # fmt: skip


def box(
    position: Sequence[float],
    half_size: Sequence[float],
    *,
    mass: float = 0.0,
    quaternion: Sequence[float] = (1.0, 0.0, 0.0, 0.0),
    friction: float = 1.0,
) -> Boxes:
    """One box of uniform density, [1]; concatenate with ``jax.tree.map`` for several.

    Args:
      position: of the centre (m).
      half_size: half its edges (m).
      mass: (kg); 0 for an obstacle.
      quaternion: its orientation, unit.
      friction: sliding.

    Raises:
      UsageError: an edge or a mass that no box has.
    """
    size, mass = np.asarray(half_size, float), float(mass)
    if not (np.isfinite(size).all() and (size > 0).all()):
        raise UsageError(f"half_size must be above 0, not {tuple(size)}")
    if not (np.isfinite(mass) and mass >= 0):
        raise UsageError(f"mass must be 0 (an obstacle) or above, not {mass}")
    square = size**2
    inertia = mass / 3.0 * (square.sum() - square) if mass else np.ones(3)
    values = (position, quaternion, size, friction, mass, inertia, 1.0)
    return Boxes(*(np.asarray(value, float)[None] for value in values))


def pad_boxes(boxes: Boxes, count: int) -> Boxes:
    """The same boxes in more slots.

    Raises:
      UsageError: there are more boxes than slots.
    """
    there = len(boxes.exists)
    if there > count:
        raise UsageError(f"{there} boxes do not fit {count} slots")
    empty = no_boxes(count - there)
    return jax.tree.map(
        lambda a, b: jnp.concatenate([jnp.asarray(a), jnp.asarray(b)]), boxes, empty
    )


def make_scene(
    sizes: Sizes,
    model: Model,
    *,
    ground: Ground | None = None,
    ground_friction: float | jax.Array = 1.0,
    obstacles: Boxes | None = None,
    boxes: Boxes | None = None,
) -> Scene:
    """A scene of one body; may be jitted and vmapped over models.

    Args:
      sizes: of the model, obstacles and boxes counted.
      model: a body.
      ground: None for level ground at z = 0.
      ground_friction: [].
      obstacles: as many as `sizes` says or fewer.
      boxes: the same.
    """
    filled = [
        pad_boxes(given if given is not None else no_boxes(), count)
        for given, count in ((obstacles, sizes.obstacles), (boxes, sizes.boxes))
    ]
    model = jax.tree.map(jnp.asarray, model)
    friction = jnp.asarray(ground_friction, jnp.result_type(float))
    return Scene(model, prepare(sizes, model), ground or flat(), friction, *filled)


def stack(
    bodies: Sequence[Body], sizes: Sizes | None = None, *, ground: Ground | None = None
) -> tuple[Scene, Sizes]:
    """Bodies of different shape, each in its surroundings, as one batch.

    Args:
      bodies: P of them.
      sizes: to pad to; None for the smallest that fit all.
      ground: the same for all; None for each body's own.

    Returns:
      The scenes with a leading axis [P], as floats of JAX's default size, and their sizes.

    Raises:
      UsageError: there is no body, one does not fit, or the grounds are of different kinds.
    """
    if not bodies:
        raise UsageError("there is no body to stack")
    if sizes is None:
        sizes = functools.reduce(Sizes.union, [body.sizes for body in bodies])
    if ground is None and len({jax.tree.structure(b.ground) for b in bodies}) > 1:
        raise UsageError("the bodies' grounds are of different kinds; give stack one ground")
    scenes = [
        make_scene(
            sizes,
            pad(body.model, body.sizes, sizes),
            ground=ground or body.ground,
            ground_friction=body.ground_friction,
            obstacles=body.obstacles,
            boxes=body.boxes,
        )
        for body in bodies
    ]
    try:
        return jax.tree.map(lambda *leaves: jnp.stack(leaves), *scenes), sizes
    except ValueError as error:
        raise UsageError("the bodies' grounds differ in shape; give stack one ground") from error
