"""Collecting: over scripted environments, and a little over real ones."""

import numpy as np
import pytest

from jaxrl_suite.core import UsageError
from jaxrl_suite.data import Progress, collect, collecting, load, summary
from jaxrl_suite.envs import metaworld
from tests.data.made import content


class ScriptedPool:
    """Environment n of N succeeds at step 10 (n + 1) + seed, N - 1 never; a state tells all."""

    def __init__(self, task, num_envs, seed=0):
        self.num_envs, self._seed = num_envs, seed[1]
        self.full = np.zeros((num_envs, 39))
        self._elapsed = np.full(num_envs, -1)

    def _state(self):
        state = np.zeros((self.num_envs, metaworld.STATE_SIZE), np.float32)
        state[:, 0], state[:, 1], state[:, 2] = np.arange(self.num_envs), self._elapsed, self._seed
        return state

    def reset(self):
        self._elapsed[:] = 0
        return self._state()

    def step(self, action, playing):
        np.testing.assert_array_equal(action[:, 0], np.where(playing, self._elapsed + 0.5, 0))
        self._elapsed += playing
        n = np.arange(self.num_envs)
        success = (self._elapsed == 10 * (n + 1) + self._seed) & (n < self.num_envs - 1) & playing
        reward = np.where(playing, self._elapsed, 0).astype(np.float32)
        return metaworld.Step(self._state(), reward, success, self._elapsed == 500)

    def close(self):
        self.num_envs = None


class ScriptedActor:
    """Its first action number is the step, plus a half."""

    def __init__(self, task, num_envs, quality, seed=0):
        self._num_envs = num_envs

    def reset(self):
        self._step = 0

    def act(self, full, playing):
        self._step += 1
        return np.full((self._num_envs, 4), self._step - 0.5, np.float32)


@pytest.fixture
def scripted(monkeypatch):
    """Environments without the extra; returns the calibrations that were asked for."""
    asked = []

    def calibrate(task, target, seed):
        asked.append(task)
        return metaworld.Calibration(0.25, target, 50)

    monkeypatch.setattr(metaworld, "Pool", ScriptedPool)
    monkeypatch.setattr(metaworld, "SubOptimal", ScriptedActor)
    monkeypatch.setattr(metaworld, "calibrate", calibrate)
    monkeypatch.setattr(metaworld, "versions", lambda: {"envpool": "1", "metaworld": "2"})
    return asked


def test_episodes_end_some_steps_after_their_first_success(scripted, tmp_path):
    collect(tmp_path / "set", ["reach"], episodes=7, shard_episodes=4)
    episodes = load(tmp_path / "set")["reach"]
    # Shard 1 has three episodes, which succeed a step later; the last of a shard never does.
    assert episodes.length.tolist() == [35, 45, 55, 500, 36, 46, 500]
    assert episodes.success_any.tolist() == [1, 1, 1, 0, 1, 1, 0]
    assert not episodes.success_final.any()  # these successes last one step
    for number, start in enumerate(episodes.start):
        rows = slice(start, start + episodes.length[number])
        steps = np.arange(episodes.length[number])
        np.testing.assert_array_equal(episodes.state[rows, 0], [number % 4] * len(steps))
        np.testing.assert_array_equal(episodes.state[rows, 1], steps)
        np.testing.assert_array_equal(episodes.state[rows, 2], [number // 4] * len(steps))
        np.testing.assert_array_equal(episodes.action[rows, 0], steps + 0.5)
        np.testing.assert_array_equal(episodes.reward[rows], steps + 1)
        assert np.flatnonzero(episodes.success[rows]).tolist() == (
            [] if number in (3, 6) else [episodes.length[number] - 26]
        )


@pytest.mark.parametrize(("keep", "lengths"), [(0, [10, 20, 500]), (None, [500] * 3)])
def test_what_is_kept_after_success_can_be_chosen(scripted, tmp_path, keep, lengths):
    collect(tmp_path / "set", ["reach"], episodes=3, keep_after_success=keep)
    assert load(tmp_path / "set")["reach"].length.tolist() == lengths


class Stopped(BaseException):
    pass


def test_a_stopped_collection_goes_on_to_the_same_bytes(scripted, tmp_path):
    arguments = {"tier": "sub", "episodes": 8, "shard_episodes": 3}
    whole, told = tmp_path / "whole", []
    collect(whole, ["reach", "push"], **arguments, report=told.append)
    assert told == [
        Progress("reach", 0, 16, calibrating=True),
        *(Progress("reach", done, 16) for done in (3, 6, 8)),
        Progress("push", 8, 16, calibrating=True),
        *(Progress("push", done, 16) for done in (11, 14, 16)),
    ]
    parts = tmp_path / "parts"
    for _ in range(20):

        def stop(progress):
            if not progress.calibrating:
                raise Stopped

        try:
            collect(parts, ["reach", "push"], **arguments, report=stop)
            break
        except Stopped:
            pass
    assert content(parts) == content(whole)
    assert scripted == ["reach", "push"] * 2  # a calibration is not made again
    facts = summary(whole)["push"].facts
    assert facts == {
        "tier": "sub", "quality": 0.25, "calibrated_success": 0.5, "calibration_episodes": 50
    }  # fmt: skip


def test_tasks_may_be_added_but_settings_may_not_change(scripted, tmp_path):
    collect(tmp_path / "set", ["reach"], episodes=2)
    collect(tmp_path / "set", ["mt5"], episodes=2)
    assert tuple(load(tmp_path / "set")) == ("reach", *metaworld.MT5)
    before = content(tmp_path / "set")
    for change in ({"episodes": 3}, {"seed": 1}, {"tier": "sub"}, {"keep_after_success": None}):
        with pytest.raises(UsageError, match="other settings"):
            collect(tmp_path / "set", ["reach"], **{"episodes": 2} | change)
    assert content(tmp_path / "set") == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tasks": ["raech"]}, "no Meta-World task 'raech'; perhaps you meant reach; legal are"),
        ({"tasks": []}, "name at least one task"),
        ({"episodes": 0}, "episodes must be at least 1, not 0"),
        ({"seed": -1}, "seed must be at least 0, not -1"),
        ({"keep_after_success": -1}, "keep_after_success must be at least 0"),
        ({"shard_episodes": 0}, "shard_episodes must be at least 1"),
        ({"tier": "far"}, "no tier 'far'; legal are near, sub"),
        ({"tier": "sub", "target_success": 1.0}, "target_success must lie between 0 and 1"),
    ],
)
def test_bad_arguments_change_nothing(scripted, tmp_path, change, message):
    with pytest.raises(UsageError, match=message):
        collect(tmp_path / "set", **{"tasks": ["reach"]} | change)
    assert not list(tmp_path.iterdir())


# EnvPool


@pytest.fixture
def real():
    pytest.importorskip("envpool", reason="needs the extra metaworld")
    pytest.importorskip("metaworld", reason="needs the extra metaworld")


@pytest.mark.envpool
def test_experts_are_collected_and_solve_their_tasks(real, tmp_path):
    collect(tmp_path / "set", ["reach", "button-press"], episodes=6, shard_episodes=4, seed=5)
    for episodes in load(tmp_path / "set").values():
        assert episodes.success_any.all()
        assert episodes.length.max() < 200
        assert np.abs(episodes.action).max() <= 1
        first = [episodes.success[s : s + n].argmax() for s, n in zip(
            episodes.start, episodes.length, strict=True)]  # fmt: skip
        np.testing.assert_array_equal(episodes.length, np.array(first) + 26)
        # Goals or places differ from episode to episode.
        assert len(np.unique(episodes.state[episodes.start], axis=0)) == 6


@pytest.mark.envpool
def test_real_collections_repeat_bit_for_bit(real, tmp_path):
    """Shards do not depend on what was played before them in the same process."""
    settings = {"tasks": ["door-open"], "episodes": 6, "shard_episodes": 3}
    collect(tmp_path / "one", **settings)

    def stop(progress):
        raise Stopped

    for _ in range(2):
        with pytest.raises(Stopped):
            collect(tmp_path / "two", **settings, report=stop)
    collect(tmp_path / "two", **settings)
    collect(tmp_path / "two", **settings)
    assert content(tmp_path / "one") == content(tmp_path / "two")


@pytest.mark.envpool
def test_the_sub_optimal_tier_is_calibrated(real, tmp_path, monkeypatch):
    calibrate = metaworld.calibrate
    monkeypatch.setattr(metaworld, "calibrate", lambda *a, **k: calibrate(*a, **k, episodes=16))
    collect(tmp_path / "set", ["reach"], tier="sub", episodes=25)
    found = summary(tmp_path / "set")["reach"]
    assert 0 < found.facts["quality"] < 1
    assert found.facts["calibration_episodes"] == 16
    assert found.facts["calibrated_success"] == pytest.approx(0.5, abs=0.1)
    assert found.success_any == pytest.approx(0.5, abs=0.25)
    assert collecting.SHARD_EPISODES == 25
