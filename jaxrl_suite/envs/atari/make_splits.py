"""Makes the committed split files anew: ``python -m jaxrl_suite.envs.atari.make_splits``.

"value" keeps every third mode unseen, beginning with the second, at all its difficulties.
"combination" trains on two thirds of the variants and shows every mode; unseen are modes that
training shows at the other difficulty. Both take at most 16 variants for training, and order them
so that every prefix is spread over the modes.
"""

from jaxrl_suite.envs.atari import GAMES, SPLITS
from jaxrl_suite.envs.atari.games import AtariGame
from jaxrl_suite.envs.variants import Split, write_splits

MAX_TRAIN = 16


def order(game: AtariGame, names: list[str], count: int) -> list[str]:
    """Chooses `count` of `names`, each as far from those before it as can be.

    Greedy, from the game's default on: the next variant is one of the modes chosen least often so
    far, the one whose mode's place in the list of modes is farthest from all others chosen in that
    round, of the difficulty chosen least often.
    """
    modes = list(dict.fromkeys(variant.mode for variant in game.variants.values()))
    chosen: list[str] = []
    while len(chosen) < count:
        taken = [game.variants[name] for name in chosen]
        rounds = {mode: sum(v.mode == mode for v in taken) for mode in modes}

        def merit(name: str, taken: list = taken, rounds: dict = rounds) -> tuple:
            mode, difficulty = game.variants[name]
            others = [v.mode for v in taken if rounds[v.mode] > rounds[mode]]
            gap = min((abs(modes.index(mode) - modes.index(o)) for o in others), default=0)
            return rounds[mode], -gap, sum(v.difficulty == difficulty for v in taken), name

        chosen.append(min((name for name in names if name not in chosen), key=merit))
    return chosen


def propose(game: AtariGame) -> dict[str, Split]:
    """The splits of a game, as the committed file has them."""
    names = list(game.variants)
    modes = list(dict.fromkeys(variant.mode for variant in game.variants.values()))
    held_out = modes[1::3] if len(modes) > 5 else modes[-1:]
    far = [name for name in names if game.variants[name].mode not in held_out]
    splits = {}
    if len(names) > len(modes):
        train = order(game, names, min(MAX_TRAIN, 2 * len(names) // 3))
        splits["combination"] = Split(tuple(train), tuple(n for n in names if n not in train))
    train = order(game, far, min(MAX_TRAIN, len(far)))
    # Variants of shown modes for which training has no room belong to neither side.
    splits["value"] = Split(tuple(train), tuple(n for n in names if n not in far))
    return splits


if __name__ == "__main__":
    for each in GAMES.values():
        write_splits(propose(each), SPLITS / f"{each.name}.json")
