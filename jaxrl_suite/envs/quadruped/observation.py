"""What the robot senses of itself, and what is to come of a clip.

Where it is, how high and which way it heads never enter.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrl_suite import physics
from jaxrl_suite.envs.clips import Pose
from jaxrl_suite.physics import rotations

FRAME_SIZE, ACTION_SIZE = 33, 12
FRAMES = 3  # that are remembered, and as many actions
PROPRIOCEPTION_SIZE = FRAMES * (FRAME_SIZE + ACTION_SIZE)  # 135
AHEAD = (1.0 / 30.0, 1.0 / 15.0, 1.0 / 3.0, 1.0)  # s, of the poses that are shown
FUTURE_SIZE = len(AHEAD) * 18  # 72


class History(NamedTuple):
    """What is remembered, oldest first: frames [3, 33] and actions [3, 12]."""

    frames: jax.Array
    actions: jax.Array


def frame(state: physics.State) -> jax.Array:
    """[33]: angles 12 and rates 12 of the joints, angular and linear velocity of the base in its
    own axes 3 + 3 (rad/s, m/s), and which way is up, the last row of its rotation matrix, 3."""
    turn = rotations.to_matrix(state.q[3:7])
    return jnp.concatenate([state.q[7:], state.v[6:], state.v[3:6], turn.T @ state.v[:3], turn[2]])


def begin(state: physics.State) -> History:
    """At the start of an episode: it has been as now, and has not acted."""
    return History(jnp.tile(frame(state), (FRAMES, 1)), jnp.zeros((FRAMES, ACTION_SIZE)))


def remember(history: History, action: jax.Array, state: physics.State) -> History:
    """After an action."""
    return History(
        jnp.concatenate([history.frames[1:], frame(state)[None]]),
        jnp.concatenate([history.actions[1:], action[None]]),
    )


def proprioception(history: History) -> jax.Array:
    """[135]: the three frames, then the three actions."""
    return jnp.concatenate([history.frames.reshape(-1), history.actions.reshape(-1)])


def future(state: physics.State, poses: Pose) -> jax.Array:
    """[72]: poses [4] to come, each as its place 3 and rotation vector 3 seen from the base, and
    its joints' angles 12."""
    turn = rotations.to_matrix(state.q[3:7])
    place = (poses.position - state.q[None, :3]) @ turn
    back = rotations.conjugate(state.q[3:7])[None]
    rotation = rotations.to_vector(rotations.multiply(back, poses.quaternion))
    return jnp.concatenate([place, rotation, poses.hinges], axis=1).reshape(-1)
