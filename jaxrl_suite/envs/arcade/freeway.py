"""Freeway: lead the chicken across eight lanes of traffic. +1 a crossing.

One car drives along every lane and comes back on the other side. The chicken hops one row up or
down and then rests for a step. A car that meets it knocks it back by one lane or to the start.
At the top it scores and begins again at the bottom. Nothing terminates an episode: the time
limit truncates it. Only where the cars start is random.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl_suite.envs.arcade import board
from jaxrl_suite.envs.arcade.game import Factor, assemble
from jaxrl_suite.envs.base import Environment, TimeStep

NOOP, UP, DOWN = range(3)
START_ROW, GOAL_ROW = board.SIZE - 1, 0
FIRST_LANE, NUM_LANES = 1, 8
CHICKEN_COLUMN = board.SIZE // 2 - 1

# Steps that a car takes for one cell; a negative period drives left. Top lane first. Fast
# traffic halves them, which still leaves one cell a step: no car can jump over the chicken.
PATTERNS = np.array(
    [
        (5, 5, 4, 4, -4, -4, -5, -5),  # calm, two carriageways
        (6, -5, 4, -3, 3, -4, 5, -6),  # quick in the middle
        (2, -3, 4, -5, 6, -5, 4, -3),  # slower towards the bottom
        (-6, -5, -4, -3, 3, 4, 5, 6),  # quick in the middle, two carriageways
        (-4, 4, -4, 4, -4, 4, -4, 4),  # even, against each other
        (3, 3, 3, 3, 3, 3, 3, 3),  # one way
        (2, -6, 2, -6, 2, -6, 2, -6),  # very unequal
        (-2, 3, -2, 3, -2, 3, -2, 3),  # rush hour
    ],
    np.int32,
)
UNITS = 60  # parts of a cell; every period in PATTERNS divides it
CIRCUIT = board.SIZE * UNITS  # length of a lane
SPEED_UP = {"normal": 1, "fast": 2}
_MEDIUM, _QUICK = UNITS // 4, UNITS // 2  # lower ends of the speed classes, parts a step


class Variant(NamedTuple):
    """What differs between variants.

    velocity: int32 [NUM_LANES], parts of a cell a step, positive to the right.
    to_start: bool [], a knock sends the chicken to the start rather than one lane back.
    """

    velocity: jax.Array
    to_start: jax.Array


class State(NamedTuple):
    """Where everything is.

    row: int32 [], the chicken's.
    rests: bool [], the chicken cannot hop on the next step.
    cars: int32 [NUM_LANES], parts of a cell from the left edge, 0 <= cars < CIRCUIT.
    """

    row: jax.Array
    rests: jax.Array
    cars: jax.Array


def variant(pattern: int, speed: str, knock: str) -> Variant:
    """A variant from the values of its factors."""
    velocity = SPEED_UP[speed] * UNITS // PATTERNS[pattern]
    return Variant(velocity=velocity.astype(np.int32), to_start=np.bool_(knock == "to start"))


def _lanes(words: jax.Array) -> jax.Array:
    """Words of the lanes, int32 [NUM_LANES], as a board."""
    return jnp.pad(words, (FIRST_LANE, board.SIZE - FIRST_LANE - NUM_LANES))


def _cars(state: State) -> jax.Array:
    return _lanes(jnp.left_shift(1, state.cars // UNITS))


def _chicken(state: State) -> jax.Array:
    return board.put(state.row, 1 << CHICKEN_COLUMN)


def observe(state: State, variant: Variant) -> jax.Array:
    """The planes of PLANES, bool [SIZE, SIZE, len(PLANES)]."""
    cars = _cars(state)
    velocity = _lanes(variant.velocity)
    ahead = board.shift_columns(cars, velocity > 0)
    speed = jnp.abs(velocity)
    chicken = _chicken(state)
    return board.planes(
        chicken,
        jnp.where(state.rests, chicken, 0),
        cars,
        jnp.where(speed < _MEDIUM, ahead, 0),
        jnp.where((speed >= _MEDIUM) & (speed < _QUICK), ahead, 0),
        jnp.where(speed >= _QUICK, ahead, 0),
    )


def reset(key: jax.Array, variant: Variant) -> tuple[State, jax.Array]:
    """The chicken at the start, every car anywhere on its lane."""
    # One draw: each lane takes four bits, i.e. one of sixteen places along it.
    nibbles = (jax.random.bits(key) >> np.arange(0, 32, 4, dtype=np.uint32)) & 0xF
    cars = ((nibbles * CIRCUIT) >> 4).astype(jnp.int32)
    state = State(row=jnp.int32(START_ROW), rests=jnp.bool_(False), cars=cars)
    return state, observe(state, variant)


def step(
    state: State, action: jax.Array, key: jax.Array, variant: Variant
) -> tuple[State, TimeStep]:
    """Moves the chicken, then the cars."""
    del key  # only the start of an episode is random
    push = (action == DOWN).astype(jnp.int32) - (action == UP).astype(jnp.int32)
    push = jnp.where(state.rests, 0, push)
    row = jnp.clip(state.row + push, GOAL_ROW, START_ROW)
    hopped = row != state.row
    crossed = row == GOAL_ROW

    cars = state.cars + variant.velocity
    cars = jnp.where(cars >= CIRCUIT, cars - CIRCUIT, jnp.where(cars < 0, cars + CIRCUIT, cars))
    state = State(row=row, rests=hopped, cars=cars)
    knocked = board.touch(_cars(state), _chicken(state))
    back = jnp.where(variant.to_start, START_ROW, row + 1)
    row = jnp.where(crossed, START_ROW, jnp.where(knocked, back, row))
    state = state._replace(row=row)
    never = jnp.bool_(False)
    return state, TimeStep(observe(state, variant), crossed.astype(jnp.float32), never, never)


def render(state: State, variant: Variant) -> jax.Array:
    """A picture of the true state; cars by their direction. uint8 [160, 160, 3]."""
    cars = _cars(state)
    to_right = _lanes(variant.velocity) > 0
    pavement = jnp.where((board.ROWS == START_ROW) | (board.ROWS == GOAL_ROW), board.FULL_ROW, 0)
    return board.paint(
        [
            (pavement, (52, 66, 58)),
            (jnp.where(to_right, cars, 0), (108, 178, 240)),
            (jnp.where(to_right, 0, cars), (232, 93, 88)),
            (_chicken(state), (250, 225, 120)),
        ]
    )


PLANES = ("chicken", "chicken resting", "car", "ahead of a slow car", "of a medium", "of a quick")
ACTIONS = ("noop", "up", "down")

GAME = assemble(
    "freeway",
    Environment(reset, step, (board.SIZE, board.SIZE, len(PLANES)), len(ACTIONS), render),
    variant,
    modes=(
        Factor("speed", tuple(SPEED_UP)),
        Factor("pattern", tuple(range(len(PATTERNS)))),
    ),
    difficulty=Factor("knock", ("one lane", "to start")),
    action_names=ACTIONS,
    plane_names=PLANES,
)
