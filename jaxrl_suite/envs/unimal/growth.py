"""Growing limbs: proposals at random, the first one that keeps the rules."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrl_suite.envs.unimal import lattice
from jaxrl_suite.envs.unimal.design import Design
from jaxrl_suite.envs.unimal.draws import one_of, whole
from jaxrl_suite.envs.unimal.genotype import (
    DENSITIES,
    GEARS,
    MAX_LIMBS,
    MIDDLE,
    NUM_SLOTS,
    RANGES,
    Genotype,
    num_limbs,
    places,
    with_height,
)
from jaxrl_suite.envs.unimal.validity import (
    in_contact,
    mirrored,
    nothing_collides,
    related,
    siblings,
)

TRIES = 50  # proposals of a growth; if all fail the body stays as it is
NUM_JOINT_DRAWS = 5  # random numbers of a limb's joints,
NUM_DRAWS = 5 + NUM_JOINT_DRAWS  # and of a proposal


class Proposal(NamedTuple):
    """A body with one or two limbs more.

    genotype: the body.
    built: bool [], the limbs could be attached; nothing below holds otherwise.
    mirrored: bool [], the body is symmetric.
    apart: bool [], the new limbs are in contact at rest with none but those they may be.
    """

    genotype: Genotype
    built: jax.Array
    mirrored: jax.Array
    apart: jax.Array

    @property
    def valid(self) -> jax.Array:
        """bool []."""
        return self.built & self.mirrored & self.apart


class Joints(NamedTuple):
    """Random joints of a limb: axes [...], range [..., 2], gear [..., 2]."""

    axes: jax.Array
    range: jax.Array
    gear: jax.Array


def random_joints(draws: jax.Array) -> Joints:
    """Uniform, from numbers [..., NUM_JOINT_DRAWS] that are uniform in [0, 1)."""
    return Joints(
        whole(draws[..., 0], 3),
        whole(draws[..., 1:3], len(RANGES)),
        whole(draws[..., 3:5], len(GEARS)),
    )


def random_density(draws: jax.Array) -> jax.Array:
    """int32 [2], of head and limbs, from two numbers that are uniform in [0, 1)."""
    return whole(draws, len(DENSITIES))


def _random_direction(draws: jax.Array, *, fold: jax.Array) -> jax.Array:
    """Uniform in both angles, so that a third of all limbs point down; theta <= 180 if folded."""
    ring, theta = whole(draws[0], 3), whole(draws[1], lattice.NUM_THETAS)
    theta = jnp.where(fold & (theta > 4), lattice.NUM_THETAS - theta, theta)
    level, sloping = lattice.LEVEL + theta, lattice.SLOPING + theta
    return jnp.where(ring == 0, 0, jnp.where(ring == 1, level, sloping))


def _attached(genotype: Genotype, draws: jax.Array) -> tuple[Genotype, jax.Array, jax.Array]:
    """With a limb more, or two: the body, the new slots int32 [2], and whether it could be done.

    A single limb is in both slots. The draws are [NUM_DRAWS].
    """
    slots = jnp.arange(NUM_SLOTS)
    sites = jnp.stack([genotype.alive, genotype.alive & (slots > 0)], axis=1).reshape(-1)
    site = one_of(draws[0], sites)
    parent, site = site // 2, jnp.where(site < 2, MIDDLE, site % 2)
    across = genotype.partner[parent] != parent  # one on each of a pair
    two = across | (draws[1] < 0.5)
    shared = two & ~across
    direction = _random_direction(draws[2:4], fold=two)
    opposite = jnp.asarray(lattice.MIRROR)[direction]
    # In the middle of a limb of its own direction a limb would grow inside its parent.
    one, other = genotype.direction[parent], genotype.direction[genotype.partner[parent]]
    inside = (parent > 0) & (site == MIDDLE) & ((direction == one) | (direction == other))
    fits = num_limbs(genotype) + 1 + two <= MAX_LIMBS
    built = fits & ~inside & ~(shared & (opposite == direction))

    first = jnp.argmin(genotype.alive)
    second = jnp.argmin(genotype.alive.at[first].set(True))  # 0, the head, where all are taken
    second = jnp.where(two & (second > 0), second, first)
    joints = random_joints(draws[5:])
    limb = {
        "alive": True,
        "parent": parent,
        "site": site,
        "direction": direction,
        "length": whole(draws[4], len(lattice.LENGTHS)),
        "axes": joints.axes,
        "range": joints.range,
        "gear": joints.gear,
        "partner": second,
        "stretched": False,
    }
    paired = limb | {
        "parent": jnp.where(across, genotype.partner[parent], parent),
        "direction": jnp.where(shared, opposite, direction),
        "partner": first,
    }
    fields = {
        name: getattr(genotype, name).at[second].set(paired[name]).at[first].set(value)
        for name, value in limb.items()
    }
    return genotype._replace(**fields), jnp.stack([first, second]), built


def propose(design: Design, genotype: Genotype, draws: jax.Array) -> Proposal:
    """Attaches a limb at a random site, or a pair of limbs.

    A site is the head, or the middle or end of a limb, used or not. Two limbs that grow from one
    site mirror each other in direction; on a limb of a pair two grow, one on each, with the same
    direction.

    Args:
      design: the rules.
      genotype: of the body.
      draws: [NUM_DRAWS], uniform in [0, 1).
    """
    grown, new, built = _attached(genotype, draws)
    at = places(design, grown)
    contact = in_contact(design, grown, at, new)
    allowed = related(grown)[new]
    if design.contacts != "clean":
        allowed |= siblings(grown)[new]
    accepted = grown.accepted.at[new].set(contact)
    accepted = accepted.at[:, new].set(contact.T)
    grown = with_height(design, grown._replace(accepted=accepted))
    return Proposal(grown, built, mirrored(grown, at), ~jnp.any(contact & ~allowed))


def grow(design: Design, genotype: Genotype, key: jax.Array) -> tuple[Genotype, jax.Array]:
    """The first valid one of 50 proposals; the body itself, and False, if there is none.

    A body whose limbs another mutation has brought into contact, or out of symmetry, does not grow.
    """
    return grown_from(design, genotype, jax.random.uniform(key, (TRIES, NUM_DRAWS)))


def grown_from(design: Design, genotype: Genotype, draws: jax.Array) -> tuple[Genotype, jax.Array]:
    """:func:`grow` from draws [TRIES, NUM_DRAWS], uniform in [0, 1)."""
    proposals = jax.vmap(lambda u: propose(design, genotype, u))(draws)
    valid = proposals.valid & nothing_collides(design, genotype, places(design, genotype))
    chosen = jax.tree.map(lambda x: x[jnp.argmax(valid)], proposals.genotype)
    grew = jnp.any(valid)
    return jax.tree.map(lambda a, b: jnp.where(grew, a, b), chosen, genotype), grew
