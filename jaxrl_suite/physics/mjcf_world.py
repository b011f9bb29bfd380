"""What a body meets in an MJCF: its ground, obstacles and free boxes."""

import mujoco
import numpy as np

from jaxrl_suite.core import UsageError
from jaxrl_suite.physics.ground import Ground, HeightField, Plane
from jaxrl_suite.physics.scene import Boxes, no_boxes

_GEOM = mujoco.mjtGeom
_JOINT = mujoco.mjtJoint
# As numbers: MuJoCo's enumerations do not equal NumPy's integers from both sides.
_GROUND = (int(_GEOM.mjGEOM_PLANE), int(_GEOM.mjGEOM_HFIELD))


def name_of(m: mujoco.MjModel, kind: str, index: int) -> str:
    """How to speak of an element."""
    given = getattr(m, {"body": "body", "joint": "jnt", "actuator": "actuator"}.get(kind, kind))
    return given(index).name or f"{kind} {index}"


def refuse(element: str, attribute: str, legal: str) -> None:
    """Raises UsageError that names all three."""
    raise UsageError(f"MJCF: {element}: {attribute} is not supported; legal: {legal}")


def meet(m: mujoco.MjModel, a: int, b: int) -> bool:
    """Whether two geoms may collide, by contype and conaffinity."""
    return bool(
        m.geom_contype[a] & m.geom_conaffinity[b] or m.geom_contype[b] & m.geom_conaffinity[a]
    )


def collides(m: mujoco.MjModel, geom: int) -> bool:
    """Whether a geom may collide with anything."""
    return bool(m.geom_contype[geom] or m.geom_conaffinity[geom])


def check_contact(m: mujoco.MjModel, geom: int) -> None:
    """Refuses a colliding geom whose contacts are not those of this engine."""
    name = name_of(m, "geom", geom)
    if m.geom_condim[geom] != 3:
        refuse(name, f"condim {m.geom_condim[geom]}", "3")
    if m.geom_margin[geom] or m.geom_gap[geom]:
        refuse(name, "margin or gap", "0")
    if m.geom_priority[geom]:
        refuse(name, "priority", "0")


def is_free_box(m: mujoco.MjModel, body: int) -> bool:
    """A body of its own on a free joint, with one box and no child."""
    return (
        m.body_parentid[body] == 0
        and m.body_jntnum[body] == 1
        and m.jnt_type[m.body_jntadr[body]] == _JOINT.mjJNT_FREE
        and m.body_geomnum[body] == 1
        and m.geom_type[m.body_geomadr[body]] == _GEOM.mjGEOM_BOX
        and not np.any(m.body_parentid == body)
    )


def read_boxes(m: mujoco.MjModel, free: list[int], of_body: list[int]) -> tuple[Boxes, Boxes]:
    """Obstacles and free boxes.

    Args:
      m: compiled.
      free: bodies that are boxes.
      of_body: the colliding geoms of the body's links.
    """
    fixed = [
        g
        for g in range(m.ngeom)
        if m.geom_bodyid[g] == 0 and m.geom_type[g] not in _GROUND and collides(m, g)
    ]
    moving = [m.body_geomadr[b] for b in free]
    for g in fixed:
        if m.geom_type[g] != _GEOM.mjGEOM_BOX:
            refuse(name_of(m, "geom", g), "a colliding geom of the world", "plane, hfield, box")
    for g in [*fixed, *moving]:
        check_contact(m, g)
        for other in of_body:
            if not meet(m, g, other):
                refuse(name_of(m, "geom", g), "a box that misses the body", "contype 1 of all")
        for other in [*fixed, *moving]:
            if other < g and m.geom_bodyid[g] != m.geom_bodyid[other] and meet(m, g, other):
                name = name_of(m, "geom", other)
                refuse(name_of(m, "geom", g), f"a box that may touch {name}", "contype 2 and 4")
    obstacles, boxes = no_boxes(len(fixed)), no_boxes(len(free))
    for i, g in enumerate(fixed):
        obstacles.position[i], obstacles.quaternion[i] = m.geom_pos[g], m.geom_quat[g]
        obstacles.half_size[i], obstacles.friction[i] = m.geom_size[g], m.geom_friction[g, 0]
    for i, (b, g) in enumerate(zip(free, moving, strict=True)):
        centred = not np.any(m.body_ipos[b]) and not np.any(m.geom_pos[g])
        turned = m.body_iquat[b, 0] ** 2 < 1 - 1e-9 or m.geom_quat[g, 0] ** 2 < 1 - 1e-9
        if not centred or turned:
            refuse(name_of(m, "body", b), "a box off its body's centre", "pos and quat of the body")
        boxes.position[i], boxes.quaternion[i] = m.body_pos[b], m.body_quat[b]
        boxes.half_size[i], boxes.friction[i] = m.geom_size[g], m.geom_friction[g, 0]
        boxes.mass[i], boxes.inertia[i] = m.body_mass[b], m.body_inertia[b]
    obstacles.exists[:], boxes.exists[:] = 1, 1
    return obstacles, boxes


def read_ground(m: mujoco.MjModel, meeting: list[int]) -> tuple[Ground, float]:
    """The ground and its friction; level and frictionless without one.

    Args:
      m: compiled.
      meeting: the geoms that stand on it.
    """
    grounds = [g for g in range(m.ngeom) if m.geom_type[g] in _GROUND]
    if len(grounds) > 1:
        refuse(name_of(m, "geom", grounds[1]), "a second ground", "one plane or hfield")
    if not grounds:
        return Plane(np.array([0.0, 0.0, 1.0]), np.zeros(())), 0.0
    ground = grounds[0]
    name = name_of(m, "geom", ground)
    if m.geom_bodyid[ground] != 0:
        refuse(name, "a ground that hangs on a body", "geoms of the worldbody")
    if m.geom_condim[ground] > 3 or m.geom_margin[ground] or m.geom_priority[ground]:
        refuse(name, "condim above 3, margin or priority", "condim 3, 0, 0")
    for g in meeting:
        if not meet(m, g, ground):
            refuse(name_of(m, "geom", g), "contype and conaffinity that miss the ground", "1 and 1")
    turn = np.zeros(9)
    mujoco.mju_quat2Mat(turn, m.geom_quat[ground])
    friction = float(m.geom_friction[ground, 0])
    if m.geom_type[ground] == _GEOM.mjGEOM_PLANE:
        normal = turn.reshape(3, 3)[:, 2]
        return Plane(normal, normal @ m.geom_pos[ground]), friction
    if not np.allclose(turn.reshape(3, 3), np.eye(3)):
        refuse(name, "quat", "an hfield that is not turned")
    field = m.geom_dataid[ground]
    start, rows, columns = m.hfield_adr[field], m.hfield_nrow[field], m.hfield_ncol[field]
    values = m.hfield_data[start : start + rows * columns].reshape(rows, columns).T
    half_x, half_y, height, _ = m.hfield_size[field]
    half = np.array([half_x, half_y])
    return (
        HeightField(
            values.astype(float) * height + m.geom_pos[ground, 2],
            m.geom_pos[ground, :2] - half,
            2.0 * half / (np.array([columns, rows]) - 1),
        ),
        friction,
    )
