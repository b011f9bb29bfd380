"""From integers to a body that can be simulated, to MJCF, and back."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl_suite import physics
from jaxrl_suite.core import UsageError
from jaxrl_suite.envs.unimal import lattice
from jaxrl_suite.envs.unimal.design import ORIGINAL, Design
from jaxrl_suite.envs.unimal.genotype import (
    DENSITIES,
    GEARS,
    NUM_SLOTS,
    RANGES,
    XY,
    Genotype,
    X,
    Y,
    above,
    has_axis,
    places,
    with_height,
)
from jaxrl_suite.envs.unimal.validity import in_contact, related
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
    length = jnp.sqrt(jnp.sum(along**2, axis=1))
    kind = jnp.minimum(jnp.arange(NUM_SLOTS), 1)  # the head has one density, all limbs another
    density = jnp.asarray(DENSITIES, float)[genotype.density[kind]]
    ball = density * 4.0 / 3.0 * math.pi * radius**3
    tube = density * math.pi * radius**2 * length
    # A cylinder and two half balls at its ends; without length, a ball.
    axial = tube * radius**2 / 2 + ball * 0.4 * radius**2
    across = tube * (3 * radius**2 + length**2) / 12
    across += ball * (0.4 * radius**2 + length * (3 * radius + 2 * length) / 8)
    across = jnp.where(length > 0, across, axial)
    unit = along / jnp.where(length > 0, length, 1.0)[:, None]
    outer = unit[:, :, None] * unit[:, None, :]
    inertia = across[:, None, None] * jnp.eye(3)[None] + (axial - across)[:, None, None] * outer
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
        mass=((ball + tube) * alive)[order],
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


def _hinges(design: Design, genotype: Genotype) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Axes [11, 2, 3] by hinge, which hinges are used [11, 2], and their genes int32 [11, 2]."""
    axes = jnp.asarray(lattice.AXES[design.lattice])[genotype.direction, genotype.length]
    if design.mirror_joints:
        second = (genotype.partner < jnp.arange(NUM_SLOTS))[:, None, None]
        # The mirror image of a turn, about the y axis as it was, about the others backwards.
        image = axes[genotype.partner] * jnp.array([[[-1.0, 1.0, -1.0]]])
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
    """One body as MJCF; :func:`from_body` reads it back."""
    return physics.to_mjcf(SIZES, OPTIONS, scene(design, genotype), names=limb_names(genotype))


# From here on: what MJCF is read back with; NumPy, on the host, one body at a time.


def _match(table: np.ndarray, value: np.ndarray, what: str, legal: str) -> tuple[int, ...]:
    """Index of the row of a table [..., n] that a value [n] equals; raises UsageError."""
    error = np.abs(np.asarray(table, float) - value).max(axis=-1)
    index = np.unravel_index(np.argmin(error), error.shape)
    if not error[index] < 1e-3:
        raise UsageError(f"not a UNIMAL: {what} is {np.round(value, 4)}; legal: {legal}")
    return tuple(int(i) for i in index)


def from_body(body: physics.Body, design: Design = ORIGINAL) -> Genotype:
    """Reads a body that :func:`physics.from_mjcf` has loaded.

    What mutations left behind is inferred: limbs that mirror each other are pairs, what is in
    contact at rest was accepted, and where one stretched group explains the start height it was.

    Raises:
      UsageError: it is no UNIMAL; names the link and what is legal.
    """
    model, sizes = body.model, body.sizes
    count = sizes.num_bodies
    if not 2 <= count <= NUM_SLOTS:
        raise UsageError(f"not a UNIMAL: {count - 1} limbs; legal: 1 to {NUM_SLOTS - 1}")
    genes = _read_head(body)
    for b in range(1, count):
        _read_limb(body, design, genes, b)
    _pair(design, genes, count)
    genotype = Genotype(**{name: jnp.asarray(value) for name, value in genes.items()})
    at, slots = places(design, genotype), jnp.arange(NUM_SLOTS)
    genotype = genotype._replace(accepted=in_contact(design, genotype, at, slots))
    return _stretched(design, genotype, round(100 * float(model.start[2])))


def _read_head(body: physics.Body) -> dict[str, np.ndarray]:
    """Genes of a body without limbs."""
    model = body.model
    radius = lattice.HEAD_RADIUS / 100
    name = repr(body.link_names[0])
    if not (model.segment_mask[0].sum() == 1 and abs(model.radius[0, 0] - radius) < 1e-4):
        raise UsageError(f"not a UNIMAL: {name} must be a single sphere of {radius} m")
    zeros = lambda *shape: np.zeros((NUM_SLOTS, *shape), np.int32)  # noqa: E731
    genes = {name: zeros() for name in ("parent", "site", "direction", "length", "axes")}
    genes |= {"alive": np.arange(NUM_SLOTS) == 0, "range": zeros(2), "gear": zeros(2)}
    genes |= {"partner": np.arange(NUM_SLOTS, dtype=np.int32), "stretched": zeros() > 0}
    genes |= {
        "height": np.int32(0),
        "density": np.zeros(2, np.int32),
        "accepted": zeros(NUM_SLOTS) > 0,
    }
    volume = 4 / 3 * math.pi * radius**3
    genes["density"][0] = _density(float(model.mass[0]) / volume, name)
    return genes


def _density(value: float, name: str) -> int:
    index = int(np.argmin(np.abs(DENSITIES - value)))
    if abs(DENSITIES[index] - value) > 1:
        raise UsageError(
            f"not a UNIMAL: the density of {name} is {value:.0f}; legal: {DENSITIES.tolist()}"
        )
    return index


def _read_limb(body: physics.Body, design: Design, genes: dict, b: int) -> None:
    """Fills in slot b."""
    model, name = body.model, repr(body.link_names[b])
    if not (model.segment_mask[b].sum() == 2 and abs(model.radius[b, 0] - 0.05) < 1e-4):
        raise UsageError(f"not a UNIMAL: {name} must be a single capsule of radius 0.05 m")
    parent = int(model.parent[b])
    ends = model.segment[b, 0]
    near = int(np.argmin(np.linalg.norm(ends, axis=1)))
    along = 100 * (ends[1 - near] - ends[near])
    offsets = lattice.OFFSETS[design.lattice]
    direction, length = _match(
        offsets[:, lattice.END], along, f"the axis of {name} (cm)", "17 directions, 3 lengths"
    )
    radius = lattice.LIMB_RADIUS if parent else lattice.HEAD_RADIUS
    rest = 100 * model.position[b] - offsets[direction, radius // lattice.STEP]
    reach = [lattice.MIDDLE, lattice.END]
    sites = [
        offsets[genes["direction"][parent], x[genes["length"][parent]]] * bool(parent)
        for x in reach
    ]
    (site,) = _match(
        np.array(sites), rest, f"the place of {name} on its parent (cm)", "its middle or its end"
    )
    volume = math.pi * 0.05**2 * float(np.linalg.norm(along)) / 100 + 4 / 3 * math.pi * 0.05**3
    density = _density(float(model.mass[b]) / volume, name)
    if b > 1 and density != genes["density"][1]:
        raise UsageError(f"not a UNIMAL: {name} has another density than the limbs before it")
    genes["density"][1] = density
    used = [s for s in range(body.sizes.hinges) if model.dof_mask[_dof(body, b, s)]]
    kinds = [
        _match(
            lattice.AXES[design.lattice][direction, length],
            model.joint_axis[b - 1, s],
            f"a joint axis of {name}",
            "x and y of its frame",
        )[0]
        for s in used
    ]
    if kinds not in ([X], [Y], [X, Y]):
        raise UsageError(f"not a UNIMAL: {name} needs a hinge about x, about y, or x then y")
    for s, kind in zip(used, kinds, strict=True):
        dof = _dof(body, b, s)
        limits = np.degrees(model.range[dof - ROOT_DOFS])
        (genes["range"][b, kind],) = _match(
            RANGES, limits, f"a joint range of {name} (degrees)", str(RANGES.tolist())
        )
        (genes["gear"][b, kind],) = _match(
            GEARS[:, None], model.gear[dof : dof + 1], f"a gear of {name}", str(GEARS.tolist())
        )
    genes["axes"][b] = XY if len(kinds) == 2 else kinds[0]
    genes["alive"][b], genes["parent"][b], genes["site"][b] = True, parent, site
    genes["direction"][b], genes["length"][b] = direction, length


def _dof(body: physics.Body, b: int, s: int) -> int:
    return ROOT_DOFS + (b - 1) * body.sizes.hinges + s


def _pair(design: Design, genes: dict, count: int) -> None:
    """Finds the pairs: parents before children, each limb with the next that mirrors it."""
    partner, mirror = genes["partner"], lattice.MIRROR

    def pairs(b: int, c: int) -> bool:
        parents = genes["parent"][b], genes["parent"][c]
        same = (
            all(genes[name][b] == genes[name][c] for name in ("site", "length", "axes"))
            and partner[c] == c
        )
        across = parents[0] != parents[1] and partner[parents[0]] == parents[1]
        turned = genes["direction"][c] == mirror[genes["direction"][b]]
        off_plane = mirror[genes["direction"][b]] != genes["direction"][b]
        return same and turned and (across or (parents[0] == parents[1] and off_plane))

    for b, c in itertools.combinations(range(1, count), 2):
        if partner[b] == b and pairs(b, c):
            partner[b], partner[c] = c, b


def _stretched(design: Design, genotype: Genotype, height: int) -> Genotype:
    """With its start height (cm), and the group marked that explains it, if one does."""
    slots, result = jnp.arange(NUM_SLOTS), genotype._replace(height=jnp.asarray(height, jnp.int32))
    if int(with_height(design, genotype).height) == height:
        return result
    for slot in range(1, NUM_SLOTS):
        marked = ((slots == slot) | (slots == genotype.partner[slot])) & genotype.alive
        guess = with_height(design, result._replace(stretched=marked))
        if int(guess.height) == height:
            return guess
    return result
