"""What all clips of one body have in common."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from jaxrl_suite.envs import clips
from jaxrl_suite.envs.humanoid import skeleton


class Skeleton(NamedTuple):
    """A body, as its clips see it.

    joints: names, in order.
    is_ball: which of them are balls; the others are hinges.
    joint_speed: of a step from frame to frame, above which no joint has moved (rad/s).
    spin: the same of the root's rotation (rad/s).
    speed: the same of the root (m/s).
    shortest: that a clip must last (s).
    because: why, the end of a message.
    rates: :func:`jaxrl_suite.envs.clips.rates`, or what else makes velocities of frames.
    """

    joints: tuple[str, ...]
    is_ball: tuple[bool, ...]
    joint_speed: float
    spin: float
    speed: float
    shortest: float
    because: str
    rates: Callable[..., clips.Pose] = clips.rates

    @property
    def balls(self) -> np.ndarray:
        """Places of the balls among the joints."""
        return np.flatnonzero(self.is_ball)

    @property
    def hinges(self) -> np.ndarray:
        """Places of the hinges among the joints."""
        return np.flatnonzero(~np.array(self.is_ball))

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Of a frame's fields."""
        balls = sum(self.is_ball)
        return {
            "position": (3,),
            "quaternion": (4,),
            "balls": (balls, 4),
            "hinges": (len(self.joints) - balls,),
        }


# Bounds of a step from frame to frame, as speeds, so that they hold at any rate: 1.6 rad and 0.5 m
# at 30 Hz. The fastest of the shipped clips is a shoulder of the backflip, 30 rad/s; its root turns
# at 12 rad/s, and sprinters run at 12 m/s. A half turn that is none makes 94 rad/s at 30 Hz.
HUMANOID = Skeleton(
    joints=tuple(joint.name for joint in skeleton.JOINTS),
    is_ball=tuple(joint.is_ball for joint in skeleton.JOINTS),
    joint_speed=48.0,
    spin=48.0,
    speed=15.0,
    # Ten steps at 30 Hz.
    shortest=0.3,
    because="which a discriminator's window of 10 steps spans",
)
