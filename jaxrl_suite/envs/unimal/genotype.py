"""A body as integers: what evolution changes, and where it puts the limbs."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl_suite.envs.unimal import lattice
from jaxrl_suite.envs.unimal.design import Design

MAX_LIMBS = 10
NUM_SLOTS = MAX_LIMBS + 1  # slot 0 is the head
MIDDLE, END = 0, 1  # sites of a limb
X, Y, XY = 0, 1, 2  # joint axes of a limb
_LOW = (-30, 0, -30, -45, -45, 0, -60, 0, -60, -90, 0, -60, -30)
_HIGH = (0, 30, 30, 45, 0, 45, 0, 60, 60, 0, 90, 30, 60)
RANGES = np.stack([_LOW, _HIGH], axis=1)  # degrees
GEARS = np.array([150, 200, 250, 300])  # N m a unit of control
DENSITIES = np.array([500, 600, 700, 800, 900, 1000])  # kg/m^3


class Genotype(NamedTuple):
    """A body. Slots that are not alive mean nothing; all but the flags are int32.

    alive: bool [11]; slot 0, the head, always.
    parent: [11], slot of the limb that it grows from, 0 for the head.
    site: [11], where on it: 0 in the middle, 1 at the end; nothing on the head.
    direction: [11], see :mod:`lattice`.
    length: [11], index of :data:`lattice.LENGTHS`.
    axes: [11], hinges about x, y, or both.
    range: [11, 2], index of :data:`RANGES`, of the x and the y axis.
    gear: [11, 2], index of :data:`GEARS`.
    partner: [11], slot of the other limb of a pair; its own of a single one.
    density: [2], index of :data:`DENSITIES`, of the head and of all limbs.
    stretched: bool [11], the length has changed since the limb grew.
    accepted: bool [11, 11], pairs that were in contact at rest when growth last allowed it.
    height: [], of the head's centre above the ground at the start (cm).
    """

    alive: jax.Array
    parent: jax.Array
    site: jax.Array
    direction: jax.Array
    length: jax.Array
    axes: jax.Array
    range: jax.Array
    gear: jax.Array
    partner: jax.Array
    density: jax.Array
    stretched: jax.Array
    accepted: jax.Array
    height: jax.Array


def head(density: jax.Array) -> Genotype:
    """A head without limbs.

    Args:
      density: int32 [2], see :class:`Genotype`.
    """
    zeros, no = jnp.zeros(NUM_SLOTS, jnp.int32), jnp.zeros(NUM_SLOTS, bool)
    two = jnp.zeros((NUM_SLOTS, 2), jnp.int32)
    return Genotype(
        no.at[0].set(True), zeros, zeros, zeros, zeros, zeros, two, two, jnp.arange(NUM_SLOTS),
        jnp.asarray(density, jnp.int32), no, jnp.zeros((NUM_SLOTS, NUM_SLOTS), bool),
        jnp.asarray(20 + lattice.HEAD_RADIUS, jnp.int32),
    )  # fmt: skip


def num_limbs(genotype: Genotype) -> jax.Array:
    """int32 []."""
    return jnp.sum(genotype.alive, dtype=jnp.int32) - 1


def num_hinges(genotype: Genotype) -> jax.Array:
    """int32 []."""
    limbs = genotype.alive & (jnp.arange(NUM_SLOTS) > 0)
    return jnp.sum(jnp.where(limbs, jnp.where(genotype.axes == XY, 2, 1), 0), dtype=jnp.int32)


def has_axis(genotype: Genotype) -> jax.Array:
    """bool [11, 2], whether a limb turns about its x and its y axis."""
    limbs = genotype.alive & (jnp.arange(NUM_SLOTS) > 0)
    both = genotype.axes == XY
    return jnp.stack([both | (genotype.axes == X), both | (genotype.axes == Y)], 1) & limbs[:, None]


def above(parent: jax.Array, value: jax.Array) -> jax.Array:
    """Sums `value` [11, ...], 0 at the head, from every slot up to the head."""
    for _ in range(NUM_SLOTS.bit_length()):
        value = value + value[parent]
        parent = parent[parent]
    return value


class Places(NamedTuple):
    """Where the limbs are at rest, in whole cm from the head's centre; int32 [11, 3].

    local: of a limb's origin in its parent's frame.
    origin: of the limb's origin, one end of its axis.
    along: from there to the other end; 0 of the head and of slots that are not alive.
    """

    local: jax.Array
    origin: jax.Array
    along: jax.Array


def places(design: Design, genotype: Genotype) -> Places:
    """Lays a body out on the lattice."""
    offsets = jnp.asarray(lattice.OFFSETS[design.lattice])
    limbs = (genotype.alive & (jnp.arange(NUM_SLOTS) > 0))[:, None]
    parent, on_head = genotype.parent, genotype.parent == 0
    reach = jnp.stack([jnp.asarray(lattice.MIDDLE), jnp.asarray(lattice.END)])
    site = offsets[genotype.direction[parent], reach[genotype.site, genotype.length[parent]]]
    radius = jnp.where(on_head, lattice.HEAD_RADIUS, lattice.LIMB_RADIUS) // lattice.STEP
    local = jnp.where(on_head[:, None], 0, site) + offsets[genotype.direction, radius]
    local = jnp.where(limbs, local, 0)
    ends = offsets[genotype.direction, jnp.asarray(lattice.END)[genotype.length]]
    return Places(local, above(parent, local), jnp.where(limbs, ends, 0))


def with_height(design: Design, genotype: Genotype) -> Genotype:
    """The body with a start height that leaves 20 cm under its lowest point."""
    offsets, at = jnp.asarray(lattice.OFFSETS[design.lattice]), places(design, genotype)
    limbs = genotype.alive & (jnp.arange(NUM_SLOTS) > 0)
    lowest, end = (jnp.asarray(x)[genotype.length] for x in (lattice.LOWEST, lattice.END))
    reach = jnp.where(genotype.stretched & design.stale_height, end, lowest)
    depth = at.origin[:, 2] + offsets[genotype.direction, reach][:, 2]
    lowest = jnp.min(jnp.where(limbs, depth, -lattice.HEAD_RADIUS))
    return genotype._replace(height=(20 - lowest).astype(jnp.int32))
