"""Motion clips on the device: one flat array of frames, read at any time inside a compiled program.

A clip is a run of frames at a constant rate. A skeleton is told by its numbers of ball joints B and
hinges H alone; what they are called and where they sit is the environment's business.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl_suite.envs import turns
from jaxrl_suite.physics import rotations


class Pose(NamedTuple):
    """How a body stands and moves; fields may have leading axes.

    position: [3], of the root (m, world).
    quaternion: [4], of the root (w, x, y, z).
    balls: [B, 4], of ball joints, child in parent.
    hinges: [H], angles (rad).
    velocity: [3], of the root (m/s, world).
    spin: [3], angular velocity of the root (rad/s, root frame).
    ball_rates: [B, 3], angular velocities of ball joints (rad/s, child frame).
    hinge_rates: [H] (rad/s).
    """

    position: Any
    quaternion: Any
    balls: Any
    hinges: Any
    velocity: Any
    spin: Any
    ball_rates: Any
    hinge_rates: Any


class Clips(NamedTuple):
    """F frames of C clips.

    frames: a :class:`Pose` with leading axis [F].
    start, length: int32 [C], a clip's first frame and number of frames.
    fps: [C], frames per second.
    weight: [C], share of draws, sums to 1.
    loop: bool [C], the motion goes on from its end with its beginning.
    """

    frames: Pose
    start: Any
    length: Any
    fps: Any
    weight: Any
    loop: Any


def rates(
    position: np.ndarray, quaternion: np.ndarray, balls: np.ndarray, hinges: np.ndarray, fps: float
) -> Pose:
    """Frames [F] of one clip with their velocities: forward differences, the last one repeated.

    Args:
      position: [F, 3].
      quaternion: [F, 4].
      balls: [F, B, 4].
      hinges: [F, H].
      fps: frames per second.

    Returns:
      Arrays of NumPy, float32.
    """
    again = lambda x: np.concatenate([x, x[-1:]])  # noqa: E731
    # From what is kept: read again, the same frames have the same velocities.
    position, quaternion, balls, hinges = (
        np.asarray(x, np.float32).astype(np.float64) for x in (position, quaternion, balls, hinges)
    )
    turn = lambda q: again(turns.vector(turns.between(q[:-1], q[1:])) * fps)  # noqa: E731
    pose = Pose(
        position,
        quaternion,
        balls,
        hinges,
        again(np.diff(position, axis=0) * fps),
        turn(quaternion),
        turn(balls),
        again(np.diff(hinges, axis=0) * fps),
    )
    return Pose(*(np.asarray(x, np.float32) for x in pose))


def duration(clips: Clips, clip: jax.Array) -> jax.Array:
    """Seconds from the first to the last frame of a clip."""
    return (clips.length[clip] - 1) / clips.fps[clip]


def at(clips: Clips, clip: jax.Array, time: jax.Array) -> Pose:
    """A clip's pose at a time.

    Positions and angles are blended linearly, rotations by slerp; velocities are those of the
    earlier frame. Before its beginning a clip stands at its first frame. After its end it stands
    still at the last one, or, if it loops, goes on from the first, as much further on the ground as
    the clip leads.

    Args:
      clips: the clips.
      clip: int32 [].
      time: [] (s).
    """
    first, count, fps = clips.start[clip], clips.length[clip], clips.fps[clip]
    whole = duration(clips, clip)
    # The end itself belongs to the lap that it ends, or a window up to it would cross the seam.
    laps = jnp.where(clips.loop[clip], jnp.maximum(jnp.ceil(time / whole) - 1.0, 0.0), 0.0)
    place = jnp.clip((time - laps * whole) * fps, 0.0, count - 1)
    # The last frame is an end to blend towards, never a beginning: its velocity is a repetition.
    low = jnp.minimum(jnp.floor(place).astype(jnp.int32), count - 2)
    share = place - low
    one, two = (jax.tree.map(lambda x, i=i: x[first + low + i], clips.frames) for i in (0, 1))
    mix = lambda a, b: a + share * (b - a)  # noqa: E731
    ends = clips.frames.position[first], clips.frames.position[first + count - 1]
    lead = (ends[1] - ends[0]) * jnp.array([1.0, 1.0, 0.0])
    return Pose(
        mix(one.position, two.position) + laps * lead,
        rotations.slerp(one.quaternion, two.quaternion, share),
        rotations.slerp(one.balls, two.balls, share),
        mix(one.hinges, two.hinges),
        *(jnp.where(time - laps * whole > whole, 0.0, rate) for rate in one[4:]),
    )


def draw(clips: Clips, key: jax.Array, before: float = 0.0) -> tuple[jax.Array, jax.Array]:
    """A clip by weight, and a time uniform over it that has `before` seconds of the clip behind it.

    Returns:
      int32 [] and float32 [] (s).
    """
    which, when = jax.random.split(key)
    clip = jax.random.categorical(which, jnp.log(clips.weight))
    time = jax.random.uniform(when, minval=before, maxval=duration(clips, clip))
    return clip, time
