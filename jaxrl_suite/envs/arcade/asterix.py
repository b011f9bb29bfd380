"""Asterix: collect gold, avoid enemies. +1 a piece of gold; an enemy ends the episode.

Gold and enemies cross the board along eight lanes, at most one in a lane when it appears. The
player walks in all four directions. Gold is taken and enemies strike on contact, whether the
player walks into them or they into the player.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl_suite.envs.arcade import board
from jaxrl_suite.envs.arcade.game import Factor, assemble, yes_no
from jaxrl_suite.envs.base import Environment, TimeStep

NOOP, LEFT, RIGHT, UP, DOWN = range(5)
FIRST_LANE, NUM_LANES = 1, 8  # the player stays on them, too
LAST_LANE = FIRST_LANE + NUM_LANES - 1
START_ROW = START_COLUMN = board.SIZE // 2

MOVE_INTERVAL = {"slow": 4, "fast": 2}  # steps that gold and enemies take for a cell
SPAWN_INTERVAL = {"sparse": 8, "dense": 5}  # steps from one's appearance to the next one's
GOLD_SHARE = {"rich": 2 / 3, "poor": 1 / 3}  # of all that appears
DRIFT_INTERVAL = 9  # steps between shifts of drifting lanes
BLINK_INTERVAL = 3  # blinking objects are seen for so many steps, then not for as many
_LEFT_EDGE, _RIGHT_EDGE = 1, 1 << (board.SIZE - 1)


class Variant(NamedTuple):
    """What differs between variants.

    move_interval, spawn_interval: int32 [], steps.
    gold_share: int32 [], of 256.
    drifting: bool [], now and then all lanes move one row down, the lowest to the top.
    blinking: bool [], the observation shows gold and enemies half of the time only.
    """

    move_interval: jax.Array
    spawn_interval: jax.Array
    gold_share: jax.Array
    drifting: jax.Array
    blinking: jax.Array


class State(NamedTuple):
    """Where everything is; boards are int32 [SIZE].

    row, column: int32 [], the player's.
    gold, enemies: boards.
    right: bool [SIZE], what is in this row moves to the right.
    move, spawn, drift, blink: int32 [], steps until objects move, one appears, lanes drift,
        and until a cycle of blinking is over.
    """

    row: jax.Array
    column: jax.Array
    gold: jax.Array
    enemies: jax.Array
    right: jax.Array
    move: jax.Array
    spawn: jax.Array
    drift: jax.Array
    blink: jax.Array


def variant(spawn: str, gold: str, drifting: str, blinking: str, speed: str) -> Variant:
    """A variant from the values of its factors."""
    return Variant(
        move_interval=np.int32(MOVE_INTERVAL[speed]),
        spawn_interval=np.int32(SPAWN_INTERVAL[spawn]),
        gold_share=np.int32(round(256 * GOLD_SHARE[gold])),
        drifting=np.bool_(drifting == "yes"),
        blinking=np.bool_(blinking == "yes"),
    )


def observe(state: State, variant: Variant) -> jax.Array:
    """The planes of PLANES, bool [SIZE, SIZE, len(PLANES)]."""
    shown = ~variant.blinking | (state.blink > BLINK_INTERVAL)
    gold = jnp.where(shown, state.gold, 0)
    enemies = jnp.where(shown, state.enemies, 0)
    return board.planes(
        board.place(state.row, state.column),
        gold,
        enemies,
        board.shift_columns(gold | enemies, state.right),
    )


def reset(key: jax.Array, variant: Variant) -> tuple[State, jax.Array]:
    """The player alone in the middle of the board."""
    del key  # what appears on the way is random, the start is not
    empty = jnp.zeros(board.SIZE, jnp.int32)
    state = State(
        row=jnp.int32(START_ROW),
        column=jnp.int32(START_COLUMN),
        gold=empty,
        enemies=empty,
        right=jnp.zeros(board.SIZE, bool),
        move=variant.move_interval,
        spawn=jnp.int32(1),
        drift=jnp.int32(DRIFT_INTERVAL),
        blink=jnp.int32(2 * BLINK_INTERVAL),
    )
    return state, observe(state, variant)


def _tick(clock: jax.Array, interval: jax.Array | int) -> tuple[jax.Array, jax.Array]:
    """Has the clock run out, and the clock of the next step."""
    due = clock <= 1
    return due, jnp.where(due, interval, clock - 1)


def _drift(rows: jax.Array) -> jax.Array:
    """Every lane one row down, the lowest to the top; [SIZE]."""
    first, last = FIRST_LANE, LAST_LANE
    parts = (rows[:first], rows[last : last + 1], rows[first:last], rows[last + 1 :])
    return jnp.concatenate(parts)


def _collect(state: State) -> tuple[State, jax.Array, jax.Array]:
    """What the player touches: (state without that gold, gold bool [], enemy bool [])."""
    player = board.place(state.row, state.column)
    taken = board.touch(state.gold, player)
    return state._replace(gold=state.gold & ~player), taken, board.touch(state.enemies, player)


def _move_objects(state: State, variant: Variant) -> State:
    """Gold and enemies go along their lanes, and lanes drift."""
    moves, move = _tick(state.move, variant.move_interval)
    drifts, drift = _tick(state.drift, DRIFT_INTERVAL)
    drifts = drifts & variant.drifting

    def moved(rows):
        rows = jnp.where(moves, board.shift_columns(rows, state.right), rows)
        return jnp.where(drifts, _drift(rows), rows)

    return state._replace(
        gold=moved(state.gold),
        enemies=moved(state.enemies),
        right=jnp.where(drifts, _drift(state.right), state.right),
        move=move,
        drift=drift,
    )


def _spawn(state: State, key: jax.Array, variant: Variant) -> State:
    """Gold or an enemy enters a random lane if that lane is empty, otherwise the next step."""
    # One draw a step: three bits for the lane, one for the side, eight for gold or enemy.
    bits = jax.random.bits(key).astype(jnp.int32)
    lane = FIRST_LANE + (bits & (NUM_LANES - 1)) == board.ROWS
    to_right = ((bits >> 3) & 1) != 0
    golden = ((bits >> 4) & 0xFF) < variant.gold_share
    free = ~jnp.any(lane & ((state.gold | state.enemies) != 0))
    appears = free & (state.spawn <= 1)
    new = jnp.where(lane & appears, jnp.where(to_right, _LEFT_EDGE, _RIGHT_EDGE), 0)
    return state._replace(
        gold=state.gold | jnp.where(golden, new, 0),
        enemies=state.enemies | jnp.where(golden, 0, new),
        right=jnp.where(lane & appears, to_right, state.right),
        spawn=jnp.where(appears, variant.spawn_interval, jnp.maximum(state.spawn - 1, 1)),
    )


def step(
    state: State, action: jax.Array, key: jax.Array, variant: Variant
) -> tuple[State, TimeStep]:
    """Moves the player, then gold and enemies, then lets one more appear."""
    right = (action == RIGHT).astype(jnp.int32) - (action == LEFT).astype(jnp.int32)
    down = (action == DOWN).astype(jnp.int32) - (action == UP).astype(jnp.int32)
    state = state._replace(
        row=jnp.clip(state.row + down, FIRST_LANE, LAST_LANE),
        column=jnp.clip(state.column + right, 0, board.SIZE - 1),
        blink=_tick(state.blink, 2 * BLINK_INTERVAL)[1],
    )
    # Before and after the others move: two that swap places have met.
    state, gold_before, struck_before = _collect(state)
    state = _spawn(_move_objects(state, variant), key, variant)
    state, gold_after, struck_after = _collect(state)
    reward = gold_before.astype(jnp.float32) + gold_after.astype(jnp.float32)
    return state, TimeStep(
        observe(state, variant), reward, struck_before | struck_after, jnp.bool_(False)
    )


def render(state: State, variant: Variant) -> jax.Array:
    """A picture of the true state; hidden objects are dim. uint8 [160, 160, 3]."""
    shown = ~variant.blinking | (state.blink > BLINK_INTERVAL)
    pavement = jnp.where((board.ROWS < FIRST_LANE) | (board.ROWS > LAST_LANE), board.FULL_ROW, 0)
    return board.paint(
        [
            (pavement, (20, 22, 32)),
            (state.gold, (90, 78, 32)),
            (state.enemies, (88, 36, 36)),
            (jnp.where(shown, state.gold, 0), (245, 205, 80)),
            (jnp.where(shown, state.enemies, 0), (232, 93, 88)),
            (board.place(state.row, state.column), (108, 178, 240)),
        ]
    )


PLANES = ("player", "gold", "enemies", "next cells of gold and enemies")
ACTIONS = ("noop", "left", "right", "up", "down")

GAME = assemble(
    "asterix",
    Environment(reset, step, (board.SIZE, board.SIZE, len(PLANES)), len(ACTIONS), render),
    variant,
    modes=(
        Factor("spawn", tuple(SPAWN_INTERVAL)),
        Factor("gold", tuple(GOLD_SHARE)),
        yes_no("drifting"),
        yes_no("blinking"),
    ),
    difficulty=Factor("speed", tuple(MOVE_INTERVAL)),
    action_names=ACTIONS,
    plane_names=PLANES,
)
