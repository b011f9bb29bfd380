import itertools
import json

import numpy as np
import pytest

from jaxrl_suite.core import UsageError
from jaxrl_suite.data import motion
from jaxrl_suite.data.motion import (
    checking,
    deepmimic,
    epmocap,
    importing,
    measures,
    retarget,
)
from jaxrl_suite.envs import turns
from tests.data.motion import made


def assert_same(found: motion.Clip, wanted: motion.Clip, shift: float = 0.0):
    np.testing.assert_allclose(found.position, wanted.position + np.array([0, 0, shift]), atol=1e-5)
    for one, other in (
        (found.quaternion, wanted.quaternion),
        (found.balls, wanted.balls),
    ):
        assert turns.angle(turns.between(np.float64(one), np.float64(other))).max() < 1e-5
    np.testing.assert_allclose(found.hinges, wanted.hinges, atol=1e-5)
    assert found.fps == pytest.approx(wanted.fps, rel=1e-6)


def directory(path, **contents):
    path.mkdir()
    for name, content in contents.items():
        (path / name.replace("__", ".")).write_bytes(content)
    return path


def npz(tmp_path, *clips) -> bytes:
    motion.save(motion.gather(clips), tmp_path / "x.npz")
    return (tmp_path / "x.npz").read_bytes()


def listing(path):
    return sorted(p.name for p in path.iterdir())


def test_every_format_comes_through_a_directory(tmp_path):
    clip, other = made.clip(), made.clip("more", frames=30)
    folder = directory(
        tmp_path / "motions",
        mine__npz=npz(tmp_path, clip, other),
        hop__txt=made.deepmimic(clip),
        cmu__bin=made.epmocap({"A": made.recording(clip, 1.2), "B": made.recording(other)}),
        __hidden=b"left alone",
    )
    found = motion.read_directory(folder)
    assert found.names == ("cmu/A", "cmu/B", "hop", "mine/sway", "mine/more")
    assert found.groups == ("cmu", "cmu", "hop", "sway", "more")
    assert found.sources == ("cmu.bin", "cmu.bin", "hop.txt", "made", "made")
    np.testing.assert_allclose(found.clips.weight, [1 / 8, 1 / 8, 1 / 4, 1 / 4, 1 / 4], rtol=1e-5)
    assert_same(found.clip(2), clip)
    assert_same(found.clip(3), clip)
    assert_same(found.clip(4), other)
    for i, source in ((0, clip), (1, other)):
        shift = np.median(found.clip(i).position[:, 2] - source.position[:, 2])
        assert_same(found.clip(i), source, shift)
    report = (folder / importing.REPORT).read_text()
    assert all(f"| {name} |" in report for name in found.names)


def test_the_result_is_kept_until_the_files_change(tmp_path, monkeypatch):
    folder = directory(tmp_path / "motions", hop__txt=made.deepmimic(made.clip()))
    first = motion.read_directory(folder)
    assert listing(folder) == [importing.CACHE, "hop.txt", importing.REPORT]
    with monkeypatch.context() as patch:
        patch.setattr(importing, "_read", None)  # would fail
        again = motion.read_directory(folder)
    assert again[1:4] == first[1:4]
    np.testing.assert_array_equal(again.clips.frames.balls, first.clips.frames.balls)
    (folder / importing.CACHE).write_bytes(b"damaged")
    assert motion.read_directory(folder)[1:4] == first[1:4]
    (folder / "hop.txt").write_bytes(made.deepmimic(made.clip(frames=40)))
    assert motion.read_directory(folder).clips.length.tolist() == [40]
    (folder / "two.txt").write_bytes(made.deepmimic(made.clip()))
    assert motion.read_directory(folder).names == ("hop", "two")


def changed_text(frame, place, number):
    file = json.loads(made.deepmimic(made.clip()))
    file["Frames"][frame][place] = number
    return json.dumps(file).encode()


def changed_recording(key, place, number, seconds=1 / 30):
    numbers = made.recording(made.clip())
    numbers[key][place] = number
    return made.epmocap({"A": numbers}, seconds)


BIN = made.epmocap({"A": made.recording(made.clip())})


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("bad.txt", b"walk", "is no DeepMimic motion"),
        ("bad.txt", b'{"Loop": "twice", "Frames": []}', "Loop .wrap or none. and Frames"),
        ("bad.txt", b'{"Loop": "wrap", "Frames": []}', "has fewer than 2 frames"),
        ("bad.txt", b'{"Loop": "wrap", "Frames": [[1, 2], [3]]}', "frame 0: must have 44 numbers"),
        ("bad.txt", changed_text(3, 9, "x"), "something else than numbers"),
        ("bad.txt", changed_text(3, 0, -0.03), r"clip bad, frame 3: lasts -0\.03 s"),
        ("bad.txt", changed_text(0, 0, 0.0), r"clip bad, frame 0: lasts 0 s"),
        ("bad.txt", changed_text(5, 2, float("nan")), "clip bad, frame 5: position is not finite"),
        (
            "bad.txt",
            changed_text(5, 16, 3.0),
            "frame 5: the quaternion of right_hip has the length",
        ),
        ("bad.txt", changed_text(6, 20, 7.0), "clip bad, frame 6: right_knee jumps"),
        ("bad.txt", made.deepmimic(made.clip(frames=5)), r"clip bad: lasts 0\.133 s"),
        ("bad.bin", b"EPMOCAP2", "is no EPMOCAP1 file: it begins with b'EPMOCAP2'"),
        ("bad.bin", BIN[:10], "ends within the number of clips"),
        ("bad.bin", BIN[:-1], r"ends within velocity of clip A: it has \d+ bytes and needs \d+"),
        ("bad.bin", BIN + b"\0", "has 1 bytes after its last clip"),
        ("bad.bin", BIN[:8] + b"\0\0\0\0", "has no clips"),
        ("bad.bin", BIN.replace(b"joints_vel", b"joints_wel"), "key 'joints_welocity' of 56"),
        ("bad.bin", BIN.replace(b"\0A", b"\0\xff"), "no text"),
        ("bad.bin", made.epmocap({"A": made.recording(made.clip())}, -0.03), "lasts -0.03 s"),
        ("bad.bin", changed_recording("joints", (4, 3), np.nan), "frame 4: joints is not finite"),
        (
            "bad.bin",
            changed_recording("body_quaternions", 4, 1.0),
            "clip bad, frame 4: the quaternion of body_quaternions has the length 2",
        ),
        ("bad.bin", changed_recording("joints", (4, 3), 5.0), "clip bad, frame 4: left_knee jumps"),
        ("bad.npz", b"PK", r"bad\.npz is damaged"),
        ("bad.csv", b"1,2", r"bad\.csv is of no known format; .*\.npz .*\.txt .*\.bin"),
    ],
    # Not of the contents, which are long.
    ids=itertools.count(),
)
def test_a_bad_file_is_refused_in_one_line_and_nothing_is_written(tmp_path, name, content, message):
    good = made.deepmimic(made.clip())
    folder = directory(tmp_path / "motions", a__txt=good, **{name: content})
    with pytest.raises(UsageError, match=message) as refusal:
        motion.read_directory(folder)
    assert str(folder / name) in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert listing(folder) == ["a.txt", name]


def test_a_key_that_is_missing_is_refused():
    numbers = made.recording(made.clip())
    del numbers["appendages"]
    with pytest.raises(UsageError, match="x: clip A: lacks appendages"):
        epmocap.read(made.epmocap({"A": numbers}), "x")


def test_a_directory_without_motions_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"has no motion files; .*\.npz"):
        motion.read_directory(tmp_path)
    assert listing(tmp_path) == []
    with pytest.raises(UsageError, match="nowhere cannot be read: No such file"):
        motion.read_directory(tmp_path / "nowhere")


def test_uneven_frames_are_resampled_at_their_mean_rate():
    clip = made.clip(frames=61)
    keep = np.r_[0:30, 31:61]  # one frame is lost
    file = json.loads(made.deepmimic(clip))
    frames = [file["Frames"][i] for i in keep]
    frames[29][0] *= 2
    found = deepmimic.read(
        json.dumps({"Loop": "none", "Frames": frames}).encode(), "x", "x", "x", "x"
    )
    assert len(found.position) == 60
    assert found.fps == pytest.approx(59 / 2.0)
    time = np.linspace(0, 2, 60)
    np.testing.assert_allclose(found.position[:, 0], time, atol=1e-9)
    np.testing.assert_allclose(found.hinges[:, 2], 0.3 + time, atol=1e-9)
    low = np.minimum((time * 30).astype(int), 59)
    wanted = turns.slerp(
        clip.balls[low], clip.balls[low + 1], np.repeat((time * 30 - low)[:, None], 8, axis=1)
    )
    assert turns.angle(turns.between(found.balls, wanted)).max() < 5e-3


def test_axes_of_the_source_are_ours():
    x, y, z = np.eye(3)
    for axes, columns in (
        (retarget._TRUNK, (z, x, y)),
        (retarget._ARM, (-z, -x, y)),
        (retarget._FOOT, (-y, x, z)),
    ):
        np.testing.assert_allclose(turns.to_matrix(axes), np.stack(columns, 1), atol=1e-12)


def test_feet_of_a_retargeted_clip_stand_on_the_ground():
    source = epmocap.read(made.epmocap({"A": made.recording(made.clip(), 1.2)}), "x")[0]
    found = retarget.retarget(source, "x", "x", "x", "x")
    assert np.median(measures.lowest_foot(found)) == pytest.approx(0.0, abs=1e-9)


def test_slerp_turns_evenly_also_when_there_is_hardly_a_way():
    q = np.array([1.0, 0.0, 0.0, 0.0])
    for whole in (0.0, 1e-8, 1.0, 3.0):
        r = turns.about_y(np.array(whole))
        for sign in (1, -1):
            found = turns.slerp(q, sign * r, np.array([0.0, 0.25, 1.0]))
            np.testing.assert_allclose(
                turns.angle(found), whole * np.array([0, 0.25, 1]), atol=1e-9
            )


def test_angles_about_x_y_z_are_those_of_hinges_in_series():
    x, y, z = 0.3, -0.7, 1.1
    about = lambda axis, angle: np.array([np.cos(angle / 2), *(np.sin(angle / 2) * axis)])  # noqa: E731
    q = turns.multiply(
        about(np.eye(3)[0], x), turns.multiply(about(np.eye(3)[1], y), about(np.eye(3)[2], z))
    )
    np.testing.assert_allclose(turns.xyz_angles(q), [x, y, z], atol=1e-12)


def test_a_steady_spin_at_any_rate_is_no_jump():
    clip = made.clip(fps=120.0, frames=60)
    checking.check(clip, "x")
    with pytest.raises(UsageError, match="jumps"):
        checking.check(clip._replace(hinges=clip.hinges * 120), "x")
