"""Settings of HarmoDT: what fixes the program, and what may be swept."""

import dataclasses
from typing import Literal, NamedTuple

import jax

from jaxrl_suite.core import UsageError
from jaxrl_suite.nets.decision_transformer import TransformerConfig
from jaxrl_suite.ops.harmony import IMPORTANCES
from jaxrl_suite.ops.masks import SCHEDULES

SEGMENTS = ("last", "around_success", "random")
SOURCES = ("random", "best")


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """What is learned from.

    Attributes:
      suite: "metaworld", manipulation, from trajectories in a directory; or "ant", directions of a
        four-legged body, which its expert plays on the device when the system is made.
      directory: of the trajectories, see ``jaxrl data collect``; of the suite "metaworld".
      digest: what :func:`jaxrl_suite.data.digest` says of the directory's tasks; other data are
        refused. A run that is started without one records that of the data it found.
      tasks: names of those to learn, in this order; all that there are when empty, but for the
        directions that are kept for unseen tasks.
      episodes: of a task, of the suite "ant".
      held_out: episodes a task that are never trained on; prompts of evaluation are among them.
      context: K, steps that the policy looks back on.
      prompt: K*, steps of a prompt.
      prompt_segment: which part of an episode makes a prompt: its "last" steps, those that end
        where the task is first solved ("around_success", the last ones where it is not), or any
        ("random"; in evaluation, the last ones).
      prompt_source: which training episodes make prompts in training: any ("random"), or one of
        the task's eight best ("best"). differs: the released code takes the seven best and the
        worst, five steps before the last one, and the best of the training data in evaluation.
      normalise: whose mean and spread states are normalised by: each "task" its own, as in the
        original, which tells the tasks apart; or those of "all" tasks, which new ones can share.
    """

    suite: Literal["metaworld", "ant"] = "metaworld"
    directory: str = ""
    digest: str = ""
    tasks: tuple[str, ...] = ()
    episodes: int = 32
    held_out: int = 4
    context: int = 20
    prompt: int = 5
    prompt_segment: Literal["last", "around_success", "random"] = "around_success"
    prompt_source: Literal["random", "best"] = "random"
    normalise: Literal["task", "all"] = "task"

    def check(self) -> None:
        """Raises UsageError for a setting outside its range."""
        for name in ("episodes", "held_out", "context", "prompt"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} must be at least 1, not {getattr(self, name)}")
        for name, legal in (
            ("suite", ("metaworld", "ant")),
            ("prompt_segment", SEGMENTS),
            ("prompt_source", SOURCES),
            ("normalise", ("task", "all")),
        ):
            if getattr(self, name) not in legal:
                told = getattr(self, name)
                raise UsageError(f"unknown {name} {told!r}; legal: {', '.join(legal)}")


@dataclasses.dataclass(frozen=True)
class MaskConfig:
    """The masks of the tasks.

    Attributes:
      kind: "harmony", swapped by their harmony scores; "random", as they began; "none", a dense
        network for all tasks.
      mode: "paper", the paper's equations on the trunk's weights; "repo", what the released code
        computes, for comparison: see the README.
      density: share of ones.
      importance: "fisher", "log_fisher", "magnitude" or "gradient", see :mod:`ops.harmony`.
      recovery: whose gradient decides what comes back: of the "dense" network, or of the "masked"
        one, which saves half of an update's gradients.
      schedule: of the number of swaps: "hump", "decay" or "constant".
      least, most: swaps of a task in an update, at the schedule's ends.
      batches: of so many sequences as a training step's, of which a mask update's gradient is the
        mean.
    """

    kind: Literal["harmony", "random", "none"] = "harmony"
    mode: Literal["paper", "repo"] = "paper"
    density: float = 0.8
    importance: Literal["fisher", "log_fisher", "magnitude", "gradient"] = "fisher"
    recovery: Literal["dense", "masked"] = "dense"
    schedule: Literal["hump", "decay", "constant"] = "hump"
    least: int = 0
    most: int = 100
    batches: int = 1

    def check(self) -> None:
        """Raises UsageError for a setting outside its range."""
        for name, legal in (
            ("kind", ("harmony", "random", "none")),
            ("mode", ("paper", "repo")),
            ("importance", IMPORTANCES),
            ("recovery", ("dense", "masked")),
            ("schedule", SCHEDULES),
        ):
            if getattr(self, name) not in legal:
                told = getattr(self, name)
                raise UsageError(f"unknown {name} {told!r}; legal: {', '.join(legal)}")
        if not 0 < self.density <= 1:
            raise UsageError(f"density must lie in (0, 1], not {self.density}")
        if not 0 <= self.least <= self.most or self.most < 1:
            raise UsageError(
                "swaps must satisfy 0 <= least <= most and most >= 1, not "
                f"{self.least}, {self.most}"
            )
        if self.batches < 1:
            raise UsageError(f"batches must be at least 1, not {self.batches}")


@dataclasses.dataclass(frozen=True)
class Config:
    """What sets a shape or a branch of the compiled program.

    Attributes:
      data: what is learned from.
      network: sizes, and what tells the task.
      masks: of the tasks.
      interval: training steps of an update, after which the masks are updated once.
      updates: of the whole training, by which the schedule of swaps goes.
      batch: B, sequences of a task in a training step.
      tasks_per_step: whose gradients a training step takes the mean of; tasks take turns.
      eval_episodes: of each task.
    """

    data: DataConfig = dataclasses.field(default_factory=DataConfig)
    network: TransformerConfig = dataclasses.field(default_factory=TransformerConfig)
    masks: MaskConfig = dataclasses.field(default_factory=MaskConfig)
    interval: int = 500
    updates: int = 2000
    batch: int = 8
    tasks_per_step: int = 1
    eval_episodes: int = 10

    def check(self) -> None:
        """Raises UsageError for a setting that no program can be made of."""
        self.data.check()
        self.masks.check()
        for name in ("interval", "updates", "batch", "tasks_per_step", "eval_episodes"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} must be at least 1, not {getattr(self, name)}")
        network = self.network
        for name in ("layers", "width", "heads"):
            if getattr(network, name) < 1:
                raise UsageError(f"{name} must be at least 1, not {getattr(network, name)}")
        if not 0 <= network.dropout < 1:
            raise UsageError(f"dropout must lie in [0, 1), not {network.dropout}")
        if network.condition not in ("prompt", "task"):
            told = network.condition
            raise UsageError(f"unknown condition {told!r}; legal: prompt, task")
        if network.width % network.heads:
            raise UsageError(f"a width of {network.width} is no multiple of {network.heads} heads")


class Hyper(NamedTuple):
    """Numbers that may be swept.

    learning_rate: of AdamW, after the warm-up.
    warmup: steps in which it rises linearly from 0.
    decay: share of it that is gone, linearly, by the end of training; 0 as published.
    weight_decay: decoupled.
    max_grad_norm: of a task's gradient, before its mask.
    importance_weight: lambda in the harmony score.
    """

    learning_rate: float | jax.Array = 1e-4
    warmup: float | jax.Array = 10_000.0
    decay: float | jax.Array = 0.0
    weight_decay: float | jax.Array = 1e-4
    max_grad_norm: float | jax.Array = 0.25
    importance_weight: float | jax.Array = 0.1
