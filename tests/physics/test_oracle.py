"""Against MuJoCo's C engine: matrices, forces, accelerations, rollouts, sensors, inverse weights.

In float32, from states that float32 holds; see `relative_error` for what is divided by what.
"""

import functools

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

from jaxrl_suite.envs.humanoid import skeleton
from jaxrl_suite.physics import with_invweights
from tests.physics import reference
from tests.physics.oracle import GRAVITY, Oracle, relative_error

UNIMALS = reference.unimals()
BODIES = {
    "unimals": pytest.param(
        "unimals",
        marks=pytest.mark.skipif(not UNIMALS, reason=f"{reference.UNIMALS.name} is absent"),
    ),
    "quadruped": "quadruped",
    "humanoid": "humanoid",
    "character": "character",  # servos on ball joints
}
every_body = pytest.mark.parametrize("name", BODIES.values(), ids=BODIES)


def texts(name):
    if name == "unimals":
        return [reference.unimal_mjcf(entry) for entry in UNIMALS]
    return {
        "quadruped": [reference.quadruped_mjcf()],
        "humanoid": [reference.humanoid_mjcf()],
        "character": [skeleton.mjcf()],
    }[name]


@functools.cache
def oracle(name, newton, line_search, self_collision, contacts):
    options = {
        "newton_steps": newton,
        "line_search_steps": line_search,
        "self_collision": self_collision,
    }
    return Oracle(texts(name), options, contacts=contacts)


@every_body
def test_mass_force_and_acceleration_in_the_air(name):
    errors = oracle(name, 20, 20, False, 30).errors(10, height=5.0, speed=1.0)
    assert max(errors["mass"]) <= 1e-6
    assert max(errors["smooth_force"]) <= 1e-6
    # The mass matrix's last bit, times its condition number.
    assert np.median(errors["acceleration"]) <= 2e-6
    assert np.quantile(errors["acceleration"], 0.99) <= 1e-5


@every_body
def test_acceleration_with_plane_contacts(name):
    # The character's servos make its matrix a worse one: medians of 60 states are 1.6e-6 to 2.0e-6,
    # by the processor and the release of jax, those of 10 states differ more.
    count, median = (60, 2.5e-6) if name == "character" else (10, 2e-6)
    errors = oracle(name, 20, 20, False, 30).errors(count, height=0.3, speed=1.0, seed=1)
    assert np.median(errors["acceleration"]) <= median
    assert np.quantile(errors["acceleration"], 0.99) <= 1e-5


def played(name, steps, contacts, scale):
    """Both engines from rest under the same random controls; errors after those steps."""
    both = oracle(name, 8, 8, True, contacts)
    generator = np.random.default_rng(3)
    for item in both.references:
        mujoco.mj_resetData(item.model, item.data)
    state, found = both.initial(), {}
    for t in range(1, max(steps) + 1):
        for item in both.references:
            low, high = -scale, scale
            item.data.ctrl[:] = generator.uniform(low, high, item.model.nu).astype(np.float32)
        after, readings = both.step(state)
        for item in both.references:
            mujoco.mj_step(item.model, item.data)
        state = after
        assert not bool(readings.diverged.any())
        if t in steps:
            found[t] = both.position_errors(state)
    return both, found


@every_body
def test_rollouts_stay_with_c(name):
    both, errors = played(name, (100,), 12, 0.3)
    assert np.median(errors[100]) <= 1e-4
    assert both._step._cache_size() == 1


@every_body
def test_self_collision_on_trajectories(name):
    """Accelerations at states that random play visits."""
    both = oracle(name, 20, 20, True, 24)
    generator = np.random.default_rng(4)
    errors = []
    for item in both.references:
        mujoco.mj_resetData(item.model, item.data)
    for t in range(300):
        for item in both.references:
            item.data.ctrl[:] = generator.uniform(-1, 1, item.model.nu).astype(np.float32)
            mujoco.mj_step(item.model, item.data)
        if t % 20 == 0:
            for item in both.references:
                item.data.qpos[:] = item.data.qpos.astype(np.float32)
                item.data.qvel[:] = item.data.qvel.astype(np.float32)
            ours, theirs = both.forward()
            for i, (item, answer) in enumerate(zip(both.references, theirs, strict=True)):
                mine = ours.acceleration[i][item.slots]
                errors.append(relative_error(mine, answer["acceleration"]))
    assert np.quantile(errors, 0.99) <= 2e-4


@every_body
def test_sensors_are_those_of_the_instant_before_the_step(name):
    # differs from the rollout test in that C's state is taken over before every step.
    both = oracle(name, 20, 20, True, 24)
    generator = np.random.default_rng(6)
    for item in both.references:
        mujoco.mj_resetData(item.model, item.data)
    for t in range(120):
        for item in both.references:
            item.data.ctrl[:] = generator.uniform(-1, 1, item.model.nu).astype(np.float32)
            mujoco.mj_step(item.model, item.data)
        if t % 30:
            continue
        for item in both.references:
            item.data.qpos[:] = item.data.qpos.astype(np.float32)
            item.data.qvel[:] = item.data.qvel.astype(np.float32)
        state = both.states()
        readings = both.step(state)[1].sensors
        for i, item in enumerate(both.references):
            model, data = item.model, item.data
            mujoco.mj_forward(model, data)
            rotation = data.xmat[1].reshape(3, 3)
            expected = rotation.T @ (data.qacc[:3] + np.array([0, 0, GRAVITY]))
            assert relative_error(readings.accelerometer[i], expected) <= 1e-4
            np.testing.assert_allclose(readings.gyro[i], data.qvel[3:6], atol=1e-6)
            velocity = rotation.T @ data.qvel[:3]
            np.testing.assert_allclose(readings.velocimeter[i], velocity, atol=1e-5)
            touch = np.zeros(both.sizes.num_bodies)
            force = np.zeros(6)
            for c in range(data.ncon):
                mujoco.mj_contactForce(model, data, c, force)
                for geom in data.contact.geom[c]:
                    name_ = model.body(model.geom_bodyid[geom]).name
                    if name_ in item.body.link_names:
                        touch[item.body.link_names.index(name_)] += force[0]
            np.testing.assert_allclose(readings.touch[i], touch, rtol=1e-3, atol=0.05)


@every_body
def test_inverse_weights(name):
    both = oracle(name, 8, 8, True, 12)
    made = jax.jit(jax.vmap(lambda m: with_invweights(both.sizes, m)))(both.scenes.model)
    for field in ("body_invweight", "dof_invweight"):
        expected, value = getattr(both.scenes.model, field), getattr(made, field)
        np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-5 * float(expected.max()))


def test_float64_rollouts_are_c_to_the_last_digits():
    with jax.enable_x64(True):
        name = "unimals" if UNIMALS else "humanoid"
        both = Oracle(texts(name)[-2:], {"newton_steps": 20, "line_search_steps": 16}, contacts=12)
        state = both.initial()
        generator = np.random.default_rng(5)
        assert state.q.dtype == jnp.float64
        for _ in range(200):
            for item in both.references:
                item.data.ctrl[:] = generator.uniform(-0.3, 0.3, item.model.nu)
            state, _ = both.step(state)
            for item in both.references:
                mujoco.mj_step(item.model, item.data)
        assert both.position_errors(state).max() <= 1e-4
