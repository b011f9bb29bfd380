"""Space Invaders: shoot the marching invaders, dodge their bombs. +1 an invader.

The invaders march sideways together; when one of them would leave the board they all step down
and turn round. The ship has one bullet in the air at a time. Shields between them stop bullets
and bombs and lose the cell that was hit; invaders trample what is left of them. A bomb on the
ship or an invader on the ship's row ends the episode. When all invaders of a wave are hit a new
wave comes, which marches faster.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl_suite.envs.arcade import board
from jaxrl_suite.envs.arcade.game import Factor, assemble, yes_no
from jaxrl_suite.envs.base import Environment, TimeStep

NOOP, LEFT, RIGHT, FIRE = range(4)
SHIP_ROW = board.SIZE - 1
START_SHIP = board.SIZE // 2 - 1
_NUM_INVADER_ROWS = 4
_SHIELD_ROWS = (SHIP_ROW - 2, SHIP_ROW - 1)
INVADERS = np.where(board.ROWS < _NUM_INVADER_ROWS, 0b0011111100, 0).astype(np.int32)
SHIELDS = np.where(np.isin(board.ROWS, _SHIELD_ROWS), 0b0110110110, 0).astype(np.int32)

FIRST_MARCH, FASTEST_MARCH = 8, 2  # steps between moves of the first and of late waves
BOMB_INTERVAL = 6  # steps from a bomb's release until the next may follow
SHIELD_INTERVAL = 4  # steps between moves of moving shields


class Variant(NamedTuple):
    """What differs between variants.

    ship_width: int32 [], cells.
    moving_shields: bool [], shields drift to the right and come back on the left.
    zigzag: bool [], bombs swing sideways as they fall.
    fast_bombs: bool [], bombs fall on every step, otherwise on every second one.
    invisible: bool [], the observation shows invaders only on a step that hit one.
    """

    ship_width: jax.Array
    moving_shields: jax.Array
    zigzag: jax.Array
    fast_bombs: jax.Array
    invisible: jax.Array


class State(NamedTuple):
    """Where everything is; boards are int32 [SIZE].

    ship: int32 [], column of its left cell.
    bullet, bombs, shields, invaders: boards.
    right: bool [], the invaders march to the right.
    march: int32 [], steps until they move.
    wave: int32 [], waves cleared.
    bombs_rest: bool [], slow bombs stay where they are on the next step.
    reload: int32 [], steps until a bomb may be released.
    shield_clock: int32 [], steps until moving shields move.
    hit: bool [], an invader was hit on the last step.
    """

    ship: jax.Array
    bullet: jax.Array
    bombs: jax.Array
    shields: jax.Array
    invaders: jax.Array
    right: jax.Array
    march: jax.Array
    wave: jax.Array
    bombs_rest: jax.Array
    reload: jax.Array
    shield_clock: jax.Array
    hit: jax.Array


def variant(shields: str, zigzag: str, bombs: str, invisible: str, ship: int) -> Variant:
    """A variant from the values of its factors."""
    return Variant(
        ship_width=np.int32(ship),
        moving_shields=np.bool_(shields == "moving"),
        zigzag=np.bool_(zigzag == "yes"),
        fast_bombs=np.bool_(bombs == "fast"),
        invisible=np.bool_(invisible == "yes"),
    )


def march_interval(wave: jax.Array) -> jax.Array:
    """Steps between two moves of the invaders."""
    return jnp.maximum(FIRST_MARCH - wave, FASTEST_MARCH)


def _ship(state: State, variant: Variant) -> jax.Array:
    return board.put(SHIP_ROW, board.span(state.ship, variant.ship_width))


def _fall(bombs: jax.Array, variant: Variant) -> jax.Array:
    """Bombs after their next move. Zig-zag: two cells to the left, two to the right, ..."""
    to_right = (board.ROWS & 2) != 0
    # A swing off the board is not made: the bomb falls straight.
    edge = jnp.where(to_right, 1 << (board.SIZE - 1), 1)
    swung = board.shift_columns(bombs & ~edge, to_right) | (bombs & edge)
    return board.shift_rows(jnp.where(variant.zigzag, swung, bombs), 1)


def observe(state: State, variant: Variant) -> jax.Array:
    """The planes of PLANES, bool [SIZE, SIZE, len(PLANES)]."""
    shown = jnp.where(state.hit | ~variant.invisible, state.invaders, 0)
    return board.planes(
        _ship(state, variant),
        state.bullet,
        state.bombs,
        _fall(state.bombs, variant),
        state.shields,
        jnp.where(state.right, 0, shown),
        jnp.where(state.right, shown, 0),
    )


def reset(key: jax.Array, variant: Variant) -> tuple[State, jax.Array]:
    """The first wave, marching to a random side."""
    empty = jnp.zeros(board.SIZE, jnp.int32)
    state = State(
        ship=jnp.int32(START_SHIP),
        bullet=empty,
        bombs=empty,
        shields=jnp.asarray(SHIELDS),
        invaders=jnp.asarray(INVADERS),
        right=(jax.random.bits(key) & 1) != 0,
        march=jnp.int32(FIRST_MARCH),
        wave=jnp.int32(0),
        bombs_rest=~variant.fast_bombs,
        reload=jnp.int32(BOMB_INTERVAL),
        shield_clock=jnp.int32(SHIELD_INTERVAL),
        hit=jnp.bool_(False),
    )
    return state, observe(state, variant)


def _move_invaders(state: State) -> State:
    """A step of the march, if it is time for one."""
    edge = jnp.where(state.right, 1 << (board.SIZE - 1), 1)
    descends = board.touch(state.invaders, edge)
    moved = jnp.where(
        descends,
        board.shift_rows(state.invaders, 1),
        board.shift_columns(state.invaders, state.right),
    )
    moves = state.march <= 1
    invaders = jnp.where(moves, moved, state.invaders)
    return state._replace(
        invaders=invaders,
        shields=state.shields & ~invaders,
        right=state.right ^ (moves & descends),
        march=jnp.where(moves, march_interval(state.wave), state.march - 1),
    )


def _move_shields(state: State, variant: Variant) -> State:
    moves = variant.moving_shields & (state.shield_clock <= 1)
    wrapped = ((state.shields << 1) & board.FULL_ROW) | (state.shields >> (board.SIZE - 1))
    return state._replace(
        shields=jnp.where(moves, wrapped, state.shields),
        shield_clock=jnp.where(state.shield_clock <= 1, SHIELD_INTERVAL, state.shield_clock - 1),
    )


def _move_bullet(state: State, fires: jax.Array) -> State:
    """The bullet flies up or leaves the gun; a shield stops it."""
    launched = board.place(SHIP_ROW - 1, state.ship)
    ready = jnp.all(state.bullet == 0)
    flown = board.shift_rows(state.bullet, -1)
    bullet = jnp.where(ready & fires, launched, flown)
    return state._replace(bullet=bullet & ~state.shields, shields=state.shields & ~bullet)


def _hit_invaders(state: State) -> State:
    """Bullet and the invader that it meets are gone."""
    hit = board.touch(state.bullet, state.invaders)
    return state._replace(
        bullet=jnp.where(hit, 0, state.bullet),
        invaders=state.invaders & ~state.bullet,
        hit=state.hit | hit,
    )


def _move_bombs(state: State, key: jax.Array, variant: Variant) -> State:
    """Bombs fall, shields stop them, and the lowest invader of a random column drops another."""
    moves = ~state.bombs_rest
    bombs = jnp.where(moves, _fall(state.bombs, variant), state.bombs)
    # One draw a step: four bits choose a column. None stands for 10 to 15, nor for a column
    # without invaders: then the next step tries again.
    column = (jax.random.bits(key) & 0xF).astype(jnp.int32)
    word = (1 << column) & board.FULL_ROW
    lowest = jnp.max(jnp.where((state.invaders & word) != 0, board.ROWS, -1))
    drops = (state.reload <= 1) & (lowest >= 0)
    bombs = bombs | jnp.where(drops, board.put(lowest + 1, word), 0)
    return state._replace(
        bombs=bombs & ~state.shields,
        shields=state.shields & ~bombs,
        bombs_rest=moves & ~variant.fast_bombs,
        reload=jnp.where(drops, BOMB_INTERVAL, jnp.maximum(state.reload - 1, 1)),
    )


def _next_wave(state: State) -> State:
    """A new wave if this one is cleared."""
    cleared = jnp.all(state.invaders == 0)
    wave = state.wave + cleared
    return state._replace(
        invaders=jnp.where(cleared, INVADERS, state.invaders),
        march=jnp.where(cleared, march_interval(wave), state.march),
        wave=wave,
    )


def step(
    state: State, action: jax.Array, key: jax.Array, variant: Variant
) -> tuple[State, TimeStep]:
    """Moves the ship, the bullet, the shields, the invaders and the bombs, in this order."""
    push = (action == RIGHT).astype(jnp.int32) - (action == LEFT).astype(jnp.int32)
    ship = jnp.clip(state.ship + push, 0, board.SIZE - variant.ship_width)
    state = state._replace(ship=ship, hit=jnp.bool_(False))
    state = _move_shields(state, variant)
    # Before and after the march: a bullet and an invader that swap places have met.
    state = _hit_invaders(_move_bullet(state, action == FIRE))
    state = _hit_invaders(_move_invaders(state))
    state = _move_bombs(state, key, variant)

    bombed = board.touch(state.bombs, _ship(state, variant))
    invaded = state.invaders[SHIP_ROW] != 0
    state = _next_wave(state)
    return state, TimeStep(
        observe(state, variant),
        state.hit.astype(jnp.float32),
        bombed | invaded,
        jnp.bool_(False),
    )


def render(state: State, variant: Variant) -> jax.Array:
    """A picture of the true state; invisible invaders are dim. uint8 [160, 160, 3]."""
    shown = state.hit | ~variant.invisible
    return board.paint(
        [
            (state.shields, (214, 140, 75)),
            (state.invaders, (54, 92, 60)),
            (jnp.where(shown, state.invaders, 0), (120, 210, 130)),
            (_ship(state, variant), (108, 178, 240)),
            (state.bombs, (232, 93, 88)),
            (state.bullet, (245, 245, 245)),
        ]
    )


PLANES = (
    "ship",
    "bullet",
    "bombs",
    "bombs after their next move",
    "shields",
    "invaders marching left",
    "invaders marching right",
)
ACTIONS = ("noop", "left", "right", "fire")

GAME = assemble(
    "space_invaders",
    Environment(reset, step, (board.SIZE, board.SIZE, len(PLANES)), len(ACTIONS), render),
    variant,
    modes=(
        Factor("shields", ("static", "moving")),
        yes_no("zigzag"),
        Factor("bombs", ("slow", "fast")),
        yes_no("invisible"),
    ),
    difficulty=Factor("ship", (1, 2)),
    action_names=ACTIONS,
    plane_names=PLANES,
)
