"""Bodies as MJCF that MuJoCo loads."""

from collections.abc import Iterable, Sequence
from xml.sax.saxutils import quoteattr

import numpy as np

from jaxrl_suite.physics.model import ROOT_DOFS, UNLIMITED, Model, Options, Sizes


def to_mjcf(
    sizes: Sizes,
    model: Model,
    options: Options,
    *,
    ground_friction: float = 1.0,
    names: Sequence[str] | None = None,
) -> str:
    """Writes one body, above a plane, as MJCF.

    Args:
      sizes: of the arrays; links that do not exist are left out.
      model: one body, whatever it came from.
      options: timestep, gravity, and how contacts and limits give way.
      ground_friction: of the plane.
      names: of the links; None for link0, link1, ...

    Returns:
      XML; :func:`from_mjcf` makes the same body of it.
    """
    model = Model(*(np.asarray(leaf) for leaf in model))
    links = [b for b in range(sizes.num_bodies) if model.exists[b] > 0]
    called = dict(zip(links, names or [f"link{b}" for b in links], strict=True))
    bodies = _body(sizes, model, called, links, 0)
    excluded = [
        _element("exclude", body1=called[b], body2=called[c])
        for b in links
        for c in links
        if b < c and not model.pair_mask[b, c] and model.radius[[b, c], 0].all()
    ]
    actuators = [
        line
        for b in links[1:]
        for s in range(sizes.hinges)
        for line in _actuator(sizes, model, called[b], b, s)
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
    plane = _element("geom", name="ground", type="plane", size=(0, 0, 1), friction=ground_friction)
    parts = [
        '<mujoco><compiler angle="radian" autolimits="false"/>',
        option,
        f"<default>{defaults}</default>",
        f"<worldbody>{plane}{bodies}</worldbody>",
        f"<contact>{''.join(excluded)}</contact>" if excluded else "",
        f"<actuator>{''.join(actuators)}</actuator>" if actuators else "",
        "</mujoco>",
    ]
    return "\n".join(part for part in parts if part)


def _text(value: str | float | Iterable[float]) -> str:
    """Numbers in full, so that reading them gives them back."""
    if isinstance(value, str | int):
        return str(value)
    numbers = np.atleast_1d(np.asarray(value, float))
    return " ".join(repr(float(x)) for x in numbers.ravel())


def _element(tag: str, **attributes: str | float | Iterable[float]) -> str:
    given = " ".join(f"{name}={quoteattr(_text(value))}" for name, value in attributes.items())
    return f"<{tag} {given}/>"


def _body(sizes: Sizes, model: Model, called: dict[int, str], links: list[int], b: int) -> str:
    """A link with all that hangs on it."""
    place = (0.0, 0.0, float(model.height)) if b == 0 else model.position[b]
    head = f"<body name={quoteattr(called[b])} pos={quoteattr(_text(place))}"
    head += f" quat={quoteattr(_text(model.quaternion[b]))}>"
    joints = "<freejoint/>" if b == 0 else _joints(sizes, model, called[b], b)
    inertia = model.inertia[b]
    entries = [inertia[i, j] for i, j in ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))]
    mass = _element("inertial", mass=model.mass[b], pos=model.com[b], fullinertia=entries)
    geoms = "".join(_geoms(model, b))
    children = [c for c in links if c and model.parent[c] == b]
    inner = "".join(_body(sizes, model, called, links, c) for c in children)
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


def _geoms(model: Model, b: int) -> Iterable[str]:
    for ends, used, radius, friction in zip(
        model.segment[b], model.segment_mask[b], model.radius[b], model.friction[b], strict=True
    ):
        if used[1]:
            shape = {"type": "capsule", "size": radius, "fromto": ends}
        else:
            shape = {"type": "sphere", "size": radius, "pos": ends[0]}
        if used[0]:
            yield _element("geom", friction=friction, **shape)


def _actuator(sizes: Sizes, model: Model, name: str, b: int, s: int) -> Iterable[str]:
    """Of a joint slot, if it has one."""
    dof = ROOT_DOFS + (b - 1) * sizes.hinges + s
    kp, kv, gear = model.kp[dof], model.kv[dof], model.gear[dof]
    if not (gear or kp or kv) or model.ball[b - 1]:
        return
    ranges = {}
    for limited, key, (low, high) in (
        ("ctrllimited", "ctrlrange", model.control_range[dof]),
        ("forcelimited", "forcerange", model.force_range[dof]),
    ):
        if np.isfinite([low, high]).all():
            ranges |= {limited: "true", key: (low, high)}
    yield _element(
        "general",
        joint=f"{name}_{s}",
        gainprm=gear,
        biastype="affine",
        biasprm=(0.0, -kp, -kv),
        **ranges,
    )
