"""Reference bodies for the oracle tests: UNIMALs that may be absent, a quadruped, a humanoid."""

import json
from pathlib import Path

import numpy as np

UNIMALS = Path(__file__).parents[3] / "shared" / "data" / "unimals.json"

_HEAD = """
<mujoco><compiler angle="degree" inertiafromgeom="{inertia}"/>
<option timestep="{timestep}" iterations="100" ls_iterations="100" tolerance="1e-12"/>
<worldbody><geom name="floor" type="plane" size="0 0 1" friction="{friction} .1 .1" condim="3"/>
"""


def _vector(values) -> str:
    return " ".join(repr(float(v)) for v in values)


def unimal_mjcf(entry: dict) -> str:
    """A reference body as MJCF."""
    bodies, parts = entry["bodies"], []
    actuators = []

    def write(index: int) -> None:
        body = bodies[index]
        parts.append(f'<body name="b{index}" pos="{_vector(body["pos"])}">')
        if body["parent"] < 0:
            parts.append("<freejoint/>")
        for s, hinge in enumerate(body["hinges"]):
            name = f"j{index}_{s}"
            parts.append(
                f'<joint name="{name}" type="hinge" axis="{_vector(hinge["axis"])}" '
                f'pos="{_vector(hinge["pos"])}" range="{_vector(hinge["range_deg"])}" '
                f'limited="true" damping="{hinge["damping"]}" stiffness="{hinge["stiffness"]}" '
                f'armature="{hinge["armature"]}" solimplimit="{_vector(hinge["solimplimit"])}"/>'
            )
            actuators.append(
                f'<motor joint="{name}" gear="{hinge["gear"]}" ctrlrange="-1 1" '
                'ctrllimited="true"/>'
            )
        for geom in body["geoms"]:
            friction = _vector(geom["friction"])
            common = f'friction="{friction}" condim="{geom["condim"]}" mass="{body["mass"]}"'
            if geom["type"] == "sphere":
                place = f'type="sphere" size="{geom["radius"]}" pos="{_vector(geom["pos"])}"'
            else:
                ends = _vector([*geom["from"], *geom["to"]])
                place = f'type="capsule" size="{geom["radius"]}" fromto="{ends}"'
            parts.append(f"<geom {place} {common}/>")
        for child, other in enumerate(bodies):
            if other["parent"] == index:
                write(child)
        parts.append("</body>")

    write(0)
    head = _HEAD.format(timestep=entry["timestep"], friction=0.7, inertia="auto")
    middle = "".join(parts)
    return f"{head}{middle}</worldbody><actuator>{''.join(actuators)}</actuator></mujoco>"


def unimals() -> list[dict]:
    """The reference bodies; an empty list where the file is absent."""
    return json.loads(UNIMALS.read_text()) if UNIMALS.exists() else []


def random_positions(model, generator: np.random.Generator, height: float) -> np.ndarray:
    """qpos [nq]: any orientation, joints within their ranges."""
    q = model.qpos0.copy()
    q[:3] = [*generator.uniform(-1, 1, 2), height]
    q[3:7] = generator.normal(size=4)
    q[3:7] /= np.linalg.norm(q[3:7])
    low, high = model.jnt_range[1:].T
    q[7:] = generator.uniform(low, high)
    return q


def quadruped_mjcf(kp: float = 50.0, kv: float = 0.5) -> str:
    """A 12-dof quadruped: position actuators, small armature, welded feet."""
    legs = []
    for x, y, name in ((0.2, 0.1, "fl"), (0.2, -0.1, "fr"), (-0.2, 0.1, "hl"), (-0.2, -0.1, "hr")):
        legs.append(f"""
        <body name="{name}_hip" pos="{x} {y / 2} 0">
          <joint name="{name}0" axis="1 0 0" range="-50 50"/>
          <geom type="sphere" size=".04" mass=".5" contype="0" conaffinity="0"/>
          <body name="{name}_thigh" pos="0 {y} 0">
            <joint name="{name}1" axis="0 1 0" range="-60 200"/>
            <geom type="capsule" fromto="0 0 0 0 0 -.2" size=".02" mass=".9"/>
            <body name="{name}_calf" pos="0 0 -.2">
              <joint name="{name}2" axis="0 1 0" range="-150 -30"/>
              <geom type="capsule" fromto="0 0 0 0 0 -.2" size=".015" mass=".15"/>
              <body name="{name}_foot" pos="0 0 -.2">
                <geom type="sphere" size=".02" mass=".05"/></body></body></body></body>""")
    names = [f"{leg}{i}" for leg in ("fl", "fr", "hl", "hr") for i in range(3)]
    actuators = "".join(
        f'<position joint="{name}" kp="{kp}" kv="{kv}" forcerange="-18 18" forcelimited="true"/>'
        for name in names
    )
    return f"""<mujoco><compiler angle="degree" autolimits="true"/>
      <option timestep="0.004" iterations="100" ls_iterations="100" tolerance="1e-12"/>
      <default><joint type="hinge" limited="true" armature=".01" damping=".1"/></default>
      <worldbody><geom name="floor" type="plane" size="0 0 1"/>
      <body name="trunk" pos="0 0 .45"><freejoint/>
        <geom type="capsule" fromto="-.2 0 0 .2 0 0" size=".06" mass="6"/>{"".join(legs)}
      </body></worldbody><actuator>{actuators}</actuator></mujoco>"""


def humanoid_mjcf() -> str:
    """A 28-dof humanoid: 8 ball joints of limited angle and 4 hinges."""
    ball = '<joint name="{0}" type="ball" range="0 {1}" stiffness="20" damping="4" armature=".02"/>'
    hinge = (
        '<joint name="{0}" axis="0 1 0" range="{1} {2}" stiffness="20" damping="4" armature=".02"/>'
    )

    def limb(name, pos, joint, end, radius, mass, inner="") -> str:
        x, y, z = end
        return (
            f'<body name="{name}" pos="{pos}">{joint}<geom type="capsule" size="{radius}" '
            f'fromto="0 0 0 {x} {y} {z}" mass="{mass}"/>{inner}</body>'
        )

    sides = []
    for side, y in (("l", 1), ("r", -1)):
        foot = limb(
            f"{side}foot", "0 0 -.4", ball.format(f"{side}ankle", 60), (0.15, 0, 0), 0.04, 1
        )
        shin = limb(
            f"{side}shin",
            "0 0 -.42",
            hinge.format(f"{side}knee", 0, 150),
            (0, 0, -0.36),
            0.05,
            3,
            foot,
        )
        sides.append(
            limb(
                f"{side}thigh",
                f"0 {0.1 * y} -.1",
                ball.format(f"{side}hip", 120),
                (0, 0, -0.38),
                0.06,
                5,
                shin,
            )
        )
    arms = []
    for side, y in (("l", 1), ("r", -1)):
        fore = limb(
            f"{side}fore",
            "0 0 -.28",
            hinge.format(f"{side}elbow", -150, 0),
            (0, 0, -0.24),
            0.035,
            1,
        )
        arms.append(
            limb(
                f"{side}arm",
                f"0 {0.22 * y} .3",
                ball.format(f"{side}shoulder", 150),
                (0, 0, -0.24),
                0.04,
                1.5,
                fore,
            )
        )
    head = limb("head", "0 0 .42", ball.format("neck", 60), (0, 0, 0.08), 0.09, 3)
    chest = limb(
        "chest", "0 0 .12", ball.format("waist", 60), (0, 0, 0.25), 0.1, 12, head + "".join(arms)
    )
    return f"""<mujoco><compiler angle="degree" autolimits="true"/>
      <option timestep="0.005" iterations="100" ls_iterations="100" tolerance="1e-12"/>
      <worldbody><geom name="floor" type="plane" size="0 0 1"/>
      <body name="pelvis" pos="0 0 .98"><freejoint/>
        <geom type="sphere" size=".1" mass="8"/>{chest}{"".join(sides)}
      </body></worldbody></mujoco>"""


_OPTION = '<option timestep="{0}" iterations="100" ls_iterations="100" tolerance="1e-12"/>'


def hurdles_mjcf() -> str:
    """The quadruped before two hurdles, the second one turned; the trunk comes down on one."""
    hurdles = """<geom name="near" type="box" size=".04 .6 .12" pos=".35 0 .12"/>
      <geom name="under" type="box" size=".05 .5 .1" pos="0 0 .1" euler="0 0 20" friction=".6"/>"""
    return quadruped_mjcf().replace('size="0 0 1"/>', f'size="0 0 1"/>{hurdles}', 1)


def pushed_box_mjcf() -> str:
    """A ball that rolls a capsule into a free box of 2 kg."""
    return f"""<mujoco>{_OPTION.format(0.005)}<worldbody>
      <geom name="floor" type="plane" size="0 0 1" friction=".7"/>
      <body name="root" pos="0 0 .12"><freejoint/><geom type="sphere" size=".1" mass="2"/>
        <body name="arm" pos=".1 0 0"><joint name="arm" axis="0 1 0" damping="1" armature=".1"
          limited="true" range="-60 60"/>
          <geom type="capsule" size=".04" fromto="0 0 0 .25 0 0" mass=".5"/></body></body>
      <body name="crate" pos=".57 .03 .2" euler="0 0 10"><freejoint/>
        <geom name="crate" type="box" size=".15 .2 .2" mass="2" contype="4"/></body>
      </worldbody><actuator><motor joint="arm" gear="5"/></actuator></mujoco>"""


def hills_mjcf() -> str:
    """A ball with a limb on uneven ground."""
    heights = np.random.default_rng(0).uniform(0, 1, (5, 7))
    return f"""<mujoco>{_OPTION.format(0.005)}<asset>
      <hfield name="hills" nrow="5" ncol="7" size="3 2 .3 1"
        elevation="{_vector(heights.ravel())}"/>
      </asset><worldbody><geom name="hills" type="hfield" hfield="hills" pos=".5 0 -.1"/>
      <body name="root" pos="0 0 1"><freejoint/><geom type="sphere" size=".1" mass="2"/>
        <body name="arm" pos=".1 0 0"><joint name="arm" axis="0 1 0" damping="1" armature=".1"/>
          <geom type="capsule" size=".04" fromto="0 0 0 .25 0 0" mass=".5"/></body></body>
      </worldbody></mujoco>"""
