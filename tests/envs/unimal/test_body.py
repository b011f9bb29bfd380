"""From genotype to body: against bodies that the original made, and through MJCF and back."""

import itertools

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

from jaxrl_suite import physics
from jaxrl_suite.core import UsageError
from jaxrl_suite.envs import unimal
from jaxrl_suite.envs.unimal import CLEAN, ORIGINAL, Design, reading
from jaxrl_suite.envs.unimal.genotype import places
from jaxrl_suite.envs.unimal.validity import mirrored, related
from tests.envs.unimal.bodies import SIZE, body
from tests.physics import reference

# One process for all: the generator compiles once.
pytestmark = pytest.mark.xdist_group("unimal")
UNIMALS = reference.unimals()
with_invweights = jax.jit(physics.with_invweights, static_argnums=0)
MIRRORED = Design(mirror_joints=True)
needs_bodies = pytest.mark.skipif(not UNIMALS, reason="the reference bodies are not here")


def load(entry: dict) -> physics.Body:
    return physics.from_mjcf(reference.unimal_mjcf(entry))


def alike(ours: physics.Model, theirs: physics.Model, order: np.ndarray) -> None:
    """All numbers of two models, whose links b and order[b] are the same."""
    slots = np.concatenate([np.arange(6), 6 + np.ravel(2 * (order[1:, None] - 1) + [0, 1])])
    for name in physics.Model._fields:
        a, b = np.asarray(getattr(ours, name)), np.asarray(getattr(theirs, name))
        if name == "parent":
            b = np.argsort(order)[b[order]] * (np.asarray(ours.exists) > 0)
        elif name == "pair_mask":
            b = b[order][:, order]
        elif len(b) == len(slots):
            b = b[slots]
        elif len(b) == len(slots) - 6:
            b = b[slots[6:] - 6]
        elif len(b) == len(order):
            b = b[order]
        elif len(b) == len(order) - 1:
            b = b[order[1:] - 1]
        if name == "segment":  # a capsule's ends may be named either way round
            a, b = np.sort(a, axis=2), np.sort(b, axis=2)
        # Stored digits: masses and axes to six places.
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5, err_msg=name)


@needs_bodies
@pytest.mark.parametrize("entry", UNIMALS, ids=lambda e: e["name"])
def test_reference_bodies_are_genotypes(entry: dict) -> None:
    """Read back and built again, a body is the same in all its numbers."""
    body = load(entry)
    genotype = unimal.from_body(body)
    ours = jax.jit(unimal.phenotype, static_argnums=0)(ORIGINAL, genotype)
    padded = jax.tree.map(jnp.asarray, physics.pad(body.model, body.sizes, unimal.SIZES))
    theirs = with_invweights(unimal.SIZES, padded)
    depth = np.zeros(11)
    for b, parent in itertools.islice(enumerate(body.model.parent), 1, None):
        depth[b] = depth[parent] + 1
    depth[len(body.model.parent) :] = 99
    alike(ours, theirs, np.argsort(depth, kind="stable"))


@needs_bodies
def test_rest_facts_of_the_reference_bodies() -> None:
    """Pairs in contact at rest that are not parent and child; and the one body that is uneven."""
    contacts, even = {}, {}
    for entry in UNIMALS:
        genotype = unimal.from_body(load(entry))
        name = entry["name"][:3]
        contacts[name] = int((genotype.accepted & ~related(genotype)).sum()) // 2
        even[name] = bool(mirrored(genotype, places(ORIGINAL, genotype)))
    expected = {"u12": 1, "u18": 1, "u21": 2, "u27": 1, "u30": 1, "u33": 1}
    assert contacts == {name: expected.get(name, 0) for name in contacts}
    # u18 had a length of a diagonal pair changed, after which ties leave it lopsided.
    assert even == {name: name != "u18" for name in even}


@pytest.mark.parametrize(
    "design", [ORIGINAL, CLEAN, Design(contacts="exclude")], ids=["original", "clean", "exclude"]
)
def test_through_mjcf_and_back(design: Design, monkeypatch: pytest.MonkeyPatch) -> None:
    """MuJoCo compiles what is written; what is read is the same body."""
    swaps, swap = [], reading._swap
    monkeypatch.setattr(reading, "_swap", lambda *args: (swaps.append(args), swap(*args)))
    build = jax.jit(unimal.phenotype, static_argnums=0)
    for i in range(0, SIZE, 3):
        genotype = body(i)
        text = unimal.to_mjcf(design, genotype)
        model = mujoco.MjModel.from_xml_string(text)
        assert model.nbody == 2 + int(unimal.num_limbs(genotype))
        loaded = physics.from_mjcf(text)
        ours = build(design, genotype)
        assert float(ours.mass.sum()) == pytest.approx(float(model.body_mass.sum()), rel=1e-5)
        padded = jax.tree.map(jnp.asarray, physics.pad(loaded.model, loaded.sizes, unimal.SIZES))
        depth_first = [loaded.link_names.index(n) for n in unimal.limb_names(genotype)]
        rest = [b for b in range(11) if b not in depth_first]
        alike(ours, with_invweights(unimal.SIZES, padded), np.array(depth_first + rest))
        if design is CLEAN and not unimal.is_valid(CLEAN, genotype):  # grown by other rules
            with pytest.raises(UsageError, match="limbs are in contact at rest"):
                unimal.from_body(loaded, design)
            continue
        again = unimal.from_body(loaded, design)  # which compares what it builds with the file
        assert paired(again) == paired(genotype)
    # Of the mirrored joints' pairs some have their second limb first in the file.
    assert bool(swaps) == design.mirror_joints


def paired(genotype: unimal.Genotype) -> int:
    """Limbs that have a partner."""
    other = np.asarray(genotype.partner) != np.arange(11)
    return int((other & np.asarray(genotype.alive)).sum())


def test_excluded_contacts_do_not_collide() -> None:
    design = Design(contacts="exclude")
    excluded = 0
    for i in range(SIZE):
        genotype = body(i)
        apart = np.asarray(genotype.accepted & ~related(genotype))
        masks = [np.asarray(unimal.phenotype(d, genotype).pair_mask) for d in (design, ORIGINAL)]
        excluded += apart.sum()
        assert masks[1].sum() - masks[0].sum() == apart.sum()
    assert excluded > 0


LIMB = """<geom type="capsule" size=".05" fromto="{begin} {end}" mass="{mass}"
friction="{friction}"/>"""
HINGE = """<joint name="j" type="hinge" axis="{axis}" pos="{pivot}" range="{range}" limited="true"
damping="{damping}" stiffness="1" armature="{armature}"/>"""
TEXT = """
<mujoco><compiler angle="degree"/><option timestep=".005"/><worldbody>
<body name="head" pos="0 0 1"><freejoint/>
<geom type="sphere" size="{head}" mass="4.188790" friction=".7"/>
<body name="leg" pos="{pos}">{joint}{limb}</body></body></worldbody>
<actuator><motor joint="j" gear="{gear}" ctrlrange="-1 1" ctrllimited="true"/></actuator></mujoco>
"""
MASS = 1000 * (np.pi * 0.05**2 * 0.25 + 4 / 3 * np.pi * 0.05**3)
ONE_LEG = {"head": ".1", "pos": "0 0 -.1", "end": "0 0 -.25", "gear": "150", "mass": f"{MASS:.6f}"}
ONE_LEG |= {"axis": "1 0 0", "range": "-30 0", "pivot": "0 0 .05", "friction": ".7"}
ONE_LEG |= {"begin": "0 0 0", "damping": "1", "armature": "1"}


def one_leg(**changes: str) -> str:
    values = ONE_LEG | changes
    return TEXT.format(joint=HINGE.format(**values), limb=LIMB.format(**values), **values)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"head": ".12"}, "'head' must be a single sphere of 0.1 m"),
        ({"end": "0 0 -.26"}, "the axis of 'leg'.*17 directions, 3 lengths"),
        ({"end": "0 .02 -.25"}, "the axis of 'leg'"),
        ({"pos": "0 0 -.2"}, "the place of 'leg' on its parent"),
        ({"axis": "0 0 1"}, "a joint axis of 'leg'"),
        ({"range": "-31 0"}, "a joint range of 'leg'.*-30, 0"),
        ({"gear": "100"}, r"a gear of 'leg' is \[100.\]; legal: \[150, 200, 250, 300\]"),
        ({"mass": "2.6"}, r"the density of 'leg' is \d+; legal"),
        ({"begin": ".03 0 0", "end": ".03 0 -.25"}, "'leg' must begin at its origin"),
        ({"damping": "2"}, r"damping of 'leg' is 2.0; legal: 1.0"),
        ({"armature": ".1"}, r"armature of 'leg' is 0.1; legal: 1.0"),
        ({"pivot": "0 0 0"}, r"joint position of 'leg' is .*0.05"),
        ({"friction": "1"}, r"friction of 'leg' is \[1.0\]; legal: \[0.7"),
    ],
)
def test_what_is_no_unimal_is_refused_by_name(changes: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        unimal.from_body(physics.from_mjcf(one_leg(**changes)))


def test_the_text_that_these_changes_start_from_is_a_unimal() -> None:
    genotype = unimal.from_body(physics.from_mjcf(one_leg()))
    assert int(unimal.num_limbs(genotype)) == 1


def test_a_file_of_another_design_is_refused() -> None:
    """Bodies with pairs on x hinges, which the designs build differently."""
    refused = 0
    for i in range(SIZE):
        ours, other = (unimal.to_mjcf(design, body(i)) for design in (ORIGINAL, MIRRORED))
        if ours == other:
            continue
        refused += 1
        loaded = physics.from_mjcf(other)
        with pytest.raises(UsageError, match="not a UNIMAL: a joint axis of 'limb"):
            unimal.from_body(loaded, ORIGINAL)
        with pytest.raises(UsageError, match=r"'limb.*' has no mirror image"):
            unimal.from_body(physics.from_mjcf(ours), MIRRORED)
        unimal.from_body(loaded, MIRRORED)
    assert refused


def test_a_limb_aside_needs_its_mirror_image() -> None:
    aside = one_leg(pos="0 -.1 0", end="0 -.25 0", pivot="0 .05 0", axis="1 0 0")
    with pytest.raises(UsageError, match="'leg' has no mirror image"):
        unimal.from_body(physics.from_mjcf(aside))


def test_what_stands_beside_a_body_is_not_part_of_it() -> None:
    box = '<body name="box" pos="3 0 1"><freejoint/><geom type="box" size=".2 .2 .2"/></body>'
    beside = one_leg().replace("</worldbody>", f"{box}</worldbody>")
    alone = unimal.from_body(physics.from_mjcf(one_leg()))
    found = unimal.from_body(physics.from_mjcf(beside))
    jax.tree.map(np.testing.assert_array_equal, alone, found)
