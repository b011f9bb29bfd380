"""What a UNIMAL senses of itself: padded, with zeros where there is no limb or hinge."""

import jax
import jax.numpy as jnp

from jaxrl_suite import physics
from jaxrl_suite.envs.unimal.body import SIZES
from jaxrl_suite.physics import rotations
from jaxrl_suite.physics.kinematics import kinematics

_LIMBS = SIZES.num_bodies - 1
NUM_PROPRIOCEPTIVE = SIZES.num_joints + SIZES.num_dofs + 9 + SIZES.num_bodies + 2 * _LIMBS


def proprioception(
    scene: physics.Scene, state: physics.State, readings: physics.Readings
) -> jax.Array:
    """[86]: hinge angles, velocities, inertial sensors, touch, where the limbs end.

    Hinge angles [20] (rad); root velocity, linear in world axes (m/s) and angular in its own
    (rad/s), and hinge rates [26]; accelerometer, gyro, velocimeter [9]; touch of every link [11]
    (N); x and y of every limb's end in the head's frame [20] (m). The root's place and orientation
    are not told. Sensors and ends are those of the instant before the last physics step, as in
    MuJoCo.

    Source: Gupta et al. 2021, released code; order by slot.
    """
    model = scene.model
    sensors = readings.sensors
    ends = readings.position + rotations.rotate(readings.quaternion, model.segment[:, 0, 0])
    head = rotations.to_matrix(readings.quaternion[0])
    ends = ends[1:] @ head * model.exists[1:, None]
    inertial = [sensors.accelerometer, sensors.gyro, sensors.velocimeter]
    used = model.dof_mask
    parts = [state.q[7:] * used[6:], state.v * used, *inertial, sensors.touch * model.exists]
    return jnp.concatenate([*parts, ends[:, :2].reshape(-1)])


def mask(model: physics.Model) -> jax.Array:
    """[86], 1 where an entry of :func:`proprioception` belongs to this body."""
    joints = model.dof_mask[6:]
    parts = [joints, model.dof_mask, jnp.ones(9), model.exists, jnp.repeat(model.exists[1:], 2)]
    return jnp.concatenate(parts)


def at_reset(scene: physics.Scene, state: physics.State) -> physics.Readings:
    """What the sensors read in the air, before the first step.

    differs: MuJoCo solves for the acceleration there; this takes the body to fall freely, so that
    the accelerometer reads 0. Hinge springs and limits would add what noise of 0.005 rad gives.
    """
    kin = kinematics(SIZES, scene.model, state)
    zero = jnp.zeros(3)
    sensors = physics.Sensors(
        zero, state.v[3:6], kin.rotation[0].T @ state.v[:3], jnp.zeros(SIZES.num_bodies)
    )
    no = jnp.zeros((), bool)
    return physics.Readings(kin.position, kin.quaternion, sensors, jnp.zeros((), jnp.int32), no)
