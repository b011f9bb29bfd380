"""An actor: pools and an acting policy on a thread of their own, a sequence at a time."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import jax
import numpy as np

from jaxrl_suite.envs.atari.pools import Books, Pools, PoolStep, follow, open_books
from jaxrl_suite.envs.rollout import PolicyInputs, Sequences

PyTree = Any

_ALIGNMENT = 64  # bytes, of XLA's buffers on CPU


class Emulators(Protocol):
    """What an actor asks of its pools."""

    batch_size: int
    observation_shape: tuple[int, ...]
    send: Callable[[np.ndarray], None]
    recv: Callable[..., PoolStep]
    close: Callable[[], None]


# (params, inputs, carry, key) -> (action [B], log_prob [B], carry, key), compiled
Act = Callable[
    [PyTree, PolicyInputs, PyTree, jax.Array], tuple[jax.Array, jax.Array, PyTree, jax.Array]
]


class _Row(NamedTuple):
    """The observation-side fields of one row, and the memory before it."""

    inputs: PolicyInputs
    carry: PyTree


class Actor:
    """Plays sequences of T steps on the host, in the form of :class:`rollout.Sequences`.

    Observations are [T+1, B, 4, 84, 84], as the emulators give them. Rows are written into fresh
    arrays: a device may still be reading the last ones.

    books: returns and lengths of the episodes.
    """

    def __init__(
        self,
        pools: Emulators | Pools,
        act: Act,
        carry: PyTree,
        key: jax.Array,
        *,
        unroll_length: int,
        task_index: np.ndarray,
    ):
        """Makes an actor; its first step only resets.

        Args:
          pools: the emulators, B columns.
          act: chooses actions.
          carry: the policy's empty memory, [B, ...].
          key: of all its actions.
          unroll_length: T.
          task_index: int32 [B], which variant a column plays.
        """
        self._pools, self._act, self._key = pools, act, key
        self._length, self._task_index = unroll_length, task_index
        size = pools.batch_size
        self.books: Books = open_books(size, np)
        inputs = PolicyInputs(
            observation=aligned((size, *pools.observation_shape)),
            first=np.ones(size, bool),
            last_action=np.zeros(size, np.int32),
            last_reward=np.zeros(size, np.float32),
        )
        self._row = _Row(inputs, carry)

    def unroll(self, params: PyTree, version: int) -> Sequences:
        """Plays T steps.

        Args:
          params: that act, throughout.
          version: number of updates that made them.
        """
        length, size = self._length, self._pools.batch_size
        row = self._row
        carry = row.carry
        fields = {
            "observation": aligned((length + 1, *row.inputs.observation.shape)),
            "first": np.zeros((length + 1, size), bool),
            "last_action": np.zeros((length + 1, size), np.int32),
            "last_reward": np.zeros((length + 1, size), np.float32),
            "action": np.zeros((length, size), np.int32),
            "behaviour_log_prob": np.zeros((length, size), np.float32),
            "reward": np.zeros((length, size), np.float32),
            "terminated": np.zeros((length, size), bool),
            "valid": np.zeros((length, size), bool),
        }
        seen = PolicyInputs(*(fields[name] for name in PolicyInputs._fields))
        _write(seen, 0, row.inputs)
        for t in range(length):
            inputs = PolicyInputs(*(field[t] for field in seen))
            action, log_prob, carry, self._key = self._act(params, inputs, carry, self._key)
            action = np.asarray(action)
            self._pools.send(action)
            # While the emulators work.
            fields["action"][t] = action
            fields["behaviour_log_prob"][t] = log_prob
            step = self._pools.recv(out=seen.observation[t + 1])
            self.books, followed = follow(self.books, step, np)
            fields["reward"][t] = followed.reward
            fields["terminated"][t] = followed.terminated
            fields["valid"][t] = followed.valid
            seen.first[t + 1] = ~followed.valid
            seen.last_action[t + 1] = np.where(followed.valid, action, 0)
            seen.last_reward[t + 1] = followed.reward
        self._row = _Row(PolicyInputs(*(field[length] for field in seen)), carry)
        return Sequences(
            **fields,
            carry=row.carry,
            task_index=self._task_index,
            version=np.full(size, version, np.int32),
            last_return=self.books.last_return,
        )

    def close(self) -> None:
        """Ends the emulators."""
        self._pools.close()


def aligned(shape: tuple[int, ...]) -> np.ndarray:
    """uint8 zeros whose memory XLA on CPU takes as it is; other arrays it copies first."""
    size = int(np.prod(shape))
    memory = np.zeros(size + _ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % _ALIGNMENT
    return memory[start : start + size].reshape(shape)


def _write(rows: PolicyInputs, t: int, values: PolicyInputs) -> None:
    for field, value in zip(rows, values, strict=True):
        field[t] = value
