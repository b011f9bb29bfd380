import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_suite.core import UsageError, train
from jaxrl_suite.envs.quadruped.playground import course
from jaxrl_suite.systems import lifelike
from jaxrl_suite.systems.lifelike import Command, Config, Networks, curriculum, priority
from tests.systems.lifelike.small import (
    CONFIG,
    HYPER,
    NETWORKS,
    UPPER,
    begun,
    flat,
    same,
    system,
    trained,
)


def test_two_and_two_updates_are_four_bit_for_bit_and_traced_once():
    whole, _ = trained(CONFIG, 4)
    run = jax.jit(train(system(), 2))
    half, _ = run(begun())
    again, _ = run(half)
    same(again, whole)
    assert run._cache_size() == 1
    assert int(whole.num_updates) == 4


def test_metrics_are_few_finite_numbers():
    _, told = trained(CONFIG, 4)
    assert all(x.shape == (4,) for x in told.values())
    of_episodes = ("score", "length", "diverged", "dropped")  # none before the first has ended
    for name, x in told.items():
        if name not in of_episodes:
            assert np.isfinite(x).all(), name
    assert (told["perplexity"] >= 1).all()
    assert (told["perplexity"] <= 8).all()
    assert (told["dwell"] >= 1).all()
    found = jax.jit(system().evaluate)(trained(CONFIG, 4)[0], jax.random.key(0))
    assert 0 <= float(found["score"]) <= 1


@pytest.mark.slow
def test_two_seeds_at_once_are_two_runs():
    played, keys = system(), jax.random.split(jax.random.key(4), 2)
    run = lambda key: train(played, 2)(played.init(key))  # noqa: E731
    together, _ = jax.jit(jax.vmap(run))(keys)
    alone, _ = jax.jit(run)(keys[1])
    other, own = (
        flat(jax.tree.map(lambda x, i=i: x[i], together.learner.params.weights)) for i in range(2)
    )
    expected = flat(alone.learner.params.weights)
    # Adam's first steps are the gradients' signs, which rounding turns where they are near 0.
    assert np.median(np.abs(own - expected)) < 1e-5
    assert np.abs(other - expected).max() > 1e-3


def skills():
    return lifelike.below_of(CONFIG, trained(CONFIG, 4)[0])


def test_shares_follow_what_is_followed_badly():
    score = jnp.array([0.0, 0.5, 1.0])
    found = np.asarray(priority.shares(score, HYPER._replace(sharpness=3.0, floor=0.1)))
    need = np.array([1.0, 0.125, 0.0])
    np.testing.assert_allclose(found, 0.9 * need / need.sum() + 0.1 / 3, rtol=1e-5)
    np.testing.assert_allclose(priority.shares(jnp.ones(3), HYPER), 1 / 3, rtol=1e-5)


def test_scores_are_averages_of_an_update_s_means():
    score = jnp.array([0.2, 0.4, 0.6])
    segment = jnp.array([0, 0, 2, 2])
    value = jnp.array([1.0, 0.0, 1.0, jnp.nan])
    ended = jnp.array([True, True, True, False])
    found = priority.updated(score, segment, value, ended, jnp.asarray(0.5))
    np.testing.assert_allclose(found, [0.35, 0.4, 0.8], rtol=1e-6)


def test_what_is_followed_badly_is_begun_more_often():
    """Of two segments one is followed well: its share falls. Nobody has begun in the third."""
    schedule, hyper = priority.prioritised(None, 3), HYPER._replace(blend=0.5, floor=0.1)
    table = schedule.init(hyper)
    np.testing.assert_allclose(schedule.task(table, hyper).share, np.full(3, 1 / 3), rtol=1e-6)
    segment = jnp.array([[0, 1], [0, 1]])
    ended = jnp.array([[True, False], [True, True]])
    outcomes = {"score": jnp.array([[1.0, jnp.nan], [0.6, 0.2]])}
    table = schedule.seen(table, hyper, segment, ended, outcomes)
    np.testing.assert_allclose(table.score, [0.4, 0.1, 0.0], rtol=1e-6)
    need = np.array([0.6, 0.9, 1.0]) ** 3
    expected = 0.9 * need / need.sum() + 0.1 / 3
    np.testing.assert_allclose(schedule.task(table, hyper).share, expected, rtol=1e-5)


def test_scores_of_a_run_reach_the_table():
    state, told = trained(CONFIG, 4)
    table = state.source.table
    assert np.isfinite(told["score"]).any()
    assert (np.asarray(table.score) > 0).any()


@pytest.mark.parametrize(
    ("before", "scores", "after"),
    [
        (0.5, [1.0, 0.8], 0.5 + 0.1 * (0.9 - 0.7)),
        (0.5, [0.2, jnp.nan], 0.5 + 0.1 * (0.2 - 0.7)),
        (0.5, [jnp.nan, jnp.nan], 0.5),
        (0.99, [1.0, 1.0], 1.0),
        (0.01, [0.0, 0.0], 0.0),
    ],
)
def test_terrains_grow_harder_where_episodes_score_above_the_goal(before, scores, after):
    hyper = HYPER._replace(level=before, progress=0.1, goal=0.7)
    schedule, score = curriculum.climbing(course({"hurdle": 1.0})), jnp.array(scores)
    table = schedule.init(hyper)
    table = schedule.seen(table, hyper, (), jnp.isfinite(score), {"score": score})
    assert float(schedule.task(table, hyper).level) == pytest.approx(after)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"level": "abc"}, "unknown level 'abc'; legal: pmc, epmc"),
        ({"minibatches": 3}, "minibatches 3 do not divide the 8 environments"),
        ({"num_steps": 0}, "num_steps must be at least 1, not 0"),
        ({"clips": ("gallopp",)}, "no clip or group is called 'gallopp'"),
        ({"terrains": ("sea",)}, "terrains must name kinds"),
        ({"speed": (1.0, 0.5)}, "speed must be \\(least, largest\\)"),
        ({"motion": "0123"}, "the run's clips have the digest 0123"),
        ({"networks": Networks(latent="fsq", width=16)}, "grid \\*\\* width at most 65536"),
        ({"networks": Networks(latent="normal")}, "unknown networks.latent 'normal'"),
        ({"networks": Networks(codes=0)}, "networks.codes must be at least 1"),
        (
            {"level": "epmc", "networks": Networks(latent="none")},
            "skills with the latent 'none' have no codes",
        ),
        ({"level": "epmc", "command": Command(top=9)}, "command.top must lie in 0 .. 8"),
        ({"level": "epmc", "command": Command(hold=0)}, "command.hold must be at least 1"),
        ({"level": "epmc", "command": Command(by="latent", prior=True)}, "prior is of codes"),
    ],
)
def test_settings_that_no_program_can_be_made_of_are_refused(changes, said):
    with pytest.raises(UsageError, match=said):
        lifelike.make(dataclasses.replace(CONFIG, **changes), HYPER)


def test_skills_of_other_networks_are_refused():
    other = dataclasses.replace(NETWORKS, codes=16)
    with pytest.raises(UsageError, match="networks of the level below and of the configuration"):
        lifelike.make(dataclasses.replace(UPPER, networks=other), HYPER, skills())


@pytest.mark.parametrize(
    ("level", "changes", "said"),
    [
        ("sepmc", {"level": "pmc"}, "the level sepmc does not stand on pmc; legal: epmc, distil"),
        ("epmc", {"level": "epmc"}, "the level epmc does not stand on epmc; legal: pmc"),
        ("sepmc", {"command": Command(hold=5)}, "command of the level below"),
        ("sepmc", {"memory": 9}, "memory of the level below"),
    ],
)
def test_levels_that_do_not_fit_are_refused(level, changes, said):
    below = lifelike.Below(dataclasses.replace(UPPER, **changes), skills().params)
    with pytest.raises(UsageError, match=said):
        lifelike.make(dataclasses.replace(UPPER, level=level), HYPER, below)


def test_skills_with_inputs_clipped_elsewhere_are_refused():
    state, _ = trained(CONFIG, 4)
    learner = state.learner
    learner = learner._replace(hyper=learner.hyper._replace(input_clip=jnp.asarray(3.0)))
    with pytest.raises(UsageError, match="input_clip=5"):
        lifelike.below_of(CONFIG, state._replace(learner=learner))


def test_a_primitive_level_is_no_expert():
    with pytest.raises(UsageError, match="is no expert; legal: epmc"):
        lifelike.expert_of(CONFIG, trained(CONFIG, 4)[0])


def test_defaults_are_the_paper_s_sizes():
    assert Config().networks == Networks(
        latent="vq", codes=256, width=32, hidden=(256, 256), sensed=64, told=32
    )
