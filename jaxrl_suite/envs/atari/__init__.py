"""Atari 2600 games through EnvPool; the tasks are the games' own modes and difficulties.

EnvPool is the extra ``envpool``; without it everything here can be imported, and the first pool
that is made says what to install. One pool plays one variant, many pools form one batch::

  game = atari.make("breakout")
  pools = atari.Pools(game, atari.load_split(game, "combination").train, 4, time_limit=27_000)
  pools.send(np.zeros(pools.batch_size, np.int32))
  step = pools.recv()

Two sources of experience are made of pools: :func:`scan.scan_rollout` steps them inside one
compiled program, :class:`actor.Actor` steps them on a thread of its own.
"""

from pathlib import Path

from jaxrl_suite.envs.atari.games import (
    GAMES,
    OBSERVATION_SHAPE,
    SKIPPED_FRAMES,
    AtariGame,
    make,
)
from jaxrl_suite.envs.atari.pools import EmulatorConfig, Pools, require_envpool
from jaxrl_suite.envs.variants import Split, read_split

__all__ = [
    "GAMES",
    "OBSERVATION_SHAPE",
    "SKIPPED_FRAMES",
    "SPLITS",
    "AtariGame",
    "EmulatorConfig",
    "Pools",
    "load_split",
    "make",
    "require_envpool",
]

SPLITS = Path(__file__).parent / "splits"


def load_split(game: str | AtariGame, split_name: str) -> Split:
    """Training and unseen variants of a game (or of the game so called).

    Args:
      game: from :func:`make`, or its name.
      split_name: "combination" (training shows every mode, though not at every difficulty),
        "value" (unseen are whole modes), or the path of a .json file with the keys "train" and
        "unseen". Hero has a single difficulty, hence only "value".
    """
    return read_split(make(game) if isinstance(game, str) else game, split_name, SPLITS)
