"""Settings of the inner loop: how a body learns."""

import dataclasses
from typing import NamedTuple

from jaxrl_suite.core import UsageError


@dataclasses.dataclass(frozen=True)
class Config:
    """What fixes the program; the defaults are the paper's released code's.

    Attributes:
      num_envs: of one body.
      num_steps: an iteration, in each of them.
      iterations: of a body's life.
      epochs: passes over an iteration's batch.
      minibatches: of a pass.
      hidden: units of actor and critic.
      last_episodes: whose mean score an iteration reports.
      window: last iterations whose reports a body's fitness is the mean of.
    """

    num_envs: int = 32
    num_steps: int = 128
    iterations: int = 1220
    epochs: int = 4
    minibatches: int = 8
    hidden: tuple[int, ...] = (64, 64)
    last_episodes: int = 10
    window: int = 100

    def __post_init__(self) -> None:
        """Raises UsageError for sizes that do not go together."""
        for field in ("num_envs", "num_steps", "iterations", "epochs", "minibatches", "window"):
            if getattr(self, field) < 1:
                raise UsageError(f"{field} must be at least 1, not {getattr(self, field)}")
        if self.batch % self.minibatches:
            raise UsageError(
                f"{self.num_envs} environments x {self.num_steps} steps are no multiple of "
                f"{self.minibatches} minibatches"
            )
        if self.window > self.iterations:
            raise UsageError(
                f"window must be at most the {self.iterations} iterations, not {self.window}"
            )

    @property
    def batch(self) -> int:
        """Environment steps of an iteration."""
        return self.num_envs * self.num_steps


class Hyper(NamedTuple):
    """Numbers that may be swept.

    learning_rate: of Adam, falling linearly to 0 over a body's life.
    discount, lambda_: see :func:`jaxrl_suite.ops.gae.gae`.
    clip: of the ratio, and of the value's step.
    value_weight, entropy_weight: in the loss; the entropy is the mean over action dimensions.
    max_grad_norm: of all gradients together.
    max_kl: mean log-ratio of a minibatch above which an iteration learns no more.
    input_clip, reward_clip: of normalised observations and rewards.
    """

    learning_rate: float = 3e-4
    discount: float = 0.99
    lambda_: float = 0.95
    clip: float = 0.2
    value_weight: float = 0.5
    entropy_weight: float = 0.01
    max_grad_norm: float = 0.5
    max_kl: float = 0.2
    input_clip: float = 10.0
    reward_clip: float = 10.0
