import jax
import jax.numpy as jnp
import mujoco
import numpy as np

from jaxrl_suite.envs import turns
from jaxrl_suite.envs.quadruped import legs, robot


def reachable(count=2000, seed=0):
    """Angles of legs whose knees bend forward, and whose feet are below their hips."""
    rng = np.random.default_rng(seed)
    low = np.array([-0.6, -1.2, 0.1] * 4)
    high = np.array([0.6, 0.3, 1.9] * 4)
    return rng.uniform(low, high, (count // 4, 12))


def test_angles_found_for_feet_put_them_there():
    feet = legs.feet(reachable())
    assert feet.reshape(-1, 3).shape == (2000, 3)
    assert np.abs(legs.feet(legs.angles(feet)) - feet).max() <= 1e-9


def test_angles_are_those_that_the_feet_came_from():
    angles = reachable(seed=1)
    np.testing.assert_allclose(legs.angles(legs.feet(angles)), angles, atol=1e-7)


def test_jax_and_numpy_agree():
    angles = reachable(200)
    feet = legs.feet(angles)
    np.testing.assert_allclose(jax.vmap(legs.feet)(jnp.asarray(angles)), feet, atol=1e-6)
    found = jax.vmap(legs.angles)(jnp.asarray(feet))
    np.testing.assert_allclose(legs.feet(np.asarray(found, np.float64)), feet, atol=2e-4)


def test_a_foot_out_of_reach_is_approached():
    far = robot.HIPS[None] + np.array([0.0, 0.0, -0.9])
    far[..., 1] += robot.SIDES * robot.ABDUCTION
    found = legs.feet(legs.angles(far))
    length = robot.THIGH + robot.SHANK
    np.testing.assert_allclose(found[0, :, 2], -length, atol=1e-6)
    np.testing.assert_allclose(found[..., :2], far[..., :2], atol=1e-6)


def test_feet_are_mujoco_s():
    model = mujoco.MjModel.from_xml_string(robot.mjcf(0.004))
    data = mujoco.MjData(model)
    spheres = np.flatnonzero(model.geom_type == mujoco.mjtGeom.mjGEOM_SPHERE)
    assert [model.body(i).name for i in model.geom_bodyid[spheres]] == [
        f"{leg}_shank" for leg in robot.LEGS
    ]
    base = np.array([0.3, -0.2, 0.5]), turns.normalise(np.array([0.8, 0.2, -0.3, 0.4]))
    for angles in reachable(80):
        data.qpos[:] = np.concatenate([*base, angles])
        mujoco.mj_kinematics(model, data)
        feet = base[0] + turns.rotate(base[1], legs.feet(angles))
        np.testing.assert_allclose(data.geom_xpos[spheres], feet, atol=1e-12)


def test_the_robot_weighs_13_kg():
    model = mujoco.MjModel.from_xml_string(robot.mjcf(0.004))
    assert abs(model.body_mass.sum() - 13.0) < 0.005
    assert abs(sum(part.mass for part in robot.parts()) - 13.0) < 0.005
    assert [model.joint(i + 1).name for i in range(12)] == list(robot.JOINTS)
    np.testing.assert_allclose(model.jnt_range[1:], np.stack([robot.LOWER, robot.UPPER], axis=1))


def test_feet_of_the_stand_pose_are_on_the_ground():
    turn = turns.normalise(robot.STAND_TURN)
    height = robot.STAND_HEIGHT + turns.rotate(turn, legs.feet(robot.STAND))[:, 2]
    assert (height > 0.0217).all()
    assert (height < 0.0267).all()


def test_the_other_side_is_the_mirror_image():
    angles = reachable(400)
    mirrored = angles[:, robot.MIRRORED] * robot.MIRROR_SIGN
    feet = legs.feet(angles)[:, [1, 0, 3, 2]] * [1.0, -1.0, 1.0]
    np.testing.assert_allclose(legs.feet(mirrored), feet, atol=1e-12)
    np.testing.assert_allclose(robot.LOWER[robot.MIRRORED][0::3], -robot.UPPER[0::3])
