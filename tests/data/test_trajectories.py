"""The store: what is written is read back, and what is damaged or unfinished is named."""

import dataclasses
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from jaxrl_suite import files
from jaxrl_suite.core import UsageError
from jaxrl_suite.data import trajectories
from jaxrl_suite.data.episodes import Episodes, join
from jaxrl_suite.data.trajectories import Store, digest, load, summary
from tests.data.made import SETTINGS, SIZES, TASKS, collect, content, shard


def opened(directory, **change):
    return Store.open(directory, SETTINGS | change, len(SIZES))


@pytest.fixture
def directory(tmp_path):
    """A complete store."""
    with opened(tmp_path / "set") as store:
        collect(store)
    return tmp_path / "set"


def test_what_is_written_is_read_back_bit_for_bit(directory):
    loaded = load(directory)
    assert tuple(loaded) == TASKS
    for task, episodes in loaded.items():
        expected = join([shard(task, i) for i in range(len(SIZES))])
        for name, found, wanted in zip(Episodes._fields, episodes, expected, strict=True):
            assert found.dtype == wanted.dtype
            np.testing.assert_array_equal(found, wanted, err_msg=name)


def test_one_task_alone(directory):
    assert tuple(load(directory, ["push"])) == ("push",)


def test_a_digest_tells_data_apart(directory, tmp_path):
    with opened(tmp_path / "other") as store:
        collect(store, TASKS[::-1])
    whole = digest(directory)
    assert len(whole) == 8
    assert digest(directory, TASKS) == whole
    assert digest(tmp_path / "other", TASKS) == whole  # the order of collection is not the data's
    assert digest(directory, TASKS[:1]) != whole
    with opened(tmp_path / "other") as store:
        store.add(TASKS[0], 0, shard(TASKS[1], 0))
    assert digest(tmp_path / "other", TASKS) != whole
    with pytest.raises(UsageError, match="has no task 'sew'; it has reach, push"):
        digest(directory, ["sew"])


def test_the_manifest_says_what_the_episodes_are(directory):
    told, episodes = summary(directory)["push"], load(directory, ["push"])["push"]
    ends = np.cumsum(episodes.length)
    each = list(zip(ends - episodes.length, ends, strict=True))
    returns = [float(np.sum(episodes.reward[a:b], dtype=np.float64)) for a, b in each]
    np.testing.assert_allclose(told.returns, np.quantile(returns, [0, 0.25, 0.5, 0.75, 1]), 1e-2)
    assert told.success_any == pytest.approx(
        np.mean([episodes.success[a:b].any() for a, b in each]), abs=1e-4
    )
    assert told.success_final == pytest.approx(
        np.mean([episodes.success[b - 1] for _, b in each]), abs=1e-4
    )
    assert (told.episodes, told.steps, told.missing) == (sum(SIZES), ends[-1], 0)
    assert told.facts == {"tier": "near", "quality": 1.0}


def test_a_finished_store_misses_nothing_and_can_be_given_more_tasks(directory):
    with opened(directory) as store:
        assert store.missing("reach") == []
        assert store.missing("sweep") == [0, 1, 2, 3]
        collect(store, ["sweep"])
    assert tuple(load(directory)) == (*TASKS, "sweep")


class Killed(BaseException):
    """Nothing of ours goes on after it, as nothing can act on a kill."""


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("moment", range(1, 20))
def test_killed_at_any_rename_and_resumed_it_is_the_same_byte_for_byte(
    directory, tmp_path, monkeypatch, moment, after
):
    """Renames are all that counts: a store has 1 + 2 * (1 + 2 * 4) of them."""
    calls, rename = 0, os.replace

    def replace(*paths):
        nonlocal calls
        calls += 1
        if calls == moment and not after:
            raise Killed
        rename(*paths)
        if calls == moment:
            raise Killed

    again = tmp_path / "again"
    monkeypatch.setattr(files.os, "replace", replace)
    # What is killed cleans nothing up.
    monkeypatch.setattr(files.Path, "unlink", lambda *_, **__: None)
    with pytest.raises(Killed), opened(again) as store:
        collect(store)
    monkeypatch.undo()
    with opened(again) as store:
        collect(store)
    assert content(again) == content(directory)


def test_killed_for_good_and_resumed_it_is_the_same_byte_for_byte(directory, tmp_path):
    again = tmp_path / "again"
    code = (
        "import sys, time; from tests.data.made import *; "
        "from jaxrl_suite.data.trajectories import Store\n"
        "store = Store.open(sys.argv[1], SETTINGS, len(SIZES)); add = store.add\n"
        "store.add = lambda *a: (add(*a), time.sleep(0.3))\n"
        "collect(store)"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    child = subprocess.Popen([sys.executable, "-c", code, str(again)], env=environment)
    end = time.monotonic() + 60
    while not (again / "reach-002.npz").exists():
        assert child.poll() is None
        assert time.monotonic() < end
        time.sleep(0.01)
    with pytest.raises(UsageError, match="being written by another process"):
        opened(again)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert len(load(again, ["reach"], partial=True)["reach"].length) < sum(SIZES)
    with opened(again) as store:
        collect(store)
    assert content(again) == content(directory)
    assert len(load(again)["reach"].length) == sum(SIZES)


def test_an_unfinished_task_is_named(tmp_path):
    with opened(tmp_path / "set") as store:
        store.begin("reach", {})
        store.add("reach", 2, shard("reach", 2))
    with pytest.raises(UsageError, match="of reach there are 1 of 4 shards; go on with"):
        load(tmp_path / "set")
    part = load(tmp_path / "set", partial=True)["reach"]
    np.testing.assert_array_equal(part.length, shard("reach", 2).length)
    assert summary(tmp_path / "set")["reach"].missing == 3


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut(path):
    path.write_bytes(path.read_bytes()[:-7])


@pytest.mark.parametrize("harm", [flip, cut, lambda path: path.write_bytes(b"")])
def test_a_damaged_file_is_named_and_can_be_made_again(directory, harm):
    before = content(directory)
    path = directory / "push-001.npz"
    harm(path)
    with pytest.raises(UsageError, match=r"push-001\.npz is damaged.*delete it and collect again"):
        load(directory)
    assert tuple(load(directory, ["reach"])) == ("reach",)
    path.unlink()
    with pytest.raises(UsageError, match=r"push-001\.npz cannot be read .*collect again"):
        load(directory)
    with opened(directory) as store:
        assert store.missing("push") == [1]
        collect(store)
    assert content(directory) == before


def test_nothing_is_added_to_a_damaged_task(directory):
    flip(directory / "push-001.npz")
    (directory / "push-003.npz").unlink()
    before = content(directory)
    with opened(directory) as store, pytest.raises(UsageError, match=r"push-001\.npz is damaged"):
        collect(store)
    assert content(directory) == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 4}, r"\(seed 3, not 4\)"),
        ({"tier": "sub", "keep": 25}, r"\(tier near, not sub; keep None, not 25\)"),
        ({"more": 1}, r"\(more None, not 1\)"),
    ],
)
def test_other_settings_are_refused_and_nothing_is_touched(directory, change, message):
    before = content(directory)
    with pytest.raises(UsageError, match=message):
        opened(directory, **change)
    with pytest.raises(UsageError, match="num_shards 4, not 5"):
        Store.open(directory, SETTINGS, 5)
    assert content(directory) == before


def test_what_is_no_store_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(UsageError, match="something else than a data set; nothing was changed"):
        opened(tmp_path)
    with pytest.raises(UsageError, match="is a file; give a directory"):
        opened(tmp_path / "thesis.tex")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
    for wrong in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(UsageError, match="is no data set: it has no manifest"):
            load(wrong)


def test_a_manifest_that_cannot_be_read_is_named(directory):
    cut(directory / "manifest.json")
    for use in (load, summary, opened):
        with pytest.raises(UsageError, match=r"manifest\.json cannot be read"):
            use(directory)
    (directory / "manifest.json").write_text('{"format": 0}')
    with pytest.raises(UsageError, match="is not of format 1"):
        load(directory)


def test_an_unknown_task_names_the_legal_ones(directory):
    with pytest.raises(UsageError, match="has no task 'pull'; it has reach, push"):
        load(directory, ["pull"])


@dataclasses.dataclass
class Unsound:
    field: str
    value: np.ndarray
    message: str


SOUND = Episodes(
    length=np.array([2, 3]),
    state=np.zeros((5, 21)),
    action=np.zeros((5, 4)),
    reward=np.zeros(5),
    success=np.zeros(5, bool),
)


@pytest.mark.parametrize(
    "unsound",
    [
        Unsound("state", np.where(np.arange(5) == 3, np.nan, np.zeros((21, 5))).T,
                "episode 1: state is not finite at step 1"),
        Unsound("action", np.full((5, 4), np.inf), "episode 0: action is not finite at step 0"),
        Unsound("reward", np.array([0, 1, 0, 0, 1e39]), "episode 1: reward is not finite at step"),
        Unsound("length", np.array([2, 2]), "the lengths add up to 4"),
        Unsound("length", np.array([5, 0]), "episode 1: an episode has at least one step"),
        Unsound("length", np.array([], int), "episode 0: an episode has at least one step"),
        Unsound("success", np.zeros(4, bool), "steps are .*'success': 4"),
        Unsound("state", np.zeros(5), "state must have 2 axes, not 1"),
    ],
    ids=lambda unsound: unsound.message[:30],
)  # fmt: skip
def test_unsound_episodes_are_named_and_not_stored(tmp_path, unsound):
    episodes = SOUND._replace(**{unsound.field: unsound.value})
    with opened(tmp_path / "set") as store:
        store.begin("reach", {})
        with (
            np.errstate(over="ignore"),
            pytest.raises(UsageError, match=f"^reach, shard 1.*{unsound.message}"),
        ):
            store.add("reach", 1, episodes)
        assert store.missing("reach") == [0, 1, 2, 3]


def test_unsound_episodes_in_a_file_are_named(tmp_path, monkeypatch):
    with opened(tmp_path / "set") as store:
        collect(store, ["push"])
        unsound = shard("push", 2)
        unsound.reward[unsound.start[1]] = np.nan
        (tmp_path / "set" / "push-002.npz").unlink()
        with monkeypatch.context() as patch:
            patch.setattr(trajectories, "checked", lambda episodes, where: episodes)
            patch.setattr(trajectories, "_described", lambda parts: {})
            store.add("push", 2, unsound)
    bad = sum(SIZES[:2]) + 1
    with pytest.raises(
        UsageError, match=f"set: push, episode {bad}: reward is not finite at step 0"
    ):
        load(tmp_path / "set")


def test_episodes_know_their_returns_and_successes():
    episodes = SOUND._replace(
        reward=np.array([1, 2, 3, 4, 5.0]), success=np.array([1, 0, 0, 0, 1], bool)
    )
    assert episodes.start.tolist() == [0, 2]
    assert episodes.returns.tolist() == [3, 12]
    assert episodes.success_any.tolist() == [True, True]
    assert episodes.success_final.tolist() == [False, True]


def test_a_full_disk_is_one_line_and_keeps_what_is_finished(tmp_path, monkeypatch):
    with opened(tmp_path / "set") as store:
        store.begin("reach", {})
        store.add("reach", 0, shard("reach", 0))
        before = content(tmp_path / "set")

        def full(*_):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(files.os, "fsync", full)
        with pytest.raises(UsageError, match=r"cannot write .*reach-001\.npz: No space left"):
            store.add("reach", 1, shard("reach", 1))
        assert content(tmp_path / "set") == before
        monkeypatch.undo()
        assert store.missing("reach") == [1, 2, 3]
        collect(store)
