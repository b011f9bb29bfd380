"""The rules of Space Invaders, from states placed by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_suite.envs.arcade import space_invaders
from tests.envs.games import cells, find, plane, start, step, where

INVADERS = space_invaders.GAME


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
