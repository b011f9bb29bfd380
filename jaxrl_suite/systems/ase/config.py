"""Settings: who learns what, from which motion, and how."""

import dataclasses
from typing import Literal, NamedTuple

import jax

from jaxrl_suite.core import UsageError
from jaxrl_suite.envs import humanoid, planar
from jaxrl_suite.envs.character import Rules
from jaxrl_suite.ops import latents

BODIES = ("humanoid", "planar")
Body = Literal["humanoid", "planar"]
TASKS = ("none", "follow", *humanoid.TASKS)
LEVELS = ("low", "high")


@dataclasses.dataclass(frozen=True)
class Networks:
    """Of the low-level controller.

    Attributes:
      latent: length of the latent; 0 for a controller of one style.
      hidden: units of its actor's and its critic's layers.
      style: units of the layers that the latent passes through.
      discriminator: units of the discriminator's layers, which the encoder shares; none for no
        discriminator.
      space: that latents are of: the unit "sphere", or "gaussian", where nothing is projected.
    """

    latent: int = 64
    hidden: tuple[int, ...] = (1024, 1024, 512)
    style: tuple[int, ...] = (512, 256, 64)
    discriminator: tuple[int, ...] = (1024, 1024, 512)
    space: Literal["sphere", "gaussian"] = "sphere"

    @property
    def latent_space(self) -> latents.Space:
        """Of the latents."""
        return latents.SPACES[self.space]

    def check(self) -> None:
        """Raises UsageError for sizes that no network can have, or a space that there is not."""
        if self.space not in latents.SPACES:
            legal = ", ".join(latents.SPACES)
            raise UsageError(f"unknown networks.space {self.space!r}; legal: {legal}")
        if self.latent < 0:
            raise UsageError(f"networks.latent must be at least 0, not {self.latent}")
        for name in ("hidden", "style", "discriminator"):
            units = getattr(self, name)
            needed = name == "hidden" or (name == "style" and self.latent)
            if (needed and not units) or min(units, default=1) < 1:
                raise UsageError(f"networks.{name} must name units, each at least 1, not {units}")


@dataclasses.dataclass(frozen=True)
class Config:
    """What fixes the compiled program; the defaults are the released code's, of the low level.

    Attributes:
      body: who moves: "humanoid", or "planar" for the point of known answers.
      backend: who simulates the humanoid.
      task: what earns the task's reward: "none", "follow" a clip, or a task by name.
      clips: names or groups of clips; none for all of the library.
      motion_dir: directory of the user's own clips; empty for the library that ships.
      rules: of episodes.
      networks: of the low-level controller.
      level: "low" for a controller, "high" for a policy that commands a frozen one by latents.
      skills: run of the frozen controller, of the high level.
      hidden: units of the high level's layers.
      repeat: low-level actions in one of the high level.
      mixed: low-level environments act without noise in part, so that a discriminator cannot tell
        clips by the lack of it.
      num_envs: environments.
      num_steps: of each in an update.
      epochs: passes over an update's batch.
      minibatch: its rows.
      discriminated: rows of the policy's, of old and of the clips' windows in a minibatch.
      demonstrations: windows that are drawn from the clips in an update.
      replay: old windows that are kept.
      kept: windows of an update that replace old ones once all places are taken.
      eval_episodes: of an evaluation.
      skeleton: digest of the body, settled when a run starts.
      motion: digest of the clips, the same.
    """

    body: Body = "humanoid"
    backend: humanoid.Backend = "articulated"
    task: str = "none"
    clips: tuple[str, ...] = ()
    motion_dir: str = ""
    rules: Rules = dataclasses.field(default_factory=Rules)
    networks: Networks = dataclasses.field(default_factory=Networks)
    level: Literal["low", "high"] = "low"
    skills: str = ""
    hidden: tuple[int, ...] = (1024, 512)
    repeat: int = 5
    mixed: bool = True
    num_envs: int = 4096
    num_steps: int = 32
    epochs: int = 6
    minibatch: int = 16384
    discriminated: int = 4096
    demonstrations: int = 16384
    replay: int = 200_000
    kept: int = 1311
    eval_episodes: int = 64
    skeleton: str = ""
    motion: str = ""

    @property
    def batch(self) -> int:
        """Rows of an update."""
        return self.num_envs * self.num_steps

    @property
    def frames_per_update(self) -> int:
        """Low-level actions in an update."""
        return self.batch * (self.repeat if self.level == "high" else 1)

    @property
    def discriminates(self) -> bool:
        """Whether a discriminator learns."""
        return self.level == "low" and bool(self.networks.discriminator)

    @property
    def latent(self) -> int:
        """Length of the latent that the learning policy is told."""
        return self.networks.latent if self.level == "low" else 0

    def check(self) -> None:
        """Raises UsageError for settings that no program can be made of."""
        for name, legal in (("body", BODIES), ("level", LEVELS), ("task", TASKS)):
            if getattr(self, name) not in legal:
                raise UsageError(
                    f"unknown {name} {getattr(self, name)!r}; legal: {', '.join(legal)}"
                )
        if self.body == "planar" and self.task not in planar.TASKS:
            raise UsageError(
                f"the point has no task {self.task!r}; legal: {', '.join(planar.TASKS)}"
            )
        self.rules.check()
        self.networks.check()
        if not self.hidden or min(self.hidden) < 1:
            raise UsageError(f"hidden must name units, each at least 1, not {self.hidden}")
        for name in ("num_envs", "num_steps", "epochs", "minibatch", "repeat", "eval_episodes"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.batch % self.minibatch:
            raise UsageError(
                f"minibatch {self.minibatch} does not divide the {self.batch} rows of an update "
                "(num_envs x num_steps)"
            )
        if self.task == "follow":
            self._check_follow()
        if self.level == "high":
            self._check_high()
        if self.discriminates:
            self._check_discriminator()

    def _check_follow(self) -> None:
        rules = self.rules
        if self.body != "humanoid" or rules.reference < 1 or rules.fallen > 0 or rules.recovery > 0:
            raise UsageError(
                "the task follow needs the humanoid and starts from clips alone: "
                "rules.reference 1, rules.fallen 0, rules.recovery 0"
            )

    def _check_high(self) -> None:
        if not self.networks.latent or not self.networks.discriminator:
            raise UsageError("the high level needs a controller with a latent and a discriminator")
        if self.task in ("none", "follow"):
            raise UsageError(f"the high level needs a task; legal: {', '.join(TASKS[2:])}")

    def _check_discriminator(self) -> None:
        if not 1 <= self.discriminated <= min(self.minibatch, self.demonstrations):
            raise UsageError(
                f"discriminated must lie in 1 .. {min(self.minibatch, self.demonstrations)}, the "
                f"smaller of minibatch and demonstrations, not {self.discriminated}"
            )
        if self.replay < self.batch:
            raise UsageError(
                f"replay must hold the {self.batch} windows of an update, not {self.replay}"
            )
        if not 0 <= self.kept <= self.batch:
            raise UsageError(f"kept must lie in 0 .. {self.batch}, not {self.kept}")


class Hyper(NamedTuple):
    """Numbers of the learning rule; the defaults are the released code's.

    learning_rate: Adam's, of the policy.
    critic_rate, discriminator_rate: of the others. Adam moves every parameter by itself, so equal
      rates are one joint optimiser, and others are separate ones.
    discount, lambda_: of generalised advantages.
    clip: half-width of PPO's clip.
    log_std: of the policy's noise, which is fixed.
    task, style, skill: weights of the rewards: the task's, the discriminator's, the encoder's.
    bound: weight of the loss of means beyond +-1.
    gradient_penalty, logit_weight, decay: of the discriminator's loss.
    encoder: weight of the encoder's loss; 0, with `skill` 0, is "without skill discovery".
    diversity: weight of the diversity loss; 0 is "without diversity".
    input_clip: of normalised inputs.
    """

    learning_rate: jax.Array | float = 2e-5
    critic_rate: jax.Array | float = 2e-5
    discriminator_rate: jax.Array | float = 2e-5
    discount: jax.Array | float = 0.99
    lambda_: jax.Array | float = 0.95
    clip: jax.Array | float = 0.2
    log_std: jax.Array | float = -2.9
    task: jax.Array | float = 0.0
    style: jax.Array | float = 0.5
    skill: jax.Array | float = 0.5
    bound: jax.Array | float = 10.0
    gradient_penalty: jax.Array | float = 5.0
    logit_weight: jax.Array | float = 0.01
    decay: jax.Array | float = 1e-4
    encoder: jax.Array | float = 1.0
    diversity: jax.Array | float = 0.01
    input_clip: jax.Array | float = 5.0
