"""Refuses clips that no body could follow: one line that names the file, the clip and the frame."""

from collections.abc import Callable, Mapping

import numpy as np

from jaxrl_suite.core import UsageError
from jaxrl_suite.data.motion.clip import Clip
from jaxrl_suite.data.motion.skeleton import HUMANOID, Skeleton
from jaxrl_suite.envs import turns

UNIT = 1e-3  # by which the norm of a quaternion may differ from 1


def check(clip: Clip, where: object, skeleton: Skeleton = HUMANOID) -> None:
    """Raises UsageError for an unsound clip.

    Args:
      clip: to look at.
      where: what the message calls the file.
      skeleton: that it is of.
    """
    check_frames(clip, where, skeleton=skeleton)
    name = f"{where}: clip {clip.name}"
    if not (np.isfinite(clip.fps) and clip.fps > 0):
        raise UsageError(f"{name}: has {clip.fps:g} frames per second; it must be above 0")
    seconds = (len(clip.position) - 1) / clip.fps
    if seconds < skeleton.shortest - 1e-6:
        raise UsageError(
            f"{name}: lasts {seconds:.3g} s; a clip must last {skeleton.shortest} s, "
            f"{skeleton.because}"
        )
    _check_jumps(clip, name, skeleton)


def check_frames(
    clip: Clip, where: object, unit: float = UNIT, skeleton: Skeleton = HUMANOID
) -> None:
    """Raises UsageError for frames that are not poses.

    Args:
      clip: to look at.
      where: what the message calls the file.
      unit: by which norms of quaternions may differ from 1.
      skeleton: that it is of.
    """
    name, count = f"{where}: clip {clip.name}", len(clip.position)
    for field, shape in skeleton.shapes.items():
        found = np.shape(getattr(clip, field))
        if found != (count, *shape):
            raise UsageError(f"{name}: {field} has the shape {found}; it must be {(count, *shape)}")
        check_finite(getattr(clip, field), name, field)
    check_unit(clip.quaternion[:, None], name, lambda _: "the root", unit)
    check_unit(clip.balls, name, lambda ball: skeleton.joints[skeleton.balls[ball]], unit)


def check_finite(numbers: np.ndarray, name: str, what: str) -> None:
    """Raises UsageError for numbers [F, ...] that are not."""
    bad = np.flatnonzero(~np.isfinite(numbers).reshape(len(numbers), -1).all(1))
    if len(bad):
        raise UsageError(f"{name}, frame {bad[0]}: {what} is not finite; repair or cut the frame")


def check_unit(
    quaternions: np.ndarray,
    name: str,
    called: Callable[[int], str],
    unit: float = UNIT,
    order: str = "w, x, y, z",
) -> None:
    """Raises UsageError for quaternions [F, J, 4] of another length than 1, by more than `unit`."""
    norms = np.linalg.norm(quaternions, axis=-1)
    bad = np.argwhere(np.abs(norms - 1.0) > unit)
    if len(bad):
        frame, joint = bad[0]
        raise UsageError(
            f"{name}, frame {frame}: the quaternion of {called(joint)} has the length "
            f"{norms[frame, joint]:.4g}; it must be 1 (in the order {order})"
        )


def _check_jumps(clip: Clip, name: str, skeleton: Skeleton) -> None:
    """Raises UsageError for a step from frame to frame that is faster than any body."""
    joints = joint_steps(clip, skeleton) * clip.fps
    spin = turns.angle(turns.between(clip.quaternion[:-1], clip.quaternion[1:])) * clip.fps
    speed = np.linalg.norm(np.diff(clip.position, axis=0), axis=-1) * clip.fps
    names = (*skeleton.joints, "the root's rotation", "the root")
    steps = np.column_stack([joints, spin, speed])
    most = [*[skeleton.joint_speed] * len(skeleton.joints), skeleton.spin, skeleton.speed]
    bad = np.argwhere(steps > most)
    if len(bad):
        frame, which = bad[0]
        unit = "m/s" if which == len(names) - 1 else "rad/s"
        raise UsageError(
            f"{name}, frame {frame + 1}: {names[which]} jumps, at {steps[frame, which]:.3g} {unit} "
            f"since frame {frame}; at most {most[which]:g} {unit} is a motion: smooth or cut it "
            "(angles in radians, unwrapped?)"
        )


def joint_steps(clip: Clip, skeleton: Skeleton = HUMANOID) -> np.ndarray:
    """Angles by which the joints turn from frame to frame, [F-1, J] (rad)."""
    steps = np.zeros((len(clip.position) - 1, len(skeleton.joints)))
    steps[:, skeleton.balls] = turns.angle(turns.between(clip.balls[:-1], clip.balls[1:]))
    steps[:, skeleton.hinges] = np.abs(np.diff(clip.hinges, axis=0))
    return steps


def check_table(arrays: Mapping[str, np.ndarray], skeleton: Skeleton, where: object) -> None:
    """Raises UsageError unless the arrays of a clip file fit each other and the skeleton.

    Args:
      arrays: of the file, by name.
      skeleton: that they should be of.
      where: what the message calls the file.
    """
    found = [str(name) for name in np.atleast_1d(arrays["skeleton"])]
    if found != list(skeleton.joints):
        unknown = [name for name in found if name not in skeleton.joints]
        reason = f"unknown joint {unknown[0]!r}" if unknown else "other joints or another order"
        raise UsageError(
            f"{where}: is of another skeleton ({reason}); it must have {list(skeleton.joints)}"
        )
    frames = arrays["root_pos"].shape[0] if arrays["root_pos"].ndim else 0
    shapes = dict(
        zip(("root_pos", "root_quat", "ball_quat", "hinge"), skeleton.shapes.values(), strict=True)
    )
    for key, shape in shapes.items():
        if arrays[key].shape != (frames, *shape) or arrays[key].dtype.kind != "f":
            raise UsageError(
                f"{where}: {key} is {arrays[key].dtype} {list(arrays[key].shape)}; it must be "
                f"float32 {[frames, *shape]}"
            )
    valid = arrays.get("valid")
    if valid is not None and (valid.shape != (frames,) or valid.dtype.kind != "b"):
        raise UsageError(
            f"{where}: valid is {valid.dtype} {list(valid.shape)}; it must be bool {[frames]}: "
            "where an episode may start"
        )
    _check_clip_columns(arrays, frames, where)


def _check_clip_columns(arrays: Mapping[str, np.ndarray], frames: int, where: object) -> None:
    """Raises UsageError unless clip_* divide up the frames."""
    count = arrays["clip_start"].shape[0] if arrays["clip_start"].ndim else 0
    kinds = {"clip_start": "iu", "clip_len": "iu", "clip_fps": "f", "clip_weight": "f"}
    kinds |= {"clip_loop": "b", "clip_name": "U", "clip_group": "U", "clip_source": "U"}
    for key, kind in kinds.items():
        if arrays[key].shape != (count,) or arrays[key].dtype.kind not in kind:
            raise UsageError(
                f"{where}: {key} is {arrays[key].dtype} {list(arrays[key].shape)}; clip_* must "
                f"have one number, flag or text for each of {count} clips"
            )
    start, length = arrays["clip_start"], arrays["clip_len"]
    due = np.cumsum(length) - length
    bad = np.flatnonzero((start != due) | (length < 2))
    if count < 1 or len(bad) or length.sum() != frames:
        at = f"clip {arrays['clip_name'][bad[0]]}: " if len(bad) else ""
        raise UsageError(
            f"{where}: {at}clip_start and clip_len do not fit the {frames} frames; clips of 2 "
            "frames or more follow each other without gaps"
        )
    names = [str(name) for name in arrays["clip_name"]]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise UsageError(f"{where}: two clips are called {twice[0]!r}; names must differ")
    weight = arrays["clip_weight"]
    bad = np.flatnonzero(~(np.isfinite(weight) & (weight >= 0)))
    if len(bad) or not weight.sum() > 0:
        which = f"clip {arrays['clip_name'][bad[0]]}" if len(bad) else "every clip"
        raise UsageError(
            f"{where}: {which} has the weight {weight[bad[0] if len(bad) else 0]:g}; weights must "
            "be 0 or more, and one above 0"
        )
