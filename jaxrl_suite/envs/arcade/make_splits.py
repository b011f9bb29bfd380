"""Makes the committed split files anew: ``python -m jaxrl_suite.envs.arcade.make_splits``."""

import collections
import itertools

from jaxrl_suite.envs.arcade import GAMES, SPLITS
from jaxrl_suite.envs.arcade.game import Game, Value
from jaxrl_suite.envs.variants import Split, write_splits

NUM_TRAIN = 16
# The factor value that the split "value" never shows in training.
HELD_OUT: dict[str, tuple[str, Value]] = {
    "breakout": ("bricks", "through"),
    "freeway": ("speed", "fast"),
    "space_invaders": ("zigzag", "yes"),
    "asterix": ("drifting", "yes"),
}


def order(game: Game, names: list[str], count: int) -> list[str]:
    """Chooses `count` of `names` so that every prefix shows as much variety as it can.

    Greedy: each next variant adds the most factor values not seen yet, then the most pairs of
    values not seen yet, then the pairs that were seen least, then comes first by name.
    """
    values, pairs = collections.Counter(), collections.Counter()
    chosen = []
    for _ in range(count):

        def merit(name: str) -> tuple:
            described = sorted(game.describe(name).items())
            new_values = sum(not values[value] for value in described)
            new_pairs = sum(not pairs[pair] for pair in itertools.combinations(described, 2))
            seen = sum(pairs[pair] for pair in itertools.combinations(described, 2))
            return -new_values, -new_pairs, seen, name

        best = min((name for name in names if name not in chosen), key=merit)
        described = sorted(game.describe(best).items())
        values.update(described)
        pairs.update(itertools.combinations(described, 2))
        chosen.append(best)
    return chosen


def propose(game: Game) -> dict[str, Split]:
    """Both splits of a game, as the committed files have them."""
    names = list(game.variants)
    factor, value = HELD_OUT[game.name]
    legal = [name for name in names if game.describe(name)[factor] != value]
    splits = {}
    for split_name, pool in (("combination", names), ("value", legal)):
        train = order(game, pool, NUM_TRAIN)
        rest = [name for name in names if name not in train]
        splits[split_name] = Split(tuple(train), tuple(rest))
    return splits


def seen_values(game: Game, names: tuple[str, ...]) -> dict[str, set[Value]]:
    """Factor -> the values that occur among the variants `names`."""
    described = [game.describe(name) for name in names]
    return {factor.name: {values[factor.name] for values in described} for factor in game.factors}


def write(games: dict[str, Game]) -> None:
    """Makes the files anew."""
    for game in games.values():
        write_splits(propose(game), SPLITS / f"{game.name}.json")


if __name__ == "__main__":
    write(GAMES)
