"""What a game is: an environment, its factors of variation, and a name for every combination.

A variant is a combination of factor values. Of its name's two numbers, `mode` counts the
combinations of all factors but one, and `difficulty` is the value of that one.
"""

import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxrl_suite.core import UsageError
from jaxrl_suite.envs.base import Environment
from jaxrl_suite.envs.variants import check_names, legal_names, variant_name

PyTree = Any
Value = str | int


class Factor(NamedTuple):
    """One way in which the variants of a game differ.

    name: what differs, and the keyword of the game's function that makes a variant.
    values: the legal values, the default first.
    """

    name: str
    values: tuple[Value, ...]


class Game(NamedTuple):
    """A game with all its variants.

    name: legal argument of ``make``.
    environment: takes a variant as its `task`.
    variants: name -> pytree of numbers, in the order of mode and difficulty.
    factors: the factors of variation, the one that sets the difficulty last.
    describe: name of a variant -> its factor values.
    action_names: what each action does.
    plane_names: what each observation plane shows.
    """

    name: str
    environment: Environment
    variants: dict[str, PyTree]
    factors: tuple[Factor, ...]
    describe: Callable[[str], dict[str, Value]]
    action_names: tuple[str, ...]
    plane_names: tuple[str, ...]


def yes_no(name: str) -> Factor:
    """A factor that is off by default."""
    return Factor(name, ("no", "yes"))


def assemble(
    name: str,
    environment: Environment,
    variant: Callable[..., PyTree],
    *,
    modes: Sequence[Factor],
    difficulty: Factor,
    action_names: tuple[str, ...],
    plane_names: tuple[str, ...],
) -> Game:
    """A game out of its parts.

    Args:
      name: of the game.
      environment: takes a variant as its `task`.
      variant: makes one from factor values given by keyword.
      modes: the factors that the mode counts through, the last one changing fastest.
      difficulty: the factor whose value's index is the difficulty.
      action_names: what each action does.
      plane_names: what each observation plane shows.
    """
    factors = (*modes, difficulty)
    table = {}
    for mode, chosen in enumerate(itertools.product(*(factor.values for factor in modes))):
        for level, hardness in enumerate(difficulty.values):
            names = (factor.name for factor in factors)
            table[variant_name(mode, level)] = dict(zip(names, (*chosen, hardness), strict=True))

    variants = {key: variant(**values) for key, values in table.items()}

    def describe(chosen: str) -> dict[str, Value]:
        check_names(game, [chosen])
        return dict(table[chosen])

    game = Game(name, environment, variants, factors, describe, action_names, plane_names)
    return game


def stack_variants(game: Game, names: Sequence[str]) -> PyTree:
    """The variants called `names` as one pytree with a leading axis [len(names)].

    A name may occur more than once: a batch of environments is a list of names.
    """
    if not names:
        raise UsageError(f"{game.name}: at least one variant is needed; {legal_names(game)}")
    check_names(game, names)
    # NumPy, hence uncommitted: the caller's jit decides on which devices the variants live.
    return jax.tree.map(lambda *leaves: np.stack(leaves), *(game.variants[n] for n in names))
