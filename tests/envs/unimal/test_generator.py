"""Growth, mutation, the first population: as the original's statistics, and what always holds.

Expected numbers are counts over 400 bodies that the original generator made.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_suite.core import UsageError
from jaxrl_suite.envs import unimal
from jaxrl_suite.envs.unimal import CLEAN, MAX_LIMBS, OPERATORS, ORIGINAL, Design, Genotype, lattice
from jaxrl_suite.envs.unimal.body import ordered
from jaxrl_suite.envs.unimal.genotype import has_axis, head
from jaxrl_suite.envs.unimal.population import species
from tests.envs.unimal.bodies import SIZE, body, population

# One process for all: the generator compiles once.
pytestmark = pytest.mark.xdist_group("unimal")
START = head(jnp.array([0, 0]))
COUNT = 600
LIMBS = {2: 53, 3: 42, 4: 71, 5: 35, 6: 71, 7: 42, 8: 68, 9: 18}


@functools.cache
def built() -> unimal.candidates:
    """Random bodies of the original rules."""
    make = jax.jit(unimal.candidates, static_argnums=(0, 2))
    return make(ORIGINAL, jax.random.key(5), COUNT)


def groups(bodies: Genotype) -> dict[str, np.ndarray]:
    """Directions of single limbs, and of the first of pairs on one site and on two."""
    g = jax.tree.map(np.asarray, bodies)
    slots = np.arange(g.alive.shape[1])
    limb = g.alive & (slots > 0)
    parents = np.take_along_axis(g.parent, g.partner, 1)
    first, shared = limb & (g.partner > slots), parents == g.parent
    single = limb & (g.partner == slots)
    return {
        "single": g.direction[single],
        "shared": g.direction[first & shared],
        "across": g.direction[first & ~shared],
    }


def chi_square(observed: np.ndarray, expected: np.ndarray) -> float:
    """Of two samples of counts, per degree of freedom."""
    share = (observed + expected) / (observed.sum() + expected.sum())
    parts = [(x - x.sum() * share) ** 2 / (x.sum() * share) for x in (observed, expected)]
    return float(np.sum(parts) / (len(share) - 1))


def test_limbs_are_distributed_as_in_the_original() -> None:
    limbs = np.bincount(jax.vmap(unimal.num_limbs)(built().genotype), minlength=11)
    assert limbs[[0, 1, 10]].tolist() == [0, 0, 0]
    # 7 degrees of freedom: 2.9 is exceeded once in 200 times.
    assert chi_square(limbs[2:10].astype(float), np.array(list(LIMBS.values()), float)) < 2.9
    assert 10 <= np.median(built().mutations) <= 20


def test_only_the_originals_directions_are_accepted() -> None:
    found = groups(built().genotype)
    sagittal = {0, 1, 5, 9, 13}
    assert set(found["single"]) == set(found["across"]) == sagittal
    # Level at 45, 90, 135 degrees, sloping at 90, and at 135 for some: ties break the others.
    assert set(found["shared"]) == {2, 3, 4, 11, 12}
    counts = np.bincount(found["shared"], minlength=17)[[2, 3, 4, 11, 12]]
    assert chi_square(counts.astype(float), np.array([104.0, 100, 113, 79, 8])) < 3.7


def test_species_are_what_matching_frames_makes_them() -> None:
    """Counting directions joins the bodies that the original's filter joins."""
    scipy = pytest.importorskip("scipy.optimize")
    bodies = jax.tree.map(lambda x: x[:120], built().genotype)
    kinds = np.asarray(jax.vmap(species)(bodies))
    g = jax.tree.map(np.asarray, bodies)
    axes = lattice.AXES["original"]

    def frames(i: int) -> np.ndarray:
        limb = np.flatnonzero(g.alive[i])[1:]
        x, y = np.moveaxis(axes[g.direction[i, limb], g.length[i, limb]], 1, 0)
        return np.stack([x, y, np.cross(x, y)], axis=-1).reshape(len(limb), 9)

    label = np.arange(len(kinds))
    for i in range(len(kinds)):
        for j in range(i):
            one, two = frames(i), frames(j)
            if len(one) == len(two):
                cost = np.linalg.norm(one[:, None] - two[None], axis=-1)
                if cost[scipy.linear_sum_assignment(cost)].sum() < 0.2:
                    label[label == label[i]] = label[j]
    _, ours = np.unique(kinds, axis=0, return_inverse=True)
    same = label[:, None] == label[None]
    np.testing.assert_array_equal(same, ours.ravel()[:, None] == ours.ravel()[None])


def test_growth_keeps_the_rules_and_fails_quietly() -> None:
    valid = jax.jit(jax.vmap(lambda g: unimal.is_valid(ORIGINAL, g)))
    start = jax.tree.map(lambda x: jnp.broadcast_to(x, (32, *x.shape)), START)
    grow = jax.jit(jax.vmap(lambda g, k: unimal.grow(ORIGINAL, g, k)))
    bodies, limbs = start, np.asarray(jax.vmap(unimal.num_limbs)(start))
    for i in range(12):
        bodies, grew = grow(bodies, jax.random.split(jax.random.key(i), 32))
        more = np.asarray(jax.vmap(unimal.num_limbs)(bodies)) - limbs
        np.testing.assert_array_equal(more > 0, grew)
        limbs = limbs + more
        assert valid(bodies).all()
        assert limbs.max() <= MAX_LIMBS
    full, grew = grow(bodies, jax.random.split(jax.random.key(99), 32))
    stuck = ~np.asarray(grew)
    assert stuck.any()
    for a, b in zip(jax.tree.leaves(full), jax.tree.leaves(bodies), strict=True):
        np.testing.assert_array_equal(np.asarray(a)[stuck], np.asarray(b)[stuck])


def test_operators_are_drawn_evenly_and_change_what_they_may() -> None:
    bodies = built().genotype
    copies = 8
    many = jax.tree.map(lambda x: jnp.repeat(x, copies, axis=0), bodies)
    mutate = jax.jit(jax.vmap(lambda g, k: unimal.mutate(ORIGINAL, g, k)))
    child, operator, changed = mutate(many, jax.random.split(jax.random.key(2), COUNT * copies))
    limbs, after = (np.asarray(jax.vmap(unimal.num_limbs)(x)) for x in (many, child))
    operator, changed = np.asarray(operator), np.asarray(changed)
    anything = limbs > 2  # no body here has ten limbs
    drawn = np.bincount(operator[anything], minlength=7)
    assert chi_square(drawn.astype(float), np.full(7, 1e7)) < 3.1
    assert np.bincount(operator[~anything], minlength=7)[1] == 0

    touched = {
        name: np.any(
            (np.asarray(getattr(child, name)) != np.asarray(getattr(many, name))).reshape(
                len(operator), -1
            ),
            axis=1,
        )
        for name in Genotype._fields
    }
    body = {"alive", "accepted"}
    new_limb = set(Genotype._fields) - {"density"}
    may = {
        "grow_limb": new_limb,
        "delete_limb": body,
        "limb_params": {"length", "stretched", "height"},
        "dof": {"axes", "range", "gear"},
        "joint_angle": {"range"},
        "gear": {"gear"},
        "density": {"density"},
    }
    for index, name in enumerate(OPERATORS):
        these = operator == index
        for field, was in touched.items():
            assert field in may[name] or not was[these].any(), (name, field)
        assert changed[these].any()
    for name, sign in (("grow_limb", 1), ("delete_limb", -1)):
        difference = (after - limbs)[operator == OPERATORS.index(name)] * sign
        assert set(difference) <= {0, 1, 2}
        assert (difference > 0).mean() > 0.9


def test_clean_mutations_never_leave_the_valid_set() -> None:
    """100 in a row from each of 128 bodies."""

    def step(genotype: Genotype, key: jax.Array) -> tuple[Genotype, tuple]:
        child = unimal.mutate(CLEAN, genotype, key).genotype
        joined = child.alive[child.parent] & child.alive[child.partner]
        whole = jnp.all(joined | ~child.alive) & child.alive[0]
        return child, (unimal.is_valid(CLEAN, child) & whole, unimal.num_limbs(child))

    def run(key: jax.Array) -> tuple:
        return jax.lax.scan(step, START, jax.random.split(key, 100))[1]

    valid, limbs = jax.jit(jax.vmap(run))(jax.random.split(jax.random.key(7), 128))
    assert valid.all()
    assert set(np.unique(limbs)) == set(range(1, 11))


@pytest.mark.parametrize("design", [CLEAN, ORIGINAL], ids=["clean", "original"])
def test_clean_bodies_mirror_their_joints_and_the_originals_do_not(design: Design) -> None:
    """A turn about a hinge's axis a is, in the mirror, one about (-ax, ay, -az)."""
    gaps = []
    for i in range(SIZE):
        genotype = body(i)
        axes = np.asarray(unimal.phenotype(design, genotype).joint_axis)
        place = np.argsort(np.asarray(ordered(genotype)[0]))  # link of each slot
        has = np.asarray(has_axis(genotype))
        for slot, partner in enumerate(np.asarray(genotype.partner)):
            if genotype.alive[slot] and partner < slot:
                pair = axes[place[[slot, partner]] - 1]
                used = slice(int(has[slot].sum()))
                gaps.append(np.abs(pair[0] - pair[1] * [-1, 1, -1])[used].max())
    assert len(gaps) > 5
    assert (max(gaps) < 1e-6) == design.mirror_joints


def test_first_population_has_one_body_a_species() -> None:
    bodies = population()
    kinds = np.asarray(jax.vmap(species)(bodies))
    assert len(np.unique(kinds, axis=0)) == len(kinds) == SIZE
    again = population.__wrapped__()
    for a, b in zip(jax.tree.leaves(bodies), jax.tree.leaves(again), strict=True):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(UsageError, match="at least 1 body, not 0"):
        unimal.initial_population(ORIGINAL, jax.random.key(0), 0)
