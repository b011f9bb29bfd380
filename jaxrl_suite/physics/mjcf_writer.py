"""Bodies as MJCF that MuJoCo loads."""

from collections.abc import Iterable, Sequence
from xml.sax.saxutils import quoteattr

import numpy as np

from jaxrl_suite.core import UsageError
from jaxrl_suite.physics.ground import Ground, HeightField, Plane
from jaxrl_suite.physics.layout import depth_first, has_actuator
from jaxrl_suite.physics.model import ROOT_DOFS, UNLIMITED, Model, Options, Sizes
from jaxrl_suite.physics.scene import Boxes, Scene

# Who may touch whom: the body everything, obstacles and free boxes not each other.
_OBSTACLE, _FREE = {"contype": 2, "conaffinity": 1}, {"contype": 4, "conaffinity": 1}


def to_mjcf(
    sizes: Sizes, options: Options, scene: Scene, *, names: Sequence[str] | None = None
) -> str:
    """Writes one body, its ground and its boxes as MJCF.

    Args:
      sizes: of the arrays; links and boxes that do not exist are left out.
      options: timestep, gravity, self-collision, and how contacts and limits give way.
      scene: one body, whatever it came from; not batched.
      names: of the links; None for link0, link1, ...

    Returns:
      XML; :func:`from_mjcf` makes the same body of it.

    Raises:
      UsageError: the scene is a batch, or its ground is neither a plane nor a height field.
    """
    model = Model(*(np.asarray(leaf) for leaf in scene.model))
    if model.parent.ndim != 1:
        raise UsageError("to_mjcf writes one body; take it out of the batch: tree.map(x[i])")
    links = [b for b in range(sizes.num_bodies) if model.exists[b] > 0]
    called = dict(zip(links, names or [f"link{b}" for b in links], strict=True))
    bodies = _body(sizes, model, called, depth_first(model), 0, not options.self_collision)
    excluded = [
        _element("exclude", body1=called[b], body2=called[c])
        for b in links
        for c in links
        if b < c
        and not model.pair_mask[b, c]
        and model.radius[[b, c], 0].all()
        and options.self_collision
    ]
    actuators = [
        _actuator(sizes, model, called[b], b, s)
        for b in links[1:]
        for s in range(sizes.hinges)
        if has_actuator(model, ROOT_DOFS + (b - 1) * sizes.hinges + s)
    ]
    option = _element(
        "option",
        timestep=options.timestep,
        gravity=(0.0, 0.0, -options.gravity),
        iterations=100,
        tolerance=1e-12,
    )
    defaults = _element("geom", condim=3, solref=options.solref, solimp=options.solimp_contact)
    defaults += _element(
        "joint", solreflimit=options.solref, solimplimit=options.solimp_limit, limited="false"
    )
    asset, ground = _ground(scene.ground, float(scene.ground_friction))
    boxes = "".join([*_boxes(scene.obstacles, "obstacle"), bodies, *_boxes(scene.boxes, "box")])
    parts = [
        '<mujoco><compiler angle="radian" autolimits="false"/>',
        option,
        f"<default>{defaults}</default>",
        f"<asset>{asset}</asset>" if asset else "",
        f"<worldbody>{ground}{boxes}</worldbody>",
        f"<contact>{''.join(excluded)}</contact>" if excluded else "",
        f"<actuator>{''.join(actuators)}</actuator>" if actuators else "",
        "</mujoco>",
    ]
    return "\n".join(part for part in parts if part)


def _ground(ground: Ground, friction: float) -> tuple[str, str]:
    """An asset, if one is needed, and a geom."""
    if isinstance(ground, Plane):
        normal = np.asarray(ground.normal, float)
        place = normal * float(ground.offset)
        turned = {} if normal[2] == 1 else {"zaxis": normal}
        geom = _element(
            "geom", name="ground", type="plane", size=(0, 0, 1), pos=place, friction=friction,
            **turned,
        )  # fmt: skip
        return "", geom
    if not isinstance(ground, HeightField):
        raise UsageError(
            f"a ground of type {type(ground).__name__} has no MJCF; legal: Plane, HeightField"
        )
    heights, cell = np.asarray(ground.heights, float), np.asarray(ground.cell, float)
    half = 0.5 * cell * (np.array(heights.shape) - 1)
    low, span = heights.min(), max(float(np.ptp(heights)), 1e-6)
    asset = _element(
        "hfield",
        name="ground",
        nrow=heights.shape[1],
        ncol=heights.shape[0],
        size=(*half, span, 1.0),
        elevation=heights.T[::-1],  # MJCF's first row is the farthest, at the largest y
    )
    place = (*(np.asarray(ground.corner, float) + half), low)
    geom = _element(
        "geom", name="ground", type="hfield", hfield="ground", pos=place, friction=friction
    )
    return asset, geom


def _boxes(boxes: Boxes, name: str) -> Iterable[str]:
    for i in np.flatnonzero(np.asarray(boxes.exists) > 0):
        place = {"pos": np.asarray(boxes.position)[i], "quat": np.asarray(boxes.quaternion)[i]}
        shape = {"type": "box", "size": np.asarray(boxes.half_size)[i]}
        shape["friction"] = np.asarray(boxes.friction)[i]
        if name == "obstacle":
            yield _element("geom", name=f"{name}{i}", **shape, **place, **_OBSTACLE)
            continue
        inertial = _element(
            "inertial",
            mass=np.asarray(boxes.mass)[i],
            pos=(0, 0, 0),
            diaginertia=np.asarray(boxes.inertia)[i],
        )
        yield (
            f'<body name="{name}{i}" pos="{_text(place["pos"])}" quat="{_text(place["quat"])}">'
            f"<freejoint/>{inertial}{_element('geom', **shape, **_FREE)}</body>"
        )


def _text(value: str | float | Iterable[float]) -> str:
    """Numbers in full, so that reading them gives them back."""
    if isinstance(value, str | int):
        return str(value)
    numbers = np.atleast_1d(np.asarray(value, float))
    return " ".join(repr(float(x)) for x in numbers.ravel())


def _element(tag: str, **attributes: str | float | Iterable[float]) -> str:
    given = " ".join(f"{name}={quoteattr(_text(value))}" for name, value in attributes.items())
    return f"<{tag} {given}/>"


def _body(
    sizes: Sizes, model: Model, called: dict[int, str], links: list[int], b: int, apart: bool
) -> str:
    """A link with all that hangs on it."""
    place = model.start if b == 0 else model.position[b]
    head = f"<body name={quoteattr(called[b])} pos={quoteattr(_text(place))}"
    head += f" quat={quoteattr(_text(model.quaternion[b]))}>"
    joints = "<freejoint/>" if b == 0 else _joints(sizes, model, called[b], b)
    inertia = model.inertia[b]
    entries = [inertia[i, j] for i, j in ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))]
    mass = _element("inertial", mass=model.mass[b], pos=model.com[b], fullinertia=entries)
    geoms = "".join(_geoms(model, b, {"conaffinity": 0} if apart else {}))
    children = [c for c in links if c and model.parent[c] == b]
    inner = "".join(_body(sizes, model, called, links, c, apart) for c in children)
    return f"{head}{joints}{mass}{geoms}{inner}</body>\n"


def _joints(sizes: Sizes, model: Model, name: str, b: int) -> str:
    is_ball = model.ball[b - 1] > 0
    found = []
    for s in range(1 if is_ball else sizes.hinges):
        slot = (b - 1) * sizes.hinges + s
        if not model.dof_mask[ROOT_DOFS + slot]:
            continue
        low, high = model.range[slot]
        limits = {"limited": "true", "range": (low, high)} if high < UNLIMITED else {}
        axis = {} if is_ball else {"axis": model.joint_axis[b - 1, s]}
        found.append(
            _element(
                "joint",
                name=f"{name}_{s}",
                type="ball" if is_ball else "hinge",
                pos=model.joint_position[b - 1, s],
                damping=model.damping[ROOT_DOFS + slot],
                stiffness=model.stiffness[ROOT_DOFS + slot],
                armature=model.armature[ROOT_DOFS + slot],
                **axis,
                **limits,
            )
        )
    return "".join(found)


def _geoms(model: Model, b: int, meets: dict[str, int]) -> Iterable[str]:
    for ends, used, radius, friction in zip(
        model.segment[b], model.segment_mask[b], model.radius[b], model.friction[b], strict=True
    ):
        if used[1]:
            shape = {"type": "capsule", "size": radius, "fromto": ends}
        else:
            shape = {"type": "sphere", "size": radius, "pos": ends[0]}
        if used[0]:
            yield _element("geom", friction=friction, **shape, **meets)


def _actuator(sizes: Sizes, model: Model, name: str, b: int, s: int) -> str:
    """Of a slot of a link; a ball joint has one about each axis of the link."""
    dof = ROOT_DOFS + (b - 1) * sizes.hinges + s
    is_ball = model.ball[b - 1] > 0
    ranges = {}
    for limited, key, (low, high) in (
        ("ctrllimited", "ctrlrange", model.control_range[dof]),
        ("forcelimited", "forcerange", model.force_range[dof]),
    ):
        if np.isfinite([low, high]).all():
            ranges |= {limited: "true", key: (low, high)}
    return _element(
        "general",
        joint=f"{name}_{0 if is_ball else s}",
        **({"gear": np.eye(6)[s]} if is_ball else {}),
        gainprm=model.gear[dof],
        biastype="affine",
        biasprm=(0.0, -model.kp[dof], -model.kv[dof]),
        **ranges,
    )
