"""Reads the text files of motions that came with DeepMimic (Peng et al. 2018).

A file is JSON: "Loop" is "wrap" or "none", and each of "Frames" holds 44 numbers: the time to the
next frame (s), position (m, y up) and quaternion (w, x, y, z) of the root, then the joints: four
numbers for a ball, an angle for a hinge.
"""

import json

import numpy as np

from jaxrl_suite.core import UsageError
from jaxrl_suite.data.motion import checking
from jaxrl_suite.data.motion.clip import Clip, resampled
from jaxrl_suite.envs import turns
from jaxrl_suite.envs.humanoid import skeleton

# Joints in the order of the file, by our names.
_ORDER = (
    "abdomen",
    "neck",
    *("right_hip", "right_knee", "right_ankle", "right_shoulder", "right_elbow"),
    *("left_hip", "left_knee", "left_ankle", "left_shoulder", "left_elbow"),
)
_WIDTH = {joint.name: 4 if joint.is_ball else 1 for joint in skeleton.JOINTS}
_FIRST = dict(zip(_ORDER, 8 + np.cumsum([0, *(_WIDTH[name] for name in _ORDER)]), strict=False))
NUMBERS = 8 + sum(_WIDTH.values())  # 44
LOOPS = {"wrap": True, "none": False}
# The files in circulation hold quaternions that were blended and not normalised: down to 0.58.
_BLENDED = 0.5
_EVEN = 1e-4  # share by which frame times may differ and still be rounding


def read(content: bytes, name: str, group: str, source: str, where: object) -> Clip:
    """A clip of a file's bytes, checked.

    Vectors (x, y, z) become (x, -z, y), which makes z point up and keeps x forward; knees and
    elbows turn about our y, their -z. Frames that are not evenly spaced are resampled, as many of
    them over the same time.

    Args:
      content: of the file.
      name: of the clip.
      group: of the clip.
      source: of the clip.
      where: what a message calls the file.

    Raises:
      UsageError: damaged, or an unsound clip, named with the frame.
    """
    numbers, loop = _parsed(content, f"{where}: clip {name}")
    steps = numbers[:-1, 0]  # the last frame has no next one; most files say 0
    bad = np.flatnonzero(~(steps > 0))
    if len(bad):
        raise UsageError(
            f"{where}: clip {name}, frame {bad[0]}: lasts {steps[bad[0]]:g} s; "
            "frame times must be above 0"
        )
    turn = lambda q: np.stack([q[..., 0], q[..., 1], -q[..., 3], q[..., 2]], axis=-1)  # noqa: E731
    balls = [skeleton.JOINTS[i].name for i in skeleton.BALLS]
    hinges = [skeleton.JOINTS[i].name for i in skeleton.HINGES]
    clip = Clip(
        name,
        group,
        source,
        np.stack([numbers[:, 1], -numbers[:, 3], numbers[:, 2]], axis=-1),
        turn(numbers[:, 4:8]),
        turn(np.stack([numbers[:, _FIRST[x] : _FIRST[x] + 4] for x in balls], axis=1)),
        -np.stack([numbers[:, _FIRST[x]] for x in hinges], axis=1),
        1.0 / steps.mean(),
        loop,
    )
    # Before anything is made of them: the clip has the file's frames.
    checking.check_frames(clip, where, unit=_BLENDED)
    clip = clip._replace(
        quaternion=turns.normalise(clip.quaternion), balls=turns.normalise(clip.balls)
    )
    if np.ptp(steps) > _EVEN * steps.mean():
        times = np.concatenate([[0.0], np.cumsum(steps)])
        clip = resampled(clip, times, np.linspace(0.0, times[-1], len(times)))
    checking.check(clip, where)
    return clip


def _parsed(content: bytes, where: str) -> tuple[np.ndarray, bool]:
    """Numbers [F, 44] and whether the motion loops."""
    try:
        file = json.loads(content)
        loop, frames = LOOPS[file["Loop"]], file["Frames"]
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"{where}: is no DeepMimic motion: JSON with the keys Loop "
            f"({' or '.join(LOOPS)}) and Frames"
        ) from error
    if not isinstance(frames, list) or len(frames) < 2:
        raise UsageError(f"{where}: has fewer than 2 frames")
    for i, frame in enumerate(frames):
        if not isinstance(frame, list) or len(frame) != NUMBERS:
            found = len(frame) if isinstance(frame, list) else repr(frame)
            raise UsageError(f"{where}, frame {i}: must have {NUMBERS} numbers, not {found}")
    try:
        return np.array(frames, np.float64), loop
    except (ValueError, TypeError) as error:
        raise UsageError(f"{where}: some of its frames hold something else than numbers") from error
