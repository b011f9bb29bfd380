"""One motion."""

from typing import NamedTuple

import numpy as np

from jaxrl_suite.envs import turns


class Clip(NamedTuple):
    """F frames at a constant rate.

    name: of the clip.
    group: the skill that it shows.
    source: where it comes from.
    position: [F, 3], of the root (m, world, z up).
    quaternion: [F, 4], of the root (w, x, y, z).
    balls: [F, B, 4], of the ball joints in the skeleton's order, child in parent.
    hinges: [F, H], angles of the hinges in the skeleton's order (rad).
    fps: frames per second.
    loop: the motion goes on from its end with its beginning.
    valid: bool [F], an episode may start at a frame; None if it may at any.
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
    valid: np.ndarray | None = None


def resampled(clip: Clip, times: np.ndarray, wanted: np.ndarray) -> Clip:
    """Frames at times `wanted` [N] instead of `times` [F] (s), within them; `fps` is left as it is.

    Places and angles are blended linearly, rotations by slerp. A frame is a start if both of those
    that it is made of are.
    """
    low = np.clip(np.searchsorted(times, wanted, side="right") - 1, 0, len(times) - 2)
    share = (wanted - times[low]) / (times[low + 1] - times[low])
    mix = lambda x: x[low] + share[:, None] * (x[low + 1] - x[low])  # noqa: E731
    return clip._replace(
        position=mix(clip.position),
        quaternion=turns.slerp(clip.quaternion[low], clip.quaternion[low + 1], share),
        balls=turns.slerp(clip.balls[low], clip.balls[low + 1], share[:, None]),
        hinges=mix(clip.hinges),
        valid=None if clip.valid is None else clip.valid[low] & clip.valid[low + 1],
    )
