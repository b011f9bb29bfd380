"""From integers to a body that can be simulated, and to MJCF."""

import math

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl_suite import physics
from jaxrl_suite.envs.unimal import lattice
from jaxrl_suite.envs.unimal.design import Design
from jaxrl_suite.envs.unimal.genotype import (
    DENSITIES,
    GEARS,
    NUM_SLOTS,
    RANGES,
    Genotype,
    above,
    has_axis,
    places,
)
from jaxrl_suite.envs.unimal.validity import related
from jaxrl_suite.physics.model import ROOT_DOFS, empty

SIZES = physics.Sizes(num_bodies=NUM_SLOTS, hinges=2, contacts=8)
OPTIONS = physics.Options(
    timestep=0.005, newton_steps=6, line_search_steps=8, solimp_limit=(0.0, 0.99, 0.01, 0.5, 2.0)
)
FRICTION = 0.7
_PER_JOINT = 1.0  # damping, stiffness and armature


def ordered(genotype: Genotype) -> tuple[jax.Array, jax.Array]:
    """Slots by depth, so that parents come first, and where each slot went; int32 [11] both."""
    limbs = genotype.alive & (jnp.arange(NUM_SLOTS) > 0)
    depth = jnp.where(genotype.alive, above(genotype.parent, limbs.astype(jnp.int32)), NUM_SLOTS)
    order = jnp.argsort(depth, stable=True)
    return order, jnp.argsort(order)


def phenotype(design: Design, genotype: Genotype) -> physics.Model:
    """The body in arrays of :data:`SIZES`, its start height and inverse weights included.

    Pure; vmap it over a population. Link b is the b-th slot by depth, its hinges are x, then y.
    """
    at = places(design, genotype)
    order, place = ordered(genotype)
    alive = genotype.alive.astype(float)
    limb = alive.at[0].set(0.0)
    along = at.along / 100.0
    radius = jnp.full(NUM_SLOTS, lattice.LIMB_RADIUS / 100.0).at[0].set(lattice.HEAD_RADIUS / 100.0)
    mass, inertia = _solids(genotype, along, radius)
    pairs = genotype.alive[:, None] & genotype.alive[None] & ~related(genotype)
    pairs &= ~jnp.eye(NUM_SLOTS, dtype=bool)
    if design.contacts == "exclude":
        pairs &= ~genotype.accepted
    axis, used, which = _hinges(design, genotype)
    pivot = jnp.asarray(lattice.PIVOTS[design.lattice])[genotype.direction] / 100.0
    pick = jnp.arange(NUM_SLOTS)[:, None]
    gear = jnp.asarray(GEARS, float)[genotype.gear[pick, which]]
    limits = jnp.asarray(np.radians(RANGES))[genotype.range[pick, which]]
    joints = lambda x: x[order][1:]  # noqa: E731
    used = joints(used)
    mask = used.reshape(-1)
    full = jnp.concatenate([jnp.ones(ROOT_DOFS), mask])
    slots = lambda x: jnp.concatenate([jnp.zeros(ROOT_DOFS), x * mask])  # noqa: E731
    wide = jnp.asarray(empty(SIZES).range)
    free = jnp.asarray(empty(SIZES).control_range)
    driven = (full * (jnp.arange(len(full)) >= ROOT_DOFS))[:, None] > 0
    model = jax.tree.map(jnp.asarray, empty(SIZES))._replace(
        parent=place[genotype.parent[order]].astype(jnp.int32) * (alive[order] > 0),
        exists=alive[order],
        position=at.local[order] / 100.0,
        joint_position=jnp.where(used[:, :, None] > 0, joints(pivot)[:, None], 0.0),
        joint_axis=jnp.where(used[:, :, None] > 0, joints(axis), jnp.array([[[0.0, 0.0, 1.0]]])),
        dof_mask=full,
        mass=(mass * alive)[order],
        com=(0.5 * along * limb[:, None])[order],
        inertia=(inertia * alive[:, None, None])[order],
        segment=jnp.stack([along, jnp.zeros_like(along)], axis=1)[order][:, None],
        radius=(radius * alive)[order][:, None],
        segment_mask=jnp.stack([alive, limb], axis=1)[order][:, None],
        friction=jnp.where(alive > 0, FRICTION, 1.0)[order][:, None],
        pair_mask=pairs[order][:, order].astype(float),
        gear=slots(joints(gear).reshape(-1)),
        control_range=jnp.where(driven, jnp.array([[-1.0, 1.0]]), free),
        damping=slots(_PER_JOINT * mask),
        stiffness=slots(_PER_JOINT * mask),
        armature=slots(_PER_JOINT * mask),
        range=jnp.where(mask[:, None] > 0, joints(limits).reshape(-1, 2), wide),
        start=jnp.zeros(3).at[2].set(genotype.height / 100.0),
    )
    return physics.with_invweights(SIZES, model)


def _solids(genotype: Genotype, along: jax.Array, radius: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Masses [11] and inertias about the centres of mass [11, 3, 3], at uniform density.

    A capsule is a cylinder and two half balls at its ends; without length, a ball.
    """
    length = jnp.sqrt(jnp.sum(along**2, axis=1))
    kind = jnp.minimum(jnp.arange(NUM_SLOTS), 1)  # the head has one density, all limbs another
    density = jnp.asarray(DENSITIES, float)[genotype.density[kind]]
    ball = density * 4.0 / 3.0 * math.pi * radius**3
    tube = density * math.pi * radius**2 * length
    axial = tube * radius**2 / 2 + ball * 0.4 * radius**2
    across = tube * (3 * radius**2 + length**2) / 12
    across += ball * (0.4 * radius**2 + length * (3 * radius + 2 * length) / 8)
    across = jnp.where(length > 0, across, axial)
    unit = along / jnp.where(length > 0, length, 1.0)[:, None]
    outer = unit[:, :, None] * unit[:, None, :]
    inertia = across[:, None, None] * jnp.eye(3)[None] + (axial - across)[:, None, None] * outer
    return ball + tube, inertia


def _hinges(design: Design, genotype: Genotype) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Axes [11, 2, 3] by hinge, which hinges are used [11, 2], and their genes int32 [11, 2]."""
    axes = jnp.asarray(lattice.AXES[design.lattice])[genotype.direction, genotype.length]
    if design.mirror_joints:
        second = (genotype.partner < jnp.arange(NUM_SLOTS))[:, None, None]
        image = axes[genotype.partner] * lattice.MIRRORED_TURN[None, None]
        axes = jnp.where(second, image, axes)
    has = has_axis(genotype)
    first = jnp.where(has[:, 0], 0, 1)
    which = jnp.stack([first, jnp.ones_like(first)], axis=1)
    used = jnp.stack([has[:, 0] | has[:, 1], has[:, 0] & has[:, 1]], axis=1)
    return axes[jnp.arange(NUM_SLOTS)[:, None], which], used.astype(float), which


def scene(design: Design, genotype: Genotype) -> physics.Scene:
    """The body on level ground."""
    model = phenotype(design, genotype)
    return physics.make_scene(SIZES, model, ground_friction=FRICTION)


def limb_names(genotype: Genotype) -> list[str]:
    """Of the links of a body, in the order of :func:`phenotype`: head, limb1, limb2, .."""
    order, _ = ordered(genotype)
    return ["head", *(f"limb{int(slot)}" for slot in order[1:] if genotype.alive[slot])]


def to_mjcf(design: Design, genotype: Genotype) -> str:
    """One body as MJCF; ``reading.from_body`` reads it back. On the host, not to be jitted."""
    built = jax.jit(scene, static_argnums=0)(design, genotype)  # op by op it takes much longer
    return physics.to_mjcf(SIZES, OPTIONS, built, names=limb_names(genotype))
