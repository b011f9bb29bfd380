"""One motion of the humanoid."""

from typing import NamedTuple

import numpy as np


class Clip(NamedTuple):
    """F frames at a constant rate.

    name: of the clip.
    group: the skill that it shows.
    source: where it comes from.
    position: [F, 3], of the root (m, world, z up).
    quaternion: [F, 4], of the root (w, x, y, z).
    balls: [F, 8, 4], of the ball joints in the skeleton's order, child in parent.
    hinges: [F, 4], angles of the hinges in the skeleton's order (rad).
    fps: frames per second.
    loop: the motion goes on from its end with its beginning.
    """

    name: str
    group: str
    source: str
    position: np.ndarray
    quaternion: np.ndarray
    balls: np.ndarray
    hinges: np.ndarray
    fps: float
    loop: bool
