"""What happens in games of tag and what it is worth, in games placed by hand."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_suite.core import UsageError
from jaxrl_suite.envs.quadruped import tag
from jaxrl_suite.envs.quadruped.game import Events, Rules, judge, outcomes, rewards_of
from tests.envs.quadruped.games import COUNT, begun, game, keys, programs, step, turn

pytestmark = pytest.mark.xdist_group("tag")


def test_a_tag_ends_the_game():
    near, far = [(0.0, 0.0), (0.4, 0.4)], [(0.0, 0.0), (0.4, 0.5)]  # 0.57 m and 0.64 m
    after, told = step([game(near), game(near, chaser=1), game(far)])
    np.testing.assert_array_equal(told.reward[:3], [[1, -1], [-1, 1], [0, 0]])
    assert told.terminated[:3].tolist() == [True, True, False]
    assert not told.truncated.any()
    come = jax.device_get(jax.vmap(outcomes)(after))
    np.testing.assert_array_equal(come["tagged"][:3], [1, 1, 0])
    np.testing.assert_array_equal(come["score"][:3], [1, -1, 0])
    np.testing.assert_array_equal(come["won"][:3], [1, 0, 0.5])
    np.testing.assert_array_equal(come["length"][:3], 1)
    assert not come["fallen"].any()
    assert not come["switches"].any()


def test_the_flag_swaps_the_roles_and_is_put_elsewhere():
    there = {"places": [(-1.0, 0.0), (1.0, 0.0)], "total": jnp.array([2.0, -2.0])}
    games = [
        game(flag=(1.2, 0.2), **there),  # of the evader, 0.28 m away
        game(flag=(1.2, 0.25), **there),  # 0.32 m
        game(flag=(-1.0, 0.0), **there),  # the chaser has no use for it
        game(flag=(-1.0, 0.0), chaser=1, switches=jnp.asarray(3), **there),
    ]
    after, told = step(games)
    np.testing.assert_array_equal(told.reward[:4], [[-1, 1], [0, 0], [0, 0], [1, -1]])
    assert not (told.terminated | told.truncated).any()
    np.testing.assert_array_equal(after.chaser[:4], [1, 0, 0, 0])
    np.testing.assert_array_equal(after.switches[:4], [1, 0, 0, 4])
    np.testing.assert_array_equal(after.total[:4], [[1, -1], [2, -2], [2, -2], [3, -3]])
    moved = np.abs(after.flag[:4] - np.array([x.flag for x in games])).max(axis=1) > 0
    assert moved.tolist() == [True, False, False, True]
    np.testing.assert_array_equal(told.observation["vector"][0, :, -2:], [[0, 1], [1, 0]])
    np.testing.assert_allclose(told.observation["vector"][0, :, 21:23], after.flag[[0, 0]])
    # Anywhere: other keys put it elsewhere, all of them into the square.
    flags = np.concatenate([step(games[:1], seed=seed)[0].flag for seed in range(8)])
    assert (np.abs(flags) <= 2).all()
    assert (flags.min(axis=0) < -1.5).all()
    assert (flags.max(axis=0) > 1.5).all()


def test_either_robot_s_fall_ends_the_game_for_the_other_s_good():
    level, down = turn(0.0), turn(0.0, roll=1.0)
    turned = [(down, level), (level, down), (down, down)]
    games = [game(turns=x, chaser=chaser) for x in turned for chaser in (0, 1)]
    after, told = step(games)
    np.testing.assert_array_equal(told.reward[:6], [[-1, 1]] * 2 + [[1, -1]] * 2 + [[0, 0]] * 2)
    assert told.terminated[:6].all()
    come = jax.device_get(jax.vmap(outcomes)(after))
    np.testing.assert_array_equal(come["fallen"][:6], 1)
    np.testing.assert_array_equal(come["fallen_chaser"][:6], [1, 0, 0, 1, 1, 1])
    np.testing.assert_array_equal(come["fallen_evader"][:6], [0, 1, 1, 0, 1, 1])
    assert not come["tagged"].any()


def test_of_two_events_one_counts():
    """A tag before a fall before the flag; where the state is lost, none."""
    rules, no = Rules(), jnp.zeros(2, bool)
    near = [(0.0, 0.0), (0.5, 0.0)]
    down = (turn(0.0, roll=1.0), turn(0.0))

    def judged(at, diverged=no):
        events = judge(rules, at, at.states, diverged)
        rewards = rewards_of(events, at.chaser)
        return bool(events.tagged), bool(events.fallen.any()), bool(events.taken), list(rewards)

    assert judged(game(near, flag=(0.5, 0.1), turns=down)) == (True, False, False, [1, -1])
    assert judged(game(flag=(1.0, 0.1), turns=down)) == (False, True, False, [-1, 1])
    assert judged(game(flag=(1.0, 0.1))) == (False, False, True, [-1, 1])
    lost = jnp.array([True, False])
    assert judged(game(near, turns=down), lost) == (False, False, False, [0, 0])


def test_a_state_that_is_lost_ends_the_game():
    after, told = step([game(velocities=np.array([[np.nan] * 6, [0.0] * 6])), game()])
    assert told.terminated[:2].tolist() == [True, False]
    np.testing.assert_array_equal(told.reward, 0.0)
    np.testing.assert_array_equal(after.diverged[0], [True, False])
    assert all(np.isfinite(x).all() for x in told.observation.values())


def test_rewards_of_any_events_sum_to_zero():
    flags = jnp.array(np.meshgrid(*[[False, True]] * 5)).reshape(5, -1)
    events = Events(flags[0], flags[1:3].T, flags[3])
    rewards = jax.vmap(rewards_of)(events, flags[4].astype(jnp.int32))
    np.testing.assert_array_equal(rewards.sum(axis=1), 0.0)
    assert np.abs(rewards).max() > 0


def test_random_play_is_zero_sum():
    at, _ = begun(5)
    for seed in range(60):
        action = 0.8 * jax.random.normal(jax.random.key(seed), (COUNT, 2, 12))
        at, told = programs()[1](at, action, keys(seed))
        np.testing.assert_array_equal(told.reward.sum(axis=1), 0.0)
        assert set(np.unique(told.reward)) <= {-1.0, 0.0, 1.0}
    assert np.abs(at.total).max() > 0
    np.testing.assert_array_equal(at.total.sum(axis=1), 0.0)
    np.testing.assert_array_equal(at.step, 60)


def test_games_are_cut_off_at_the_limit():
    late, last = (jnp.asarray(x, jnp.int32) for x in (998, 999))
    near = [(0.0, 0.0), (0.5, 0.0)]
    _, told = step([game(step=late), game(step=last), game(near, step=last)])
    assert told.truncated[:3].tolist() == [False, True, False]
    assert told.terminated[:3].tolist() == [False, False, True]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"side": 1.0}, "rules.side must be at least 2 m, not 1"),
        ({"side": np.inf}, "rules.side must be at least 2 m"),
        ({"tag_distance": 0.0}, "rules.tag_distance must lie in 0 .. 1 m, not 0"),
        ({"tag_distance": 0.6, "side": 3.0}, "rules.tag_distance must lie in 0 .. 0.5 m, not 0.6"),
        ({"flag_distance": -0.3}, "rules.flag_distance must lie in 0 .. 1 m, not -0.3"),
        ({"flag_distance": np.nan}, "rules.flag_distance must lie in 0 .. 1 m, not nan"),
        ({"time_limit": 0}, "rules.time_limit must be at least 1 action, not 0"),
        ({"drop": 0.0}, "rules.drop must be at least 0.334 m, not 0"),
        ({"speed": (3.0, 0.5)}, "rules.speed must be .* above 0, not 3, 0.5"),
        ({"friction": (0.0, 1.0)}, "rules.friction must be .* above 0, not 0, 1"),
    ],
)
def test_bad_rules_are_refused(changes, said):
    with pytest.raises(UsageError, match=said):
        tag.tag(rules=dataclasses.replace(Rules(), **changes))
