"""The rules of the games on lanes, Freeway and Asterix, from states placed by hand."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_suite.envs import arcade
from jaxrl_suite.envs.arcade import asterix, board, freeway
from tests.envs.games import cells, find, plane, start, step, unroll, where

FREEWAY, ASTERIX = freeway.GAME, asterix.GAME


class TestFreeway:
    def play(self, variant, action, **fields):
        away = np.zeros(freeway.NUM_LANES, np.int32)
        state = start(FREEWAY, variant, **({"cars": away} | fields))
        return step(FREEWAY, state, action, variant)

    def test_hops_and_rests(self):
        variant = find(FREEWAY)
        state = start(FREEWAY, variant, cars=np.zeros(freeway.NUM_LANES))
        rows = []
        for _ in range(4):
            state, timestep = step(FREEWAY, state, freeway.UP, variant)
            rows.append(int(state.row))
            resting = plane(FREEWAY, timestep.observation, "chicken resting")
            assert bool(resting) == bool(state.rests)
        assert rows == [8, 8, 7, 7]
        state, _ = self.play(variant, freeway.DOWN, row=5)
        assert state.row == 6
        state, _ = self.play(variant, freeway.DOWN)
        assert state.row == freeway.START_ROW

    def test_crossing_scores_and_begins_again(self):
        state, timestep = self.play(find(FREEWAY), freeway.UP, row=1)
        assert timestep.reward == 1
        assert state.row == freeway.START_ROW
        assert not timestep.terminated

    @pytest.mark.parametrize(("knock", "row"), [("one lane", 6), ("to start", 9)])
    def test_knock_back(self, knock, row):
        cars = np.zeros(freeway.NUM_LANES, np.int32)
        middle = freeway.UNITS // 2
        cars[5 - freeway.FIRST_LANE] = freeway.CHICKEN_COLUMN * freeway.UNITS + middle
        state, timestep = self.play(find(FREEWAY, knock=knock), freeway.NOOP, row=5, cars=cars)
        assert state.row == row
        assert timestep.reward == 0
        assert not timestep.terminated

    @pytest.mark.parametrize("speed", freeway.SPEED_UP)
    @pytest.mark.parametrize("pattern", range(8))
    def test_traffic_keeps_its_periods(self, speed, pattern):
        variant = find(FREEWAY, speed=speed, pattern=pattern)
        state = start(FREEWAY, variant, cars=np.full(freeway.NUM_LANES, 0))
        for _ in range(60):
            state, timestep = step(FREEWAY, state, 0, variant)
        # After 60 steps a car of period p has gone 60 / p cells (twice as far in fast traffic).
        gone = 60 // freeway.PATTERNS[pattern] * freeway.SPEED_UP[speed]
        expected = {(freeway.FIRST_LANE + i, int(c) % board.SIZE) for i, c in enumerate(gone)}
        assert plane(FREEWAY, timestep.observation, "car") == expected

    def test_patterns_differ_and_no_car_jumps(self):
        assert len({tuple(pattern) for pattern in freeway.PATTERNS}) == 8
        assert np.all(freeway.UNITS % freeway.PATTERNS == 0)
        for variant in FREEWAY.variants.values():
            assert np.all(np.abs(variant.velocity) <= freeway.UNITS)

    def test_planes_ahead_tell_direction_and_speed(self):
        variant = find(FREEWAY, pattern=2)  # periods 2, -3, 4, -5, 6, -5, 4, -3
        middle = np.full(freeway.NUM_LANES, 5 * freeway.UNITS + freeway.UNITS // 2)
        _, timestep = self.play(variant, 0, cars=middle)
        obs = timestep.observation
        cars = dict(plane(FREEWAY, obs, "car"))
        ahead = {row: column + (-1) ** (row - 1) for row, column in cars.items()}
        for name, rows in (
            ("of a quick", (1,)),
            ("of a medium", (2, 3, 7, 8)),
            ("ahead of a slow car", (4, 5, 6)),
        ):
            assert plane(FREEWAY, obs, name) == {(row, ahead[row]) for row in rows}

    def test_always_up_scores(self):
        variants = arcade.stack_variants(FREEWAY, list(FREEWAY.variants))
        up = lambda key, obs: jnp.full(obs.shape[0], freeway.UP)  # noqa: E731
        _, steps = unroll(FREEWAY.environment, variants, up, 500)
        scores = steps.reward.sum(0)
        # Against knocks to the start, never waiting can run into the same cars for ever.
        assert scores.mean() >= 10
        assert scores[~variants.to_start].min() >= 5
        assert not steps.terminated.any()


class TestAsterix:
    variant = find(ASTERIX)

    def play(self, variant=None, action=asterix.NOOP, **fields):
        variant = self.variant if variant is None else variant
        quiet = {"spawn": 99, "move": 99, "drift": 99, "row": 4, "column": 4}
        state = start(ASTERIX, variant, **(quiet | fields))
        return step(ASTERIX, state, action, variant)

    @pytest.mark.parametrize(
        ("action", "cell"),
        [
            (asterix.NOOP, (4, 4)),
            (asterix.LEFT, (4, 3)),
            (asterix.RIGHT, (4, 5)),
            (asterix.UP, (3, 4)),
            (asterix.DOWN, (5, 4)),
        ],
    )
    def test_player_moves(self, action, cell):
        _, timestep = self.play(action=action)
        assert plane(ASTERIX, timestep.observation, "player") == {cell}

    @pytest.mark.parametrize(
        ("action", "cell"), [(asterix.UP, (1, 0)), (asterix.DOWN, (8, 0)), (asterix.LEFT, (8, 0))]
    )
    def test_player_stays_on_the_lanes(self, action, cell):
        state, _ = self.play(action=action, row=cell[0], column=cell[1])
        assert (int(state.row), int(state.column)) == cell

    def test_gold(self):
        state, timestep = self.play(action=asterix.RIGHT, gold=cells((4, 5), (6, 6)))
        assert timestep.reward == 1
        assert where(state.gold) == {(6, 6)}
        assert not timestep.terminated

    @pytest.mark.parametrize("action", [asterix.NOOP, asterix.RIGHT])
    def test_enemy_terminates_on_contact_and_when_swapping(self, action):
        left = np.zeros(board.SIZE, bool)
        _, timestep = self.play(action=action, enemies=cells((4, 5)), right=left, move=1)
        assert timestep.terminated
        assert timestep.reward == 0

    def test_what_leaves_the_board_is_gone(self):
        right = board.ROWS == 4
        state, _ = self.play(
            gold=cells((4, 9), (6, 3)), enemies=cells((7, 0)), right=right, move=1, column=0
        )
        assert where(state.gold) == {(6, 2)}
        assert where(state.enemies) == set()

    @pytest.mark.parametrize("speed", asterix.MOVE_INTERVAL)
    def test_speed(self, speed):
        variant = find(ASTERIX, speed=speed)
        state = start(ASTERIX, variant, gold=cells((1, 9)), spawn=99)
        for _ in range(8):
            state, _ = step(ASTERIX, state, 0, variant)
        assert where(state.gold) == {(1, 9 - 8 // asterix.MOVE_INTERVAL[speed])}

    def test_next_cells_tell_the_direction(self):
        right = board.ROWS == 2
        _, timestep = self.play(gold=cells((2, 3)), enemies=cells((6, 3)), right=right)
        name = "next cells of gold and enemies"
        assert plane(ASTERIX, timestep.observation, name) == {(2, 4), (6, 2)}

    def test_drifting_lanes(self):
        fields = {"gold": cells((8, 3)), "enemies": cells((2, 6)), "drift": 1}
        right = board.ROWS == 8
        state, _ = self.play(right=right, **fields)
        assert (where(state.gold), where(state.enemies)) == ({(8, 3)}, {(2, 6)})
        state, _ = self.play(find(ASTERIX, drifting="yes"), right=right, **fields)
        assert (where(state.gold), where(state.enemies)) == ({(1, 3)}, {(3, 6)})
        np.testing.assert_array_equal(state.right, board.ROWS == 1)

    def test_blinking(self):
        variant = find(ASTERIX, blinking="yes")
        state = start(ASTERIX, variant, gold=cells((1, 9)), spawn=99, move=99)
        seen = []
        for _ in range(12):
            state, timestep = step(ASTERIX, state, 0, variant)
            seen.append(bool(plane(ASTERIX, timestep.observation, "gold")))
        assert seen == [True, True, False, False, False, True] * 2
        assert where(state.gold) == {(1, 9)}

    def test_a_taken_lane_gets_nothing_more(self):
        taken = cells(*((row, 5) for row in range(1, 9)))
        state, _ = self.play(gold=taken, spawn=1, row=1, column=0)
        assert where(state.gold | state.enemies) == where(taken)
        assert state.spawn == 1

    def test_spawning(self):
        count = 512
        names = list(itertools.product(asterix.SPAWN_INTERVAL, asterix.GOLD_SHARE))
        variants = [find(ASTERIX, spawn=spawn, gold=gold) for spawn, gold in names]
        variants = jax.tree.map(lambda *x: np.repeat(np.stack(x), count), *variants)
        stay = lambda key, obs: jnp.zeros(obs.shape[0], int)  # noqa: E731
        states, _ = unroll(ASTERIX.environment, variants, stay, 1)
        states = jax.tree.map(lambda x: np.split(np.asarray(x), len(names)), states)
        for i, (spawn, gold) in enumerate(names):
            is_gold, is_enemy = (np.any(b[i], axis=1) for b in (states.gold, states.enemies))
            assert np.all(is_gold ^ is_enemy)
            # Standard error of the share: sqrt(1/4 / 512) = 0.022.
            assert abs(np.mean(is_gold) - asterix.GOLD_SHARE[gold]) < 0.08
            rows = np.argwhere(states.gold[i] | states.enemies[i])[:, 1]
            assert set(rows) == set(range(asterix.FIRST_LANE, asterix.LAST_LANE + 1))
            np.testing.assert_array_equal(states.spawn[i], asterix.SPAWN_INTERVAL[spawn])
