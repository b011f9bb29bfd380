"""The seven ways in which a child differs from its parent."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrl_suite.envs.unimal import lattice
from jaxrl_suite.envs.unimal.design import Design
from jaxrl_suite.envs.unimal.draws import one_of, whole
from jaxrl_suite.envs.unimal.genotype import MAX_LIMBS, NUM_SLOTS, Genotype, num_limbs, with_height
from jaxrl_suite.envs.unimal.growth import (
    NUM_DRAWS,
    NUM_JOINT_DRAWS,
    TRIES,
    grown_from,
    random_density,
    random_joints,
)
from jaxrl_suite.envs.unimal.validity import is_valid

OPERATORS = ("grow_limb", "delete_limb", "limb_params", "dof", "joint_angle", "gear", "density")
MIN_LIMBS = 2  # a body of so many loses none
_NUM_DRAWS = TRIES * NUM_DRAWS  # growth takes the most


class Mutation(NamedTuple):
    """A child.

    genotype: of the child.
    operator: int32 [], index of :data:`OPERATORS`.
    changed: bool [], False where the operator could not be applied, or drew what was there.
    """

    genotype: Genotype
    operator: jax.Array
    changed: jax.Array


def _leaders(genotype: Genotype) -> jax.Array:
    """bool [11], one limb of every group: singles, and the lower slot of a pair."""
    slots = jnp.arange(NUM_SLOTS)
    return genotype.alive & (slots > 0) & (genotype.partner >= slots)


def _group(genotype: Genotype, leader: jax.Array) -> jax.Array:
    """bool [11], the limbs of a group."""
    slots = jnp.arange(NUM_SLOTS)
    return (slots == leader) | (slots == genotype.partner[leader])


# Each operator takes what it needs of the same draws [_NUM_DRAWS], uniform in [0, 1).


def _grown(design: Design, genotype: Genotype, draws: jax.Array) -> Genotype:
    return grown_from(design, genotype, draws[: TRIES * NUM_DRAWS].reshape(TRIES, NUM_DRAWS))[0]


def _deleted(design: Design, genotype: Genotype, draws: jax.Array) -> Genotype:
    """Without one group that nothing grows from."""
    slots = jnp.arange(NUM_SLOTS)
    children = (genotype.parent[:, None] == slots[None]) & (genotype.alive & (slots > 0))[:, None]
    bears = jnp.any(children, axis=0)
    leaves = _leaders(genotype) & ~bears & ~bears[genotype.partner]
    gone = _group(genotype, one_of(draws[0], leaves)) & jnp.any(leaves)
    accepted = genotype.accepted & ~gone[:, None] & ~gone[None]
    child = genotype._replace(alive=genotype.alive & ~gone, accepted=accepted)
    return child if design.stale_height else with_height(design, child)


def _resized(design: Design, genotype: Genotype, draws: jax.Array) -> Genotype:
    """One group gets a random length, which may be the old one; what it carries moves along."""
    length = whole(draws[1], len(lattice.LENGTHS))
    chosen = _group(genotype, one_of(draws[0], _leaders(genotype)))
    changed = chosen & (genotype.length != length)
    child = genotype._replace(
        length=jnp.where(chosen, length, genotype.length), stretched=genotype.stretched | changed
    )
    if design.check_length:
        valid = is_valid(design, child)
        child = jax.tree.map(lambda a, b: jnp.where(valid, a, b), child, genotype)
    return with_height(design, child)


def _rejointed(fields: tuple[str, ...]) -> Callable[[Design, Genotype, jax.Array], Genotype]:
    """New joints: with probability 1/2 of all groups, each its own, else of one group."""

    def apply(design: Design, genotype: Genotype, draws: jax.Array) -> Genotype:
        one = _group(genotype, one_of(draws[0], _leaders(genotype)))
        chosen = one | (draws[1] < 0.5)
        slots = jnp.arange(NUM_SLOTS)
        leader = jnp.minimum(slots, genotype.partner)  # so that a pair draws the same
        each = draws[2 : 2 + NUM_SLOTS * NUM_JOINT_DRAWS].reshape(NUM_SLOTS, NUM_JOINT_DRAWS)
        joints = random_joints(each)
        drawn = {name: getattr(joints, name)[leader] for name in fields}
        mask = {name: chosen.reshape(-1, *[1] * (x.ndim - 1)) for name, x in drawn.items()}
        old = {name: getattr(genotype, name) for name in fields}
        return genotype._replace(
            **{name: jnp.where(mask[name], drawn[name], old[name]) for name in fields}
        )

    return apply


def _reweighed(design: Design, genotype: Genotype, draws: jax.Array) -> Genotype:
    """New densities of head and limbs."""
    return genotype._replace(density=random_density(draws[:2]))


_APPLY = (
    _grown,
    _deleted,
    _resized,
    _rejointed(("axes", "range", "gear")),
    _rejointed(("range",)),
    _rejointed(("gear",)),
    _reweighed,
)


def allowed(genotype: Genotype) -> jax.Array:
    """bool [7], operators that may be drawn.

    No growth at 10 limbs, no deletion at 2 or fewer, and nothing but growth of a bare head.
    """
    limbs = num_limbs(genotype)
    every = jnp.full(len(OPERATORS), limbs > 0)
    return every.at[0].set(limbs < MAX_LIMBS).at[1].set(limbs > MIN_LIMBS)


def mutate(design: Design, genotype: Genotype, key: jax.Array) -> Mutation:
    """One operator, uniform over those allowed, applied once."""
    draws = jax.random.uniform(key, (1 + _NUM_DRAWS,))
    operator = one_of(draws[0], allowed(genotype))
    branches = [lambda g, u, apply=apply: apply(design, g, u) for apply in _APPLY]
    child = jax.lax.switch(operator, branches, genotype, draws[1:])
    same = jax.tree.map(lambda a, b: jnp.all(a == b), child, genotype)
    return Mutation(child, operator, ~jnp.all(jnp.stack(jax.tree.leaves(same))))
