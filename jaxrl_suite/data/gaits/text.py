"""Reads the JSON text of two releases of dogs' motions, both with 19 numbers a frame.

That of Han et al. 2024 has "FrameDuration" (s), "LegOrder" (FR, FL, HR, HL) and "Frames": position
of the base (m, z up), its quaternion (x, y, z, w), and the joints of the legs in our order. That of
motion_imitation has "LoopMode" instead, and is of another robot: see
:mod:`jaxrl_suite.data.gaits.laikago`.
"""

import json
import math
import re

import numpy as np

from jaxrl_suite.core import UsageError
from jaxrl_suite.data.gaits import laikago
from jaxrl_suite.data.motion import Clip
from jaxrl_suite.data.motion.checking import check_finite, check_unit
from jaxrl_suite.envs.quadruped import robot

NUMBERS = 7 + len(robot.JOINTS)  # a frame
_KEYS = "FrameDuration, Frames, and LegOrder or LoopMode"


def is_of_dogs(content: bytes) -> bool:
    """Whether a file is of one of these formats, sound or not."""
    return b'"FrameDuration"' in content or b'"LegOrder"' in content


def group_of(name: str) -> str:
    """What a clip shows, by its file: fast_run of dog_fast_run_02_004."""
    return re.sub(r"(?<=.)(_\d+)+$", "", name.removeprefix("dog_"))


def read(content: bytes, name: str, source: str, where: object) -> Clip:
    """A clip of a file's bytes, as the file has it.

    Args:
      content: of the file.
      name: of the clip.
      source: of the clip.
      where: what a message calls the file.

    Raises:
      UsageError: damaged, or numbers that are no poses, named with the frame.
    """
    about = f"{where}: clip {name}"
    file = _parsed(content, about)
    numbers = _numbers(file["Frames"], about)
    check_finite(numbers, about, "a number")
    quaternion = numbers[:, [6, 3, 4, 5]]
    check_unit(quaternion[:, None], about, lambda _: "the base", order="x, y, z, w")
    clip = Clip(
        name,
        group_of(name),
        source,
        numbers[:, :3],
        quaternion,
        np.zeros((len(numbers), 0, 4)),
        numbers[:, 7:],
        1.0 / file["FrameDuration"],
        False,
    )
    return laikago.converted(clip, file, about) if "LoopMode" in file else clip


def _parsed(content: bytes, about: str) -> dict:
    """The file's object, whose keys are sound."""
    try:
        file = json.loads(content)
    except ValueError as error:
        raise UsageError(f"{about}: is no JSON text: {error}; copy the file again") from error
    known = isinstance(file, dict) and {"FrameDuration", "Frames"} <= file.keys()
    if not known or not {"LegOrder", "LoopMode"} & file.keys():
        raise UsageError(f"{about}: is no motion of a dog: JSON with the keys {_KEYS}")
    seconds = file["FrameDuration"]
    number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if not (number and math.isfinite(seconds) and seconds > 0):
        raise UsageError(f"{about}: FrameDuration is {seconds!r}; it must be seconds, above 0")
    if "LoopMode" not in file and file["LegOrder"] != list(robot.LEGS):
        raise UsageError(
            f"{about}: LegOrder is {file['LegOrder']}; it must be {list(robot.LEGS)}: reorder the "
            "joints"
        )
    return file


def _numbers(frames: object, about: str) -> np.ndarray:
    """The frames, [F, 19]."""
    if not isinstance(frames, list) or len(frames) < 2:
        raise UsageError(f"{about}: has fewer than 2 frames")
    for i, frame in enumerate(frames):
        if not isinstance(frame, list) or len(frame) != NUMBERS:
            found = len(frame) if isinstance(frame, list) else repr(frame)
            raise UsageError(
                f"{about}, frame {i}: must have {NUMBERS} numbers (base 7, joints "
                f"{len(robot.JOINTS)}), not {found}"
            )
    try:
        return np.array(frames, np.float64)
    except (ValueError, TypeError) as error:
        raise UsageError(f"{about}: some of its frames hold something else than numbers") from error
