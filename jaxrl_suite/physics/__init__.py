"""Articulated rigid bodies whose topology is data: one compiled program for any mix of bodies."""

from jaxrl_suite.physics.engine import Forward, Sensors, Step, forward, init, sensors, step
from jaxrl_suite.physics.ground import Ground, HeightField, Plane, flat, inclined
from jaxrl_suite.physics.kinematics import Tree, prepare
from jaxrl_suite.physics.mjcf import from_mjcf
from jaxrl_suite.physics.mjcf_writer import to_mjcf
from jaxrl_suite.physics.model import Body, Model, Options, Sizes, State, pad, stack
from jaxrl_suite.physics.reference_pose import with_invweights

__all__ = [
    "Body",
    "Forward",
    "Ground",
    "HeightField",
    "Model",
    "Options",
    "Plane",
    "Sensors",
    "Sizes",
    "State",
    "Step",
    "Tree",
    "flat",
    "forward",
    "from_mjcf",
    "inclined",
    "init",
    "pad",
    "prepare",
    "sensors",
    "stack",
    "step",
    "to_mjcf",
    "with_invweights",
]
