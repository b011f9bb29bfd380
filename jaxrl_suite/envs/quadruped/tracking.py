"""Following clips, frame by frame: the task that primitive skills are learned from.

Source: Han et al. 2024 and its released code.
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl_suite import physics
from jaxrl_suite.core import UsageError
from jaxrl_suite.envs import clips as reading
from jaxrl_suite.envs import turns
from jaxrl_suite.envs.base import ControlEnvironment, TimeStep
from jaxrl_suite.envs.clips import Clips, Pose
from jaxrl_suite.envs.quadruped import legs, machine, robot
from jaxrl_suite.envs.quadruped import observation as seeing
from jaxrl_suite.envs.quadruped.machine import PERIOD, Mechanics
from jaxrl_suite.envs.quadruped.observation import AHEAD, History
from jaxrl_suite.physics import rotations

_ROLL, _TILT = np.sin(np.pi / 4), np.cos(np.pi / 3)  # bounds of entries of the rotation matrix
_TURNED, _FAR = 1.0, 1.0  # rad and m, of the base from the clip's, beyond which an episode ends
_MARGIN = 5.0 / 120.0  # s before the last second of a clip at which an episode is cut off
_APEX, _APART = 0.5, 1.0  # m, height of the base in a jump, and s between two of them
_KEPT = 0.5  # s after a jump at which its obstacle gives way to the next one's
_THICK, _WIDE = 0.025, 0.5  # m, half sizes of an obstacle


@dataclasses.dataclass(frozen=True)
class Rules:
    """Of episodes.

    Attributes:
      segment: length of the parts of clips between which starts are shared out (s).
      obstacle: height of the box that stands where a clip jumps (m); 0 for none.
    """

    segment: float = 1.0
    # differs: in the original's training the box has no height; in its tests it has this one.
    obstacle: float = 0.2

    def check(self) -> None:
        """Raises UsageError for a number outside its range."""
        if not self.segment > 0:
            raise UsageError(f"rules.segment must be above 0 s, not {self.segment:g}")
        if not self.obstacle >= 0:
            raise UsageError(f"rules.obstacle must be at least 0 m, not {self.obstacle:g}")


class Starts(NamedTuple):
    """V moments at which episodes may begin, in S segments, arrays of NumPy.

    frame: [V], in all clips' frames.
    clip: [S], that a segment is of.
    first, count: [S], its moments.
    """

    frame: np.ndarray
    clip: np.ndarray
    first: np.ndarray
    count: np.ndarray


class Tracked(NamedTuple):
    """What episodes are told: the scene, and shares of starts [S] of the segments."""

    scene: physics.Scene
    share: jax.Array


class Episode(NamedTuple):
    """One episode.

    state: of the physics.
    history: what the robot remembers.
    clip: int32 [].
    segment: int32 [], in which it started.
    time: [], of the clip (s).
    step: int32 [], actions so far.
    possible: [], actions until the clip ends, at the start.
    total: [], sum of rewards.
    diverged: bool [], the state was not finite, which ended it.
    dropped: int32 [], contacts that found no room.
    """

    state: physics.State
    history: History
    clip: jax.Array
    segment: jax.Array
    time: jax.Array
    step: jax.Array
    possible: jax.Array
    total: jax.Array
    diverged: jax.Array
    dropped: jax.Array


class Terms(NamedTuple):
    """Of the reward, [] each, 1 for a perfect match; see :func:`compare`."""

    joints: jax.Array
    rates: jax.Array
    feet: jax.Array
    base: jax.Array
    motion: jax.Array


WEIGHTS = Terms(0.30, 0.05, 0.10, 0.50, 0.05)


def feet_of(state: physics.State) -> jax.Array:
    """Centres of the feet [4, 3] (m, world)."""
    return state.q[None, :3] + rotations.rotate(state.q[None, 3:7], legs.feet(state.q[7:]))


def compare(state: physics.State, wanted: physics.State) -> Terms:
    r"""How well a state matches another.

    .. math::

      e^{-\sum \Delta q^2},\quad e^{-0.1 \sum \Delta \dot q^2},\quad
      e^{-40 \sum |\Delta p_{foot}|^2},\quad e^{-20 |\Delta p|^2 - 10 \theta^2},\quad
      e^{-2 |\Delta v|^2 - 0.2 |\Delta \omega|^2}

    over joints and feet; places, v and w in the world's axes, theta the angle between the bases.
    """
    squares = lambda x: jnp.sum(x**2)  # noqa: E731
    spin = [rotations.rotate(x.q[3:7], x.v[3:6]) for x in (state, wanted)]
    place, angle = apart(state, wanted)
    return Terms(
        jnp.exp(-squares(state.q[7:] - wanted.q[7:])),
        jnp.exp(-0.1 * squares(state.v[6:] - wanted.v[6:])),
        jnp.exp(-40.0 * squares(feet_of(state) - feet_of(wanted))),
        jnp.exp(-20.0 * place - 10.0 * angle**2),
        jnp.exp(-2.0 * squares(state.v[:3] - wanted.v[:3]) - 0.2 * squares(spin[0] - spin[1])),
    )


def apart(state: physics.State, wanted: physics.State) -> tuple[jax.Array, jax.Array]:
    """Squared distance of the bases (m^2) and the angle between them (rad)."""
    turn = rotations.multiply(rotations.conjugate(state.q[3:7]), wanted.q[3:7])
    return jnp.sum((state.q[:3] - wanted.q[:3]) ** 2), jnp.linalg.norm(rotations.to_vector(turn))


def reward_of(terms: Terms) -> jax.Array:
    """The weighted sum, 1 for a perfect match."""
    return sum(weight * term for weight, term in zip(WEIGHTS, terms, strict=True))


def fallen(state: physics.State) -> jax.Array:
    """bool []: rolled by more than 45 degrees, or tilted by more than 60."""
    up = rotations.to_matrix(state.q[3:7])[2]
    return (jnp.abs(up[1]) > _ROLL) | (up[2] < _TILT)


def starts_of(clips: Clips, valid: np.ndarray, segment: float) -> Starts:
    """Moments that episodes may begin with, by segment.

    Args:
      clips: of the robot, arrays of NumPy.
      valid: bool [F], frames of a sound motion.
      segment: length of a segment (s).

    Raises:
      UsageError: there is no such moment.
    """
    frame, clip = [], []
    labels = []
    for i, (first, length, fps) in enumerate(zip(clips.start, clips.length, clips.fps)):  # noqa: B905
        seconds = np.arange(length) / fps
        last = (length - 1) / fps - AHEAD[-1] - _MARGIN
        own = np.flatnonzero(valid[first : first + length] & (seconds < last - PERIOD))
        frame.append(first + own)
        clip.append(np.full(len(own), i))
        labels.append(np.floor(seconds[own] / segment).astype(int))
    frame, clip, labels = map(np.concatenate, (frame, clip, labels))
    if not len(frame):
        raise UsageError(
            "no clip has a frame to start from: each must be sound and have "
            f"{AHEAD[-1] + _MARGIN + PERIOD:.2f} s of its clip ahead; give longer clips"
        )
    _, first, count = np.unique(
        np.stack([clip, labels], 1), axis=0, return_index=True, return_counts=True
    )
    return Starts(frame, clip[first], first, count)


class Jumps(NamedTuple):
    """Where clips [C] jump, J times at most, arrays of NumPy; times are inf where there is none.

    time: [C, J] (s).
    place: [C, J, 2], on the ground (m).
    yaw: [C, J] (rad).
    """

    time: np.ndarray
    place: np.ndarray
    yaw: np.ndarray


def jumps_of(clips: Clips) -> Jumps:
    """Highest moments of the base, 0.5 m and above, 1 s and more apart."""
    found = []
    for first, length, fps in zip(clips.start, clips.length, clips.fps):  # noqa: B905
        own = slice(first, first + length)
        height = np.asarray(clips.frames.position[own, 2])
        peaks: list[int] = []
        for frame in np.argsort(-height):
            if height[frame] < _APEX:
                break
            if all(abs(int(frame) - peak) >= _APART * fps for peak in peaks):
                peaks.append(int(frame))
        found.append([(frame / fps, first + frame) for frame in sorted(peaks)])
    most = max(1, *map(len, found))
    time = np.full((len(found), most), np.inf)
    frames = np.zeros((len(found), most), int)
    for i, peaks in enumerate(found):
        for j, (when, frame) in enumerate(peaks):
            time[i, j], frames[i, j] = when, frame
    ahead = turns.to_matrix(np.asarray(clips.frames.quaternion[frames], float))[..., 0]
    place = np.asarray(clips.frames.position[frames])[..., :2]
    return Jumps(time, place, np.arctan2(ahead[..., 1], ahead[..., 0]))


def hits(jumps: Jumps, height: float, clip: jax.Array, time: jax.Array, state: physics.State):
    """bool []: a foot or the trunk touches the obstacle of a clip's next jump."""
    ends = jnp.asarray([[x, 0.0, 0.0] for x in (-robot.TRUNK[0], 0.0, robot.TRUNK[0])])
    trunk = state.q[None, :3] + rotations.rotate(state.q[None, 3:7], ends)
    points = jnp.concatenate([feet_of(state), trunk])
    radius = jnp.asarray([robot.FOOT] * 4 + [robot.TRUNK[1]] * 3)
    own = [jnp.asarray(x)[clip] for x in jumps]
    there = own[0] + _KEPT > time
    which = jnp.argmax(there)
    cos, sin = jnp.cos(own[2][which]), jnp.sin(own[2][which])
    away = points[:, :2] - own[1][which][None]
    along, across = away @ jnp.stack([cos, sin]), away @ jnp.stack([-sin, cos])
    inside = jnp.stack([along, across, points[:, 2]], axis=1)
    half = jnp.array([_THICK, _WIDE, height])[None]
    gap = jnp.linalg.norm(jnp.maximum(jnp.abs(inside) - half, 0.0), axis=1)
    return jnp.any(gap < radius) & jnp.isfinite(own[0][which]) & there[which]


def follow(mechanics: Mechanics, clips: Clips, starts: Starts, rules: Rules) -> ControlEnvironment:
    """Does what a clip does, from a moment of it on; its `task` is a :class:`Tracked`.

    Observations are "body" [135] and "future" [72]. Episodes end with a fall, when the base has
    left the clip's, and where the robot meets the obstacle of a jump; they are cut off a second
    before the clip ends.

    differs: the original counts the end of a clip as the end of the world; here it is a time limit.
    """
    rules.check()
    simulate = machine.simulation(mechanics)
    known = jax.tree.map(jnp.asarray, clips)
    jumps = jumps_of(clips)
    tables = jax.tree.map(jnp.asarray, starts)

    def pose_at(clip: jax.Array, time: jax.Array) -> Pose:
        return reading.at(known, clip, time)

    def observe(episode: Episode) -> dict[str, jax.Array]:
        times = episode.time + jnp.asarray(AHEAD)
        poses = jax.vmap(pose_at, in_axes=(None, 0))(episode.clip, times)
        return {
            "body": seeing.proprioception(episode.history),
            "future": seeing.future(episode.state, poses),
        }

    def last(clip: jax.Array) -> jax.Array:
        """Time of a clip at which episodes are cut off (s)."""
        return reading.duration(known, clip) - AHEAD[-1] - _MARGIN

    def reset(key: jax.Array, task: Tracked) -> tuple[Episode, dict[str, jax.Array]]:
        which, when = jax.random.split(key)
        segment = jax.random.categorical(which, jnp.log(task.share))
        clip = tables.clip[segment]
        place = jax.random.randint(when, (), 0, tables.count[segment])
        frame = tables.frame[tables.first[segment] + place]
        time = (frame - known.start[clip]) / known.fps[clip]
        state = machine.state_of(simulate.init(task.scene), pose_at(clip, time))
        zero = jnp.zeros((), jnp.int32)
        episode = Episode(
            state,
            seeing.begin(state),
            clip,
            segment,
            time,
            zero,
            jnp.ceil((last(clip) - time) / PERIOD),
            jnp.zeros(()),
            jnp.zeros((), bool),
            zero,
        )
        return episode, observe(episode)

    def step(
        episode: Episode, action: jax.Array, key: jax.Array, task: Tracked
    ) -> tuple[Episode, TimeStep]:
        moved = machine.act(simulate, mechanics.substeps, task.scene, episode.state, action)
        time = episode.time + PERIOD
        wanted = machine.state_of(episode.state, pose_at(episode.clip, time))
        reward = reward_of(compare(moved.state, wanted))
        place, angle = apart(moved.state, wanted)
        left = (angle > _TURNED) | (place > _FAR**2)
        terminated = fallen(moved.state) | left | moved.diverged
        if rules.obstacle:
            terminated |= hits(jumps, rules.obstacle, episode.clip, time, moved.state)
        reward = jnp.where(moved.diverged, 0.0, reward)
        episode = episode._replace(
            state=moved.state,
            history=seeing.remember(episode.history, action, moved.state),
            time=time,
            step=episode.step + 1,
            total=episode.total + reward,
            diverged=moved.diverged,
            dropped=episode.dropped + moved.dropped,
        )
        truncated = (time >= last(episode.clip)) & ~terminated
        return episode, TimeStep(observe(episode), reward, terminated, truncated)

    def outcomes(episode: Episode) -> dict[str, jax.Array]:
        return {
            "score": episode.total / episode.possible,
            "length": episode.step / episode.possible,
            "diverged": episode.diverged.astype(jnp.float32),
            "dropped": episode.dropped.astype(jnp.float32),
        }

    sizes = {"body": seeing.PROPRIOCEPTION_SIZE, "future": seeing.FUTURE_SIZE}
    return ControlEnvironment(reset, step, sizes, seeing.ACTION_SIZE, outcomes)
