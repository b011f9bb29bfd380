"""Episodes of one task as flat arrays: what is stored, and what a learner samples from."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jaxrl_suite.core import UsageError


class Episodes(NamedTuple):
    """E episodes, their S steps laid end to end.

    length: int32 [E], steps, > 0; they add up to S.
    state: float32 [S, D], before the action.
    action: float32 [S, A].
    reward: float32 [S], of the action.
    success: bool [S], after the action.
    """

    length: np.ndarray
    state: np.ndarray
    action: np.ndarray
    reward: np.ndarray
    success: np.ndarray

    @property
    def start(self) -> np.ndarray:
        """Row of every episode's first step, int64 [E]."""
        return np.cumsum(self.length, dtype=np.int64) - self.length

    @property
    def returns(self) -> np.ndarray:
        """Undiscounted return of every episode, float64 [E]."""
        return np.add.reduceat(self.reward, self.start, dtype=np.float64)

    @property
    def success_any(self) -> np.ndarray:
        """Whether an episode succeeds at any step, bool [E]."""
        return np.logical_or.reduceat(self.success, self.start)

    @property
    def success_final(self) -> np.ndarray:
        """Whether an episode's last step is a success, bool [E]."""
        return self.success[self.start + self.length - 1]


_DTYPES = Episodes(np.int32, np.float32, np.float32, np.float32, np.bool_)


def join(parts: Sequence[Episodes]) -> Episodes:
    """One after the other, at least one."""
    return Episodes(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def checked(episodes: Episodes, where: str) -> Episodes:
    """The episodes with the dtypes of :class:`Episodes`.

    Args:
      episodes: to be checked.
      where: what an error says they belong to.

    Raises:
      UsageError: arrays that do not fit together, or a number that is not finite, by episode.
    """
    episodes = Episodes(*(np.asarray(x, t) for x, t in zip(episodes, _DTYPES, strict=True)))
    ranks = Episodes(1, 2, 2, 1, 1)
    for name, array, rank in zip(Episodes._fields, episodes, ranks, strict=True):
        if array.ndim != rank:
            raise UsageError(f"{where}: {name} must have {rank} axes, not {array.ndim}")
    length = episodes.length
    if len(length) == 0 or length.min() < 1:
        empty = int(np.argmax(length < 1)) if len(length) else 0
        raise UsageError(f"{where}, episode {empty}: an episode has at least one step")
    rows = {name: len(x) for name, x in episodes._asdict().items() if name != "length"}
    if set(rows.values()) != {int(length.sum())}:
        raise UsageError(f"{where}: the lengths add up to {length.sum()}, but steps are {rows}")
    for name in ("state", "action", "reward"):
        finite = np.isfinite(getattr(episodes, name))
        bad = np.flatnonzero(~finite.reshape(len(finite), -1).all(axis=1))
        if len(bad):
            episode = int(np.searchsorted(episodes.start, bad[0], side="right")) - 1
            step = bad[0] - episodes.start[episode]
            raise UsageError(f"{where}, episode {episode}: {name} is not finite at step {step}")
    return episodes
