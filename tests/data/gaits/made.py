"""Motions of the quadruped in the formats that are read, and clips to put into them."""

import json

import numpy as np

from jaxrl_suite.data.gaits.dog import lowest_foot
from jaxrl_suite.data.motion import Clip
from jaxrl_suite.envs import turns
from jaxrl_suite.envs.quadruped import robot

FPS = 120.0


def about(axis: int, angle: np.ndarray) -> np.ndarray:
    """Rotation about an axis, [..., 4]."""
    found = np.zeros((*np.shape(angle), 4))
    found[..., 0], found[..., 1 + axis] = np.cos(angle / 2), np.sin(angle / 2)
    return found


def clip(seconds: float = 3.0, fps: float = FPS, name: str = "dog_sway_001") -> Clip:
    """Sways and turns as it moves on; the median of its lowest foot is 5 mm above the ground."""
    time = np.arange(round(seconds * fps) + 1) / fps
    position = np.stack([0.4 * time, 0.1 * np.sin(time), 0.3 + 0.003 * np.sin(5 * time)], axis=1)
    tilt = turns.multiply(about(1, 0.01 * np.sin(2 * time)), about(0, 0.01 * np.cos(3 * time)))
    swing = 0.03 * np.sin(4 * time[:, None] + np.arange(12))
    frames = (turns.multiply(about(2, 0.5 * time), tilt), np.zeros((len(time), 0, 4)))
    made = Clip(name, "sway", "made", position, *frames, robot.STAND + swing, fps, False)
    position[:, 2] += 0.005 - np.median(lowest_foot(made))
    return made


def released(of: Clip, **changes: object) -> bytes:
    """The JSON text of Han et al. 2024."""
    frames = np.concatenate([of.position, of.quaternion[:, [1, 2, 3, 0]], of.hinges], axis=1)
    file = {"FrameDuration": 1 / of.fps, "LegOrder": list(robot.LEGS), "Frames": frames.tolist()}
    return json.dumps(file | changes).encode()


def changed(frame: int, place: int, number: object) -> bytes:
    """The text with one number of it changed."""
    file = json.loads(released(clip()))
    file["Frames"][frame][place] = number
    return json.dumps(file).encode()
