"""Exploring a level arena."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrl_suite import physics
from jaxrl_suite.envs.base import ControlEnvironment
from jaxrl_suite.envs.unimal.arena import Arena, within_walls
from jaxrl_suite.envs.unimal.body import OPTIONS, SIZES
from jaxrl_suite.envs.unimal.episode import Motion
from jaxrl_suite.envs.unimal.rules import Rules, Verdict, blind, environment, level

ARENA = Arena(-50, 50, 50)
_BITS = 32
_WORDS = -(-ARENA.width // _BITS)


class Visits(NamedTuple):
    """Cells of 1 m that the head has been in, 1.6 kB.

    cells: uint32 [100, 4], a bit each: by x, then by y.
    count: int32 [].
    """

    cells: jax.Array
    count: jax.Array


def _visit(visits: Visits, place: jax.Array) -> tuple[Visits, jax.Array]:
    """With the cell at a place [2] (m), and whether it is new, bool []."""
    i, j = jnp.floor(place - jnp.array([ARENA.back, -ARENA.side])).astype(jnp.int32)
    inside = (i >= 0) & (i < ARENA.length) & (j >= 0) & (j < ARENA.width)
    i, j = jnp.clip(i, 0, ARENA.length - 1), jnp.clip(j, 0, ARENA.width - 1)
    bit = jnp.where(inside, jnp.uint32(1) << (j % _BITS).astype(jnp.uint32), jnp.uint32(0))
    word = visits.cells[i, j // _BITS]
    new = inside & ((word & bit) == 0)
    return Visits(visits.cells.at[i, j // _BITS].set(word | bit), visits.count + new), new


def exploration(options: physics.Options = OPTIONS) -> ControlEnvironment:
    """Visit as many cells of 1 m by 1 m as possible, from the middle of 100 m by 100 m, level.

    The reward is 1 in every action after which the head is in a cell that it has not been in, less
    0.001 times the sum of the squared action. An episode ends when the head is down to half of its
    start height less 0.2 m, and is cut off after 1000 actions. Its score is the sum of rewards
    without the cost of control, and so is its metric, the number of cells. The arena has walls.
    The observation is "proprioceptive" [86].

    Source: Gupta et al. 2021, "Exploration", released code. differs: of the walls only the nearest
    is there.

    Returns:
      An environment whose task is a :class:`physics.Scene` of :data:`SIZES` on level ground.
    """

    def judge(scene: physics.Scene, drawn: Visits, motion: Motion) -> Verdict:
        drawn, new = _visit(drawn, motion.after.q[:2])
        return Verdict(drawn, new.astype(float), drawn.count.astype(float), False)

    none = lambda key: Visits(  # noqa: E731
        jnp.zeros((ARENA.length, _WORDS), jnp.uint32), jnp.zeros((), jnp.int32)
    )
    rules = Rules(
        draw=none,
        furnish=lambda scene, drawn, place: within_walls(ARENA, scene, place),
        ground=level,
        judge=judge,
        see=blind,
        seen={},
        sizes=dataclasses.replace(SIZES, obstacles=1),
    )
    return environment(rules, options)
