"""The quadruped as its clips see it: joints, velocities, feet, its mirror image."""

from pathlib import Path

import numpy as np

from jaxrl_suite.data.motion import Clip, Library, Skeleton, gather
from jaxrl_suite.envs import clips, turns
from jaxrl_suite.envs.quadruped import legs, robot

SHIPPED = Path(__file__).with_name("gaits.npz")
JUMP = 33.0  # rad/s, the knees' speed: joints that step faster from frame to frame have jumped
_LEAST = 1.5  # s, that a clip must last: of the last one no episode starts


def rates(
    position: np.ndarray, quaternion: np.ndarray, balls: np.ndarray, hinges: np.ndarray, fps: float
) -> clips.Pose:
    """Frames [F] of one clip with their velocities: smoothed forward differences.

    Where joints jump, from one frame to the next, the rates of all of them are those on both sides,
    blended. Then every velocity is averaged with its neighbours by 1/4, 1/2, 1/4: a low pass
    without delay, of half the power at 0.18 of the frame rate (11 Hz of 60).

    Args:
      position: [F, 3].
      quaternion: [F, 4].
      balls: [F, 0, 4].
      hinges: [F, 12].
      fps: frames per second.
    """
    pose = clips.rates(position, quaternion, balls, hinges, fps)
    sound = np.abs(pose.hinge_rates).max(1) <= JUMP
    if not sound.any():
        return pose
    frames = np.arange(len(sound))
    mended = [np.interp(frames, frames[sound], rate[sound]) for rate in pose.hinge_rates.T]
    return pose._replace(
        velocity=_smooth(pose.velocity),
        spin=_smooth(pose.spin),
        hinge_rates=_smooth(np.stack(mended, axis=1)),
    )


def _smooth(rate: np.ndarray) -> np.ndarray:
    padded = np.concatenate([rate[:1], rate, rate[-1:]]).astype(np.float64)
    return ((padded[:-2] + 2.0 * padded[1:-1] + padded[2:]) / 4.0).astype(np.float32)


DOG = Skeleton(
    joints=robot.JOINTS,
    is_ball=(False,) * len(robot.JOINTS),
    # Jumps are no reason to refuse a clip: no episode starts near one.
    joint_speed=np.inf,
    spin=48.0,
    speed=15.0,
    shortest=_LEAST,
    because="in the last of which no episode starts",
    rates=rates,
)


def feet(clip: Clip) -> np.ndarray:
    """Centres of the feet in the world, [F, 4, 3] (m)."""
    place = legs.feet(np.asarray(clip.hinges, np.float64))
    quaternion = np.asarray(clip.quaternion, np.float64)[:, None]
    return turns.rotate(quaternion, place) + np.asarray(clip.position, np.float64)[:, None]


def lowest_foot(clip: Clip) -> np.ndarray:
    """Height of the lowest point of the feet, [F] (m)."""
    return feet(clip)[..., 2].min(1) - robot.FOOT


def excess(clip: Clip) -> np.ndarray:
    """Largest angle of a joint beyond its limits, negative within them, [F] (rad)."""
    hinges = np.asarray(clip.hinges, np.float64)
    return np.maximum(robot.LOWER - hinges, hinges - robot.UPPER).max(1)


def mirror(clip: Clip) -> Clip:
    """The clip with left and right exchanged; twice, it is itself.

    y and the rotations about x and z change their sign, legs change sides, and abductions, which
    are about x, change their sign as well.
    """
    name = clip.name.removesuffix("_mirror")
    return clip._replace(
        name=name if name != clip.name else f"{name}_mirror",
        position=clip.position * np.array([1, -1, 1], clip.position.dtype),
        quaternion=clip.quaternion * np.array([1, -1, 1, -1], clip.quaternion.dtype),
        hinges=clip.hinges[:, robot.MIRRORED] * robot.MIRROR_SIGN.astype(clip.hinges.dtype),
    )


def with_mirrors(library: Library) -> Library:
    """Every clip and its mirror image, which share the clip's draws."""
    clips = [library.clip(i) for i in range(len(library.names))]
    weights = np.tile(library.clips.weight, 2)
    return gather([*clips, *map(mirror, clips)], weights, library.skeleton)
