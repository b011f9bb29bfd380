"""A recording holds the robot where it was, and all that was there."""

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

from jaxrl_suite.envs.quadruped import machine, recording, robot
from jaxrl_suite.envs.quadruped import terrain as terrains
from jaxrl_suite.envs.quadruped.tracking import feet_of


def states():
    """Two: the stand, and one a metre on."""
    mechanics = machine.Mechanics()
    simulate = machine.simulation(mechanics)
    rest = simulate.init(machine.scene_of(mechanics, simulate.sizes))
    one = machine.state_of(rest, machine.stand())
    two = one._replace(q=one.q.at[0].add(1.0).at[7:].add(0.1))
    return jax.tree.map(lambda *x: jnp.stack(x), one, two)


def loaded(terrain=None):
    mjcf, qpos = recording.recorded(states(), terrain)
    model = mujoco.MjModel.from_xml_string(mjcf)
    return model, mujoco.MjData(model), qpos


@pytest.mark.parametrize("kind", range(len(terrains.KINDS)))
def test_it_shows_the_robot_and_every_box(kind):
    draw = jax.jit(terrains.draw)
    one = draw(jax.random.key(1), jnp.asarray(kind), jnp.asarray(1.0), jnp.array([0.5, 3.0]))
    model, data, qpos = loaded(one)
    assert qpos.shape == (2, model.nq)
    feet = np.asarray(jax.vmap(feet_of)(states()))
    spheres = np.flatnonzero(
        (model.geom_type == mujoco.mjtGeom.mjGEOM_SPHERE) & (model.geom_bodyid > 0)
    )
    for at, wanted in zip(qpos, feet, strict=True):
        data.qpos[:] = at
        mujoco.mj_kinematics(model, data)
        np.testing.assert_allclose(data.geom_xpos[spheres], wanted, atol=1e-5)
    boxes = model.geom_type == mujoco.mjtGeom.mjGEOM_BOX
    exists = np.asarray(one.blocks.exists)
    assert boxes.sum() == exists.sum() + 2
    order = np.argsort(model.geom_pos[boxes][:-2, 0])
    np.testing.assert_allclose(
        model.geom_pos[boxes][:-2][order], one.blocks.centre[exists], atol=1e-3
    )
    np.testing.assert_allclose(
        model.geom_size[boxes][:-2][order], one.blocks.half[exists], atol=1e-3
    )
    assert model.body_mass.sum() == pytest.approx(13.0, abs=0.05)


def test_without_a_terrain_there_is_level_ground():
    model, _, qpos = loaded()
    assert not (model.geom_type == mujoco.mjtGeom.mjGEOM_BOX).any()
    assert (model.geom_type == mujoco.mjtGeom.mjGEOM_CAPSULE).sum() == 1 + 12
    np.testing.assert_allclose(qpos[0, 7:], robot.STAND, rtol=1e-6)
