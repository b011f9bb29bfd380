import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_suite.systems.lifelike import elo, league, tournament
from tests.systems.lifelike import probes
from tests.systems.lifelike.small import HYPER, UPPER

CONFIG = dataclasses.replace(UPPER, level="sepmc", ring=3, eval_episodes=64)
CONFIG = dataclasses.replace(CONFIG, game=dataclasses.replace(CONFIG.game, time_limit=8))
GAMES = 256


@functools.cache
def match(noise):
    """Compiled games of players of these strengths, [N] each."""
    policy = probes.strong(noise)

    def play(one, two, key):
        players = ({"strength": one}, {"strength": two})
        watch = lambda bout: bout.step  # noqa: E731
        return tournament.match(CONFIG, probes.bouts(), policy, (), *players, key, watch)

    return jax.jit(play)


def test_games_are_played_to_their_end_and_no_further():
    one, two = jnp.linspace(0.0, 1.0, GAMES), jnp.full(GAMES, 0.5)
    told = match(0.0)(one, two, jax.random.key(0))
    length = np.asarray(told.going).sum(0)
    assert set(length.tolist()) == {2, 3, 4, 5}
    np.testing.assert_array_equal(told.outcomes["won"], one > 0.5)
    np.testing.assert_array_equal(told.outcomes["most"], np.full(GAMES, 0.5))
    np.testing.assert_array_equal(
        np.asarray(told.seen).max(0), 8
    )  # what is after it is not counted


def test_who_wins_is_the_same_from_either_side():
    strengths = jnp.array([0.3, 1.2, -0.4, 0.3])
    one, two = (x.ravel() for x in jnp.meshgrid(strengths, strengths, indexing="ij"))
    fill = lambda x: jnp.tile(x, GAMES // 16)  # noqa: E731
    won = match(0.0)(fill(one), fill(two), jax.random.key(1)).outcomes["won"]
    won = np.asarray(won).reshape(-1, 4, 4)
    np.testing.assert_array_equal(won, 1 - won.swapaxes(1, 2))
    np.testing.assert_array_equal(won[0], 0.5 + 0.5 * np.sign(strengths[:, None] - strengths[None]))


def test_equal_players_win_half_of_their_games():
    even = jnp.ones(GAMES)
    won = np.asarray(match(1.0)(even, even, jax.random.key(2)).outcomes["won"])
    # Of 256 fair games the standard deviation of the mean is 1/32.
    assert abs(won.mean() - 0.5) < 4 / 32
    assert set(won.tolist()) == {0.0, 1.0}
    better = np.asarray(match(1.0)(even + 1.0, even, jax.random.key(3)).outcomes["won"])
    assert better.mean() > 0.65


def test_the_newest_is_measured_by_its_snapshots():
    policy = probes.strong()
    evaluate = jax.jit(
        lambda params, ring, key: tournament.evaluate(
            CONFIG, probes.bouts(), policy, params, ring, key
        )
    )
    params = policy.init(jax.random.key(0), HYPER, ())
    params = params._replace(weights={"strength": jnp.asarray(2.0)})
    ring = league.start(params.weights, 3)
    found = evaluate(params, ring, jax.random.key(0))
    assert float(found["won"]) == 0.5  # of games against itself
    assert int(found["snapshots"]) == 0
    for i, (strength, won) in enumerate([(1.0, 1.0), (3.0, 0.5), (4.0, 1 / 3), (5.0, 0.0)]):
        ring = league.pushed(ring, {"strength": jnp.asarray(strength)})
        found = evaluate(params, ring, jax.random.key(i))
        assert float(found["won"]) == pytest.approx(won, abs=0.2)
        assert int(found["snapshots"]) == min(i + 1, 3)
    assert float(found["won"]) == 0.0  # the first has given way


def expected(ratings):
    return 1 / (1 + 10 ** ((ratings[None] - ratings[:, None]) / 400))


def test_ratings_are_found_again():
    ratings = np.array([-310.0, -20.0, 40.0, 290.0])
    games = 100.0 * (1 - np.eye(4))
    found = elo(games * expected(ratings), games, prior=0.0)
    np.testing.assert_allclose(found, ratings, atol=1e-3)
    order = np.array([2, 0, 3, 1])
    told = (games * expected(ratings))[np.ix_(order, order)]
    np.testing.assert_allclose(elo(told, games, prior=0.0), ratings[order], atol=1e-3)


def test_ratings_of_equals_are_zero_and_swapped_results_change_their_sign():
    games = 20.0 * (1 - np.eye(3))
    np.testing.assert_allclose(elo(games / 2, games), 0.0, atol=1e-6)
    won = games * expected(np.array([-100.0, 30.0, 70.0]))
    np.testing.assert_allclose(elo(won.T, games), -elo(won, games), atol=1e-6)


def test_who_has_won_all_games_has_a_finite_rating_that_grows_with_them():
    games = 1.0 - np.eye(2)
    won = np.array([[0.0, 1.0], [0.0, 0.0]])
    few, many = (elo(n * won, n * games) for n in (5, 50))
    assert np.isfinite(many).all()
    assert 0 < few[0] < many[0]
    # With a drawn game besides 5.5 of 6 are won.
    assert few[0] - few[1] == pytest.approx(400 * np.log10(5.5 / 0.5), rel=1e-4)
