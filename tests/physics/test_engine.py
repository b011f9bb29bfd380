"""What must hold whatever C says: one program, invariances, free fall, divergence, grounds."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

from jaxrl_suite import physics
from jaxrl_suite.core import UsageError
from jaxrl_suite.physics import Options, Sizes
from tests.physics import reference

OPTIONS = Options(timestep=0.005)
CHAIN = """<mujoco><option timestep="0.005"/><worldbody>
<geom type="plane" size="0 0 1"/>
<body name="root" pos="0 0 {height}"><freejoint/>
<geom type="sphere" size=".1" mass="3"/>{limbs}</body>
</worldbody><actuator>{motors}</actuator></mujoco>"""


def limb(name, x, y, inner=""):
    return (
        f'<body name="{name}" pos="{x} {y} 0"><joint name="{name}" axis="0 1 0" armature="1" '
        f'damping="1" stiffness="1" limited="true" range="-60 60"/><geom type="capsule" size=".05" '
        f'fromto="0 0 0 {0.8 * x} {0.8 * y} -.2" mass="1"/>{inner}</body>'
    )


def body(names="abc", height=0.6):
    """A root with three limbs, one of them with a limb of its own."""
    limbs = {
        "a": limb("a", 0.3, 0, limb("d", 0.25, 0.05)),
        "b": limb("b", -0.2, 0.2),
        "c": limb("c", -0.2, -0.25),
    }
    motors = "".join(
        f'<motor joint="{n}" gear="40"/>' for n in (*names, *("d" if "a" in names else ""))
    )
    text = CHAIN.format(height=height, limbs="".join(limbs[n] for n in names), motors=motors)
    return physics.from_mjcf(text)


@functools.cache
def program(sizes, options=OPTIONS):
    """Steps of a batch, with controls by slot."""
    step = jax.vmap(physics.simulator(sizes, options).step)

    def run(scenes, state, controls):
        def one(state, control):
            state, readings = step(scenes, state, control)
            return state, (readings.diverged, readings.dropped)

        return jax.lax.scan(one, state, controls)

    return jax.jit(run)


def start(bodies, sizes=None, **changes):
    scenes, sizes = physics.stack(bodies, sizes, **changes)
    return scenes, jax.vmap(lambda scene: physics.init(sizes, scene))(scenes), sizes


def play(bodies, sizes, steps=150, place=(0.0, 0.0), ground=None, seed=0):
    """Final states under controls that go by the limb's name, and how often a state diverged."""
    scenes, state, sizes = start(bodies, sizes, ground=ground)
    state = state._replace(q=state.q.at[:, :2].set(jnp.array([place])))
    draws = np.random.default_rng(seed).uniform(-1, 1, (steps, 4)).astype(np.float32)
    controls = np.zeros((steps, len(bodies), sizes.num_dofs), np.float32)
    for i, one in enumerate(bodies):
        for link, _ in one.actuators:
            column = "abcd".index(one.link_names[link])
            controls[:, i, 6 + sizes.hinges * (link - 1)] = draws[:, column]
    state, (diverged, _) = program(sizes)(scenes, state, controls)
    assert not bool(diverged.any())
    return state, sizes


def by_name(one, sizes, row):
    """Joint angles by limb."""
    return {
        name: float(row[7 + sizes.hinges * (link - 1)])
        for link, name in enumerate(one.link_names)
        if link
    }


SIZES = Sizes(6, hinges=2, contacts=10)


def test_order_of_limbs_does_not_matter():
    one, other = body("abc"), body("cab")
    assert one.link_names != other.link_names
    state, sizes = play([one, other], SIZES)
    first, second = (by_name(b, sizes, q) for b, q in zip((one, other), state.q, strict=True))
    assert max(map(abs, first.values())) > 0.05
    for name in first:
        assert first[name] == pytest.approx(second[name], abs=2e-4)
    np.testing.assert_allclose(state.q[0, :7], state.q[1, :7], atol=2e-4)


def test_padding_and_company_do_not_matter():
    alone, exact = play([body()], dataclasses.replace(body().sizes, contacts=10))
    mixed, wide = play([body("ab"), body()], Sizes(8, hinges=3, segments=2, contacts=10))
    one = by_name(body(), exact, alone.q[0])
    other = by_name(body(), wide, mixed.q[1])
    for name in one:
        assert one[name] == pytest.approx(other[name], abs=2e-4)
    np.testing.assert_allclose(alone.q[0, :7], mixed.q[1, :7], atol=2e-4)


def test_unused_slots_stay_zero():
    state, sizes = play([body("ab")], Sizes(8, hinges=3, contacts=8))
    unused = start([body("ab")], sizes)[0].model.dof_mask[0] == 0
    assert int(unused.sum()) == 21 - 3
    assert not np.asarray(state.v[0])[unused].any()
    assert not np.asarray(state.q[0, 1:])[unused].any()


def test_place_on_a_plane_does_not_matter():
    here, _ = play([body()], SIZES)
    # Powers of two: adding the way made so far loses nothing that could tell the places apart.
    there, _ = play([body()], SIZES, place=(75.0, -128.0))
    np.testing.assert_array_equal(here.v, there.v)
    np.testing.assert_array_equal(here.q[:, 2:], there.q[:, 2:])


def test_one_program_for_a_thousand_mutations():
    scenes, state, sizes = start([body(), body("ab"), body("bca"), body("cb")], SIZES)
    controls = jnp.zeros((1, 4, sizes.num_dofs))
    run = program(sizes)
    before = run._cache_size()
    generator = np.random.default_rng(0)

    @jax.jit
    @jax.vmap
    def mutate(scene, parent, scale):
        model = scene.model._replace(parent=parent, segment=scene.model.segment * scale)
        return physics.make_scene(sizes, physics.with_invweights(sizes, model))

    for _ in range(1000 // 4):
        parent = np.stack([[0, *(generator.integers(0, b) for b in range(1, 6))] for _ in range(4)])
        scale = generator.uniform(0.5, 1.5, 4)
        mutated = mutate(scenes, jnp.asarray(parent, jnp.int32), jnp.asarray(scale))
        _, (diverged, _) = run(mutated, state, controls)
        assert not bool(diverged.any())
    assert run._cache_size() <= before + 1
    assert mutate._cache_size() == 1


def test_free_fall_and_momentum():
    state, _ = play([body(height=50.0)], SIZES, steps=100)
    time = 100 * OPTIONS.timestep
    # The centre of mass falls; the root is swung by its limbs, so it only roughly does.
    assert float(state.q[0, 2]) == pytest.approx(50 - 0.5 * 9.81 * time**2, abs=0.3)


def test_a_flat_height_field_is_a_plane():
    field = physics.HeightField(jnp.zeros((9, 9)), jnp.array([-2.0, -2.0]), jnp.array([0.5, 0.5]))
    plane, _ = play([body()], SIZES, steps=80)
    other, _ = play([body()], SIZES, steps=80, ground=field)
    np.testing.assert_allclose(plane.q, other.q, atol=1e-5)


def test_grounds_tell_distance_and_normal():
    generator = np.random.default_rng(0)
    slope = 0.3
    x = jnp.arange(9) * 0.5 - 2.0
    rising = jnp.broadcast_to(jnp.tan(slope) * x[:, None], (9, 9))
    field = physics.HeightField(rising, jnp.array([-2.0, -2.0]), jnp.array([0.5, 0.5]))
    for point in generator.uniform(-1.9, 1.9, (20, 3)):
        one = field(jnp.asarray(point))
        other = physics.inclined(slope)(jnp.asarray(point))
        np.testing.assert_allclose(one[0], other[0], atol=1e-6)
        np.testing.assert_allclose(one[1], other[1], atol=1e-6)
    beyond, normal = field(jnp.array([7.0, 0.0, 3.0]))
    assert float(beyond) == pytest.approx(3.0 - 2.0 * np.tan(slope), abs=1e-5)
    np.testing.assert_allclose(normal, [0, 0, 1], atol=1e-6)


def test_a_state_that_is_not_finite_is_marked_and_begun_again():
    scenes, state, sizes = start([body(), body("ab")], SIZES)
    controls = jnp.zeros((1, 2, sizes.num_dofs)).at[0, 1, 6].set(jnp.nan)
    after, (diverged, _) = program(sizes)(scenes, state, controls)
    assert diverged[0].tolist() == [False, True]
    np.testing.assert_array_equal(after.q[1], state.q[1])
    assert bool(jnp.isfinite(after.v).all())


def test_contacts_beyond_the_kept_ones_are_counted():
    scenes, state, sizes = start([body(height=0.0)], Sizes(6, contacts=2))
    controls = jnp.zeros((1, 1, sizes.num_dofs))
    _, (_, dropped) = program(sizes)(scenes, state, controls)
    # The root, and both ends of four capsules: nine spheres at or below the ground.
    assert int(dropped[0, 0]) >= 5


@pytest.mark.skipif(not reference.unimals(), reason=f"{reference.UNIMALS.name} is absent")
def test_two_thousand_random_steps_stay_finite():
    texts = [reference.unimal_mjcf(entry) for entry in reference.unimals()]
    bodies = [physics.from_mjcf(text) for text in texts]
    scenes, state, sizes = start(bodies)
    options = dataclasses.replace(bodies[0].options, newton_steps=6)
    shape = (2000, len(bodies), sizes.num_dofs)
    controls = np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)
    step = jax.vmap(physics.simulator(sizes, options).step)

    @jax.jit
    def run(state):
        def one(state, control):
            state, readings = step(scenes, state, control)
            return state, (readings.diverged.any(), jnp.abs(state.v))

        return jax.lax.scan(one, state, controls)

    after, (diverged, speed) = run(state)
    assert not bool(diverged.any())
    assert bool(jnp.isfinite(after.q).all())
    # The same in C, with the same controls: the chaos differs, its statistics do not.
    ours, theirs = [], []
    for i, (one, text) in enumerate(zip(bodies, texts, strict=True)):
        model = mujoco.MjModel.from_xml_string(text)
        data = mujoco.MjData(model)
        padded = physics.pad(one.model, one.sizes, sizes)
        places = physics.layout(sizes, padded)
        for control in controls[:, i]:
            data.ctrl[:] = control[places.controls]
            mujoco.mj_step(model, data)
            theirs.append(np.abs(data.qvel).max())
        ours.extend(np.asarray(speed[:, i]).max(axis=1))
    for share in (0.5, 0.9, 0.99):
        assert np.quantile(ours, share) == pytest.approx(np.quantile(theirs, share), rel=0.1)


def test_sizes_that_no_body_fits():
    with pytest.raises(UsageError, match="does not fit"):
        physics.stack([body()], Sizes(3))
    with pytest.raises(UsageError, match="no body to stack"):
        physics.stack([])
    with pytest.raises(UsageError, match="hinges must be 1, 2 or 3, not 4"):
        Sizes(3, hinges=4)
    with pytest.raises(UsageError, match="balls needs hinges=3"):
        Sizes(3, hinges=2, balls=True)
