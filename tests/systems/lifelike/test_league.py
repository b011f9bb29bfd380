import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_suite.core import fuse, train
from jaxrl_suite.systems.lifelike import league, ppo
from jaxrl_suite.systems.lifelike.league import Ring
from tests.systems.lifelike import probes
from tests.systems.lifelike.small import HYPER, UPPER, same

GAME = dataclasses.replace(
    UPPER, level="sepmc", ring=3, snapshot_every=1, num_envs=32, num_steps=7, minibatches=2
)


def ring(size=4, count=0, rate=0.5, games=0.0):
    made = league.start({"strength": jnp.zeros(())}, size)
    full = lambda x: jnp.broadcast_to(jnp.asarray(x, jnp.float32), (size + 1,))  # noqa: E731
    return made._replace(count=jnp.asarray(count), rate=full(rate), games=full(games))


def test_shares_are_of_what_is_lost_squared():
    known = ring(count=4, rate=[0.0, 0.5, 0.8, 1.0, 0.9], games=9.0)
    found = league.shares(known, prioritised=True)
    # The newest is one half whatever the table says.
    need = np.array([1.0, 0.25, 0.04, 0.0, 0.25])
    np.testing.assert_allclose(found, need / need.sum(), rtol=1e-5)


def test_who_is_hardly_known_counts_as_one_half():
    known = ring(count=4, rate=0.0, games=[0.0, 4.0, 5.0, 6.0, 0.0])
    found = league.shares(known, prioritised=True)
    need = np.array([0.25, 0.25, 1.0, 1.0, 0.25])
    np.testing.assert_allclose(found, need / need.sum(), rtol=1e-5)


@pytest.mark.parametrize("count", [0, 1, 3, 4, 7])
def test_nobody_is_met_who_is_not_there(count):
    found = np.asarray(league.shares(ring(count=count), prioritised=True))
    there = np.append(np.arange(4) < count, True)
    np.testing.assert_allclose(found, there / there.sum(), rtol=1e-6)


def test_naive_self_play_meets_the_newest_alone():
    found = league.shares(ring(count=4, rate=0.1, games=9.0), prioritised=False)
    np.testing.assert_array_equal(found, [0, 0, 0, 0, 1])


def test_the_oldest_snapshot_gives_way_and_its_successor_is_unknown():
    known = ring(size=3, rate=0.9, games=8.0)
    for i in range(5):
        known = league.pushed(known, {"strength": jnp.asarray(float(i))})
        place = i % 3
        assert float(known.rate[place]) == 0.5
        assert float(known.games[place]) == 0.0
        known = known._replace(rate=known.rate.at[place].set(0.9), games=known.games + 1)
    np.testing.assert_array_equal(known.weights["strength"], [3, 4, 2])
    assert int(known.count) == 5
    assert float(known.games[3]) == 8 + 5  # the newest's are not touched


def test_results_are_counted_as_if_one_by_one():
    known = ring(size=2, count=2, rate=[0.5, 0.2, 0.5], games=[1.0, 2.0, 3.0])
    opponent = jnp.array([0, 0, 0, 2, 1, 0])
    won = jnp.array([1.0, 0.5, 0.0, 1.0, jnp.nan, jnp.nan])
    ended = jnp.array([True, True, True, True, False, False])
    found = league.counted(known, opponent, won, ended, jnp.asarray(0.25))
    # Three games with the mean 1/2: (1 - 0.25)^3 of the old average is left.
    left = 0.75**3
    np.testing.assert_allclose(found.rate, [left * 0.5 + (1 - left) * 0.5, 0.2, 0.625], rtol=1e-6)
    np.testing.assert_array_equal(found.games, [4, 2, 4])
    alike = league.counted(
        known, jnp.array([1, 1]), jnp.ones(2), jnp.ones(2, bool), jnp.asarray(0.25)
    )
    one = 0.2 + 0.25 * 0.8
    assert float(alike.rate[1]) == pytest.approx(one + 0.25 * (1 - one))


def test_opponents_have_the_weights_of_their_places():
    weights = {"a": jnp.arange(6.0).reshape(3, 2), "b": jnp.arange(3.0)}
    newest = {"a": jnp.array([-1.0, -2.0]), "b": jnp.asarray(-3.0)}
    known = Ring(weights, jnp.asarray(3), jnp.zeros(4), jnp.zeros(4))
    found = league.gathered(known, newest, jnp.array([2, 3, 0, 3]))
    np.testing.assert_array_equal(found["a"], [[4, 5], [-1, -2], [0, 1], [-1, -2]])
    np.testing.assert_array_equal(found["b"], [2, -3, 0, -3])


@functools.cache
def compiled():
    """Compiled ``(init, sample)`` of games between players without noise."""
    source = league.source(probes.bouts(), probes.strong(), GAME)
    return jax.jit(source.init), jax.jit(source.sample)


def player(strength):
    params = probes.strong().init(jax.random.key(0), HYPER, ())
    return params._replace(weights={"strength": jnp.asarray(strength)})


def test_results_are_of_the_opponent_that_was_played():
    """Update u is played with the strength 3, 1, 4, 1.5, ...: who won is known, and by whom."""
    strengths = [3.0, 1.0, 4.0, 1.5, 5.0, 9.0, 2.0, 6.0]
    (init, sample), size = compiled(), GAME.ring
    met, replaced_within = set(), 0
    state = init(jax.random.key(1), HYPER._replace(blend=0.01), player(0.0))
    for i, own in enumerate(strengths):
        before = state.ring
        state, played = sample(state, player(own), jax.random.key(10 + i))
        ended = np.asarray(played.ended)
        told = {name: np.asarray(x)[ended] for name, x in played.outcomes.items()}
        assert np.isnan(np.asarray(played.outcomes["won"])[~ended]).all()
        # An opponent stays the same throughout a game, unless it is the newest, which learns,
        # or has given way to it.
        newest = told["most"] == own
        changed = told["least"] != told["most"]
        newest |= changed
        other = np.where(told["least"] == own, told["most"], told["least"])
        replaced_within += int((other[changed] != strengths[i - 1]).sum())
        places = {
            float(x): j for j, x in enumerate(before.weights["strength"][: int(before.count)])
        }
        place = np.array(
            [size if new else places[x] for new, x in zip(newest, told["most"], strict=True)]
        )
        won = 0.5 + 0.5 * np.sign(own - told["most"])
        np.testing.assert_array_equal(told["won"][~newest], won[~newest])
        expected, games = np.array(before.rate), np.array(before.games)
        for j in range(size + 1):
            results = told["won"][place == j]
            if len(results):
                expected[j] += (1 - 0.99 ** len(results)) * (results.mean() - expected[j])
                games[j] += len(results)
        replaced = i % size
        expected[replaced], games[replaced] = 0.5, 0.0
        np.testing.assert_allclose(state.ring.rate, expected, atol=1e-5)
        np.testing.assert_array_equal(state.ring.games, games)
        assert float(state.ring.weights["strength"][replaced]) == own
        met |= set(place.tolist())
    assert met == set(range(size + 1))
    assert replaced_within > 0  # games against snapshots that gave way


def test_memories_are_of_the_game_that_is_played():
    """The player's memory counts its steps: 0 where a game begins, else one more than before."""
    init, sample = compiled()
    state = init(jax.random.key(1), HYPER._replace(blend=0.01), player(1.0))
    for i in range(2):
        state, played = sample(state, player(1.0), jax.random.key(i))
        steps, fresh = np.asarray(played.value), np.asarray(played.fresh)
        assert (steps[fresh] == 0).all()
        np.testing.assert_array_equal(steps[1:][~fresh[1:]], steps[:-1][~fresh[1:]] + 1)
        np.testing.assert_array_equal(np.where(fresh[0], 0, played.memory), steps[0])
        np.testing.assert_array_equal(played.next_value, steps + 1)
        np.testing.assert_array_equal(fresh[1:], played.ended[:-1])


def test_a_league_of_eight_snapshots_is_one_program_that_goes_on_bit_for_bit():
    config = dataclasses.replace(GAME, ring=8, num_envs=4, num_steps=4, epochs=1, minibatches=1)
    policy = probes.strong(noise=1.0)
    system = fuse(
        ppo.learner(config, policy),
        league.source(probes.bouts(), policy, config),
        hyper=HYPER._replace(learning_rate=1e-2),
        evaluate=lambda state, key: {},
        frames_per_update=config.frames_per_update,
    )
    start = jax.jit(system.init)(jax.random.key(0))
    whole, told = jax.jit(train(system, 8))(start)
    half = jax.jit(train(system, 4))
    again, _ = half(half(start)[0])
    same(again, whole)
    assert half._cache_size() == 1
    assert int(whole.source.ring.count) == 8
    assert len(set(np.asarray(whole.source.ring.weights["strength"]).tolist())) == 8
    assert np.isfinite(told["surrogate"]).all()
