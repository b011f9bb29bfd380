"""The rules of Breakout, from states placed by hand."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_suite.envs import arcade
from jaxrl_suite.envs.arcade import board, breakout
from jaxrl_suite.envs.base import episodic
from tests.envs.games import at_random, cells, find, plane, start, step, unroll, where

BREAKOUT = breakout.GAME


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
