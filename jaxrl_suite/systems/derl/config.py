"""Settings: how a body learns, and how bodies evolve."""

import dataclasses
from collections.abc import Callable
from typing import Literal, NamedTuple

import jax

from jaxrl_suite.core import PyTree, UsageError
from jaxrl_suite.envs import unimal
from jaxrl_suite.envs.base import ControlEnvironment, TimeStep

TERRAINS: dict[str, Callable[[], ControlEnvironment]] = {
    "flat": unimal.flat_terrain,
    "variable": unimal.variable_terrain,
    "manipulation": unimal.manipulation,
}
SCHEMES = ("tournament", "random")
Scheme = Literal["tournament", "random"]


@dataclasses.dataclass(frozen=True)
class Life:
    """How a body learns; the defaults are the paper's released code's.

    Attributes:
      num_envs: of one body.
      num_steps: an iteration, in each of them.
      episode: actions after which an episode is cut off; the terrains do so after 1000 at the
        latest.
      iterations: of a body's life.
      epochs: passes over an iteration's batch.
      minibatches: of a pass.
      hidden: units of actor and critic.
      last_episodes: whose mean score an iteration reports.
      window: last iterations whose reports a body's fitness is the mean of.
    """

    num_envs: int = 32
    num_steps: int = 128
    episode: int = 1000
    iterations: int = 1224  # differs: 1220; so that a life is 36 whole phases
    epochs: int = 4
    minibatches: int = 8
    hidden: tuple[int, ...] = (64, 64)
    last_episodes: int = 10
    window: int = 100

    def __post_init__(self) -> None:
        """Raises UsageError for sizes that do not go together."""
        names = ("num_envs", "num_steps", "episode", "iterations", "epochs", "minibatches")
        for field in (*names, "last_episodes", "window"):
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


@dataclasses.dataclass(frozen=True)
class Config:
    """An evolution; the defaults are the paper's.

    Attributes:
      terrain: the environment that bodies evolve in, of TERRAINS.
      scheme: where bodies come from after the first ones: "tournament", children of the fittest;
        "random", more random bodies, the baseline of equal budget.
      bodies: trained in all, N.
      population: bodies at random to begin with, and how many of the last ones compete, P.
      slots: bodies that are trained at once, K.
      phases: groups of slots that finish one after the other, G, so that the others go on while
        a few begin anew; 1 makes synchronous generations of K.
      tournament: bodies drawn, of whom the fittest has a child.
      replacement: whether the same body may be drawn twice for a tournament.
      int_fitness: whether fitness is truncated to a whole number, which makes ties, as in the
        original.
      common_random_numbers: whether all bodies begin their lives with the same random key, as in
        the original.
      design: rules by which bodies grow.
      life: how a body learns.
      keep: best bodies whose policies are kept.
      eval_episodes: of each of them, in an evaluation.
    """

    terrain: str = "flat"
    scheme: Scheme = "tournament"
    bodies: int = 4000
    population: int = 576
    slots: int = 288
    phases: int = 36
    tournament: int = 4
    replacement: bool = True
    int_fitness: bool = False
    common_random_numbers: bool = False
    design: unimal.Design = unimal.ORIGINAL
    life: Life = dataclasses.field(default_factory=Life)
    keep: int = 8
    eval_episodes: int = 8

    def check(self) -> None:
        """Raises UsageError for a setting that no program can be made of."""
        if self.terrain not in TERRAINS:
            raise UsageError(f"unknown terrain {self.terrain!r}; legal: {', '.join(TERRAINS)}")
        if self.scheme not in SCHEMES:
            raise UsageError(f"unknown scheme {self.scheme!r}; legal: {', '.join(SCHEMES)}")
        for field in (
            "bodies",
            "population",
            "slots",
            "phases",
            "tournament",
            "keep",
            "eval_episodes",
        ):
            if getattr(self, field) < 1:
                raise UsageError(f"{field} must be at least 1, not {getattr(self, field)}")
        if self.population < self.tournament:
            raise UsageError(
                f"a population of {self.population} is smaller than its tournaments of "
                f"{self.tournament}"
            )
        self._check_shares("slots", self.slots, "phases", self.phases)
        self._check_shares("iterations", self.life.iterations, "phases", self.phases)
        finish = "slots that finish at once"
        self._check_shares("bodies", self.bodies, finish, self.group)
        self._check_shares("bodies of the population", self.population, finish, self.group)
        if not self.slots <= self.population <= self.bodies:
            raise UsageError(
                f"population must lie between slots ({self.slots}) and bodies ({self.bodies}), "
                f"not {self.population}"
            )
        if self.keep > self.slots:
            raise UsageError(f"keep must be at most the {self.slots} slots, not {self.keep}")

    def _check_shares(self, whole: str, size: int, part: str, count: int) -> None:
        if size % count:
            raise UsageError(f"{size} {whole} are no multiple of the {count} {part}")

    @property
    def group(self) -> int:
        """Slots that finish at once, m."""
        return self.slots // self.phases

    @property
    def num_updates(self) -> int:
        """Phases of the whole evolution, until the last life has ended."""
        return self.bodies // self.group + self.phases - 1

    @property
    def founders(self) -> int:
        """Bodies without a parent."""
        return self.bodies if self.scheme == "random" else self.population

    @property
    def iterations_per_update(self) -> int:
        """Of PPO, in a phase."""
        return self.life.iterations // self.phases

    @property
    def frames_per_update(self) -> int:
        """Environment steps of a phase, those of slots that wait for a body included."""
        return self.slots * self.iterations_per_update * self.life.batch

    def make_environment(self) -> ControlEnvironment:
        """The environment of the terrain, its episodes as long as a life's are."""
        return cut_off(TERRAINS[self.terrain](), self.life.episode)


def cut_off(env: ControlEnvironment, limit: int) -> ControlEnvironment:
    """The environment with episodes of at most so many actions."""

    def step(
        state: PyTree, action: jax.Array, key: jax.Array, task: PyTree
    ) -> tuple[PyTree, TimeStep]:
        state, told = env.step(state, action, key, task)
        late = env.outcomes(state)["length"] >= limit
        return state, told._replace(truncated=told.truncated | (late & ~told.terminated))

    return env._replace(step=step)


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
