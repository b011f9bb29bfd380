"""Settings: which level learns, on what, and how."""

import dataclasses
import math
from typing import Literal, NamedTuple

import jax

from jaxrl_suite.core import UsageError
from jaxrl_suite.envs.quadruped.game import Rules as GameRules
from jaxrl_suite.envs.quadruped.machine import PERIOD, Mechanics
from jaxrl_suite.envs.quadruped.playground import SPEED
from jaxrl_suite.envs.quadruped.playground import Rules as PlaygroundRules
from jaxrl_suite.envs.quadruped.terrain import KINDS
from jaxrl_suite.envs.quadruped.tracking import Rules

LEVELS = ("pmc", "epmc", "distil", "sepmc")
Latent = Literal["vq", "fsq", "gaussian", "ar1", "none"]
INPUT_CLIP = 5.0  # of normalised inputs, as published; upper levels know no other
LATENTS = ("vq", "fsq", "gaussian", "ar1", "none")
COMMANDS = ("codes", "latent", "actions")
_COUNTS = ("memory", "ring", "snapshot_every", "num_envs", "num_steps", "epochs", "minibatches")
_COUNTS += ("eval_episodes",)
CODED = ("vq", "fsq")  # latents that are one of a finite number


@dataclasses.dataclass(frozen=True)
class Networks:
    """Of the primitive level.

    Attributes:
      latent: what is between encoder and decoder: the nearest of a codebook's vectors ("vq"), a
        point of a fixed grid ("fsq"), a normal sample with a standard normal prior ("gaussian") or
        with one that follows the last sample ("ar1"), or the encoder's output itself ("none").
      codes: vectors of the codebook.
      width: dimensions of the latent.
      grid: points along every dimension of "fsq", odd.
      averaged: the codebook is a moving average of the latents that chose it, and does not learn by
        gradients.
      k_means: the codebook begins with the means of clusters of the first update's latents.
      conditional: the encoder sees the robot, not the future alone.
      hidden: units of the layers of encoder, decoder and value.
      sensed, told: units of the decoder's layers for the robot and for the latent.
    """

    latent: Latent = "vq"
    codes: int = 256
    width: int = 32
    grid: int = 5
    averaged: bool = False
    k_means: bool = False
    conditional: bool = True
    hidden: tuple[int, ...] = (256, 256)
    sensed: int = 64
    told: int = 32

    @property
    def coded(self) -> bool:
        """Whether a latent is one of a finite number."""
        return self.latent in CODED

    @property
    def num_codes(self) -> int:
        """K, codes there are; 0 for latents of any value."""
        return {"vq": self.codes, "fsq": self.grid**self.width}.get(self.latent, 0)

    def check(self) -> None:
        """Raises UsageError for a number that no network can have."""
        if self.latent not in LATENTS:
            raise UsageError(
                f"unknown networks.latent {self.latent!r}; legal: {', '.join(LATENTS)}"
            )
        for name in ("codes", "width", "sensed", "told"):
            if getattr(self, name) < 1:
                raise UsageError(f"networks.{name} must be at least 1, not {getattr(self, name)}")
        if not self.hidden or min(self.hidden) < 1:
            raise UsageError(f"networks.hidden must name units, each at least 1, not {self.hidden}")
        if self.latent == "fsq" and (self.grid < 3 or self.grid % 2 == 0 or self.num_codes > 65536):
            raise UsageError(
                f"networks.grid must be odd and at least 3, and grid ** width at most 65536, not "
                f"{self.grid} and {self.width}; 5 and 4 make 625 codes"
            )


@dataclasses.dataclass(frozen=True)
class Command:
    """How the environmental level commands skills; all but the defaults are for comparison.

    Attributes:
      by: what its policy puts out: a code, a latent of any value for the decoder, or, without any
        skills, actions.
      frozen: the decoder and the codebook stay as they are.
      prior: a code's logit is added to that of the skills' prior: it begins with what the skills do
        by themselves, and learns where to depart from that.
      hold: steps that a code is kept.
      top: codes that it may choose from, those that the skills' prior finds likeliest; 0 for all.
    """

    by: Literal["codes", "latent", "actions"] = "codes"
    frozen: bool = True
    prior: bool = False
    hold: int = 1
    top: int = 0

    def check(self, networks: Networks) -> None:
        """Raises UsageError for settings that do not fit the skills."""
        if self.by not in COMMANDS:
            raise UsageError(f"unknown command.by {self.by!r}; legal: {', '.join(COMMANDS)}")
        if self.by == "codes" and not networks.coded:
            raise UsageError(
                f"skills with the latent {networks.latent!r} have no codes to choose from; legal: "
                "command.by latent or actions, or skills with the latent vq or fsq"
            )
        if self.hold < 1 or (self.hold > 1 and self.by != "codes"):
            raise UsageError(f"command.hold must be at least 1, and 1 without codes: {self.hold}")
        if self.prior and self.by != "codes":
            raise UsageError(f"command.prior is of codes; with command.by {self.by} leave it out")
        if not 0 <= self.top <= networks.num_codes:
            raise UsageError(
                f"command.top must lie in 0 .. {networks.num_codes}, the codes, not {self.top}"
            )


@dataclasses.dataclass(frozen=True)
class Config:
    """What fixes the compiled program.

    Attributes:
      level: who learns: the primitive level, the environmental one, one that is to do what several
        of those have learned, or the strategic one.
      mechanics: what simulates the robot.
      clips: names or groups of clips; none for all of the library.
      motion_dir: directory of the user's own clips; empty for the gaits that ship.
      mirrored: clips are followed the other way round, too.
      rules: of episodes that follow clips.
      networks: of the primitive level.
      skills: run of the level below, which is frozen; of the upper levels.
      experts: runs of the environmental level that are distilled.
      command: how the environmental level commands skills.
      terrains: kinds of terrain that the environmental level meets, all alike.
      speed: least and largest that is wanted across terrains (m/s).
      difficulty: of terrains in distillation, 0 to 1; elsewhere it moves, see Hyper.
      playground: rules of its episodes.
      game: rules of the strategic level's games.
      ring: snapshots of itself that the strategic level may meet.
      snapshot_every: updates between two of them.
      prioritised: opponents are snapshots, those more often that it loses to; else itself alone.
      memory: units of the memory of the upper levels' networks.
      num_envs: environments.
      num_steps: of each in an update.
      epochs: passes over an update's experience.
      minibatches: parts of it, by environments.
      eval_episodes: of an evaluation.
      eval_seconds: after which they are cut off.
      motion: digest of the clips, settled when a run starts.
    """

    level: Literal["pmc", "epmc", "distil", "sepmc"] = "pmc"
    mechanics: Mechanics = dataclasses.field(default_factory=Mechanics)
    clips: tuple[str, ...] = ()
    motion_dir: str = ""
    mirrored: bool = True
    rules: Rules = dataclasses.field(default_factory=Rules)
    networks: Networks = dataclasses.field(default_factory=Networks)
    skills: str = ""
    experts: tuple[str, ...] = ()
    command: Command = dataclasses.field(default_factory=Command)
    terrains: tuple[str, ...] = ("hurdle",)
    speed: tuple[float, float] = SPEED
    difficulty: float = 1.0
    playground: PlaygroundRules = dataclasses.field(default_factory=PlaygroundRules)
    game: GameRules = dataclasses.field(default_factory=GameRules)
    ring: int = 16
    snapshot_every: int = 20
    prioritised: bool = True
    memory: int = 32
    num_envs: int = 64
    num_steps: int = 64
    epochs: int = 5
    minibatches: int = 8
    eval_episodes: int = 64
    eval_seconds: float = 5.0
    motion: str = ""

    @property
    def frames_per_update(self) -> int:
        """Actions in an update."""
        return self.num_envs * self.num_steps

    def check(self) -> None:
        """Raises UsageError for settings that no program can be made of."""
        if self.level not in LEVELS:
            raise UsageError(f"unknown level {self.level!r}; legal: {', '.join(LEVELS)}")
        self.mechanics.check()
        self.rules.check()
        self.networks.check()
        if self.level != "pmc":
            self.command.check(self.networks)
        if self.level == "distil" and self.command != Command(
            prior=self.command.prior, hold=self.command.hold, top=self.command.top
        ):
            raise UsageError(
                "only policies that choose codes, for a frozen decoder, can be distilled, "
                f"not {self.command}"
            )
        self.playground.check()
        self.game.check()
        legal = ", ".join(KINDS)
        if not self.terrains or set(self.terrains) - set(KINDS):
            raise UsageError(f"terrains must name kinds, not {self.terrains}; legal: {legal}")
        if not 0 < self.speed[0] <= self.speed[1] < math.inf:
            raise UsageError(f"speed must be (least, largest) above 0, not {self.speed}")
        for name in _COUNTS:
            if getattr(self, name) < 1:
                raise UsageError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.num_envs % self.minibatches:
            raise UsageError(
                f"minibatches {self.minibatches} do not divide the {self.num_envs} environments"
            )
        if not PERIOD <= self.eval_seconds < math.inf:
            raise UsageError(
                f"eval_seconds must be at least {PERIOD:g}, an action, not {self.eval_seconds:g}"
            )


class Hyper(NamedTuple):
    """Numbers of the learning rule.

    learning_rate: Adam's.
    discount, lambda_: of generalised advantages.
    clip: half-width of PPO's clip of ratios.
    value: weight of the value's loss.
    entropy: weight of the policy's entropy.
    codebook, commitment: weights of the two losses of a codebook.
    decay: of a codebook that is a moving average, an update.
    least: choices an update, as a moving average, below which a code starts anew; 0 for never.
    kl: weight of the divergence from a normal latent's prior.
    correlation: of a latent with the one before, under the prior of "ar1".
    norm: largest norm of a gradient.
    log_std: of the policy's noise at the beginning.
    input_clip: of the primitive level's normalised inputs; others stand on skills with 5 alone.
    teacher: probability that an expert acts in an episode of distillation, in the first update.
    fading: factor of that probability from update to update.
    level: how hard terrains are at first, 0 to 1.
    progress: by which the level moves in an update, times how far episodes score above `goal`.
    goal: score of episodes at which the level stays as it is.
    sharpness: shares of starts are (1 - return) to this power.
    floor: share of starts that is the same for all segments.
    blend: of the newest in an average: of a segment's returns, and of games won against each
      snapshot, which so is about that of the last five.
    """

    # differs: learning rate 1e-5 and clip 0.1 in the original, whose stream is nearly off-policy.
    learning_rate: jax.Array | float = 3e-4
    discount: jax.Array | float = 0.95
    lambda_: jax.Array | float = 0.95
    clip: jax.Array | float = 0.2
    value: jax.Array | float = 1.0
    entropy: jax.Array | float = 0.0
    codebook: jax.Array | float = 1.0
    commitment: jax.Array | float = 0.25
    decay: jax.Array | float = 0.99
    least: jax.Array | float = 0.0
    # differs: the original's weight rises to this over 6e9 actions.
    kl: jax.Array | float = 0.003
    correlation: jax.Array | float = 0.95
    # differs: the original cuts gradients of memories alone, at 0.5, and decays weights.
    norm: jax.Array | float = 1.0
    log_std: jax.Array | float = -2.0
    input_clip: jax.Array | float = INPUT_CLIP
    teacher: jax.Array | float = 1.0
    # differs: in the original the share falls from episode to episode.
    fading: jax.Array | float = 0.98
    level: jax.Array | float = 1.0
    progress: jax.Array | float = 0.0
    goal: jax.Array | float = 0.7
    sharpness: jax.Array | float = 3.0
    floor: jax.Array | float = 0.1
    blend: jax.Array | float = 0.2
