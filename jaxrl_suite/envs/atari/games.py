"""The Atari 2600 games of the suite and their legal variants: every mode at every difficulty.

The legal modes and difficulties are those of the emulator's own lists (ale-py 0.12.1). What a
mode changes is in the cartridge's manual, not in the emulator; modes are numbers here.
"""

from typing import NamedTuple

from jaxrl_suite.core import UsageError
from jaxrl_suite.envs.variants import variant_name

SKIPPED_FRAMES = 4  # frames that one action lasts, as everywhere since Mnih et al. 2015
OBSERVATION_SHAPE = (4, 84, 84)  # frames, the newest last; height, width
NUM_ALL_ACTIONS = 18


class Variant(NamedTuple):
    """What sets a variant apart: ALE's two numbers."""

    mode: int
    difficulty: int


class AtariGame(NamedTuple):
    """A game with all its variants.

    name: legal argument of ``make``.
    task: EnvPool's name of it.
    variants: name -> variant, in the order of mode and difficulty.
    num_actions: size of the minimal action set.
    """

    name: str
    task: str
    variants: dict[str, Variant]
    num_actions: int

    def describe(self, variant: str) -> dict[str, int]:
        """Mode and difficulty of a variant."""
        return self.variants[variant]._asdict()


def _game(
    name: str, task: str, modes: range, difficulties: range, num_actions: int
) -> tuple[str, AtariGame]:
    variants = {variant_name(m, d): Variant(m, d) for m in modes for d in difficulties}
    return name, AtariGame(name, task, variants, num_actions)


GAMES: dict[str, AtariGame] = dict(
    (
        _game("breakout", "Breakout-v5", range(0, 48, 4), range(2), 4),
        _game("freeway", "Freeway-v5", range(8), range(2), 3),
        _game("hero", "Hero-v5", range(5), range(1), 18),
        _game("space_invaders", "SpaceInvaders-v5", range(16), range(2), 6),
    )
)


def make(game_name: str) -> AtariGame:
    """The game called `game_name`."""
    if game_name not in GAMES:
        raise UsageError(f"no Atari game {game_name!r}; legal are {', '.join(GAMES)}")
    return GAMES[game_name]
