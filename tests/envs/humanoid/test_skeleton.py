"""What the character is: its measures, servos and the table of its actions."""

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

from jaxrl_suite.core import UsageError
from jaxrl_suite.envs import humanoid
from jaxrl_suite.envs.humanoid import figure, skeleton
from tests.envs.humanoid import states

pytestmark = pytest.mark.xdist_group("humanoid")

# Offset and scale of every action (rad).
TABLE = {
    "abdomen": (0, 1.885),
    "neck": (0, 1.257),
    "shoulder": (0, np.pi),
    "elbow": (-1.396, 1.955),
    "hip": (0, 2.932),
    "knee": (1.396, 1.955),
    "ankle": (0, 1.152),
}
GAINS = {  # kp, effort, armature; kd is kp / 10
    "abdomen": (1000, 200, 0.02),
    "neck": (100, 50, 0.01),
    "shoulder": (400, 100, 0.02),
    "elbow": (300, 70, 0.01),
    "hip": (500, 200, 0.02),
    "knee": (500, 150, 0.02),
    "ankle": (400, 90, 0.01),
}


def kind(name):
    return name.removeprefix("right_").removeprefix("left_")


def model():
    return states.reference().model


def test_it_has_13_links_12_joints_and_28_degrees_of_freedom():
    m = model()
    assert (m.nbody - 1, m.njnt - 1, m.nu, m.nv, m.nq) == (13, 12, 28, 34, 43)
    assert humanoid.ACTION_SIZE == 28
    assert pytest.approx(1 / 30) == humanoid.PERIOD
    assert m.opt.timestep == pytest.approx(1 / 120)


def test_it_weighs_48_9_kg_and_every_part_what_the_table_says():
    m = model()
    assert m.body_mass.sum() == pytest.approx(48.9, rel=1e-6)
    of = {"torso": 12, "head": 3.9, "upper_arm": 1.5, "lower_arm": 1.5, "thigh": 4.5, "shin": 3}
    for link in skeleton.LINKS:
        expected = (of | {"pelvis": 10, "foot": 1})[kind(link)]
        assert m.body(link).mass[0] == pytest.approx(expected, rel=1e-6)


def test_standing_its_soles_touch_the_ground_from_0_88_m():
    """Of the pelvis: thigh, shin, and the box of the foot."""
    lowest = min(z for _, _, z in skeleton.SOLES) - skeleton.SOLE
    assert 0.4215 + 0.4099 - lowest == pytest.approx(0.881, abs=1e-3)


def test_left_and_right_mirror_each_other():
    m = model()
    for link in skeleton.LINKS:
        if not link.startswith("right"):
            continue
        right, left = m.body(link), m.body(link.replace("right", "left"))
        np.testing.assert_allclose(left.pos, right.pos * [1, -1, 1])
        np.testing.assert_allclose(left.ipos, right.ipos * [1, -1, 1], atol=1e-9)
        np.testing.assert_allclose(left.inertia, right.inertia, rtol=1e-6)


@pytest.mark.parametrize("joint", skeleton.JOINTS, ids=lambda joint: joint.name)
def test_servos_are_those_of_the_table(joint):
    m = model()
    kp, effort, armature = GAINS[kind(joint.name)]
    own = np.flatnonzero(m.actuator_trnid[:, 0] == m.joint(joint.name).id)
    assert len(own) == (3 if joint.is_ball else 1)
    np.testing.assert_allclose(m.actuator_gainprm[own, 0], kp)
    np.testing.assert_allclose(m.actuator_biasprm[own, 1], -kp)
    # All of kd is the joint's damping: in the servo it would be unstable.
    np.testing.assert_allclose(m.actuator_biasprm[own, 2], 0)
    np.testing.assert_allclose(m.actuator_forcerange[own], [[-effort, effort]] * len(own))
    dofs = m.joint(joint.name).dofadr[0] + np.arange(len(own))
    np.testing.assert_allclose(m.dof_damping[dofs], kp / 10)
    np.testing.assert_allclose(m.dof_armature[dofs], armature)


@pytest.mark.parametrize("joint", skeleton.JOINTS, ids=lambda joint: joint.name)
def test_an_action_asks_for_the_angle_of_the_table(joint):
    offset, scale = TABLE[kind(joint.name)]
    m = model()
    own = np.flatnonzero(m.actuator_trnid[:, 0] == m.joint(joint.name).id)
    for value, cut in ((0.0, 0.0), (1.0, 1.0), (-0.5, -0.5), (7.0, 1.0), (-7.0, -1.0)):
        found = np.asarray(figure.targets(jnp.full(28, value)))[own]
        np.testing.assert_allclose(found, offset + scale * cut, atol=6e-4)


def test_actions_drive_the_slots_that_c_drives():
    """In the order of the joints, and of the file."""
    np.testing.assert_array_equal(figure.SLOTS, states.reference().layout.controls)
    assert skeleton.body().link_names == humanoid.LINKS


def test_feet_touch_with_four_spheres_each_and_22_contacts_are_the_most():
    m = model()
    touches = (m.geom_contype > 0) & (m.geom_bodyid > 0)
    for foot in skeleton.FEET:
        own = touches & (m.geom_bodyid == m.body(foot).id)
        assert own.sum() == 4
        assert (m.geom_type[own] == mujoco.mjtGeom.mjGEOM_SPHERE).all()
    capsules = m.geom_type[touches] == mujoco.mjtGeom.mjGEOM_CAPSULE
    assert touches.sum() + capsules.sum() <= 22
    # Bodies touch the ground alone.
    bodies = m.geom_bodyid > 0
    assert not (m.geom_conaffinity[bodies]).any()


def test_a_pose_becomes_a_state_and_comes_back():
    pose = states.poses(20)
    back = jax.vmap(humanoid.pose_of)(states.states(20))
    for name, a, b in zip(pose._fields, pose, back, strict=True):
        np.testing.assert_array_equal(a, b, err_msg=name)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("bullet",), "unknown backend 'bullet'; legal: articulated, mjx"),
        (("mjx", humanoid.box()), "backend 'mjx' has no boxes; legal for this task: articulated"),
    ],
)
def test_a_simulation_that_there_is_not_is_refused(args, message):
    with pytest.raises(UsageError, match=message):
        humanoid.humanoid(*args)
