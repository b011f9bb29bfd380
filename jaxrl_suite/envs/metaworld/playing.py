"""Whole episodes of a pool, one an environment."""

from typing import NamedTuple, Protocol

import numpy as np

from jaxrl_suite.envs.metaworld.pool import Pool
from jaxrl_suite.envs.metaworld.tasks import ACTION_SIZE, EPISODE_LENGTH, STATE_SIZE


class Actor(Protocol):
    """What acts in N environments at once."""

    def reset(self) -> None:
        """New episodes begin in all environments."""

    def act(self, full: np.ndarray, playing: np.ndarray) -> np.ndarray:
        """Actions [N, 4] for observations [N, 39]; those of environments not playing are unused."""


class Played(NamedTuple):
    """N episodes, T steps at most; what follows an episode's length is 0.

    length: int32 [N], steps.
    state: float32 [T, N, 21], before the action.
    action: float32 [T, N, 4].
    reward: float32 [T, N].
    success: bool [T, N], after the action.
    """

    length: np.ndarray
    state: np.ndarray
    action: np.ndarray
    reward: np.ndarray
    success: np.ndarray


def play(pool: Pool, actor: Actor, keep_after_success: int | None = None) -> Played:
    """Plays one episode in every environment.

    Args:
      pool: N environments.
      actor: chooses the actions.
      keep_after_success: steps after the first success with which an episode ends; None for all
        500.
    """
    steps, size = EPISODE_LENGTH, pool.num_envs
    played = Played(
        length=np.zeros(size, np.int32),
        state=np.zeros((steps, size, STATE_SIZE), np.float32),
        action=np.zeros((steps, size, ACTION_SIZE), np.float32),
        reward=np.zeros((steps, size), np.float32),
        success=np.zeros((steps, size), bool),
    )
    left = np.full(size, steps)
    solved = np.zeros(size, bool)
    state = pool.reset()
    actor.reset()
    for t in range(steps):
        playing = left > 0
        if not playing.any():
            break
        action = np.where(playing[:, None], actor.act(pool.full, playing), 0.0)
        step = pool.step(action, playing)
        played.length[:] += playing
        played.state[t] = np.where(playing[:, None], state, 0.0)
        played.action[t], played.reward[t], played.success[t] = action, step.reward, step.success
        left = left - playing
        if keep_after_success is not None:
            first = step.success & ~solved
            left = np.where(first, np.minimum(left, keep_after_success), left)
            solved |= first
        state = step.observation
    return played
