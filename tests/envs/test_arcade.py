"""The rules of the games, from states placed by hand."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_suite.envs import arcade
from jaxrl_suite.envs.arcade import asterix, board, breakout, freeway, space_invaders
from jaxrl_suite.envs.base import episodic
from tests.envs.games import at_random, cells, find, plane, start, step, unroll, where

BREAKOUT, FREEWAY = breakout.GAME, freeway.GAME
INVADERS, ASTERIX = space_invaders.GAME, asterix.GAME


def ball(state):
    return tuple(int(x) for x in (state.row, state.column, state.down, state.right))


class TestBreakout:
    fast = find(BREAKOUT, ball="fast")

    def play(self, variant=None, action=breakout.NOOP, **fields):
        variant = self.fast if variant is None else variant
        state = start(BREAKOUT, variant, **fields)
        return step(BREAKOUT, state, action, variant)

    def test_ball_flies_diagonally(self):
        state, timestep = self.play(row=6, column=3, down=1, right=-1)
        assert ball(state) == (7, 2, 1, -1)
        assert timestep.reward == 0
        assert not timestep.terminated
        assert plane(BREAKOUT, timestep.observation, "ball") == {(7, 2)}
        assert plane(BREAKOUT, timestep.observation, "ball's next cell") == {(8, 1)}

    @pytest.mark.parametrize(("column", "right"), [(0, -1), (9, 1)])
    def test_side_walls_mirror(self, column, right):
        state, _ = self.play(row=6, column=column, down=-1, right=right)
        assert ball(state) == (5, column - right, -1, -right)

    def test_ceiling_mirrors(self):
        state, _ = self.play(row=0, column=5, down=-1, right=1, wall=cells((3, 0)))
        assert ball(state) == (1, 6, 1, 1)

    def test_brick_is_destroyed_and_turns_the_ball(self):
        state, timestep = self.play(row=4, column=3, down=-1, right=1)
        assert timestep.reward == 1
        assert where(breakout.FULL_WALL) - where(state.wall) == {(3, 4)}
        assert ball(state) == (4, 4, 1, 1)

    def test_ball_stays_where_bricks_bar_the_way_sideways(self):
        state, timestep = self.play(row=3, column=3, down=-1, right=1, wall=cells((2, 4), (3, 4)))
        assert ball(state) == (3, 3, 1, 1)
        assert where(state.wall) == {(3, 4)}
        assert timestep.reward == 1

    def test_through(self):
        variant = find(BREAKOUT, ball="fast", bricks="through")
        state, timestep = self.play(variant, row=4, column=3, down=-1, right=1)
        assert timestep.reward == 1
        assert ball(state) == (3, 4, -1, 1)

    @pytest.mark.parametrize("paddle", [3, 4, 5])
    def test_paddle_catches_beneath_the_ball_and_ahead_of_it(self, paddle):
        state, timestep = self.play(row=8, column=4, down=1, right=1, paddle=paddle)
        assert ball(state) == (8, 5, -1, 1)
        assert not timestep.terminated

    @pytest.mark.parametrize("paddle", [2, 6])
    def test_lost_ball_terminates(self, paddle):
        state, timestep = self.play(row=8, column=4, down=1, right=1, paddle=paddle)
        assert timestep.terminated
        assert not timestep.truncated
        assert timestep.reward == 0
        assert ball(state)[:2] == (9, 5)

    def test_moving_paddle_directs_the_ball(self):
        state, _ = self.play(action=breakout.LEFT, row=8, column=4, down=1, right=1, paddle=5)
        assert ball(state) == (8, 5, -1, -1)

    def test_paddle_width(self):
        narrow = find(BREAKOUT, ball="fast", paddle=1)
        _, timestep = self.play(narrow, row=8, column=4, down=1, right=1, paddle=3)
        assert timestep.terminated
        for variant, last in ((self.fast, 8), (narrow, 9)):
            state, timestep = self.play(variant, breakout.RIGHT, paddle=last)
            assert state.paddle == last
            assert plane(BREAKOUT, timestep.observation, "paddle") == {
                (9, column) for column in range(last, board.SIZE)
            }

    def test_slow_ball_moves_every_second_step(self):
        slow = find(BREAKOUT, ball="slow")
        state = start(BREAKOUT, slow, row=4, column=4, down=1, right=1)
        rows = []
        for _ in range(6):
            state, _ = step(BREAKOUT, state, 0, slow)
            rows.append(int(state.row))
        assert rows == [4, 5, 5, 6, 6, 7]

    def test_invisible_bricks_show_on_a_hit_only(self):
        variant = find(BREAKOUT, ball="fast", bricks="invisible")
        state, timestep = self.play(variant, row=4, column=3, down=-1, right=1)
        assert plane(BREAKOUT, timestep.observation, "bricks") == where(state.wall)
        assert len(where(state.wall)) == 29
        _, timestep = step(BREAKOUT, state, 0, variant)
        assert plane(BREAKOUT, timestep.observation, "bricks") == set()

    def test_steerable_on_the_way_up_only(self):
        steerable = find(BREAKOUT, ball="fast", steerable="yes")
        for variant, down, column in ((steerable, -1, 2), (steerable, 1, 4), (self.fast, -1, 4)):
            state, _ = self.play(variant, breakout.LEFT, row=7, column=3, down=down, right=1)
            assert state.column == column

    def test_cleared_wall_is_rebuilt_at_the_paddle(self):
        state, timestep = self.play(row=4, column=3, down=-1, right=1, wall=cells((3, 4)))
        assert timestep.reward == 1
        assert where(state.wall) == set()
        state, _ = self.play(row=8, column=4, down=1, right=1, paddle=4, wall=cells())
        np.testing.assert_array_equal(state.wall, breakout.FULL_WALL)

    def test_following_the_ball_beats_chance_and_clears_the_wall(self):
        def follow(key, observations):
            target = jnp.argmax(observations[:, :, :, 2].any(1), axis=-1)
            paddle = jnp.argmax(observations[:, board.SIZE - 1, :, 0], axis=-1)
            return jnp.where(target < paddle, 1, jnp.where(target > paddle, 2, 0))

        variants = arcade.stack_variants(BREAKOUT, list(BREAKOUT.variants))
        env = episodic(BREAKOUT.environment, time_limit=500)
        followed, _ = unroll(env, variants, follow, 500)
        guessed, _ = unroll(env, variants, at_random(BREAKOUT), 500)
        assert followed.last_return.mean() > 10 * guessed.last_return.mean()
        assert followed.last_return.max() > 2 * board.SIZE * breakout.NUM_BRICK_ROWS


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


class TestSpaceInvaders:
    variant = find(INVADERS)

    def play(self, variant=None, action=space_invaders.NOOP, key=None, **fields):
        variant = self.variant if variant is None else variant
        quiet = {"reload": 99, "march": 99, "shield_clock": 99}
        state = start(INVADERS, variant, **(quiet | fields))
        return step(INVADERS, state, action, variant)

    def test_bullet_hits_an_invader(self):
        state, timestep = self.play(invaders=cells((3, 4), (2, 4)), bullet=cells((4, 4)))
        assert timestep.reward == 1
        assert where(state.invaders) == {(2, 4)}
        assert where(state.bullet) == set()

    def test_bullet_and_marching_invader_cannot_swap_places(self):
        state, timestep = self.play(
            invaders=cells((3, 9), (1, 0)), bullet=cells((5, 9)), right=True, march=1
        )
        assert where(state.invaders) == {(2, 0)}
        assert timestep.reward == 1

    def test_one_bullet_in_the_air(self):
        state, _ = self.play(action=space_invaders.FIRE, ship=3, shields=cells())
        assert where(state.bullet) == {(8, 3)}
        state, _ = step(INVADERS, state, space_invaders.FIRE, self.variant)
        assert where(state.bullet) == {(7, 3)}

    def test_bullet_erodes_a_shield(self):
        state, timestep = self.play(
            action=space_invaders.FIRE, ship=4, shields=cells((8, 4), (7, 4))
        )
        assert where(state.shields) == {(7, 4)}
        assert where(state.bullet) == set()
        assert timestep.reward == 0

    def test_bomb_erodes_a_shield(self):
        state, _ = self.play(bombs=cells((6, 4)), bombs_rest=False, shields=cells((7, 4), (7, 5)))
        assert where(state.shields) == {(7, 5)}
        assert where(state.bombs) == set()

    def test_invaders_trample_shields(self):
        state, _ = self.play(
            invaders=cells((6, 9), (1, 1)), right=True, march=1, shields=cells((7, 9), (7, 5))
        )
        assert where(state.shields) == {(7, 5)}

    @pytest.mark.parametrize(("column", "ends"), [(3, False), (4, True), (5, False)])
    def test_bomb_on_the_ship_terminates(self, column, ends):
        _, timestep = self.play(bombs=cells((8, column)), bombs_rest=False, ship=4, shields=cells())
        assert timestep.terminated == ends

    def test_wide_ship_is_hit_more_easily(self):
        wide = find(INVADERS, ship=2)
        _, timestep = self.play(
            wide, bombs=cells((8, 5)), bombs_rest=False, ship=4, shields=cells()
        )
        assert timestep.terminated
        assert plane(INVADERS, timestep.observation, "ship") == {(9, 4), (9, 5)}

    def test_landing_terminates(self):
        _, timestep = self.play(invaders=cells((8, 9)), right=True, march=1, shields=cells())
        assert timestep.terminated

    def test_march_turns_round_at_the_edge(self):
        state, timestep = self.play(invaders=cells((1, 8)), right=True, march=1)
        assert where(state.invaders) == {(1, 9)}
        assert plane(INVADERS, timestep.observation, "invaders marching right") == {(1, 9)}
        state, timestep = step(INVADERS, state._replace(march=jnp.int32(1)), 0, self.variant)
        assert where(state.invaders) == {(2, 9)}
        assert plane(INVADERS, timestep.observation, "invaders marching left") == {(2, 9)}
        state, _ = step(INVADERS, state._replace(march=jnp.int32(1)), 0, self.variant)
        assert where(state.invaders) == {(2, 8)}

    def test_new_wave_is_faster(self):
        state, timestep = self.play(invaders=cells((3, 4)), bullet=cells((4, 4)))
        assert timestep.reward == 1
        assert state.wave == 1
        assert state.march == space_invaders.FIRST_MARCH - 1
        np.testing.assert_array_equal(state.invaders, space_invaders.INVADERS)
        assert space_invaders.march_interval(jnp.int32(99)) == space_invaders.FASTEST_MARCH

    def test_bombs_fall_from_the_lowest_invader_of_a_column(self):
        drops = set()
        for seed in range(40):
            state = start(
                INVADERS, self.variant, invaders=cells((1, 2), (3, 2), (2, 7)), reload=1, march=99
            )
            state, _ = step(INVADERS, state, 0, self.variant, jax.random.key(seed))
            drops |= where(state.bombs)
            interval = space_invaders.BOMB_INTERVAL if where(state.bombs) else 1
            assert state.reload == interval
        assert drops == {(4, 2), (3, 7)}

    @pytest.mark.parametrize(("bombs", "rows"), [("fast", [1, 2, 3, 4]), ("slow", [0, 1, 1, 2])])
    def test_bomb_speed(self, bombs, rows):
        variant = find(INVADERS, bombs=bombs)
        state = start(INVADERS, variant, bombs=cells((0, 9)), reload=99, march=99)
        seen = []
        for _ in rows:
            state, _ = step(INVADERS, state, 0, variant)
            seen += [row for row, _ in where(state.bombs)]
        assert seen == rows

    def test_zigzag_bombs_swing_but_stay_on_the_board(self):
        variant = find(INVADERS, zigzag="yes", bombs="fast")
        state = start(INVADERS, variant, bombs=cells((0, 1), (0, 6)), shields=cells(), reload=99)
        path = []
        for _ in range(8):
            state, _ = step(INVADERS, state, 0, variant)
            path.append(sorted(column for _, column in where(state.bombs)))
        assert [columns[1] for columns in path] == [5, 4, 5, 6, 5, 4, 5, 6]
        assert [columns[0] for columns in path] == [0, 0, 1, 2, 1, 0, 1, 2]

    def test_moving_shields(self):
        shields = cells((7, 9), (8, 3))
        state, _ = self.play(shields=shields, shield_clock=1)
        assert where(state.shields) == {(7, 9), (8, 3)}
        moving = find(INVADERS, shields="moving")
        state, _ = self.play(moving, shields=shields, shield_clock=1)
        assert where(state.shields) == {(7, 0), (8, 4)}

    def test_invisible_invaders_show_on_a_hit_only(self):
        variant = find(INVADERS, invisible="yes")
        fields = {"invaders": cells((3, 4), (2, 4)), "right": True}
        name = "invaders marching right"
        _, timestep = self.play(variant, bullet=cells((4, 4)), **fields)
        assert plane(INVADERS, timestep.observation, name) == {(2, 4)}
        _, timestep = self.play(variant, **fields)
        assert plane(INVADERS, timestep.observation, name) == set()


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
