"""Where in a clip an episode may start."""

import numpy as np

from jaxrl_suite.core import UsageError
from jaxrl_suite.data.gaits import dog
from jaxrl_suite.data.motion import Clip

AHEAD = 1.05  # s before the end: 1 s is seen ahead, and the original leaves 6 frames of 120 Hz
NEAR = 0.1  # s on both sides of a jump; legs that flip are back within 0.17 s
DEEP = 0.02  # m that a foot may be in the ground
BEYOND = 0.1  # rad that a joint may be beyond its limits


def masks(clip: Clip) -> dict[str, np.ndarray]:
    """Reasons against frames, bool [F] each, by what a message calls them."""
    frames, margin = len(clip.position), round(NEAR * clip.fps)
    steps = np.abs(np.diff(np.asarray(clip.hinges, np.float64), axis=0)).max(1) * clip.fps
    jumps = np.zeros(frames, bool)
    for jump in np.flatnonzero(steps > dog.JUMP):
        jumps[max(jump - margin, 0) : jump + 2 + margin] = True
    return {
        f"within {AHEAD:g} s of its end": np.arange(frames) >= frames - round(AHEAD * clip.fps),
        "close to a jump of a joint": jumps,
        f"with a foot {100 * DEEP:g} cm in the ground": dog.lowest_foot(clip) < -DEEP,
        f"with a joint {BEYOND:g} rad beyond its limits": dog.excess(clip) > BEYOND,
    }


def marked(clip: Clip, where: object) -> Clip:
    """The clip with its valid frames, those of its own mask that nothing speaks against.

    Args:
      clip: to look at.
      where: what a message calls the file.

    Raises:
      UsageError: there are none.
    """
    found = masks(clip)
    valid = ~np.any(list(found.values()), axis=0)
    if clip.valid is not None:
        valid &= clip.valid
    if not valid.any():
        reasons = ", ".join(f"{mask.sum()} {reason}" for reason, mask in found.items())
        raise UsageError(
            f"{where}: clip {clip.name}: no episode could start in any of its {len(valid)} frames: "
            f"{reasons}; give a longer or cleaner clip"
        )
    return clip._replace(valid=valid)
