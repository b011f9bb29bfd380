import numpy as np
import pytest

from jaxrl_suite import files
from jaxrl_suite.core import UsageError
from jaxrl_suite.data import motion
from tests.data.motion import made


def pair() -> motion.Library:
    return motion.gather([made.clip("slow"), made.clip("fast", fps=60.0)._replace(loop=False)])


def damaged(path, **changes):
    """A file of two clips with some of its arrays changed; None takes one away."""
    motion.save(pair(), path)
    with np.load(path) as file:
        arrays = dict(file)
    for name, change in changes.items():
        value = change(arrays.pop(name))
        if value is not None:
            arrays[name] = value
    np.savez(path, **arrays)
    return path


def test_a_library_comes_back_as_it_was_saved(tmp_path):
    before = pair()
    motion.save(before, tmp_path / "a.npz")
    after = motion.load(tmp_path / "a.npz")
    assert after[1:4] == before[1:4]
    for a, b in zip(after.clips.frames, before.clips.frames, strict=True):
        assert a.dtype == b.dtype == np.float32
        np.testing.assert_array_equal(a, b)
    for a, b in zip(after.clips[1:], before.clips[1:], strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)
    assert after.clips.start.tolist() == [0, 20]
    assert after.clips.loop.tolist() == [True, False]


def test_the_same_library_makes_the_same_bytes(tmp_path):
    for name in "ab":
        motion.save(pair(), tmp_path / f"{name}.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_weights_are_equal_per_group_then_within_it():
    weights = motion.weights_by_group(["walk", "run", "walk", "walk", "jump"])
    np.testing.assert_allclose(weights, [1 / 9, 1 / 3, 1 / 9, 1 / 9, 1 / 3], rtol=1e-6)


def test_a_subset_has_clips_by_name_or_group_in_proportion():
    shipped = motion.default()
    some = motion.subset(shipped, ["veer", "walk", "run"])
    assert some.names == ("run", "walk", *(f"cmu_016_{i}" for i in range(23, 27)))
    np.testing.assert_allclose(some.clips.weight, [1 / 3, 1 / 3, *[1 / 12] * 4], rtol=1e-5)
    run = shipped.clip(shipped.names.index("run"))
    np.testing.assert_array_equal(some.clips.frames.balls[:25], run.balls)


@pytest.mark.parametrize("names", [["hop"], ["walk", "hop"]])
def test_an_unknown_name_is_told_the_legal_ones(names):
    with pytest.raises(UsageError, match=r"'hop'; there are backflip, .*straight"):
        motion.subset(motion.default(), names)


def test_an_empty_subset_is_refused():
    with pytest.raises(UsageError, match="none has a weight above 0"):
        motion.subset(motion.default(), [])


def test_joined_libraries_share_by_groups():
    joined = motion.join([pair(), motion.gather([made.clip("other")])])
    assert joined.names == ("slow", "fast", "other")
    np.testing.assert_allclose(joined.clips.weight, 1 / 3, rtol=1e-6)
    with pytest.raises(UsageError, match="two clips are called 'slow'"):
        motion.join([pair(), pair()])


def at(index, value):
    def change(array):
        array = array.copy()
        array[index] = value
        return array

    return change


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"root_pos": at((23, 1), np.nan)}, "clip fast, frame 3: position is not finite"),
        ({"hinge": at((2, 1), np.inf)}, "clip slow, frame 2: hinges is not finite"),
        (
            {"ball_quat": at((25, 6), 0.7)},
            r"clip fast, frame 5: the quaternion of left_hip has the length 1\.4; .*w, x, y, z",
        ),
        ({"root_quat": at(4, 0.0)}, "frame 4: the quaternion of the root has the length 0;"),
        ({"clip_fps": at(1, -30.0)}, "clip fast: has -30 frames per second"),
        ({"clip_fps": at(1, 100.0)}, r"clip fast: lasts 0\.19 s; a clip must last 0\.3 s"),
        ({"hinge": at((29, 2), 9.0)}, "clip fast, frame 9: right_knee jumps, at .* rad/s"),
        ({"root_pos": at((7, 0), 9.0)}, "clip slow, frame 7: the root jumps, at .* m/s"),
        (
            {"root_quat": at(7, [0, 0, 1, 0])},
            "clip slow, frame 7: the root's rotation jumps, at .* rad/s",
        ),
        ({"skeleton": at(3, "tail")}, "another skeleton .unknown joint 'left_elbow|tail"),
        ({"skeleton": lambda x: x[::-1]}, "another skeleton .other joints or another order"),
        ({"skeleton": lambda x: None}, "lacks skeleton"),
        ({"ball_quat": lambda x: x[:, :7]}, r"ball_quat is float32 \[40, 7, 4\]; .*\[40, 8, 4\]"),
        ({"root_pos": lambda x: x[0, 0]}, r"root_pos is float32 \[\]"),
        ({"hinge": lambda x: x.astype(int)}, "hinge is int64"),
        ({"clip_loop": lambda x: x.astype(int)}, "clip_loop is int64"),
        ({"clip_group": lambda x: x[:1]}, "clip_group is .* for each of 2 clips"),
        ({"clip_start": at(1, 19)}, "clip fast: clip_start and clip_len do not fit"),
        ({"clip_len": at(1, 30)}, "clip_start and clip_len do not fit the 40 frames"),
        ({"clip_weight": at(1, -0.5)}, "clip fast has the weight -0.5; weights must be 0 or more"),
        ({"clip_weight": at(slice(None), 0)}, "every clip has the weight 0"),
        ({"clip_name": at(1, "slow")}, "two clips are called 'slow'"),
        ({"clip_name": lambda x: x.astype(object)}, "is damaged or no .npz file of plain arrays"),
    ],
)
def test_an_unsound_file_is_refused_in_one_line(tmp_path, changes, message):
    path = damaged(tmp_path / "bad.npz", **changes)
    with pytest.raises(UsageError, match=message) as refusal:
        motion.load(path)
    assert str(path) in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("size", [0, 10, 1000])
def test_a_file_cut_short_is_refused(tmp_path, size):
    path = tmp_path / "cut.npz"
    motion.save(pair(), path)
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(UsageError, match=r"cut\.npz is damaged"):
        motion.load(path)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"none\.npz cannot be read: No such file"):
        motion.load(tmp_path / "none.npz")


def test_a_full_disk_is_one_line_and_keeps_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / "a.npz"
    motion.save(pair(), path)
    before = path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "replace", full)
    with pytest.raises(UsageError, match=r"cannot write .*a\.npz: No space left"):
        motion.save(motion.gather([made.clip()]), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
