"""Articulated rigid bodies whose topology is data: one compiled program for any mix of bodies."""

from jaxrl_suite.physics.engine import Forward, Sensors, Step, forward, init, sensors, step
from jaxrl_suite.physics.ground import Ground, HeightField, Plane, flat, inclined
from jaxrl_suite.physics.kinematics import Tree, prepare
from jaxrl_suite.physics.layout import Layout, layout
from jaxrl_suite.physics.mjcf import from_mjcf
from jaxrl_suite.physics.mjcf_writer import to_mjcf
from jaxrl_suite.physics.model import Model, Options, Sizes, State, pad
from jaxrl_suite.physics.reference_pose import with_invweights
from jaxrl_suite.physics.scene import Body, Boxes, Scene, box, make_scene, no_boxes, stack
from jaxrl_suite.physics.simulator import Readings, Simulator, simulator

__all__ = [
    "Body",
    "Boxes",
    "Forward",
    "Ground",
    "HeightField",
    "Layout",
    "Model",
    "Options",
    "Plane",
    "Readings",
    "Scene",
    "Sensors",
    "Simulator",
    "Sizes",
    "State",
    "Step",
    "Tree",
    "box",
    "flat",
    "forward",
    "from_mjcf",
    "inclined",
    "init",
    "layout",
    "make_scene",
    "no_boxes",
    "pad",
    "prepare",
    "sensors",
    "simulator",
    "stack",
    "step",
    "to_mjcf",
    "with_invweights",
]
