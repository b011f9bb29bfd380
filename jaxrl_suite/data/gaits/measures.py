"""What the quadruped's clips look like in numbers: speeds, feet against the ground, jumps."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jaxrl_suite.data.gaits import dog
from jaxrl_suite.data.motion import Clip, Library
from jaxrl_suite.data.motion.checking import joint_steps

SHALLOW = 0.01  # m


class Quality(NamedTuple):
    """A clip's row, of its file's frames unless told otherwise.

    name: of the clip.
    group: of the clip.
    frames: of the file.
    seconds: from the first to the last frame.
    speed, fast: of the base on the ground, mean and 95th percentile (m/s).
    low, high: least and largest height of the base (m).
    foot_median, foot_min: of the lowest point of the feet, at 60 Hz (mm).
    deep: share of the frames at 60 Hz with a foot 1 cm or more in the ground.
    jumps: steps at 60 Hz in which a joint is faster than 33 rad/s.
    rate: largest of a joint (rad/s).
    excess: largest angle of a joint beyond its limits (rad).
    flips: quaternions of the other sign than the one before.
    valid: share of the frames at 60 Hz in which an episode may start.
    """

    name: str
    group: str
    frames: int
    seconds: float
    speed: float
    fast: float
    low: float
    high: float
    foot_median: float
    foot_min: float
    deep: float
    jumps: int
    rate: float
    excess: float
    flips: int
    valid: float


def row(raw: Clip, even: Clip, valid: np.ndarray) -> Quality:
    """Of a clip.

    Args:
      raw: the file's frames.
      even: the same at 60 Hz, otherwise as they are.
      valid: bool [F], of the frames at 60 Hz.
    """
    speed = np.linalg.norm(np.diff(raw.position[:, :2], axis=0), axis=1) * raw.fps
    foot = dog.lowest_foot(even)
    turned = np.sum(raw.quaternion[1:] * raw.quaternion[:-1], axis=1)
    return Quality(
        raw.name,
        raw.group,
        len(raw.position),
        (len(raw.position) - 1) / raw.fps,
        float(speed.mean()),
        float(np.percentile(speed, 95)),
        float(raw.position[:, 2].min()),
        float(raw.position[:, 2].max()),
        1000 * float(np.median(foot)),
        1000 * float(foot.min()),
        float((foot < -SHALLOW).mean()),
        int((joint_steps(even, dog.DOG).max(1) * even.fps > dog.JUMP).sum()),
        float(joint_steps(raw, dog.DOG).max() * raw.fps),
        max(float(dog.excess(raw).max()), 0.0),
        int((turned < 0).sum()),
        float(valid.mean()),
    )


def quality(library: Library) -> list[Quality]:
    """A row for every clip of a library, whose frames are at 60 Hz."""
    clips = [library.clip(i) for i in range(len(library.names))]
    return [row(clip, clip, clip.valid) for clip in clips]


def table(rows: Sequence[Quality]) -> str:
    """The rows as a table in Markdown."""
    head = (
        "| clip | group | frames | s | speed, mean m/s | 95 % | base, least m | most m "
        "| lowest of feet, median mm | least mm | 1 cm deep, % | jumps | joint rate, most rad/s "
        "| beyond limits, most rad | sign flips | starts, % |"
    )
    lines = [head, "|---|---|" + "---:|" * 14]
    for row in rows:
        median, least = (round(x, n) + 0.0 for x, n in ((row.foot_median, 1), (row.foot_min, 0)))
        lines.append(
            f"| {row.name} | {row.group} | {row.frames} | {row.seconds:.2f} | {row.speed:.2f} "
            f"| {row.fast:.2f} | {row.low:.3f} | {row.high:.3f} | {median:.1f} | {least:.0f} "
            f"| {100 * row.deep:.0f} | {row.jumps} | {row.rate:.0f} | {row.excess:.2f} "
            f"| {row.flips} | {100 * row.valid:.0f} |"
        )
    return "\n".join(lines) + "\n"
