"""Which variants of a game are trained on and which are kept unseen.

The splits of the suite are fixed files, `splits/<game>.json`, under version control. They were
made by ``python -m jaxrl_suite.envs.arcade.make_splits``, which is deterministic.
"""

import collections
import json
from pathlib import Path
from typing import NamedTuple

from jaxrl_suite.core import UsageError
from jaxrl_suite.envs.arcade.game import Game, check_names

NAMES = ("combination", "value")
FOLDER = Path(__file__).parent / "splits"


class Split(NamedTuple):
    """Which variants are trained on.

    train: variant names, ordered: every prefix is a sensible smaller training set.
    unseen: variant names kept for evaluation.
    """

    train: tuple[str, ...]
    unseen: tuple[str, ...]


def check_split(split: Split, game: Game) -> None:
    """Raises UsageError on unknown names, duplicates, overlap, or nothing to train on."""
    if not split.train:
        raise UsageError(f"{game.name}: a split needs at least one training variant")
    for part, names in split._asdict().items():
        check_names(game, names)
        twice = [name for name, count in collections.Counter(names).items() if count > 1]
        if twice:
            raise UsageError(f"{game.name}: {', '.join(twice)} more than once in {part!r}")
    both = sorted(set(split.train) & set(split.unseen))
    if both:
        raise UsageError(f"{game.name}: {', '.join(both)} both in 'train' and in 'unseen'")


def read_split(game: Game, name: str) -> Split:
    """The split called `name`, or that of the user's file if `name` ends in .json.

    A file holds {"train": [names], "unseen": [names]}.
    """
    if name in NAMES:
        path, where = FOLDER / f"{game.name}.json", f"split {name!r}"
    elif name.endswith(".json"):
        path, where = Path(name), f"split file {name}"
    else:
        raise UsageError(
            f"no split {name!r}; legal are {', '.join(NAMES)}, or the path of a .json file"
        )
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{where} cannot be read: {error}") from error
    split = _parse(content[name] if name in NAMES else content, where)
    check_split(split, game)
    return split


def _parse(content: object, where: str) -> Split:
    if not isinstance(content, dict) or set(content) != set(Split._fields):
        raise UsageError(f"{where} must be an object with the keys {', '.join(Split._fields)}")
    for part, names in content.items():
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise UsageError(f"{where}: {part!r} must be a list of variant names")
    return Split(**{part: tuple(names) for part, names in content.items()})
