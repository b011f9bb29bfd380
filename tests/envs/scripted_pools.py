"""A game on the host whose every number is known beforehand, with EnvPool's conventions."""

from typing import NamedTuple

import numpy as np

from jaxrl_suite.envs.atari.pools import PoolStep

NUM_ACTIONS = 5


class Episode(NamedTuple):
    """How an episode goes.

    length: steps that it has.
    terminated: it ends by its rules.
    truncated: it ends by the time limit; both may hold.
    """

    length: int
    terminated: bool
    truncated: bool


def terminating(length):
    return Episode(length, True, False)


def truncating(length):
    return Episode(length, False, True)


def reward_of(observation, action):
    """What an action earns: no two states and actions earn the same."""
    column, episode, elapsed = (observation[..., i, 0, 0].astype(np.float32) for i in (0, 1, 2))
    return ((column * 64 + episode) * 64 + elapsed) * NUM_ACTIONS + action + 1


class ScriptedPools:
    """Plays each column's episodes in turn; an observation is (column, episode, elapsed, 255).

    The reward of a step that only resets is junk, to be masked. A second `send` without a `recv`
    between, or the reverse, is an error, and so is either after `close`.
    """

    observation_shape = (4, 6, 6)

    def __init__(self, *scripts):
        self.scripts = scripts
        self.batch_size = len(scripts)
        self._episode = np.full(self.batch_size, -1)
        self._elapsed = np.zeros(self.batch_size, np.int32)
        self._over = np.ones(self.batch_size, bool)
        self._action = None
        self.closed = False

    def _current(self, column):
        return self.scripts[column][self._episode[column] % len(self.scripts[column])]

    def _observe(self):
        numbers = [np.arange(self.batch_size), self._episode, self._elapsed]
        numbers.append(np.full(self.batch_size, 255))
        picture = np.stack(numbers, 1).astype(np.uint8)[:, :, None, None]
        return np.broadcast_to(picture, (self.batch_size, *self.observation_shape))

    def send(self, action):
        assert self._action is None
        assert not self.closed
        assert action.shape == (self.batch_size,)
        self._action = np.array(action)

    def recv(self, out=None):
        assert self._action is not None
        assert not self.closed
        reset = self._over
        reward = np.where(reset, -77, reward_of(self._observe(), self._action))
        self._elapsed = np.where(reset, 0, self._elapsed + 1).astype(np.int32)
        self._episode = self._episode + reset
        now = [self._current(column) for column in range(self.batch_size)]
        ends = np.array([e.length for e in now]) == self._elapsed
        terminated = ends & np.array([e.terminated for e in now])
        truncated = ends & np.array([e.truncated for e in now])
        self._over, self._action = ends, None
        if out is None:
            out = np.zeros((self.batch_size, *self.observation_shape), np.uint8)
        out[...] = self._observe()
        return PoolStep(out, reward.astype(np.float32), terminated, truncated, self._elapsed)

    def close(self):
        self.closed = True
