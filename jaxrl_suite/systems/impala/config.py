"""Settings of multi-task IMPALA: what fixes the program, and what may be swept."""

import dataclasses
from typing import Literal, NamedTuple

import jax
import numpy as np

from jaxrl_suite.core import QueueConfig, UsageError
from jaxrl_suite.envs import arcade, atari
from jaxrl_suite.envs.variants import Split, Variants
from jaxrl_suite.nets.actor_critic import NetworkConfig
from jaxrl_suite.ops.policy_gradient import CORRECTIONS, Correction


@dataclasses.dataclass(frozen=True)
class ActorsConfig:
    """How Atari's emulators and the learner work together; the arcade games need none of it.

    Attributes:
      runner: "threads", actors on threads of their own feed the learner; or "scan", the emulators
        are stepped inside the one compiled program, without policy lag.
      count: actors, each with its share of every variant's emulators; two, so that one acts while
        the other's emulators work.
      queue: between actors and learner.
    """

    runner: Literal["threads", "scan"] = "threads"
    count: int = 2
    queue: QueueConfig = dataclasses.field(default_factory=QueueConfig)

    def check(self) -> None:
        """Raises UsageError for a number outside its range."""
        if self.runner not in ("threads", "scan"):
            raise UsageError(f"unknown runner {self.runner!r}; legal: threads, scan")
        if self.count < 1:
            raise UsageError(f"the count of actors must be at least 1, not {self.count}")
        self.queue.check()


@dataclasses.dataclass(frozen=True)
class Config:
    """What sets a shape or a branch of the compiled program.

    Attributes:
      suite: "arcade", the suite's own games on the device, or "atari", the Atari 2600 games
        through EnvPool (extra: envpool).
      game: name of a game of that suite.
      split: name of one of the game's fixed splits, or the path of a split file.
      subset: which side of the split to play: "train" or "unseen".
      num_variants: play the first so many variants of that side; 0 for all.
      num_envs: B, environments stepped in parallel; a multiple of the number of variants.
      unroll_length: T, steps per sequence.
      time_limit: steps after which an episode is truncated.
      sticky: probability that the last action is repeated.
      network: shape of the network.
      correction: the off-policy correction of the loss.
      replay_fraction: share of replayed sequences in a batch; 0 for none.
      replay_slots: past batches kept for replay.
      popart: a value head and running moments per variant.
      measure_harmony: compute the gradient variant by variant and report the harmony score.
      eval_episodes: episodes per variant of an evaluation.
      emulator: how Atari games are played.
      actors: how Atari's emulators and the learner work together.
    """

    suite: Literal["arcade", "atari"] = "arcade"
    game: str = "breakout"
    split: str = "combination"
    subset: Literal["train", "unseen"] = "train"
    num_variants: int = 0
    num_envs: int = 64
    unroll_length: int = 20
    time_limit: int = 500
    sticky: float = 0.0
    network: NetworkConfig = dataclasses.field(default_factory=NetworkConfig)
    correction: Correction = "vtrace"
    replay_fraction: float = 0.0
    replay_slots: int = 64
    popart: bool = False
    measure_harmony: bool = False
    eval_episodes: int = 16
    emulator: atari.EmulatorConfig = dataclasses.field(default_factory=atari.EmulatorConfig)
    actors: ActorsConfig = dataclasses.field(default_factory=ActorsConfig)

    @property
    def is_atari(self) -> bool:
        """Whether the environments are emulators on the host."""
        if self.suite not in ("arcade", "atari"):
            raise UsageError(f"unknown suite {self.suite!r}; legal: arcade, atari")
        return self.suite == "atari"

    @property
    def game_variants(self) -> Variants:
        """The game, with all its variants."""
        return (atari if self.is_atari else arcade).make(self.game)

    def load_split(self, name: str = "") -> Split:
        """A split of the game; the configured one if `name` is empty."""
        return (atari if self.is_atari else arcade).load_split(self.game, name or self.split)

    @property
    def num_actions(self) -> int:
        """Size of the action set."""
        if self.is_atari:
            return self.emulator.num_actions(atari.make(self.game))
        return arcade.make(self.game).environment.num_actions

    @property
    def observation(self) -> jax.ShapeDtypeStruct:
        """What the network sees of one environment."""
        if self.is_atari:
            return jax.ShapeDtypeStruct(atari.OBSERVATION_SHAPE, np.uint8)
        return jax.ShapeDtypeStruct(arcade.make(self.game).environment.observation_shape, bool)

    @property
    def variants(self) -> tuple[str, ...]:
        """Names of the variants that are played.

        Raises:
          UsageError: unknown game, split or subset, or more variants than there are.
        """
        split = self.load_split()
        if self.subset not in split._fields:
            raise UsageError(f"unknown subset {self.subset!r}; legal: {', '.join(split._fields)}")
        names = getattr(split, self.subset)
        if not 0 <= self.num_variants <= len(names):
            raise UsageError(
                f"num_variants {self.num_variants} is out of range: the {self.subset} side of "
                f"split {self.split!r} of {self.game} has {len(names)} (0 plays all)"
            )
        return names[: self.num_variants or len(names)]

    @property
    def frames_per_update(self) -> int:
        """Environment frames of one update, reset steps included; a step of Atari is 4 frames."""
        steps = self.num_envs * self.unroll_length
        return steps * atari.SKIPPED_FRAMES if self.is_atari else steps

    def check(self) -> None:
        """Raises UsageError for a setting that no program can be made of."""
        self.network.check()
        num_variants = len(self.variants)
        shares, sharing = num_variants, f"{num_variants} variant{'s' * (num_variants > 1)}"
        if self.is_atari:
            self._check_atari()
            if self.actors.runner == "threads":
                shares *= self.actors.count
                sharing += f" with {self.actors.count} actors each"
        if self.num_envs < 1 or self.num_envs % shares:
            raise UsageError(
                f"num_envs {self.num_envs} cannot be shared evenly by {sharing}; "
                f"choose a multiple of {shares}"
            )
        for name in ("unroll_length", "time_limit", "eval_episodes"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} must be at least 1, not {getattr(self, name)}")
        if not 0.0 <= self.sticky < 1.0:
            raise UsageError(f"sticky must lie in [0, 1), not {self.sticky}")
        if self.correction not in CORRECTIONS:
            raise UsageError(
                f"unknown correction {self.correction!r}; legal: {', '.join(CORRECTIONS)}"
            )

    def _check_atari(self) -> None:
        self.emulator.check()
        self.actors.check()
        if self.network.torso == "grid":
            raise UsageError("the grid torso is for boards; for Atari choose resnet or shallow")
        if self.replay_fraction and self.actors.runner == "threads":
            raise UsageError("replay needs sources on the device; choose the runner scan")
        atari.require_envpool()


class Hyper(NamedTuple):
    """Numbers of the learning rule; carried in the state, so that a sweep is a vmap.

    Attributes:
      learning_rate: of RMSProp at the start.
      anneal_updates: updates over which the rate falls linearly to 0; 0 keeps it.
      gamma: discount per step.
      entropy_cost: weight of the entropy bonus.
      baseline_cost: weight of half the squared value error.
      max_grad_norm: global-norm clip.
      rms_decay: of RMSProp.
      rms_epsilon: of RMSProp, outside the root.
      reward_clip: rewards are clipped to [-reward_clip, reward_clip] for learning.
      rho_bar: V-trace's clip of the temporal difference.
      c_bar: V-trace's clip of the trace.
      pg_rho_bar: V-trace's clip of the advantage.
      lambda_: mixes one-step and n-step targets.
      ppo_epsilon: half-width of the clip of the "ppo" correction.
      popart_step: step size of PopArt's moments.
      actor_hold: the acting parameters are fetched every actor_hold + 1 updates.
    """

    learning_rate: float = 6e-4
    anneal_updates: int = 0
    gamma: float = 0.99
    entropy_cost: float = 0.01
    baseline_cost: float = 0.5
    max_grad_norm: float = 40.0
    rms_decay: float = 0.99
    rms_epsilon: float = 0.01
    reward_clip: float = 1.0
    rho_bar: float = 1.0
    c_bar: float = 1.0
    pg_rho_bar: float = 1.0
    lambda_: float = 1.0
    ppo_epsilon: float = 0.2
    popart_step: float = 3e-4
    actor_hold: int = 0

    def check(self) -> None:
        """Raises UsageError for a number outside its range; traced ones cannot be looked at."""
        for name, value in self._asdict().items():
            if isinstance(value, jax.core.Tracer):
                continue
            low = np.min(value)  # NaN if there is one, hence `not >=` rather than `<`
            if name in _SHARES and not (low >= 0 and np.max(value) <= 1):
                raise UsageError(f"{name} must lie in [0, 1], not {value}")
            if not low >= 0:
                raise UsageError(f"{name} must be at least 0, not {value}")


_SHARES = ("gamma", "rms_decay", "lambda_", "popart_step")
