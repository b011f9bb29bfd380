"""Breakout: a ball, a paddle, and a wall of three rows of bricks. +1 a brick.

The ball travels diagonally, one cell a move, and is mirrored by the side walls and the ceiling.
A brick that it would enter is destroyed and turns it round vertically. On the row above the
paddle it is caught if the paddle lies beneath it or beneath the cell that it heads for; a paddle
that moves when it catches gives the ball its own horizontal direction. A ball that is not caught
is lost, which ends the episode. A cleared wall is built anew when the ball comes back to the
paddle, so only the length of an episode bounds its return.

Bricks and paddle turn the ball in its row, which it keeps for that move. Were they mirrors like
the ceiling, row plus column would stay even or odd for ever, as for a bishop in chess, and half
the wall would be out of reach.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl_suite.envs.arcade import board
from jaxrl_suite.envs.arcade.game import Factor, assemble, yes_no
from jaxrl_suite.envs.base import Environment, TimeStep

NOOP, LEFT, RIGHT = range(3)
TOP_BRICKS, NUM_BRICK_ROWS = 1, 3  # first row of the wall and its height
PADDLE_ROW = board.SIZE - 1
START_ROW = TOP_BRICKS + NUM_BRICK_ROWS  # just beneath the wall
START_PADDLE = board.SIZE // 2 - 1

_IN_WALL = (board.ROWS >= TOP_BRICKS) & (board.ROWS < START_ROW)
FULL_WALL = np.where(_IN_WALL, board.FULL_ROW, 0).astype(np.int32)


class Variant(NamedTuple):
    """What differs between variants.

    paddle_width: int32 [], cells.
    slow: bool [], the ball moves on every second step only.
    invisible: bool [], the observation shows bricks only on a step that hit one.
    through: bool [], bricks do not turn the ball back.
    steerable: bool [], the horizontal action sets the direction of a ball on its way up.
    """

    paddle_width: jax.Array
    slow: jax.Array
    invisible: jax.Array
    through: jax.Array
    steerable: jax.Array


class State(NamedTuple):
    """Where everything is.

    paddle: int32 [], column of its left cell.
    row, column: int32 [], the ball's.
    down, right: int32 [], the ball's direction, each -1 or 1.
    wall: board of bricks, int32 [SIZE].
    rests: bool [], a slow ball stays where it is on the next step.
    hit: bool [], a brick was hit on the last step.
    """

    paddle: jax.Array
    row: jax.Array
    column: jax.Array
    down: jax.Array
    right: jax.Array
    wall: jax.Array
    rests: jax.Array
    hit: jax.Array


def variant(paddle: int, ball: str, bricks: str, steerable: str) -> Variant:
    """A variant from the values of its factors."""
    return Variant(
        paddle_width=np.int32(paddle),
        slow=np.bool_(ball == "slow"),
        invisible=np.bool_(bricks == "invisible"),
        through=np.bool_(bricks == "through"),
        steerable=np.bool_(steerable == "yes"),
    )


def _ahead(row, column, down, right):
    """The ball's next cell and direction as far as walls and ceiling go, bricks apart."""
    right = jnp.where((column + right < 0) | (column + right >= board.SIZE), -right, right)
    down = jnp.where(row + down < 0, 1, down)
    return row + down, column + right, down, right


def observe(state: State, variant: Variant) -> jax.Array:
    """The planes of PLANES, bool [SIZE, SIZE, len(PLANES)]."""
    row, column, _, _ = _ahead(state.row, state.column, state.down, state.right)
    shown = state.hit | ~variant.invisible
    return board.planes(
        board.put(PADDLE_ROW, board.span(state.paddle, variant.paddle_width)),
        board.place(state.row, state.column),
        board.place(row, column),
        jnp.where(shown, state.wall, 0),
    )


def reset(key: jax.Array, variant: Variant) -> tuple[State, jax.Array]:
    """A full wall, and the ball beneath it in a random column, falling to a random side."""
    bits = jax.random.bits(key)  # one draw: 16 bits for the column, 1 for the direction
    column = (((bits & 0xFFFF) * board.SIZE) >> 16).astype(jnp.int32)
    right = jnp.where((bits >> 16) & 1, 1, -1)
    state = State(
        paddle=jnp.int32(START_PADDLE),
        row=jnp.int32(START_ROW),
        column=column,
        down=jnp.int32(1),
        right=right,
        wall=jnp.asarray(FULL_WALL),
        rests=variant.slow,
        hit=jnp.bool_(False),
    )
    return state, observe(state, variant)


def step(
    state: State, action: jax.Array, key: jax.Array, variant: Variant
) -> tuple[State, TimeStep]:
    """Moves the paddle, then the ball."""
    del key  # only the start of an episode is random
    push = (action == RIGHT).astype(jnp.int32) - (action == LEFT).astype(jnp.int32)
    paddle = jnp.clip(state.paddle + push, 0, board.SIZE - variant.paddle_width)
    steered = variant.steerable & (state.down < 0) & (push != 0)
    right = jnp.where(steered, push, state.right)
    moves = ~state.rests

    next_row, next_column, next_down, next_right = _ahead(
        state.row, state.column, state.down, right
    )
    target = jnp.where(moves, board.place(next_row, next_column), 0)
    brick = board.touch(state.wall, target)
    bounced = brick & ~variant.through

    beneath = (1 << state.column) | (1 << next_column)
    arrived = moves & (next_row == PADDLE_ROW)
    caught = arrived & ((board.span(paddle, variant.paddle_width) & beneath) != 0)
    lost = arrived & ~caught

    turned = caught | bounced
    wall = state.wall & ~target
    # In a gap of the wall another brick may bar the way sideways, too: then the ball stays.
    barred = bounced & board.touch(wall, board.place(state.row, next_column))
    next_row = jnp.where(turned, state.row, next_row)
    next_down = jnp.where(turned, -next_down, next_down)
    next_right = jnp.where(caught & (push != 0), push, next_right)
    rebuilt = caught & jnp.all(wall == 0)
    state = State(
        paddle=paddle,
        row=jnp.where(moves, next_row, state.row),
        column=jnp.where(moves & ~barred, next_column, state.column),
        down=jnp.where(moves, next_down, state.down),
        right=jnp.where(moves, next_right, right),
        wall=jnp.where(rebuilt, FULL_WALL, wall),
        rests=variant.slow & moves,
        hit=brick,
    )
    reward = brick.astype(jnp.float32)
    return state, TimeStep(observe(state, variant), reward, lost, jnp.bool_(False))


def render(state: State, variant: Variant) -> jax.Array:
    """A picture of the true state; invisible bricks are dim. uint8 [160, 160, 3]."""
    shown = state.hit | ~variant.invisible
    brick_rows = [jnp.where(TOP_BRICKS + i == board.ROWS, state.wall, 0) for i in range(3)]
    bright = ((232, 93, 88), (240, 160, 75), (238, 210, 95))
    layers = []
    for rows, colour in zip(brick_rows, bright, strict=True):
        dim = tuple(c // 3 for c in colour)
        layers += [(rows, dim), (jnp.where(shown, rows, 0), colour)]
    paddle = board.put(PADDLE_ROW, board.span(state.paddle, variant.paddle_width))
    ball = board.place(state.row, state.column)
    return board.paint([*layers, (paddle, (108, 178, 240)), (ball, (245, 245, 245))])


PLANES = ("paddle", "ball", "ball's next cell", "bricks")
ACTIONS = ("noop", "left", "right")

GAME = assemble(
    "breakout",
    Environment(reset, step, (board.SIZE, board.SIZE, len(PLANES)), len(ACTIONS), render),
    variant,
    modes=(
        Factor("ball", ("slow", "fast")),
        Factor("bricks", ("normal", "invisible", "through")),
        yes_no("steerable"),
    ),
    difficulty=Factor("paddle", (2, 1)),
    action_names=ACTIONS,
    plane_names=PLANES,
)
