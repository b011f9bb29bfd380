"""EnvPool's environments of one task as one batch.

EnvPool's conventions: after 500 steps `truncated` is set and the observation is the last one of
the episode; the *next* step ignores its action, returns the first observation of a new episode and
a reward that nobody earned. :meth:`Pool.reset` begins new episodes at any time, and the step after
it is an ordinary one. Goal and places of objects are drawn anew with every episode.
"""

from collections.abc import Sequence
from types import ModuleType
from typing import NamedTuple

import numpy as np

from jaxrl_suite.core import UsageError
from jaxrl_suite.envs.metaworld.tasks import STATE_SIZE, parse_tasks

_CURRENT = 18  # numbers of the newest frame; those of the frame before follow, then the goal
_FULL = 39


class Step(NamedTuple):
    """What the environments answered, of the step that was taken.

    observation: float32 [N, 21], after the step.
    reward: float32 [N], 0 to 10.
    success: bool [N], whether the task is solved now; it may be undone again.
    truncated: bool [N], the 500 steps are over.
    """

    observation: np.ndarray
    reward: np.ndarray
    success: np.ndarray
    truncated: np.ndarray


class Pool:
    """N environments of one task, stepped together.

    full: float64 [N, 39], the last observations as EnvPool gives them, which the experts need.
    """

    def __init__(
        self, task: str, num_envs: int, seed: int | Sequence[int] = 0, num_threads: int = 1
    ):
        """Starts the environments.

        Args:
          task: one of MT50.
          num_envs: N.
          seed: whole numbers >= 0. Environment n depends on them and on n alone.
          num_threads: that step the environments.

        Raises:
          UsageError: EnvPool is not installed, or there is no such task.
        """
        (self.task,) = parse_tasks([task])
        self.num_envs = num_envs
        # EnvPool would count on from one seed, so that neighbouring seeds shared environments.
        seeds = np.random.SeedSequence(seed).generate_state(num_envs) >> 1
        self._pool = require_envpool().make_gymnasium(
            f"MetaWorld/{''.join(part.capitalize() for part in task.split('-'))}-v3",
            num_envs=num_envs,
            num_threads=min(num_threads, num_envs),
            seed=seeds.tolist(),
            # Without this the goal is zeroed.
            partially_observable=False,
        )
        self.full = np.zeros((num_envs, _FULL))

    def reset(self) -> np.ndarray:
        """Begins new episodes; returns their first observations, float32 [N, 21]."""
        self.full, _ = self._pool.reset()
        return _observation(self.full)

    def step(self, action: np.ndarray, playing: np.ndarray | None = None) -> Step:
        """Steps the environments.

        Args:
          action: [N, 4], clipped to [-1, 1].
          playing: bool [N]; the others stand still, at no cost: their observation stays, reward,
            success and truncated are 0. All play if None.
        """
        chosen = np.arange(self.num_envs, dtype=np.int32)
        if playing is not None:
            chosen = chosen[playing]
        clipped = np.clip(action[chosen], -1.0, 1.0).astype(np.float32)
        full, reward, _, truncated, info = self._pool.step(clipped, chosen)
        step = Step(
            observation=np.zeros((self.num_envs, STATE_SIZE), np.float32),
            reward=np.zeros(self.num_envs, np.float32),
            success=np.zeros(self.num_envs, bool),
            truncated=np.zeros(self.num_envs, bool),
        )
        self.full = self.full.copy()  # whoever keeps the last one keeps it as it was
        self.full[chosen] = full
        step.observation[:] = _observation(self.full)
        step.reward[chosen] = reward
        step.success[chosen] = info["success"] > 0
        step.truncated[chosen] = truncated
        return step

    def close(self) -> None:
        """Ends the environments."""
        self._pool.close()


def require_envpool() -> ModuleType:
    """EnvPool, or a UsageError that says how to install it."""
    try:
        import envpool
    except ImportError as error:
        raise missing("EnvPool") from error
    return envpool


def missing(package: str) -> UsageError:
    """The error of a package that is not installed."""
    return UsageError(
        f"Meta-World needs {package}, which is not installed; "
        'pip install "jaxrl_suite[metaworld]" (about 870 MB), or make metaworld'
    )


def _observation(full: np.ndarray) -> np.ndarray:
    # differs: the original's networks see all 39 numbers; the other 18 are those of the step
    # before, which a sequence model has in its context.
    return np.concatenate([full[:, :_CURRENT], full[:, -3:]], axis=1).astype(np.float32)


assert _FULL == 2 * _CURRENT + 3
assert STATE_SIZE == _CURRENT + 3
