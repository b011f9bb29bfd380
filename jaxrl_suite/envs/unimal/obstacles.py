"""Running between obstacles."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrl_suite import physics
from jaxrl_suite.envs.base import ControlEnvironment
from jaxrl_suite.envs.unimal.arena import (
    CELLS,
    Arena,
    Cell,
    beyond_sides,
    bounded,
    join,
    nearest,
    walls,
)
from jaxrl_suite.envs.unimal.body import FRICTION, OPTIONS, SIZES
from jaxrl_suite.envs.unimal.draws import whole
from jaxrl_suite.envs.unimal.episode import Motion
from jaxrl_suite.envs.unimal.heights import NUM_HEIGHTS, height_field
from jaxrl_suite.envs.unimal.rules import (
    Rules,
    Verdict,
    environment,
    forward_speed,
    level,
)

ARENA = Arena(-3, 147, 30)
NUM_BLOCKS = 50
_STEP, _SIZES = 5, 6  # cells, half the sides: 0.5, 1, .. 3 m
_BUFFER = 100  # cells, from the ends
_TRIES = 10
_HALF_HEIGHT = 2.0  # m
_SEEN = 2.0  # m, how high they look
_DROP = 0.1  # m, that they hang above the floor
_NEAR = 4  # boxes that a body can touch


class Blocks(NamedTuple):
    """Boxes [N], upright and aligned with the axes.

    place: int32 [N, 2], of their middles (cells of 0.1 m).
    half: int32 [N, 2], half their sides along x and y (cells).
    there: bool [N].
    """

    place: jax.Array
    half: jax.Array
    there: jax.Array


def blocks(key: jax.Array) -> Blocks:
    """50 boxes anywhere in the arena but 10 m from its ends, none over another.

    Each has ten tries to find a place, and is left out otherwise. Half its length and its width are
    0.5, 1, .. 3 m.
    """
    u = jax.random.uniform(key, (1 + _TRIES, NUM_BLOCKS, 2))
    half = _STEP * (1 + whole(u[0], _SIZES))
    low = half + jnp.array([[_BUFFER, 0]])
    room = jnp.array([[ARENA.length, ARENA.width]]) * CELLS - 2 * low
    drawn = low[None] + whole(u[1:], room[None])
    drawn = drawn + CELLS * jnp.array([[[ARENA.back, -ARENA.side]]])

    def put(so_far: Blocks, new: tuple) -> tuple[Blocks, None]:
        index, tries = new
        apart = jnp.abs(tries[:, None] - so_far.place[None])
        over = jnp.all(apart < (half + half[index][None])[None], axis=-1) & so_far.there[None]
        free = ~jnp.any(over, axis=1)
        place = so_far.place.at[index].set(tries[jnp.argmax(free)])
        return Blocks(place, half, so_far.there.at[index].set(jnp.any(free))), None

    begin = Blocks(jnp.zeros_like(half), half, jnp.zeros(NUM_BLOCKS, bool))
    tries = jnp.arange(NUM_BLOCKS), jnp.swapaxes(drawn, 0, 1)
    return jax.lax.scan(put, begin, tries)[0]


def as_boxes(drawn: Blocks) -> physics.Boxes:
    """[50]: 4 m high."""
    tall = jnp.full((NUM_BLOCKS, 1), _HALF_HEIGHT)
    still = jax.tree.map(jnp.asarray, physics.no_boxes(NUM_BLOCKS))
    return still._replace(
        position=jnp.concatenate([drawn.place / CELLS, tall + _DROP], axis=1),
        half_size=jnp.concatenate([drawn.half / CELLS, tall], axis=1),
        friction=jnp.full(NUM_BLOCKS, FRICTION),
        exists=drawn.there.astype(float),
    )


def cells_of(drawn: Blocks) -> Cell:
    """Heights as they are seen: 2 m where there is a box, as in the original."""
    low, high = drawn.place - drawn.half, drawn.place + drawn.half

    def cell(i: jax.Array, j: jax.Array) -> jax.Array:
        at = jnp.stack([i, j])[None]
        inside = jnp.all((at >= low) & (at < high), axis=1) & drawn.there
        return jnp.where(jnp.any(inside), _SEEN, 0.0)

    return bounded(ARENA, cell)


def obstacle(options: physics.Options = OPTIONS) -> ControlEnvironment:
    """Run along +x on level ground between boxes, see :func:`blocks`.

    The reward is the forward speed (m/s) over the 0.02 s of an action, less 0.001 times the sum of
    the squared action. An episode ends when the head is down to half of its start height less
    0.2 m, or within 1 m of the arena's side edges, and is cut off after 1000 actions. Its score is
    the sum of the speeds, 50 times the metres; its metric is how far it came (m). The arena is
    150 m by 60 m and has walls. Observations are "proprioceptive" [86] and "hfield" [1410].

    Source: Gupta et al. 2021, "Obstacle", released code. differs: of boxes and walls only the four
    nearest to the head are there.

    Returns:
      An environment whose task is a :class:`physics.Scene` of :data:`SIZES` on level ground.
    """

    def furnish(scene: physics.Scene, drawn: Blocks, place: jax.Array) -> physics.Scene:
        return scene._replace(obstacles=nearest(join(walls(ARENA), as_boxes(drawn)), place, _NEAR))

    def judge(scene: physics.Scene, drawn: Blocks, motion: Motion) -> Verdict:
        speed = forward_speed(motion, options)
        return Verdict(drawn, speed, motion.after.q[0], beyond_sides(ARENA, motion.after))

    rules = Rules(
        draw=blocks,
        furnish=furnish,
        # differs: a head over a box or wall counts from its top as it is seen; this one counts
        # from the floor, for no head gets there but by climbing 4 m.
        ground=level,
        judge=judge,
        see=lambda drawn, state: {"hfield": height_field(cells_of(drawn), state)},
        seen={"hfield": NUM_HEIGHTS},
        sizes=dataclasses.replace(SIZES, obstacles=_NEAR, contacts=12),
    )
    return environment(rules, options)
