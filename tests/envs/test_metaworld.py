"""Meta-World: names, mixtures of experts, and (with the extra) the environments themselves."""

import sys

import numpy as np
import pytest

from jaxrl_suite.core import UsageError
from jaxrl_suite.envs import metaworld
from jaxrl_suite.envs.metaworld import experts


def test_the_sets_are_those_of_the_paper():
    assert [len(tasks) for tasks in metaworld.TASK_SETS.values()] == [5, 30, 50]
    assert len(set(metaworld.MT50)) == 50
    assert metaworld.MT50[:30] == metaworld.MT30
    assert metaworld.MT5 == (
        "basketball", "bin-picking", "button-press-topdown", "button-press", "button-press-wall"
    )  # fmt: skip
    assert (metaworld.MT50[29], metaworld.MT50[49]) == ("push", "box-close")


def test_names_of_sets_and_tasks_mean_tasks_each_once():
    assert metaworld.parse_tasks(["mt50"]) == metaworld.MT50
    parsed = metaworld.parse_tasks(["reach", "mt5", "button-press", "reach"])
    assert parsed == ("reach", *metaworld.MT5)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            ["reach-v3"],
            "no Meta-World task 'reach-v3'; perhaps you meant reach; legal are",
        ),
        (["mt5", "mt10"], "no Meta-World task 'mt10'; perhaps you meant mt50"),
        (["xyzzy"], "no Meta-World task 'xyzzy'; legal are the sets mt5, mt30, mt50 and the tasks"),
        ([], "name at least one task"),
    ],
)
def test_unknown_names_are_named(names, message):
    with pytest.raises(UsageError, match=message):
        metaworld.parse_tasks(names)


def test_competence_grows_with_quality_and_its_mean_is_the_quality():
    uniform = np.linspace(0.0005, 0.9995, 1000)
    qualities = np.linspace(0, 1, 21)
    drawn = np.array([experts.competences(uniform, quality) for quality in qualities])
    assert (np.diff(drawn, axis=0) >= 0).all()
    np.testing.assert_allclose(drawn.mean(axis=1), qualities, atol=2e-3)
    assert (drawn[0] == 0).all()
    assert (drawn[-1] == 1).all()


@pytest.mark.parametrize(
    ("package", "make"),
    [
        ("envpool", lambda: metaworld.Pool("reach", 1)),
        ("metaworld.policies", lambda: metaworld.Expert("reach", 1)),
        ("envpool", metaworld.versions),
    ],
)
def test_without_the_extra_one_is_told_what_to_install(monkeypatch, package, make):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UsageError, match=r'pip install "jaxrl_suite\[metaworld\]".*make metaworld'):
        make()


# EnvPool

needs_extra = pytest.mark.envpool


@pytest.fixture
def start():
    """Starts pools that are closed after the test."""
    pytest.importorskip("envpool", reason="needs the extra metaworld")
    pytest.importorskip("metaworld", reason="needs the extra metaworld")
    started = []

    def start(task, num_envs, seed=0, **options):
        started.append(metaworld.Pool(task, num_envs, seed, **options))
        return started[-1]

    yield start
    for pool in started:
        pool.close()


def random_actions(num_steps, num_envs, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, (num_steps, num_envs, 4)).astype(np.float32)


@needs_extra
def test_envpool_has_every_task(start):
    import envpool

    ids = {
        envpool.make_spec(name).config.task_name
        for name in envpool.list_all_envs()
        if name.startswith("MetaWorld/")
    }
    assert ids == {f"{task}-v3" for task in metaworld.MT50}


@needs_extra
@pytest.mark.parametrize("task", ["pick-out-of-hole", "reach"])
def test_observations_are_the_present_and_the_goal(start, task):
    pool = start(task, 3)
    observation = pool.reset()
    for action in random_actions(4, 3):
        np.testing.assert_array_equal(
            observation, pool.full[:, [*range(18), 36, 37, 38]].astype("f")
        )
        assert observation.dtype == np.float32
        assert (pool.full[:, 36:] != 0).any(axis=1).all()  # the goal is told
        observation, reward, success, truncated = pool.step(action)
        assert (observation.shape, reward.shape) == ((3, metaworld.STATE_SIZE), (3,))
        assert (success.dtype, truncated.dtype, reward.dtype) == (bool, bool, np.float32)
        assert not truncated.any()


@needs_extra
def test_an_environment_depends_on_the_seed_and_its_number_alone(start):
    pools = [start("push", 2, 5), start("push", 3, 5, num_threads=2), start("push", 2, 6)]
    first = [pool.reset() for pool in pools]
    np.testing.assert_array_equal(first[0], first[1][:2])
    places = [tuple(row[4:7]) for row in (*first[1], *first[2])]
    assert len(set(places)) == 5  # neighbouring seeds share no environment
    for action in random_actions(20, 3):
        few, many, _ = (pool.step(action[: pool.num_envs]) for pool in pools)
        np.testing.assert_array_equal(few.observation, many.observation[:2])


@needs_extra
def test_actions_are_clipped_and_who_does_not_play_stands_still(start):
    wild, tame = start("push", 3), start("push", 3)
    wild.reset()
    before = tame.reset()
    playing = np.array([True, False, True])
    for action in random_actions(10, 3):
        seen = wild.step(9 * action)
        step = tame.step(np.clip(9 * action, -1, 1), playing)
        np.testing.assert_array_equal(step.observation[playing], seen.observation[playing])
        np.testing.assert_array_equal(step.observation[1], before[1])
        assert step.reward[1] == 0
        assert (step.reward[playing] == seen.reward[playing]).all()


@needs_extra
def test_episodes_are_truncated_after_500_steps_and_the_next_step_resets(start):
    pool, other = start("reach", 2), start("reach", 2)
    pool.reset()
    other.reset()
    actions = random_actions(metaworld.EPISODE_LENGTH, 2)
    for t, action in enumerate(actions):
        step = pool.step(action)
        other.step(action)
        assert step.truncated.all() == (t == 499)
    goal = step.observation[:, 18:]
    opened = pool.step(actions[0])
    assert not opened.truncated.any()
    assert (opened.observation[:, 18:] != goal).any(axis=1).all()
    # The same as a reset, at this time as at any other.
    np.testing.assert_array_equal(other.reset(), opened.observation)
    played = [p.step(actions[1]) for p in (pool, other)]
    np.testing.assert_array_equal(played[0].observation, played[1].observation)
    pool.reset()
    assert not pool.step(actions[2]).truncated.any()


@needs_extra
def test_an_expert_solves_its_task_and_play_stops_after_success(start):
    pool = start("reach", 4)
    played = metaworld.play(pool, metaworld.Expert("reach", 4), keep_after_success=3)
    first = played.success.argmax(axis=0)
    assert played.success.any(axis=0).all()
    np.testing.assert_array_equal(played.length, first + 4)
    for n, length in enumerate(played.length):
        assert not played.state[length:, n].any()
        assert not played.action[length:, n].any()
        assert np.abs(played.action[:, n]).max() <= 1
        # The record can be played again.
    again = start("reach", 4)
    again.reset()
    for t in range(played.length.min()):
        step = again.step(played.action[t])
        np.testing.assert_array_equal(step.reward, played.reward[t])
        np.testing.assert_array_equal(step.success, played.success[t])


@needs_extra
def test_quality_1_is_the_expert_and_quality_0_holds_random_actions(start):
    pool = start("reach", 3)
    everyone = np.ones(3, bool)
    pool.reset()
    best, expert = metaworld.SubOptimal("reach", 3, 1.0), metaworld.Expert("reach", 3)
    worst = metaworld.SubOptimal("reach", 3, 0.0)
    held = []
    for _ in range(40):
        action = expert.act(pool.full)
        np.testing.assert_array_equal(best.act(pool.full, everyone), action)
        held.append(worst.act(pool.full, everyone))
        pool.step(action)
    blocks = np.reshape(held, (4, experts.BLOCK, 3, 4))
    assert (blocks == blocks[:, :1]).all()
    assert len(np.unique(blocks[:, 0].reshape(-1, 4), axis=0)) == 12


@needs_extra
def test_a_better_quality_only_turns_random_blocks_into_the_experts(start):
    del start
    mixtures = [metaworld.SubOptimal("reach", 20, quality, seed=4) for quality in (0.3, 0.6)]
    by_expert = [mixture._by_expert for mixture in mixtures]
    assert (by_expert[0] <= by_expert[1]).all()
    assert by_expert[0].mean() == pytest.approx(0.3, abs=0.05)
    assert by_expert[1].mean() == pytest.approx(0.6, abs=0.05)


@needs_extra
def test_calibration_finds_a_success_rate_and_repeats_itself(start):
    del start
    found = metaworld.calibrate("reach", 0.5, episodes=12, seed=(1, 2))
    assert found.episodes == 12
    assert found.success == pytest.approx(0.5, abs=0.1)
    assert metaworld.calibrate("reach", 0.5, episodes=12, seed=(1, 2)) == found
