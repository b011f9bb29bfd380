"""UNIMALs read back from MJCF: on the host, in NumPy, one body at a time."""

import dataclasses
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl_suite import physics
from jaxrl_suite.core import UsageError
from jaxrl_suite.envs.unimal import lattice
from jaxrl_suite.envs.unimal.body import SIZES, ordered, phenotype
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
    places,
    with_height,
)
from jaxrl_suite.envs.unimal.validity import in_contact, nothing_collides
from jaxrl_suite.physics.model import ROOT_DOFS

# What a link has, beyond what genes are read from: it follows from them.
_OF_LINKS = ("quaternion", "com", "inertia", "friction")
_OF_JOINTS = ("joint_position", "joint_axis")
_OF_HINGES = ("control_range", "kp", "kv", "force_range", "damping", "stiffness", "armature")


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
    contact at rest was accepted (or what the file excludes, where the design does), and where one
    stretched group explains the start height it was. Timestep and solver are not the body's.

    Args:
      body: as loaded.
      design: the rules by which it is built.

    Raises:
      UsageError: it is no UNIMAL, or not of this design: what its genes build is another body.
        Names the link and what is legal.
    """
    model, sizes = body.model, body.sizes
    count = sizes.num_bodies
    if not 2 <= count <= NUM_SLOTS:
        raise UsageError(f"not a UNIMAL: {count - 1} limbs; legal: 1 to {NUM_SLOTS - 1}")
    if sizes.balls:
        raise UsageError("not a UNIMAL: it has ball joints; legal: hinges")
    genes, hinges = _read_head(body), [(True, True)]
    hinges += [_read_limb(body, design, genes, b) for b in range(1, count)]
    links = np.arange(NUM_SLOTS)  # of the body, by slot
    backwards = _pair(genes, hinges)
    _refuse_single(body, genes, count)
    for b, c in backwards:
        _swap(genes, links, b, c)
    genotype = Genotype(**{name: jnp.asarray(value) for name, value in genes.items()})
    if design.contacts == "exclude":
        apart = np.zeros((NUM_SLOTS, NUM_SLOTS), bool)
        apart[:count, :count] = np.asarray(model.pair_mask) == 0
        there = genotype.alive[:, None] & genotype.alive[None] & ~jnp.eye(NUM_SLOTS, dtype=bool)
        genotype = genotype._replace(accepted=jnp.asarray(apart[links][:, links]) & there)
    else:
        at, slots = places(design, genotype), jnp.arange(NUM_SLOTS)
        genotype = genotype._replace(accepted=in_contact(design, genotype, at, slots))
    clean = design.contacts == "clean"
    if clean and not nothing_collides(design, genotype, places(design, genotype)):
        raise UsageError("not a UNIMAL of this design: limbs are in contact at rest")
    genotype = _stretched(design, genotype, round(100 * float(model.start[2])))
    _check(body, design, genotype, links)
    return genotype


def _read_head(body: physics.Body) -> dict[str, np.ndarray]:
    """Genes of a body without limbs."""
    model = body.model
    radius = lattice.HEAD_RADIUS / 100
    name = repr(body.link_names[0])
    sphere = model.segment_mask[0].sum() == 1 and abs(model.radius[0, 0] - radius) < 1e-4
    if not (sphere and np.abs(model.segment[0, 0, 0]).max() < 1e-4):
        raise UsageError(
            f"not a UNIMAL: {name} must be a single sphere of {radius} m about its origin"
        )
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


def _read_limb(body: physics.Body, design: Design, genes: dict, b: int) -> tuple[bool, bool]:
    """Fills in slot b; whether its hinges are as a limb's own, and as a second of a pair's."""
    model, name = body.model, repr(body.link_names[b])
    if not (model.segment_mask[b].sum() == 2 and abs(model.radius[b, 0] - 0.05) < 1e-4):
        raise UsageError(f"not a UNIMAL: {name} must be a single capsule of radius 0.05 m")
    parent = int(model.parent[b])
    ends = model.segment[b, 0]
    near = int(np.argmin(np.linalg.norm(ends, axis=1)))
    if np.abs(ends[near]).max() > 1e-4:
        raise UsageError(f"not a UNIMAL: {name} must begin at its origin, not at {ends[near]} m")
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
    axes = model.joint_axis[b - 1, used]
    own = lattice.AXES[design.lattice][direction, length]
    image = own
    if design.mirror_joints:
        partners = lattice.AXES[design.lattice][lattice.MIRROR[direction], length]
        image = partners * lattice.MIRRORED_TURN
    legal = np.concatenate([own, image])
    words = f"a joint axis of {name}", "x and y of its frame"
    kinds = [_match(legal, axis, *words)[0] % 2 for axis in axes]
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
    near_to = lambda table: bool(np.abs(table[kinds] - axes).max() < 1e-3)  # noqa: E731
    return near_to(own), near_to(image)


def _dof(body: physics.Body, b: int, s: int) -> int:
    return ROOT_DOFS + (b - 1) * body.sizes.hinges + s


def _pair(genes: dict, hinges: list[tuple[bool, bool]]) -> list[tuple[int, int]]:
    """Marks the pairs: parents before children, each limb with the next that mirrors it.

    Args:
      genes: so far; their partners are filled in.
      hinges: what :func:`_read_limb` tells of every link.

    Returns:
      Pairs of which the second comes first in the file.
    """
    partner, mirror = genes["partner"], lattice.MIRROR

    def mirrors(b: int, c: int) -> bool:
        parents = genes["parent"][b], genes["parent"][c]
        same = (
            all(genes[name][b] == genes[name][c] for name in ("site", "length", "axes"))
            and partner[c] == c
        )
        across = parents[0] != parents[1] and partner[parents[0]] == parents[1]
        turned = genes["direction"][c] == mirror[genes["direction"][b]]
        off_plane = mirror[genes["direction"][b]] != genes["direction"][b]
        return same and turned and (across or (parents[0] == parents[1] and off_plane))

    backwards = []
    for b, c in itertools.combinations(range(1, len(hinges)), 2):
        in_order = hinges[b][0] and hinges[c][1]
        reversed_ = hinges[c][0] and hinges[b][1]
        if partner[b] == b and mirrors(b, c) and (in_order or reversed_):
            partner[b], partner[c] = c, b
            if not in_order:
                backwards.append((b, c))
    return backwards


def _refuse_single(body: physics.Body, genes: dict, count: int) -> None:
    """Refuses a limb that needs a mirror image and has none: off the x-z plane, or on a pair."""
    partner, parent, direction = genes["partner"], genes["parent"], genes["direction"]
    for b in range(1, count):
        aside = lattice.MIRROR[direction[b]] != direction[b] or partner[parent[b]] != parent[b]
        if partner[b] == b and aside:
            raise UsageError(
                f"not a UNIMAL of this design: {body.link_names[b]!r} has no mirror image, joint "
                "axes included, on the other side of the x-z plane"
            )


def _swap(genes: dict, links: np.ndarray, b: int, c: int) -> None:
    """Exchanges two slots that are partners of each other; what is in them stays."""
    turn = np.arange(NUM_SLOTS)
    turn[[b, c]] = c, b
    genes["parent"] = turn[genes["parent"]].astype(np.int32)
    for name in ("parent", "site", "direction", "length", "axes", "range", "gear"):
        genes[name] = genes[name][turn]
    links[[b, c]] = links[[c, b]]


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


_build = jax.jit(phenotype, static_argnums=0)


def _check(body: physics.Body, design: Design, genotype: Genotype, links: np.ndarray) -> None:
    """Refuses a body that differs from what its genes build."""
    built = jax.device_get(_build(design, genotype))
    alone = dataclasses.replace(body.sizes, obstacles=0, boxes=0)  # whatever stands beside it
    loaded = physics.pad(body.model, alone, SIZES)
    order = links[np.asarray(ordered(genotype)[0])]  # links of the file, as the built one has them
    joints = order[1:] - 1
    hinges = (SIZES.hinges * joints[:, None] + np.arange(SIZES.hinges)).reshape(-1)
    dofs = np.concatenate([np.arange(ROOT_DOFS), ROOT_DOFS + hinges])
    rows = dict.fromkeys(_OF_LINKS, order) | dict.fromkeys(_OF_JOINTS, joints)
    for name, pick in (rows | dict.fromkeys(_OF_HINGES, dofs)).items():
        ours = np.asarray(getattr(built, name), float)
        theirs = np.asarray(getattr(loaded, name), float)[pick]
        off = ~np.isclose(ours, theirs, rtol=1e-3, atol=1e-4)
        if off.any():
            at = int(np.argwhere(off)[0, 0])
            link = at if name in _OF_LINKS else at + 1
            if name in _OF_HINGES:
                link = max(0, (at - ROOT_DOFS) // SIZES.hinges + 1)
            raise UsageError(
                f"not a UNIMAL: {name.replace('_', ' ')} of {body.link_names[order[link]]!r} is "
                f"{np.round(theirs[at], 4).tolist()}; legal: {np.round(ours[at], 4).tolist()}"
            )
    off = np.asarray(built.pair_mask) != np.asarray(loaded.pair_mask)[order][:, order]
    if off.any():
        b, c = order[np.argwhere(off)[0]]
        may = "may" if loaded.pair_mask[b, c] else "may not"
        raise UsageError(
            f"not a UNIMAL of this design: {body.link_names[b]!r} and {body.link_names[c]!r} {may} "
            f"collide; contacts of the design: {design.contacts}"
        )
