"""Names of a game's variants, and which of them are trained on and which are kept unseen.

A variant is named after ALE's two numbers: "m05d1" is mode 5 at difficulty 1. The splits of the
suite are fixed files, `splits/<game>.json` beside the games, under version control; each family of
games has a module `make_splits` that made them.
"""

import collections
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from jaxrl_suite.core import UsageError


class Variants(Protocol):
    """Anything that has variants.

    name: of the game.
    variants: name -> whatever makes the variant, in the order of mode and difficulty.
    describe: name of a variant -> what sets it apart.
    """

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def variants(self) -> Mapping[str, Any]: ...  # noqa: D102
    @property
    def describe(self) -> Callable[[str], dict[str, Any]]: ...  # noqa: D102


def variant_name(mode: int, difficulty: int) -> str:
    """The name of a variant: (5, 1) -> "m05d1"."""
    return f"m{mode:02d}d{difficulty}"


def check_names(game: Variants, names: Iterable[str]) -> None:
    """Raises UsageError unless every name is one of the game's variants."""
    for name in names:
        if name not in game.variants:
            modes, difficulties = (
                list(dict.fromkeys(key[part] for key in game.variants))
                for part in (slice(0, 3), slice(3, 5))
            )
            raise UsageError(
                f"{game.name} has no variant {name!r}; {legal_names(game)}: modes "
                f"{_listed(modes)}, each with {' or '.join(difficulties)}"
            )


def legal_names(game: Variants) -> str:
    """The legal variant names in a few words."""
    names = list(game.variants)
    return f"legal are the {len(names)} from {names[0]} to {names[-1]}"


def _listed(modes: Sequence[str]) -> str:
    numbers = [int(mode[1:]) for mode in modes]
    if numbers == list(range(len(numbers))):
        return f"{modes[0]} to {modes[-1]}"
    return ", ".join(modes)


class Split(NamedTuple):
    """Which variants are trained on.

    train: variant names, ordered: every prefix is a sensible smaller training set.
    unseen: variant names kept for evaluation.
    """

    train: tuple[str, ...]
    unseen: tuple[str, ...]


def check_split(split: Split, game: Variants) -> None:
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


def read_split(game: Variants, name: str, folder: Path) -> Split:
    """The split called `name`, or that of the user's file if `name` ends in .json.

    Args:
      game: whose variants the split names.
      name: of one of the fixed splits, or the path of a file {"train": [..], "unseen": [..]}.
      folder: holds the fixed splits, ``<game>.json``.
    """
    if name.endswith(".json"):
        content, where = _read(Path(name), f"split file {name}"), f"split file {name}"
    else:
        fixed = _read(folder / f"{game.name}.json", f"the splits of {game.name}")
        if name not in fixed:
            raise UsageError(
                f"{game.name} has no split {name!r}; legal are {', '.join(fixed)}, or the path of "
                "a .json file"
            )
        content, where = fixed[name], f"split {name!r}"
    split = _parse(content, where)
    check_split(split, game)
    return split


def _read(path: Path, where: str) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{where} cannot be read: {error}") from error


def _parse(content: object, where: str) -> Split:
    if not isinstance(content, dict) or set(content) != set(Split._fields):
        raise UsageError(f"{where} must be an object with the keys {', '.join(Split._fields)}")
    for part, names in content.items():
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise UsageError(f"{where}: {part!r} must be a list of variant names")
    return Split(**{part: tuple(names) for part, names in content.items()})


def write_splits(splits: Mapping[str, Split], path: Path) -> None:
    """Writes a game's fixed splits."""
    content = {name: split._asdict() for name, split in splits.items()}
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
