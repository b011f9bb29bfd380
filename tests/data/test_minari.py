"""Data sets travel to Minari and back."""

import sys

import numpy as np
import pytest

from jaxrl_suite.core import UsageError
from jaxrl_suite.data import minari as ours
from tests.data.made import shard


@pytest.fixture
def minari(monkeypatch, tmp_path):
    """The library, with a place of its own to keep data sets."""
    library = pytest.importorskip("minari", reason="needs the extra minari")
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    return library


def test_there_and_back(minari):
    episodes = shard("reach", 0)
    ours.to_minari("metaworld/reach-near-v0", episodes, "reach")
    for found, wanted in zip(ours.from_minari("metaworld/reach-near-v0"), episodes, strict=True):
        assert found.dtype == wanted.dtype
        np.testing.assert_array_equal(found, wanted)


def test_the_library_reads_what_was_written(minari):
    episodes = shard("push", 1)
    ours.to_minari("push-v0", episodes)
    dataset = minari.load_dataset("push-v0")
    assert (dataset.total_episodes, dataset.total_steps) == (3, episodes.length.sum())
    (second,) = dataset.iterate_episodes([1])
    rows = slice(episodes.start[1], episodes.start[2])
    np.testing.assert_array_equal(second.observations[:-1], episodes.state[rows])
    np.testing.assert_array_equal(second.observations[-1], episodes.state[rows][-1])
    np.testing.assert_array_equal(second.actions, episodes.action[rows])
    assert second.truncations.tolist() == [False] * (episodes.length[1] - 1) + [True]
    assert not second.terminations.any()


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_successes_are_terminations_where_nothing_else_is_told(minari):
    from gymnasium.spaces import Box
    from minari.data_collector import EpisodeBuffer

    buffer = EpisodeBuffer(
        observations=np.zeros((4, 2)),
        actions=np.zeros((3, 1)),
        rewards=[0.0, 0.0, 1.0],
        terminations=[False, False, True],
        truncations=[False] * 3,
    )
    spaces = {"observation_space": Box(-1, 1, (2,)), "action_space": Box(-1, 1, (1,))}
    minari.create_dataset_from_buffers("other-v0", [buffer], **spaces)
    assert ours.from_minari("other-v0").success.tolist() == [False, False, True]


def test_what_is_there_is_not_written_over_and_what_is_not_is_named(minari):
    ours.to_minari("push-v0", shard("push", 1))
    with pytest.raises(UsageError, match="there is a data set push-v0 already"):
        ours.to_minari("push-v0", shard("push", 1))
    with pytest.raises(UsageError, match="no data set pull-v0 on this machine; there are: push-v0"):
        ours.from_minari("pull-v0")


def test_without_minari_one_is_told_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "minari", None)
    for use in (ours.from_minari, lambda name: ours.to_minari(name, shard("push", 1))):
        with pytest.raises(UsageError, match=r'pip install "jaxrl_suite\[minari\]"'):
            use("push-v0")
