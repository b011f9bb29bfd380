"""Bodies from MJCF: the supported part of MuJoCo's format, everything else refused by name.

MuJoCo's own compiler reads the file, so that defaults, densities and angles mean what they mean
there; what it compiled is then checked and copied.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import mujoco
import numpy as np

from jaxrl_suite.core import UsageError
from jaxrl_suite.physics import mjcf_world as world
from jaxrl_suite.physics.mjcf_world import name_of as _name
from jaxrl_suite.physics.mjcf_world import refuse as _refuse
from jaxrl_suite.physics.model import ROOT_DOFS, UNLIMITED, Model, Options, Sizes, empty
from jaxrl_suite.physics.scene import Body

_GEOM = mujoco.mjtGeom
_JOINT = mujoco.mjtJoint
# As numbers: MuJoCo's enumerations do not equal NumPy's integers from both sides.
_COLLIDING = (int(_GEOM.mjGEOM_SPHERE), int(_GEOM.mjGEOM_CAPSULE))
_SENSORS = tuple(
    int(sensor)
    for sensor in (
        mujoco.mjtSensor.mjSENS_TOUCH,
        mujoco.mjtSensor.mjSENS_ACCELEROMETER,
        mujoco.mjtSensor.mjSENS_GYRO,
        mujoco.mjtSensor.mjSENS_VELOCIMETER,
    )
)
_JOINTED = (int(_JOINT.mjJNT_HINGE), int(_JOINT.mjJNT_BALL))


def from_mjcf(source: str | Path) -> Body:
    """Loads one body.

    Args:
      source: a path, or the XML itself.

    Returns:
      The body in exact sizes, with the file's options; the number of contacts kept is left at
      its default.

    Raises:
      UsageError: the file is not MJCF, or holds something outside the supported subset: one tree
        on a free joint, hinges (up to three a body) and ball joints, colliding spheres and
        capsules, a plane or height field as ground, boxes as obstacles or free after the body,
        motors and position actuators (on a ball about an axis each), sensors of the body's own
        motion at its root.
    """
    m = _compile(source)
    _check_options(m)
    _check_nothing_else(m)
    free = [b for b in range(1, m.nbody) if world.is_free_box(m, b)]
    links = _links(m, free)
    joints = [_joints_of(m, body) for body in links]
    _check_root(m, links[0], joints[0])
    geoms = [_segments_of(m, body) for body in links]
    ball = [any(m.jnt_type[j] == _JOINT.mjJNT_BALL for j in of_body) for of_body in joints]
    colliding = [g for of_body in geoms for g in of_body]
    obstacles, boxes = world.read_boxes(m, free, colliding)
    ground, friction = world.read_ground(m, [*colliding, *(m.body_geomadr[b] for b in free)])
    sizes = Sizes(
        num_bodies=len(links),
        hinges=3 if any(ball) else max([1, *(len(of_body) for of_body in joints[1:])]),
        segments=max([1, *(len(of_body) for of_body in geoms)]),
        balls=any(ball),
        obstacles=len(obstacles.exists),
        boxes=len(free),
    )
    model = empty(sizes)
    _fill_links(m, model, links)
    _fill_joints(m, sizes, model, joints, ball)
    _fill_geoms(m, model, links, geoms)
    actuators = _fill_actuators(m, sizes, model, joints)
    boxed = [g for g in range(m.ngeom) if m.geom_type[g] == _GEOM.mjGEOM_BOX]
    options = _options(m, [*colliding, *(g for g in boxed if world.collides(m, g))])
    names = tuple(_name(m, "body", body) for body in links)
    return Body(model, sizes, options, names, actuators, ground, friction, obstacles, boxes)


def _compile(source: str | Path) -> mujoco.MjModel:
    text = str(source)
    try:
        if text.lstrip().startswith("<"):
            return mujoco.MjModel.from_xml_string(text)
        if not Path(text).is_file():
            raise UsageError(f"there is no file {text}")
        return mujoco.MjModel.from_xml_path(text)
    except ValueError as error:
        raise UsageError(f"not a model that MuJoCo compiles: {error}") from error


def _check_options(m: mujoco.MjModel) -> None:
    opt = m.opt
    if opt.integrator != mujoco.mjtIntegrator.mjINT_EULER:
        _refuse("option", "integrator", "Euler")
    if opt.cone != mujoco.mjtCone.mjCONE_PYRAMIDAL:
        _refuse("option", "cone", "pyramidal")
    if opt.impratio != 1:
        _refuse("option", f"impratio {opt.impratio:g}", "1")
    if opt.density or opt.viscosity or np.any(opt.wind):
        _refuse("option", "density, viscosity or wind", "0, bodies move in a vacuum")
    if opt.disableflags or opt.enableflags:
        _refuse("option", "flag", "the defaults")
    if opt.gravity[0] or opt.gravity[1] or opt.gravity[2] > 0:
        _refuse("option", f"gravity {opt.gravity}", "0 0 -g")


def _check_nothing_else(m: mujoco.MjModel) -> None:
    for count, element in (
        (m.neq, "equality"),
        (m.ntendon, "tendon"),
        (m.nflex, "flex"),
        (m.npair, "contact/pair"),
        (m.nplugin, "plugin"),
        (m.nmocap, "body mocap"),
    ):
        if count:
            raise UsageError(f"MJCF: {element} is not supported; leave it out")
    for sensor in range(m.nsensor):
        if m.sensor_type[sensor] not in _SENSORS:
            kind = mujoco.mjtSensor(m.sensor_type[sensor]).name.removeprefix("mjSENS_").lower()
            legal = "accelerometer, gyro, velocimeter, touch"
            _refuse(f"sensor {m.sensor(sensor).name or sensor}", kind, legal)
        site = m.sensor_objid[sensor]
        moved = np.any(m.site_pos[site]) or m.site_quat[site, 0] ** 2 < 1 - 1e-9
        at_root = m.body_parentid[m.site_bodyid[site]] == 0 and not moved
        if m.sensor_type[sensor] != _SENSORS[0] and not at_root:
            _refuse(f"site {m.site(site).name}", "a sensor elsewhere", "the root's origin")


def _links(m: mujoco.MjModel, free: list[int]) -> list[int]:
    """Bodies of the tree, in MuJoCo's order: parents first."""
    links = [b for b in range(1, m.nbody) if m.body_weldid[b] != 0 and b not in free]
    for body in set(range(1, m.nbody)) - {*links, *free}:
        if m.body_geomnum[body]:
            _refuse(_name(m, "body", body), "a body fixed to the world", "geoms of the worldbody")
    if not links:
        raise UsageError("MJCF: there is no moving body; one with a freejoint is needed")
    for body in links:
        if m.body_rootid[body] != links[0]:
            _refuse(_name(m, "body", body), "a second tree", "one tree, and boxes on freejoints")
    if free and free[0] < links[0]:
        _refuse(_name(m, "body", free[0]), "a free box before the body", "boxes after the body")
    return links


def _joints_of(m: mujoco.MjModel, body: int) -> list[int]:
    joints = [j for j in range(m.njnt) if m.jnt_bodyid[j] == body]
    if len(joints) > 1 and any(m.jnt_type[j] == _JOINT.mjJNT_BALL for j in joints):
        _refuse(_name(m, "joint", joints[0]), "a ball beside other joints", "a ball alone")
    if len(joints) > 3:
        _refuse(_name(m, "joint", joints[3]), "a fourth joint of a body", "up to 3 hinges")
    return joints


def _check_root(m: mujoco.MjModel, root: int, joints: list[int]) -> None:
    name = _name(m, "body", root)
    if [m.jnt_type[j] for j in joints] != [_JOINT.mjJNT_FREE]:
        _refuse(name, "a root without a free joint of its own", "<freejoint/> and no other joint")
    if not np.allclose(m.body_quat[root], [1, 0, 0, 0]):
        _refuse(name, f"quat {m.body_quat[root]}", "an unrotated root")


def _segments_of(m: mujoco.MjModel, body: int) -> list[int]:
    """Colliding geoms of a body."""
    start = m.body_geomadr[body]
    geoms = range(start, start + m.body_geomnum[body])
    colliding = [g for g in geoms if world.collides(m, g)]
    for g in colliding:
        name = _name(m, "geom", g)
        if m.geom_type[g] not in _COLLIDING:
            kind = _GEOM(m.geom_type[g]).name.removeprefix("mjGEOM_").lower()
            _refuse(name, f"type {kind} that collides", "sphere, capsule; others without contacts")
        world.check_contact(m, g)
    return colliding


def _fill_links(m: mujoco.MjModel, model: Model, links: list[int]) -> None:
    place = {body: link for link, body in enumerate(links)}
    for link, body in enumerate(links):
        model.exists[link] = 1
        if link:
            parent = m.body_parentid[body]
            model.parent[link] = place[parent]
            model.position[link], model.quaternion[link] = m.body_pos[body], m.body_quat[body]
        if m.body_mass[body] <= 0 and (m.body_dofnum[body] or not link):
            _refuse(_name(m, "body", body), "mass 0", "a mass above 0 for whatever moves")
        turn = np.zeros(9)
        mujoco.mju_quat2Mat(turn, m.body_iquat[body])
        turn = turn.reshape(3, 3)
        model.mass[link], model.com[link] = m.body_mass[body], m.body_ipos[body]
        model.inertia[link] = turn @ np.diag(m.body_inertia[body]) @ turn.T
        model.body_invweight[link] = m.body_invweight0[body, 0]
    model.start[:] = m.body_pos[links[0]]


def _fill_joints(
    m: mujoco.MjModel, sizes: Sizes, model: Model, joints: list[list[int]], ball: list[bool]
) -> None:
    root = slice(0, ROOT_DOFS)
    model.dof_mask[root] = 1
    _fill_dofs(m, model, root, m.jnt_dofadr[joints[0][0]], ROOT_DOFS)
    for link, of_body in enumerate(joints[1:], 1):
        for s, j in enumerate(of_body):
            name = _name(m, "joint", j)
            _check_joint(m, j, name)
            slot = (link - 1) * sizes.hinges + s
            width = 3 if ball[link] else 1
            model.joint_position[link - 1, s] = m.jnt_pos[j]
            model.joint_axis[link - 1, s] = m.jnt_axis[j]
            dofs = slice(ROOT_DOFS + slot, ROOT_DOFS + slot + width)
            model.dof_mask[dofs] = 1
            model.ball[link - 1] = ball[link]
            _fill_dofs(m, model, dofs, m.jnt_dofadr[j], width)
            model.stiffness[dofs] = m.jnt_stiffness[j]
            model.dof_invweight[slot : slot + width] = m.dof_invweight0[m.jnt_dofadr[j]]
            if m.jnt_limited[j]:
                low, high = m.jnt_range[j]
                if not low < high:
                    _refuse(name, f"range {low:g} {high:g}", "the lower limit first")
                model.range[slot] = low, high
    model.range[model.range[:, 1] > UNLIMITED] = UNLIMITED


def _fill_dofs(m: mujoco.MjModel, model: Model, dofs: slice, start: int, width: int) -> None:
    source = slice(start, start + width)
    model.damping[dofs] = m.dof_damping[source]
    model.armature[dofs] = m.dof_armature[source]


def _check_joint(m: mujoco.MjModel, j: int, name: str) -> None:
    if m.jnt_type[j] not in _JOINTED:
        kind = _JOINT(m.jnt_type[j]).name.removeprefix("mjJNT_").lower()
        _refuse(name, f"type {kind}", "hinge, ball")
    dof, position = m.jnt_dofadr[j], m.jnt_qposadr[j]
    if np.any(m.dof_frictionloss[dof : dof + (3 if m.jnt_type[j] == _JOINT.mjJNT_BALL else 1)]):
        _refuse(name, "frictionloss", "0")
    if m.jnt_margin[j]:
        _refuse(name, "margin", "0")
    if m.jnt_actfrclimited[j] or m.jnt_actgravcomp[j]:
        _refuse(name, "actuatorfrcrange or actuatorgravcomp", "forcerange of the actuator")
    is_hinge = m.jnt_type[j] == _JOINT.mjJNT_HINGE
    if is_hinge and (m.qpos0[position] or m.qpos_spring[position]):
        _refuse(name, "ref or springref", "0")


def _fill_geoms(m: mujoco.MjModel, model: Model, links: list[int], geoms: list[list[int]]) -> None:
    """Segments and who may touch whom."""
    for link, of_body in enumerate(geoms):
        for place, g in enumerate(of_body):
            radius, half = m.geom_size[g, :2]
            turn = np.zeros(9)
            mujoco.mju_quat2Mat(turn, m.geom_quat[g])
            is_capsule = m.geom_type[g] == _GEOM.mjGEOM_CAPSULE
            along = turn.reshape(3, 3)[:, 2] * half * is_capsule
            model.segment[link, place] = m.geom_pos[g] + np.stack([along, -along])
            model.segment_mask[link, place] = 1, is_capsule
            model.radius[link, place] = radius
            model.friction[link, place] = m.geom_friction[g, 0]
        masks = {(m.geom_contype[g], m.geom_conaffinity[g]) for g in of_body}
        if len(masks) > 1:
            name = _name(m, "body", links[link])
            _refuse(name, "different contype or conaffinity", "the same for a body's geoms")
    _fill_pairs(m, model, links, geoms)


def _fill_pairs(m: mujoco.MjModel, model: Model, links: list[int], geoms: list[list[int]]) -> None:
    excluded = {tuple(sorted((s >> 16, s & 0xFFFF))) for s in m.exclude_signature}
    for i, one in enumerate(links):
        for j, two in enumerate(links[:i]):
            welded, other = m.body_weldid[one], m.body_weldid[two]
            related = (
                welded == other
                or m.body_weldid[m.body_parentid[welded]] == other
                or m.body_weldid[m.body_parentid[other]] == welded
            )
            meeting = any(world.meet(m, g, h) for g in geoms[i] for h in geoms[j])
            if meeting and not related and tuple(sorted((one, two))) not in excluded:
                model.pair_mask[i, j] = model.pair_mask[j, i] = 1


def _fill_actuators(
    m: mujoco.MjModel, sizes: Sizes, model: Model, joints: list[list[int]]
) -> tuple[tuple[int, int], ...]:
    """Motors and position actuators; returns (link, hinge) of each, in the file's order."""
    where = {j: (link, s) for link, of_body in enumerate(joints) for s, j in enumerate(of_body)}
    found: list[tuple[int, int]] = []
    for a in range(m.nu):
        name = _name(m, "actuator", a)
        joint = m.actuator_trnid[a, 0]
        if m.actuator_trntype[a] != mujoco.mjtTrn.mjTRN_JOINT:
            _refuse(name, "a transmission other than joint", "joint")
        if m.jnt_type[joint] not in _JOINTED:
            _refuse(name, "a joint that is no hinge and no ball", "hinge, ball")
        if (
            m.actuator_dyntype[a] != mujoco.mjtDyn.mjDYN_NONE
            or m.actuator_gaintype[a] != mujoco.mjtGain.mjGAIN_FIXED
            or m.actuator_biastype[a] not in (0, int(mujoco.mjtBias.mjBIAS_AFFINE))
            or m.actuator_biasprm[a, 0]
        ):
            _refuse(name, "its dynamics", "motor, position")
        link, s = where[joint]
        gear = m.actuator_gear[a, 0]
        if m.jnt_type[joint] == _JOINT.mjJNT_BALL:
            axes = np.flatnonzero(m.actuator_gear[a, :3])
            if len(axes) != 1:
                _refuse(name, f"gear {m.actuator_gear[a, :3]}", "one axis of a ball, as 0 1 0")
            s = int(axes[0])
            gear = m.actuator_gear[a, s]
            servo = bool(m.actuator_biasprm[a, 1])
            if servo and m.actuator_biasprm[a, 1] != -m.actuator_gainprm[a, 0]:
                _refuse(name, "a bias on a ball other than its gain", "motor, position")
            if servo and gear != 1:  # what counts as a turn would be another angle
                _refuse(name, f"gear {gear:g} of a position actuator on a ball", "1")
        if (link, s) in found:
            _refuse(name, "a second actuator of a joint", "one a hinge, or an axis of a ball")
        dof = ROOT_DOFS + (link - 1) * sizes.hinges + s
        bias = m.actuator_biasprm[a] * (m.actuator_biastype[a] != 0)
        model.gear[dof] = gear * m.actuator_gainprm[a, 0]
        model.kp[dof], model.kv[dof] = -(gear**2) * bias[1], -(gear**2) * bias[2]
        if m.actuator_ctrllimited[a]:
            model.control_range[dof] = m.actuator_ctrlrange[a]
        if m.actuator_forcelimited[a]:
            model.force_range[dof] = abs(gear) * m.actuator_forcerange[a]
        found.append((link, s))
    return tuple(found)


def _options(m: mujoco.MjModel, geoms: list[int]) -> Options:
    """The file's, where all elements agree."""
    limited = [j for j in range(m.njnt) if m.jnt_limited[j]]
    common: Callable = lambda values, indices, element, attribute: _common(  # noqa: E731
        m, values, indices, element, attribute
    )
    contact_ref = common(m.geom_solref, geoms, "geom", "solref")
    limit_ref = common(m.jnt_solref, limited, "joint", "solreflimit")
    default = Options()
    if contact_ref and limit_ref and contact_ref != limit_ref:
        _refuse("joint", "solreflimit other than the geoms' solref", "one for all")
    solref = contact_ref or limit_ref or default.solref
    if solref[0] <= 0:
        _refuse("geom", "negative solref", "time constant and damping ratio")
    return dataclasses.replace(
        default,
        timestep=float(m.opt.timestep),
        gravity=float(-m.opt.gravity[2]),
        solref=solref,
        solimp_contact=common(m.geom_solimp, geoms, "geom", "solimp") or default.solimp_contact,
        solimp_limit=common(m.jnt_solimp, limited, "joint", "solimplimit") or default.solimp_limit,
    )


def _common(
    m: mujoco.MjModel, values: np.ndarray, indices: list[int], element: str, attribute: str
) -> tuple[float, ...] | None:
    """The one value that all have; None without any."""
    for index in indices[1:]:
        if not np.allclose(values[index], values[indices[0]]):
            _refuse(_name(m, element, index), f"another {attribute}", "one for all")
    return tuple(float(x) for x in values[indices[0]]) if indices else None
