import dataclasses
import functools

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

from jaxrl_suite.core import UsageError
from jaxrl_suite.envs.quadruped import machine, robot
from jaxrl_suite.envs.quadruped.machine import Mechanics

MECHANICS = Mechanics()


@functools.cache
def simulate(backend="articulated"):
    return machine.simulation(dataclasses.replace(MECHANICS, backend=backend))


@functools.cache
def scene():
    return machine.scene_of(MECHANICS, simulate().sizes)


def standing(height=robot.STAND_HEIGHT):
    return machine.state_of(simulate().init(scene()), machine.stand(height))


@functools.cache
def play():
    """[N] states and actions [T, N, 12] -> what moved, every action."""

    def one(state, action):
        return machine.act(simulate(), MECHANICS.substeps, scene(), state, action)

    def body(states, action):
        moved = jax.vmap(one)(states, action)
        return moved.state, moved

    return jax.jit(lambda states, actions: jax.lax.scan(body, states, actions)[1])


def test_zero_actions_hold_no_pose_and_the_robot_sags():
    states = jax.tree.map(lambda x: x[None], standing())
    told = play()(states, jnp.zeros((50, 1, 12)))
    height = np.asarray(told.state.q[:, 0, 2])
    assert height[0] > 0.32  # it begins on its feet
    assert height[-1] < 0.08  # and lies on its trunk a second later
    assert not bool(told.diverged.any())


def test_small_random_actions_let_the_base_sink_to_7_cm():
    states = jax.tree.map(lambda x: jnp.stack([x] * 16), standing())
    actions = 0.1 * jax.random.normal(jax.random.key(0), (50, 16, 12))
    height = np.asarray(play()(states, actions).state.q[-1, :, 2])
    assert 0.05 < np.median(height) < 0.09


def torque(state, target):
    """tau = clip(50 (target - q) - 0.5 dq, +-18), from its definition."""
    wanted = 50.0 * (target - state.q[7:]) - 0.5 * state.v[6:]
    return np.clip(wanted, -18.0, 18.0)


def test_torque_is_the_specification_s_in_every_physics_step():
    """Golden actions: driven by torques worked out here, MuJoCo C gets to the same place."""
    xml = robot.mjcf(MECHANICS.timestep)
    head, _ = xml.split("<actuator>")
    motors = "".join(f'<motor joint="{joint}"/>' for joint in robot.JOINTS)
    free = mujoco.MjModel.from_xml_string(f"{head}<actuator>{motors}</actuator></mujoco>")
    data = mujoco.MjData(free)
    state, generator = standing(0.5), np.random.default_rng(0)
    data.qpos[:], data.qvel[:] = np.asarray(state.q), np.asarray(state.v)
    actions = 0.8 * generator.normal(size=(8, 12)).astype(np.float32)
    told = play()(jax.tree.map(lambda x: x[None], state), jnp.asarray(actions[:, None]))
    for action in actions:
        target = np.clip(data.qpos[7:] + action, -3.0, 3.0)
        for _ in range(MECHANICS.substeps):
            wanted = 50.0 * (target - data.qpos[7:]) - 0.5 * data.qvel[6:]
            data.ctrl[:] = np.clip(wanted, -18.0, 18.0)
            mujoco.mj_step(free, data)
    assert np.abs(actions).max() > 1.0  # some torques are at their bound: 50 x 0.8 > 18
    np.testing.assert_allclose(told.state.q[-1, 0], data.qpos, atol=2e-4)


@pytest.mark.parametrize("backend", ["articulated", pytest.param("mjx", marks=pytest.mark.slow)])
def test_a_physics_step_is_mujoco_s(backend):
    """1e-5 of the largest acceleration without contact, 1e-4 with, for 99 % of the states."""
    xml = robot.mjcf(MECHANICS.timestep)
    model = mujoco.MjModel.from_xml_string(xml)
    model.opt.iterations, model.opt.tolerance = 100, 1e-12
    count, generator = 64, np.random.default_rng(1)
    start = jax.tree.map(lambda x: jnp.stack([x] * count), standing())
    heights = jnp.where(jnp.arange(count) < count // 2, 1.0, robot.STAND_HEIGHT - 0.005)
    noise = jnp.asarray(0.15 * generator.normal(size=start.q.shape), jnp.float32)
    q = start.q.at[:, 7:].add(noise[:, 7:]).at[:, 2].set(heights)
    v = jnp.asarray(generator.normal(size=start.v.shape), jnp.float32)
    states = start._replace(q=q, v=v)
    target = q[:, 7:] + jnp.asarray(0.2 * generator.normal(size=(count, 12)), jnp.float32)
    stepping = simulate(backend)
    control = jnp.concatenate([jnp.zeros((count, 6)), target], axis=1)
    one = lambda state, control: stepping.step(scene(), state, control)[0].v  # noqa: E731
    found = np.asarray(jax.jit(jax.vmap(one))(states, control))
    apart, touching = [], []
    data = mujoco.MjData(model)
    for i in range(count):
        mujoco.mj_resetData(model, data)
        data.qpos[:], data.qvel[:], data.ctrl[:] = q[i], v[i], target[i]
        mujoco.mj_step(model, data)
        rate = (data.qvel - np.asarray(v[i])) / MECHANICS.timestep
        ours = (found[i] - np.asarray(v[i])) / MECHANICS.timestep
        apart.append(np.abs(rate - ours).max() / max(np.abs(rate).max(), 9.81))
        touching.append(data.ncon > 0)
    apart, touching = np.array(apart), np.array(touching)
    assert 16 < touching.sum() < 48
    assert (apart[~touching] < 1e-5).all()
    assert (apart[touching] < 1e-4).mean() >= 0.99


def test_friction_of_the_ground_acts():
    """On ice a push of the base moves it further than on rubber."""
    simulator = simulate()

    def slide(friction):
        world = machine.scene_of(MECHANICS, simulator.sizes, friction)
        state = standing()
        state = state._replace(v=state.v.at[0].set(1.5))

        def body(at, _):
            hold = jnp.asarray(robot.STAND, jnp.float32) - machine.angles(at)
            return machine.act(simulator, MECHANICS.substeps, world, at, hold).state, None

        return jax.lax.scan(body, state, length=20)[0].q[0]

    ice, rubber = jax.jit(jax.vmap(slide))(jnp.array([0.05, 1.0]))
    assert float(ice) > 1.3 * float(rubber)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"timestep": 0.003}, "must divide 0.02 s"),
        ({"timestep": -1.0}, "must divide 0.02 s"),
        ({"torque": 0.0}, "mechanics.torque must lie in 0 .. 18 N m"),
        ({"backend": "bullet"}, "unknown backend 'bullet'; legal: articulated, mjx"),
    ],
)
def test_settings_that_no_simulation_can_have_are_refused(changes, said):
    with pytest.raises(UsageError, match=said):
        machine.simulation(dataclasses.replace(MECHANICS, **changes))


def test_mjx_has_no_obstacles():
    with pytest.raises(UsageError, match="no obstacles"):
        machine.simulation(Mechanics(backend="mjx"), obstacles=2)
