"""The two bodies, written as MJCF: one regime of the solver each, well conditioned and stiff."""

import math
from typing import NamedTuple

import jax
import numpy as np

from jaxrl_suite import physics
from jaxrl_suite.physics import Body, Layout, Scene, Sizes

_LEGS = {"front_left": (1, 1), "front_right": (1, -1), "hind_left": (-1, 1), "hind_right": (-1, -1)}


class Robot(NamedTuple):
    """A body as a policy drives it.

    body: as loaded; its options hold the timestep, how the solver works is set elsewhere.
    scene: the body on its ground.
    layout: its coordinates in MuJoCo; `layout.controls` are the driven slots, [A].
    pose: [A], joint angles that an episode starts from (rad).
    height: of the root at the start (m).
    centre, reach: the control is centre + reach * action; in rad where actuators hold a position,
      in units of the motors otherwise.
    """

    body: Body
    scene: Scene
    layout: Layout
    pose: np.ndarray
    height: float
    centre: np.ndarray
    reach: float

    @property
    def sizes(self) -> Sizes:
        """Of states and models."""
        return self.body.sizes


def walker_mjcf() -> str:
    """A sphere with four slanted limbs, two hinges each; the constants are those of UNIMALs.

    Armature 1 outweighs the limbs' own inertia, so the mass matrix is well conditioned.
    """
    limbs, motors = [], []
    slant = math.radians(55)  # below the horizontal
    for i in range(4):
        azimuth = math.radians(45 + 90 * i)
        c, s = math.cos(azimuth), math.sin(azimuth)
        out = np.array([c * math.cos(slant), s * math.cos(slant), -math.sin(slant)])
        root = " ".join(f"{x:.6f}" for x in 0.10 * out)
        # The limb's hidden first centimetres are left out: neighbours would always touch there.
        ends = " ".join(f"{x:.6f}" for x in [*(0.07 * out), *(0.42 * out)])
        limbs.append(f"""
        <body name="limb{i}" pos="{root}">
          <joint name="swing{i}" axis="0 0 1" range="-35 35"/>
          <joint name="lift{i}" axis="{s:.6f} {-c:.6f} 0" range="-45 45"/>
          <geom type="capsule" fromto="{ends}" size=".05" density="700"/></body>""")
        motors += [f'<motor joint="{kind}{i}"/>' for kind in ("swing", "lift")]
    return f"""<mujoco><compiler angle="degree" autolimits="true"/>
      <option timestep=".005"/>
      <default>
        <joint type="hinge" armature="1" damping="1" stiffness="1" solimplimit="0 .99 .01 .5 2"/>
        <geom friction=".7" condim="3"/><motor gear="200" ctrlrange="-1 1"/></default>
      <worldbody><geom name="ground" type="plane" size="0 0 1"/>
      <body name="root" pos="0 0 .49"><freejoint/>
        <geom type="sphere" size=".1" density="1000"/>{"".join(limbs)}
      </body></worldbody><actuator>{"".join(motors)}</actuator></mujoco>"""


def quadruped_mjcf() -> str:
    """A 12-dof dog of 12 kg: position actuators (50 N m/rad, 0.5 N m s/rad), small armature."""
    legs, actuators = [], []
    for name, (x, y) in _LEGS.items():
        legs.append(f"""
        <body name="{name}_hip" pos="{0.19 * x} {0.05 * y} 0">
          <joint name="{name}_roll" axis="1 0 0" range="-45 45"/>
          <geom type="sphere" size=".04" mass=".6" contype="0" conaffinity="0"/>
          <body name="{name}_thigh" pos="0 {0.08 * y} 0">
            <joint name="{name}_pitch" axis="0 1 0" range="-60 150"/>
            <geom type="capsule" fromto="0 0 0 0 0 -.21" size=".02" mass=".8"/>
            <body name="{name}_shank" pos="0 0 -.21">
              <joint name="{name}_knee" axis="0 1 0" range="-150 -30"/>
              <geom type="capsule" fromto="0 0 -.02 0 0 -.19" size=".015" mass=".15"/>
              <geom type="sphere" pos="0 0 -.21" size=".022" mass=".05"/></body></body></body>""")
        actuators += [
            f'<position joint="{name}_{kind}" kp="50" kv=".5" forcerange="-18 18"/>'
            for kind in ("roll", "pitch", "knee")
        ]
    return f"""<mujoco><compiler angle="degree" autolimits="true"/>
      <option timestep=".004"/>
      <default><joint type="hinge" armature=".01" damping=".1"/>
        <geom friction="1" condim="3"/></default>
      <worldbody><geom name="ground" type="plane" size="0 0 1"/>
      <body name="trunk" pos="0 0 .34"><freejoint/>
        <geom type="capsule" fromto="-.19 0 0 .19 0 0" size=".06" mass="5.6"/>{"".join(legs)}
      </body></worldbody><actuator>{"".join(actuators)}</actuator></mujoco>"""


def _robot(mjcf: str, pose: np.ndarray, height: float, *, holds: bool) -> Robot:
    """A robot whose action is an offset of the pose (`holds`), or a motor's share of its gear."""
    body = physics.from_mjcf(mjcf)
    scenes, _ = physics.stack([body])
    scene = jax.tree.map(lambda leaf: leaf[0], scenes)
    layout = physics.layout(body.sizes, body.model)
    centre = pose if holds else np.zeros_like(pose)
    return Robot(body, scene, layout, pose, height, centre, 0.5 if holds else 1.0)


def walker() -> Robot:
    """See :func:`walker_mjcf`."""
    return _robot(walker_mjcf(), np.zeros(8), 0.49, holds=False)


def quadruped() -> Robot:
    """See :func:`quadruped_mjcf`; it starts with its knees bent, the feet just above the ground."""
    return _robot(quadruped_mjcf(), np.tile([0.0, 0.8, -1.6], 4), 0.32, holds=True)


ROBOTS = {"walker": walker, "quadruped": quadruped}
