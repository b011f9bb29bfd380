"""Who plays for a data set: Meta-World's scripted experts, and worse ones made of them."""

import importlib.metadata
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from jaxrl_suite.envs.metaworld.playing import play
from jaxrl_suite.envs.metaworld.pool import Pool, missing, require_envpool
from jaxrl_suite.envs.metaworld.tasks import ACTION_SIZE, EPISODE_LENGTH, parse_tasks

BLOCK = 10  # steps for which a sub-optimal episode is the expert's, or holds one random action
SLOWEST = 0.5  # share of the expert's movement that an episode of competence 0 makes
TOLERANCE = 0.02  # success rates this close to the target end a calibration
BISECTIONS = 6


class Expert:
    """Meta-World's scripted policy of a task, without noise, in N environments."""

    def __init__(self, task: str, num_envs: int):
        """Makes the experts of the first episodes.

        Args:
          task: one of MT50.
          num_envs: N.

        Raises:
          UsageError: the package metaworld is not installed, or there is no such task.
        """
        (task,) = parse_tasks([task])
        self._make = _require_policies()[f"{task}-v3"]
        self._num_envs = num_envs
        self.reset()

    def reset(self) -> None:
        """New episodes begin in all environments: none of the experts may remember the last."""
        self._policies = [self._make() for _ in range(self._num_envs)]

    def act(self, full: np.ndarray, playing: np.ndarray | None = None) -> np.ndarray:
        """Actions, float32 [N, 4] within [-1, 1]; 0 in environments that do not play.

        Args:
          full: float64 [N, 39], :attr:`Pool.full`.
          playing: bool [N]; all if None.
        """
        action = np.zeros((self._num_envs, ACTION_SIZE), np.float32)
        with warnings.catch_warnings():
            # Of movements beyond what one step can do, which is how the experts say "as fast
            # as can be".
            warnings.simplefilter("ignore")
            for n, policy in enumerate(self._policies):
                if playing is None or playing[n]:
                    action[n] = policy.get_action(full[n])
        return np.clip(action, -1.0, 1.0)


class SubOptimal:
    """A mixture of the expert and of random movement, in N environments.

    Every episode draws a competence c, as in the replay buffer of somebody who was learning: with
    u uniform, c = u^((1 - quality) / quality), whose mean is the quality. The episode is cut into
    blocks of 10 steps; with probability c a block is the expert's, otherwise it holds one uniform
    random action. The expert moves slowly, too: its movement (not its grip) is multiplied by
    0.5 + 0.5 c. With quality 1 that is the expert, with 0 it is random movement.

    differs: the original's sub-optimal data are the first half of a SAC learner's replay buffer,
    which is not to be had; independent noise on the expert's actions hardly hurts some tasks and
    ruins others.
    """

    def __init__(self, task: str, num_envs: int, quality: float, seed: int | Sequence[int] = 0):
        """Draws the first episodes.

        Args:
          task: one of MT50.
          num_envs: N. Their u are stratified: one lies in every N-th part of [0, 1].
          quality: in [0, 1].
          seed: whole numbers >= 0; the same draws serve every quality, so that a better one only
            ever turns random blocks into the expert's.
        """
        self._expert = Expert(task, num_envs)
        self._num_envs, self._quality = num_envs, quality
        self._random = np.random.default_rng(seed)
        self.reset()

    def reset(self) -> None:
        """New episodes begin in all environments."""
        self._expert.reset()
        size, blocks = self._num_envs, -(-EPISODE_LENGTH // BLOCK)
        uniform = (self._random.permutation(size) + self._random.random(size)) / size
        competence = competences(uniform, self._quality)
        self._by_expert = self._random.random((blocks, size)) < competence
        self._held = self._random.uniform(-1.0, 1.0, (blocks, size, ACTION_SIZE))
        self._speed = SLOWEST + (1.0 - SLOWEST) * competence
        self._step = 0

    def act(self, full: np.ndarray, playing: np.ndarray) -> np.ndarray:
        """Actions, float32 [N, 4] within [-1, 1]; as :meth:`Expert.act`."""
        block = self._step // BLOCK
        self._step += 1
        by_expert = self._by_expert[block]
        action = self._expert.act(full, playing & by_expert)
        action[:, :3] *= self._speed[:, None]
        return np.where(by_expert[:, None], action, self._held[block]).astype(np.float32)


def competences(uniform: np.ndarray, quality: float) -> np.ndarray:
    """u^((1 - q) / q) of uniform numbers in (0, 1): non-decreasing in q, 0 at q = 0, 1 at 1."""
    if quality <= 0.0:
        return np.zeros_like(uniform)
    return uniform ** ((1.0 - quality) / quality)


class Calibration(NamedTuple):
    """A quality, and how often it succeeded.

    quality: in [0, 1].
    success: share of the episodes that succeeded at any step.
    episodes: number of them.
    """

    quality: float
    success: float
    episodes: int


def calibrate(
    task: str, target: float, *, episodes: int = 50, seed: int | Sequence[int] = 0
) -> Calibration:
    """The quality of :class:`SubOptimal` whose success rate is nearest to a target, by bisection.

    All qualities meet the same environments and draws. Where even random movement succeeds more
    often than the target, or the expert less often, the nearest is what there is.

    Args:
      task: one of MT50.
      target: success rate at any step, in (0, 1).
      episodes: of every quality that is tried.
      seed: whole numbers >= 0.

    Raises:
      UsageError: the extra metaworld is not installed.
    """
    low, high, tried = 0.0, 1.0, []
    for _ in range(BISECTIONS):
        quality = (low + high) / 2
        success = _success(task, quality, episodes, seed)
        tried.append(Calibration(quality, success, episodes))
        if abs(success - target) <= TOLERANCE:
            break
        low, high = (quality, high) if success < target else (low, quality)
    return min(tried, key=lambda found: abs(found.success - target))


def _success(task: str, quality: float, episodes: int, seed: int | Sequence[int]) -> float:
    pool = Pool(task, episodes, seed)
    played = play(pool, SubOptimal(task, episodes, quality, seed), keep_after_success=0)
    pool.close()
    return float(played.success.any(axis=0).mean())


def versions() -> dict[str, str]:
    """Versions of the packages that decide what is played: EnvPool, and the experts' metaworld.

    Raises:
      UsageError: one of them is not installed.
    """
    require_envpool()
    _require_policies()
    return {name: importlib.metadata.version(name) for name in ("envpool", "metaworld")}


def _require_policies() -> Mapping[str, Callable]:
    """The experts' classes by the names of their environments."""
    try:
        from metaworld.policies import ENV_POLICY_MAP
    except ImportError as error:
        raise missing("the package metaworld") from error
    return ENV_POLICY_MAP
