"""The game of tag: its rules, what happens in an action, what that is worth, and who has won.

Source: Han et al. 2024 and its released code; by distances, as with the real robots, not contacts.
"""

import dataclasses
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrl_suite import physics
from jaxrl_suite.core import UsageError
from jaxrl_suite.envs.quadruped.observation import History
from jaxrl_suite.envs.quadruped.playground import DROP, FRICTION, SPEED, TIME_LIMIT, check_drop
from jaxrl_suite.envs.quadruped.tracking import fallen

ROBOTS = 2
POST = (0.05, 0.05, 0.25)  # m, half sizes of the flag
_MARGIN = 0.5  # m, from the walls, of robots and flag when they are placed


@dataclasses.dataclass(frozen=True)
class Rules:
    """Of games.

    Attributes:
      side: of the arena (m).
      tag_distance: between the bases on the map, below which the evader is tagged (m).
      flag_distance: from the evader's base to the flag, below which it has the flag (m).
      time_limit: actions, of 20 ms each.
      speed: least and largest at which both robots are to go in a game (m/s).
      friction: least and largest of whatever touches.
      drop: height of the bases above what is below them at the start (m).
    """

    side: float = 5.0
    tag_distance: float = 0.6
    flag_distance: float = 0.3
    time_limit: int = TIME_LIMIT
    speed: tuple[float, float] = SPEED
    friction: tuple[float, float] = FRICTION
    drop: float = DROP

    @property
    def reach(self) -> float:
        """Largest x and y at which robots and flag are placed (m)."""
        return 0.5 * self.side - _MARGIN

    def check(self) -> None:
        """Raises UsageError for a number outside its range."""
        if not 2 <= self.side < math.inf:
            raise UsageError(f"rules.side must be at least 2 m, not {self.side:g}")
        for name in ("tag_distance", "flag_distance"):
            value = getattr(self, name)
            # Beyond that there is hardly a place to start from that decides nothing.
            if not 0 < value <= 0.5 * self.reach:
                raise UsageError(
                    f"rules.{name} must lie in 0 .. {0.5 * self.reach:g} m, not {value:g}"
                )
        if self.time_limit < 1:
            raise UsageError(f"rules.time_limit must be at least 1 action, not {self.time_limit}")
        check_drop(self.drop)
        for name in ("speed", "friction"):
            low, high = getattr(self, name)
            if not 0 < low <= high < math.inf:
                raise UsageError(
                    f"rules.{name} must be (least, largest) above 0, not {low:g}, {high:g}"
                )


class Game(NamedTuple):
    """One game of robots 0 and 1.

    states: of the physics, leaves [2, ...].
    histories: what the robots remember, [2].
    chaser: int32 [], the robot that chases.
    flag: [2], on the map (m).
    speed: [], at which both are to go (m/s).
    friction: [], of whatever touches.
    step: int32 [], actions so far.
    total: [2], sum of rewards.
    switches: int32 [], of the roles, one for each flag that was got.
    tagged: bool [], the evader was tagged, which ended it.
    fallen: bool [2], robots whose fall ended it.
    diverged: bool [2], robots whose state was not finite, which ended it.
    dropped: int32 [], contacts that found no room.
    """

    states: physics.State
    histories: History
    chaser: jax.Array
    flag: jax.Array
    speed: jax.Array
    friction: jax.Array
    step: jax.Array
    total: jax.Array
    switches: jax.Array
    tagged: jax.Array
    fallen: jax.Array
    diverged: jax.Array
    dropped: jax.Array


class Events(NamedTuple):
    """Of one action, not more than one of them: see :func:`judge`.

    tagged: bool [], the evader was tagged.
    fallen: bool [2], robots that have fallen.
    taken: bool [], the evader has the flag.
    """

    tagged: jax.Array
    fallen: jax.Array
    taken: jax.Array


def judge(rules: Rules, game: Game, states: physics.State, diverged: jax.Array) -> Events:
    """What has happened in an action, given the robots' states after it.

    A tag comes before a fall, and a fall before the flag. A state that is not to be trusted, where
    `diverged` [2] says so, ends a game in which nothing else has happened.
    """
    places, sound = states.q[:, :2], ~jnp.any(diverged)
    near = jnp.linalg.norm(places[0] - places[1]) < rules.tag_distance
    tagged = near & sound
    down = jax.vmap(fallen)(states) & sound & ~tagged
    there = jnp.linalg.norm(places[1 - game.chaser] - game.flag) < rules.flag_distance
    return Events(tagged, down, there & sound & ~tagged & ~jnp.any(down))


def rewards_of(events: Events, chaser: jax.Array) -> jax.Array:
    """[2], of an action; their sum is 0.

    A tag is +1 for the chaser, the flag +1 for the evader, and -1 for the other. Who falls gives 1
    to the other, unless both do.

    differs: in the original a fall, of robot 0 alone, ends the game and is worth nothing: who is
    about to be tagged would rather fall.
    """
    side = jnp.where(jnp.arange(ROBOTS) == chaser, 1.0, -1.0)
    down = events.fallen.astype(jnp.float32)
    return side * events.tagged - side * events.taken + down[::-1] - down


def outcomes(game: Game) -> dict[str, jax.Array]:
    """What a game has come to; what is not the same for both is so from robot 0's view.

    "score" is its sum of rewards, and "won" 1, 0.5 or 0 as that is above, at or below 0.
    "length" counts actions, "switches" those of the roles; "tagged", "fallen" and "diverged" are 1
    where the game ended so, "fallen_chaser" and "fallen_evader" say who fell; "dropped" counts
    contacts.
    """
    score = game.total[0]
    counts = {
        "length": game.step,
        "switches": game.switches,
        "tagged": game.tagged,
        "fallen": jnp.any(game.fallen),
        "fallen_chaser": game.fallen[game.chaser],
        "fallen_evader": game.fallen[1 - game.chaser],
        "diverged": jnp.any(game.diverged),
        "dropped": game.dropped,
    }
    return {"score": score, "won": 0.5 + 0.5 * jnp.sign(score)} | {
        name: x.astype(jnp.float32) for name, x in counts.items()
    }
