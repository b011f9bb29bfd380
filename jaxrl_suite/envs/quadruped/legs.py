"""Where the feet are, and which angles put them there, in closed form.

For arrays of NumPy and of JAX alike, with any leading axes.

    D  = sqrt(max(y^2 + z^2 - a^2, e))
    q1 = atan2(z, y) + atan2(D, s a)
    q3 = arccos(clip((x^2 + D^2 - l1^2 - l2^2) / (2 l1 l2), -1, 1))
    q2 = atan2(x, D) - atan2(l2 sin q3, l1 + l2 cos q3)

for a foot at (x, y, z) from its hip's origin, with s the side, a the length of the abduction link,
l1 and l2 those of thigh and shank. The knee bends forward of its thigh, as in all clips.
"""

from typing import Any

from jaxrl_suite.envs.quadruped import robot

_LEAST = 1e-12  # m^2


def feet(angles: Any) -> Any:
    """Joint angles [..., 12] (rad) -> centres of the feet in the base's frame, [..., 4, 3] (m)."""
    xp = angles.__array_namespace__()
    q1, q2, q3 = (angles[..., i::3] for i in range(3))
    l1, l2 = robot.THIGH, robot.SHANK
    side = xp.asarray(robot.SIDES, dtype=angles.dtype) * robot.ABDUCTION
    x = l1 * xp.sin(q2) + l2 * xp.sin(q2 + q3)
    down = l1 * xp.cos(q2) + l2 * xp.cos(q2 + q3)
    y = side * xp.cos(q1) + down * xp.sin(q1)
    z = side * xp.sin(q1) - down * xp.cos(q1)
    return xp.stack([x, y, z], axis=-1) + xp.asarray(robot.HIPS, dtype=angles.dtype)


def angles(feet: Any) -> Any:
    """Centres of the feet in the base's frame [..., 4, 3] (m) -> joint angles [..., 12] (rad).

    A foot out of reach is approached: the leg is stretched towards it.
    """
    xp = feet.__array_namespace__()
    place = feet - xp.asarray(robot.HIPS, dtype=feet.dtype)
    x, y, z = (place[..., i] for i in range(3))
    l1, l2, a = robot.THIGH, robot.SHANK, robot.ABDUCTION
    side = xp.asarray(robot.SIDES, dtype=feet.dtype)
    down = xp.sqrt(xp.maximum(y**2 + z**2 - a**2, _LEAST))
    q1 = xp.arctan2(z, y) + xp.arctan2(down, side * a)
    q1 = q1 - 2.0 * xp.pi * xp.round(q1 / (2.0 * xp.pi))
    bend = (x**2 + down**2 - l1**2 - l2**2) / (2.0 * l1 * l2)
    q3 = xp.arccos(xp.clip(bend, -1.0, 1.0))
    q2 = xp.arctan2(x, down) - xp.arctan2(l2 * xp.sin(q3), l1 + l2 * xp.cos(q3))
    found = xp.stack([q1, q2, q3], axis=-1)
    return found.reshape(*found.shape[:-2], 12)
