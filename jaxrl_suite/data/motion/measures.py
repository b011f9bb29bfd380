"""What clips look like in numbers: feet against the ground, limits, jumps, speeds."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jaxrl_suite.data.motion import checking
from jaxrl_suite.data.motion.clip import Clip
from jaxrl_suite.data.motion.library import Library
from jaxrl_suite.envs import turns
from jaxrl_suite.envs.humanoid import skeleton

NOTICEABLE = 0.05  # rad beyond a limit


class Quality(NamedTuple):
    """A clip's row.

    name: of the clip.
    group: of the clip.
    frames: their number.
    seconds: from the first to the last frame.
    loop: whether it goes on from its beginning.
    foot_median: of the height of the lowest point of the feet (cm).
    foot_min: its least (cm).
    lowest_median: of the height of the lowest point of all that touches the ground (cm).
    excess: largest angle beyond a joint's limit (rad).
    beyond: share of frames with an excess above 0.05 rad.
    jump: largest turn of a joint from frame to frame (rad).
    speed: largest of the root (m/s).
    """

    name: str
    group: str
    frames: int
    seconds: float
    loop: bool
    foot_median: float
    foot_min: float
    lowest_median: float
    excess: float
    beyond: float
    jump: float
    speed: float


def quality(library: Library) -> list[Quality]:
    """A row for every clip."""
    return [_row(library.clip(i)) for i in range(len(library.names))]


def table(rows: Sequence[Quality]) -> str:
    """The rows as a table in Markdown."""
    head = (
        "| clip | group | frames | s | loop | lowest of feet, median cm | least cm "
        "| lowest of all, median cm | beyond limits, most rad | frames beyond 0.05 rad, % "
        "| joint jump, most rad/frame | root speed, most m/s |"
    )
    lines = [head, "|---|---|" + "---:|" * 10]
    for row in rows:
        lines.append(
            f"| {row.name} | {row.group} | {row.frames} | {row.seconds:.2f} "
            f"| {'yes' if row.loop else 'no'} | {row.foot_median:.1f} | {row.foot_min:.1f} "
            f"| {row.lowest_median:.1f} | {row.excess:.2f} | {100 * row.beyond:.1f} "
            f"| {row.jump:.2f} | {row.speed:.2f} |"
        )
    return "\n".join(lines) + "\n"


def _row(clip: Clip) -> Quality:
    clip = clip._replace(
        **{x: np.asarray(getattr(clip, x), np.float64) for x in ("position", "quaternion", "balls")}
    )
    foot, over = lowest_foot(clip), excess(clip)
    speed = np.linalg.norm(np.diff(clip.position, axis=0), axis=-1) * clip.fps
    return Quality(
        clip.name,
        clip.group,
        len(clip.position),
        (len(clip.position) - 1) / clip.fps,
        clip.loop,
        100 * float(np.median(foot)),
        100 * float(foot.min()),
        100 * float(np.median(lowest(clip))),
        float(over.max()),
        float((over.max(1) > NOTICEABLE).mean()),
        float(checking.joint_steps(clip).max()),
        float(speed.max()),
    )


def excess(clip: Clip) -> np.ndarray:
    """Angles beyond the limits, [F, 28] (rad); a ball's as hinges about x, y and z in series."""
    found = np.zeros((len(clip.position), len(skeleton.JOINTS), 3))
    found[:, skeleton.BALLS] = turns.xyz_angles(clip.balls)
    found[:, skeleton.HINGES, 0] = clip.hinges
    columns = []
    for i, joint in enumerate(skeleton.JOINTS):
        for axis, (low, high) in enumerate(np.radians(joint.limits)):
            angle = found[:, i, axis]
            columns.append(np.maximum(np.maximum(low - angle, angle - high), 0.0))
    return np.stack(columns, axis=1)


def links(clip: Clip) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Position [F, 3] (m) and quaternion [F, 4] of every link in the world."""
    joints = np.zeros((len(clip.position), len(skeleton.JOINTS), 4))
    joints[:, skeleton.BALLS] = clip.balls
    joints[:, skeleton.HINGES] = turns.about_y(clip.hinges)
    poses = {skeleton.LINKS[0]: (clip.position, clip.quaternion)}
    for i, joint in enumerate(skeleton.JOINTS):
        part = skeleton.part(joint.link)
        place, attitude = poses[part.parent]
        offset = turns.rotate(attitude, np.array(part.offset))
        poses[joint.link] = (place + offset, turns.multiply(attitude, joints[:, i]))
    return poses


def lowest_foot(clip: Clip) -> np.ndarray:
    """Height of the lowest point of the spheres under the feet, [F] (m)."""
    poses = links(clip)
    points = [_height(poses[foot], sole) for foot in skeleton.FEET for sole in skeleton.SOLES]
    return np.min(points, axis=0) - skeleton.SOLE


def lowest(clip: Clip) -> np.ndarray:
    """Height of the lowest point of all shapes that touch the ground, [F] (m)."""
    poses = links(clip)
    points = [lowest_foot(clip)]
    for link in skeleton.LINKS:
        for geom in skeleton.part(link).geoms:
            if geom.touches:
                points += [_height(poses[link], end) - geom.radius for end in geom.ends]
        if link in skeleton.LOWER_ARMS:
            points.append(_height(poses[link], skeleton.HAND) - skeleton.HAND_RADIUS)
    return np.min(points, axis=0)


def _height(pose: tuple[np.ndarray, np.ndarray], point: tuple[float, float, float]) -> np.ndarray:
    """Of a point of a link, [F] (m)."""
    place, attitude = pose
    return (place + turns.rotate(attitude, np.array(point)))[:, 2]
