"""EnvPool's emulators as one batch: a pool a variant, and what a step of them means.

EnvPool's conventions: the step that ends an episode returns the terminal observation; the *next*
step ignores its action, returns the first observation of a new episode and counts
`elapsed_step` = 0. A pool that was never reset begins with such a step. So a transition is real
if and only if `elapsed_step` is one more than before, which is all that :func:`follow` relies on:
it also holds for the first step of a pool that somebody has played before, and after a restart.
"""

import dataclasses
import os
from collections.abc import Sequence
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from jaxrl_suite.core import UsageError
from jaxrl_suite.envs.atari.games import (
    NUM_ALL_ACTIONS,
    OBSERVATION_SHAPE,
    SKIPPED_FRAMES,
    AtariGame,
)
from jaxrl_suite.envs.variants import check_names


@dataclasses.dataclass(frozen=True)
class EmulatorConfig:
    """How the games are played.

    Attributes:
      full_actions: offer all 18 actions of the console rather than those the game uses; needed
        only where one policy plays several games.
      noop_max: an episode opens with up to so many idle frames, drawn at random.
      pool_threads: emulation threads of every pool; 0 shares out the cores.
    """

    full_actions: bool = False
    noop_max: int = 30
    pool_threads: int = 0

    def check(self) -> None:
        """Raises UsageError for a number outside its range."""
        if self.noop_max < 1:
            raise UsageError(f"noop_max must be at least 1, not {self.noop_max}")
        if self.pool_threads < 0:
            raise UsageError(f"pool_threads must be at least 0, not {self.pool_threads}")

    def num_actions(self, game: AtariGame) -> int:
        """Size of the action set."""
        return NUM_ALL_ACTIONS if self.full_actions else game.num_actions


def require_envpool() -> ModuleType:
    """EnvPool, or a UsageError that says how to install it."""
    try:
        import envpool
    except ImportError as error:
        raise UsageError(
            "Atari needs the extra envpool (about 830 MB), which is not installed; "
            'pip install "jaxrl_suite[envpool]"'
        ) from error
    return envpool


class PoolStep(NamedTuple):
    """What the emulators answered.

    observation: uint8 [B, 4, 84, 84], the newest frame last.
    reward: float32 [B], unclipped.
    terminated: bool [B].
    truncated: bool [B].
    elapsed: int32 [B], steps since the reset; 0 at the reset.
    """

    observation: Any
    reward: Any
    terminated: Any
    truncated: Any
    elapsed: Any


class Pools:
    """Emulators of several variants as one batch: column e * N + p is emulator e of pool p.

    Every column is sent an action before any answer is waited for, so that all pools work at once.
    """

    def __init__(
        self,
        game: AtariGame,
        variants: Sequence[str],
        envs_per_variant: int,
        *,
        time_limit: int,
        sticky: float = 0.0,
        seed: Sequence[int] = (0,),
        emulator: EmulatorConfig | None = None,
        colour: bool = False,
    ):
        """Starts the emulators.

        Args:
          game: from :func:`games.make`.
          variants: names of N variants; a name may occur more than once.
          envs_per_variant: E; the batch has B = E * N columns.
          time_limit: steps after which an episode is truncated.
          sticky: probability that the last action is repeated.
          seed: whole numbers >= 0 that seed the emulators together.
          emulator: how the games are played.
          colour: whole screens in colour, uint8 [B, 3, 210, 160], in place of the observations.

        Raises:
          UsageError: EnvPool is not installed, or the game has no such variant.
        """
        check_names(game, variants)
        emulator = emulator or EmulatorConfig()
        names = ("stack_num", "img_height", "img_width")
        picture = {"gray_scale": True} | dict(zip(names, OBSERVATION_SHAPE, strict=True))
        if colour:
            picture = {"gray_scale": False, "stack_num": 1, "img_height": 210, "img_width": 160}
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        threads = emulator.pool_threads or -(-2 * cores // len(variants))
        self.num_envs = envs_per_variant
        self.pools = [
            require_envpool().make_gymnasium(
                game.task,
                num_envs=envs_per_variant,
                num_threads=min(threads, envs_per_variant),
                # EnvPool counts on from the seed, an emulator each.
                seed=int(np.random.SeedSequence([*seed, place]).generate_state(1)[0] >> 4),
                mode=game.variants[variant].mode,
                difficulty=game.variants[variant].difficulty,
                frame_skip=SKIPPED_FRAMES,
                max_episode_steps=time_limit,
                repeat_action_probability=sticky,
                full_action_space=emulator.full_actions,
                noop_max=emulator.noop_max,
                # Whole games, and rewards as the game gives them: the learner clips.
                episodic_life=False,
                reward_clip=False,
                use_fire_reset=True,
                **picture,
            )
            for place, variant in enumerate(variants)
        ]
        self.batch_size = envs_per_variant * len(variants)
        self.observation_shape = self.pools[0].observation_space.shape

    def send(self, action: np.ndarray) -> None:
        """Hands every emulator its action, int32 [B]; returns at once."""
        for pool, chosen in zip(self.pools, self.split(action), strict=True):
            pool.send(chosen)

    def recv(self, out: np.ndarray | None = None) -> PoolStep:
        """Waits for the answers to :meth:`send`.

        Args:
          out: uint8 [B, 4, 84, 84] to write the observations into.
        """
        if out is None:
            out = np.zeros((self.batch_size, *self.observation_shape), np.uint8)
        columns = out.reshape(self.num_envs, len(self.pools), *self.observation_shape)
        answers = []
        for place, pool in enumerate(self.pools):
            observation, *rest, info = pool.recv()
            columns[:, place] = observation
            answers.append((*rest, info["elapsed_step"]))
        parts = zip(*answers, strict=True)
        return PoolStep(out, *(np.stack(part, 1).reshape(-1) for part in parts))

    def split(self, action: Any) -> list[Any]:
        """[B] as one array [E] a pool."""
        columns = action.reshape(self.num_envs, len(self.pools))
        return [columns[:, place] for place in range(len(self.pools))]

    def close(self) -> None:
        """Ends the emulators' threads."""
        for pool in self.pools:
            pool.close()


class Books(NamedTuple):
    """What must be remembered of every column, [B] each.

    elapsed: int32, `elapsed_step` of the last answer.
    episode_return: float32, undiscounted and unclipped, of the episode so far.
    last_return: float32, of the last finished episode; NaN before the first.
    last_length: int32, of the last finished episode, steps; 0 before the first.
    """

    elapsed: Any
    episode_return: Any
    last_return: Any
    last_length: Any


class Followed(NamedTuple):
    """What a step was, [B] each.

    valid: the action was played; where not, the step only opened an episode.
    ended: the episode is over, by its rules or by the time limit.
    reward: 0 where not valid.
    terminated: over by its rules: there is no future to bootstrap from.
    """

    valid: Any
    ended: Any
    reward: Any
    terminated: Any


def open_books(batch_size: int, xp: ModuleType) -> Books:
    """Books of columns about which nothing is known: their first step will not count.

    Args:
      batch_size: B.
      xp: numpy or jax.numpy.
    """
    # No step follows -2 with a number above 0.
    return Books(
        elapsed=xp.full(batch_size, -2, xp.int32),
        episode_return=xp.zeros(batch_size, xp.float32),
        last_return=xp.full(batch_size, xp.nan, xp.float32),
        last_length=xp.zeros(batch_size, xp.int32),
    )


def follow(books: Books, step: PoolStep, xp: ModuleType) -> tuple[Books, Followed]:
    """Enters a step into the books and tells what it was.

    Args:
      books: before the step.
      step: the emulators' answer.
      xp: numpy on the host, jax.numpy in a compiled program.
    """
    valid = (step.elapsed > 0) & (step.elapsed == books.elapsed + 1)
    reward = xp.where(valid, step.reward, xp.float32(0))
    ended = valid & (step.terminated | step.truncated)
    episode_return = xp.where(valid, books.episode_return + reward, xp.float32(0))
    books = Books(
        elapsed=step.elapsed,
        episode_return=episode_return,
        last_return=xp.where(ended, episode_return, books.last_return),
        last_length=xp.where(ended, step.elapsed, books.last_length),
    )
    return books, Followed(valid, ended, reward, valid & step.terminated)
