"""Four small arcade games on a 10x10 board, each with 24 or 32 variants.

A variant is a pytree of numbers, the `task` of :class:`jaxrl_suite.envs.base.Environment`, so
one compiled program plays a batch in which every element is another variant::

  game = arcade.make("breakout")
  env = episodic(game.environment, time_limit=1000)
  names = arcade.load_split(game, "combination").train
  variants = arcade.stack_variants(game, names)
  states, observations = jax.vmap(env.reset)(jax.random.split(key, len(names)), variants)

Boards, planes and rules are in the manner of MinAtar (Young and Tian 2019), factors in the
manner of ALE's modes and difficulties (Machado et al. 2018); the code and its details are ours.
"""

from pathlib import Path

from jaxrl_suite.core import UsageError
from jaxrl_suite.envs.arcade import asterix, breakout, freeway, space_invaders
from jaxrl_suite.envs.arcade.game import Factor, Game, stack_variants
from jaxrl_suite.envs.variants import Split, check_split, read_split

__all__ = [
    "GAMES",
    "Factor",
    "Game",
    "Split",
    "check_split",
    "load_split",
    "make",
    "stack_variants",
]

SPLITS = Path(__file__).parent / "splits"

GAMES: dict[str, Game] = {
    module.GAME.name: module.GAME for module in (breakout, freeway, space_invaders, asterix)
}


def make(game_name: str) -> Game:
    """The game called `game_name`."""
    if game_name not in GAMES:
        raise UsageError(f"no game {game_name!r}; legal are {', '.join(GAMES)}")
    return GAMES[game_name]


def load_split(game: str | Game, split_name: str) -> Split:
    """Training and unseen variants of a game (or of the game so called).

    Args:
      game: from :func:`make`, or its name.
      split_name: "combination" (unseen are combinations of factor values that training shows
        singly), "value" (unseen are all variants with one factor value that training never
        shows), or the path of a .json file with the keys "train" and "unseen".
    """
    return read_split(make(game) if isinstance(game, str) else game, split_name, SPLITS)
