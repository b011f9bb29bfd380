import itertools
import json
import math

import numpy as np
import pytest

from jaxrl_suite.core import UsageError
from jaxrl_suite.data import gaits, motion
from jaxrl_suite.data.gaits import dog, importing, laikago, starts, text
from jaxrl_suite.envs import clips as envs_clips
from jaxrl_suite.envs import turns
from jaxrl_suite.envs.quadruped import legs, robot
from tests.data.gaits import made
from tests.data.motion.test_importing import directory, listing


def npz(tmp_path, *clips: motion.Clip) -> bytes:
    motion.save(motion.gather(clips, skeleton=gaits.DOG), tmp_path / "x.npz")
    return (tmp_path / "x.npz").read_bytes()


def cleaned(clip):
    return importing.cleaned(clip, "file")[0]


def turned_by(one, other):
    return turns.angle(turns.between(np.float64(one), np.float64(other)))


def test_every_format_comes_through_a_directory(tmp_path):
    sway, slow = made.clip(), made.clip(fps=60.0, name="slow")
    folder = directory(
        tmp_path / "motions",
        dog_sway_02_001__txt=made.released(sway),
        dog_jump_high_001__txt=made.released(sway),
        laikago__txt=as_laikago(sway),
        mine__npz=npz(tmp_path, slow._replace(group="calm"), made.clip(name="fast")),
        LICENSE=b"may be used",
        README__txt=b"about these",
        __hidden=b"left alone",
    )
    found = gaits.read_directory(folder)
    assert found.names == (
        "dog_jump_high_001", "dog_sway_02_001", "laikago", "mine/slow", "mine/fast"
    )  # fmt: skip
    assert found.groups == ("jump_high", "sway", "laikago", "calm", "sway")
    assert found.sources[0] == "dog_jump_high_001.txt"
    assert set(found.clips.fps) == {60.0}
    np.testing.assert_array_equal(found.clips.length, 181)
    for i in (0, 1, 3, 4):
        clip = found.clip(i)
        np.testing.assert_allclose(clip.hinges, sway.hinges[::2], atol=1e-6)
        assert turned_by(clip.quaternion, sway.quaternion[::2]).max() < 1e-5
        np.testing.assert_allclose(clip.position[:, :2], sway.position[::2, :2], atol=1e-6)
        rise = clip.position[:, 2] - sway.position[::2, 2]
        np.testing.assert_allclose(rise, -0.005, atol=2e-4)
        assert np.median(dog.lowest_foot(clip)) == pytest.approx(0, abs=1e-6)
    report = (folder / motion.importing.REPORT).read_text()
    assert all(f"| {name} |" in report for name in found.names)
    assert gaits.examined(folder)[0].names == found.names


def test_groups_that_several_files_share_have_equal_shares(tmp_path):
    folder = directory(
        tmp_path / "motions",
        **{f"dog_{name}__txt": made.released(made.clip()) for name in ("a_1", "a_2", "b_1")},
    )
    np.testing.assert_allclose(
        gaits.read_directory(folder).clips.weight, [0.25, 0.25, 0.5], rtol=1e-6
    )


def test_the_result_is_kept_and_mirrors_are_not(tmp_path, monkeypatch):
    folder = directory(tmp_path / "motions", dog_sway__txt=made.released(made.clip()))
    first = gaits.read_directory(folder)
    assert listing(folder) == [motion.importing.CACHE, "dog_sway.txt", motion.importing.REPORT]
    monkeypatch.setattr(importing.text, "read", None)  # would fail
    again = gaits.read_directory(folder, mirrored=True)
    assert again.names == ("dog_sway", "dog_sway_mirror")
    np.testing.assert_array_equal(again.clip(0).hinges, first.clip(0).hinges)
    np.testing.assert_array_equal(again.clip(0).valid, first.clip(0).valid)
    kept = motion.load(folder / motion.importing.CACHE, gaits.DOG)
    assert kept.names == ("dog_sway",)


def test_examining_writes_nothing(tmp_path):
    folder = directory(tmp_path / "motions", dog_sway__txt=made.released(made.clip()))
    _, table = gaits.examined(folder)
    assert "| dog_sway | sway | 361 | 3.00 |" in table
    assert listing(folder) == ["dog_sway.txt"]


def test_the_shipped_clips_come_through_unchanged(tmp_path):
    folder = directory(tmp_path / "motions", gaits__npz=dog.SHIPPED.read_bytes())
    found, shipped = gaits.read_directory(folder), gaits.default()
    assert found.names == tuple(f"gaits/{name}" for name in shipped.names)
    np.testing.assert_array_equal(found.valid, shipped.valid)
    np.testing.assert_allclose(found.clips.weight, shipped.clips.weight, rtol=1e-6)
    for a, b in zip(found.clips.frames[:4], shipped.clips.frames[:4], strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_a_file_s_name_tells_the_group():
    for name, group in {
        "dog_fast_run_02_004": "fast_run",
        "dog_jump_high_001": "jump_high",
        "dog_trot": "trot",
        "trot_1": "trot",
        "007": "007",
    }.items():
        assert text.group_of(name) == group


def test_whole_ratios_of_rates_keep_frames_and_others_are_blended():
    clip = made.clip()
    np.testing.assert_allclose(cleaned(clip).hinges, clip.hinges[::2], atol=1e-9)
    slow = made.clip(fps=24.0)
    found = cleaned(slow)
    assert len(found.position) == 181
    assert found.fps == 60
    np.testing.assert_allclose(found.hinges[::5], slow.hinges[::2], atol=1e-9)
    blended = slow.hinges[2] + 0.4 * (slow.hinges[3] - slow.hinges[2])
    np.testing.assert_allclose(found.hinges[6], blended, atol=1e-9)


def test_quaternions_are_of_unit_length_and_without_flips():
    clip = made.clip()
    quaternion = clip.quaternion * 1.0005
    quaternion[100:200] *= -1
    found, row = importing.cleaned(clip._replace(quaternion=quaternion), "file")
    np.testing.assert_allclose(np.linalg.norm(found.quaternion, axis=1), 1, atol=1e-12)
    assert np.sum(found.quaternion[1:] * found.quaternion[:-1], axis=1).min() > 0.99
    assert turned_by(found.quaternion, clip.quaternion[::2]).max() < 1e-9
    assert row.flips == 2


def test_starts_are_away_from_jumps_ends_and_deep_feet():
    clip = made.clip(4.0, fps=60.0)
    hinges, position = clip.hinges.copy(), clip.position.copy()
    hinges[60:63, 4] += 1.0  # there and back
    hinges[100, 2] = robot.UPPER[2] + 0.2
    position[130, 2] -= 0.05
    found, row = importing.cleaned(clip._replace(hinges=hinges, position=position), "file")
    bad = np.zeros(241, bool)
    bad[59 - 6 : 64 + 6] = True  # steps 59-60 and 62-63, and 0.1 s on both sides
    bad[99 - 6 : 102 + 6] = True  # steps to the bent knee and back are jumps as well
    bad[130] = True
    bad[-63:] = True
    np.testing.assert_array_equal(found.valid, ~bad)
    assert row.jumps == 4
    assert row.excess == pytest.approx(0.2)
    assert row.valid == pytest.approx(1 - bad.mean())


def test_a_joint_beyond_its_limits_is_no_start():
    clip = made.clip(fps=60.0)
    hinges = clip.hinges.copy()
    hinges[:, 3] += np.interp(np.arange(181), [40, 60, 80], [0, 1.2, 0])
    valid = cleaned(clip._replace(hinges=hinges)).valid
    np.testing.assert_array_equal(valid[:118], hinges[:118, 3] <= robot.UPPER[3] + starts.BEYOND)
    assert not valid[60]


def test_marks_of_a_file_are_kept(tmp_path):
    clip = made.clip(fps=60.0)
    mark = np.ones(181, bool)
    mark[:30] = False
    folder = directory(tmp_path / "motions", a__npz=npz(tmp_path, clip._replace(valid=mark)))
    valid = gaits.read_directory(folder).valid
    assert valid.tolist() == [False] * 30 + [True] * 88 + [False] * 63


def test_velocities_are_smooth_and_know_nothing_of_jumps():
    frames = 60
    time = np.arange(frames) / 60
    clip = made.clip(1.0, fps=60.0)
    position = np.stack([2 * time, -time, 0.3 + 0 * time], axis=1)
    turn = made.about(2, 3 * time)
    hinges = np.outer(time, np.arange(12))
    steady = dog.rates(position, turn, clip.balls[:frames], hinges, 60.0)
    np.testing.assert_allclose(steady.velocity, np.tile([2, -1, 0], (frames, 1)), atol=1e-4)
    np.testing.assert_allclose(steady.spin, np.tile([0, 0, 3], (frames, 1)), atol=1e-4)
    np.testing.assert_allclose(steady.hinge_rates, np.tile(np.arange(12), (frames, 1)), atol=1e-3)
    jumping = hinges.copy()
    jumping[30:33, 1:3] += 2.0
    found = dog.rates(position, turn, clip.balls[:frames], jumping, 60.0)
    np.testing.assert_allclose(found.hinge_rates, steady.hinge_rates, atol=1e-3)
    raw = envs_clips.rates(position, turn, clip.balls[:frames], jumping, 60.0)
    assert np.abs(raw.hinge_rates).max() > 100
    jitter = position + 0.01 * (-1.0) ** np.arange(frames)[:, None]
    shaken = dog.rates(jitter, turn, clip.balls[:frames], hinges, 60.0).velocity
    np.testing.assert_allclose(shaken[2:-2], steady.velocity[2:-2], atol=1e-3)
    wave = np.sin(2 * np.pi * 5 * time)[:, None] * np.ones(3) / 100
    share = [
        dog.rates(wave, turn, clip.balls[:frames], hinges, 60.0).velocity[5:-5].std(),
        envs_clips.rates(wave, turn, clip.balls[:frames], hinges, 60.0).velocity[5:-5].std(),
    ]
    assert share[0] / share[1] == pytest.approx(math.cos(math.pi * 5 / 60) ** 2, abs=0.01)


def test_velocities_are_the_same_after_reading_again(tmp_path):
    clip = cleaned(made.clip())
    before = motion.gather([clip], skeleton=gaits.DOG)
    motion.save(before, tmp_path / "a.npz")
    after = motion.load(tmp_path / "a.npz", gaits.DOG)
    for a, b in zip(after.clips.frames, before.clips.frames, strict=True):
        np.testing.assert_array_equal(a, b)


GOOD = made.released(made.clip())
SHORT = made.clip(1.4)


def reordered(order):
    clip = made.clip()
    # Turns about itself once, so that headings of both orders are met.
    turn = turns.multiply(made.about(2, 1.5 * np.arange(len(clip.position)) / 120), clip.quaternion)
    frames = np.concatenate([clip.position, turn[:, order], clip.hinges], axis=1)
    return made.released(clip, Frames=frames.tolist())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"walk", "is no JSON text"),
        (b"[1, 2]", "is no motion of a dog: JSON with the keys FrameDuration, Frames, and LegO"),
        (b'{"Frames": [], "LegOrder": []}', "is no motion of a dog"),
        (made.released(SHORT, FrameDuration=0), "FrameDuration is 0; it must be seconds, above 0"),
        (made.released(SHORT, FrameDuration=-0.1), r"FrameDuration is -0\.1"),
        (made.released(SHORT, FrameDuration="fast"), "FrameDuration is 'fast'"),
        (made.released(SHORT, FrameDuration=math.inf), "FrameDuration is inf"),
        (made.released(SHORT, LegOrder=["FL", "FR"]), r"LegOrder is \['FL', 'FR'\]; it must be"),
        (made.released(SHORT, Frames=[]), "has fewer than 2 frames"),
        (made.released(SHORT, Frames=[[0.0] * 19, [0.0] * 16]), "frame 1: must have 19 .*not 16"),
        (made.released(SHORT, Frames=[[0.0] * 19, 3]), "frame 1: must have 19 numbers .*not 3"),
        (made.changed(4, 9, "x"), "something else than numbers"),
        (made.changed(5, 2, math.nan), "frame 5: a number is not finite; repair or cut the frame"),
        (
            made.changed(7, 3, 0.1),
            r"frame 7: the quaternion of the base has the length 1\.0\d+; .*x, y, z, w",
        ),
        (made.changed(9, 0, 5.0), "frame 9: the root jumps, at .* m/s"),
        (made.released(SHORT), r"lasts 1\.4 s; a clip must last 1\.5 s, in the last of which no"),
        (reordered([0, 1, 2, 3]), r"lies on its side or its back in \d+% .*another order"),
        (made.released(made.clip(), LoopMode="Twice"), "LoopMode is 'Twice'; legal: Clamp, Wrap"),
    ],
    # Not of the contents, which are long.
    ids=itertools.count(),
)
def test_a_bad_file_is_refused_in_one_line_and_nothing_is_written(tmp_path, content, message):
    folder = directory(tmp_path / "motions", a__txt=GOOD, dog_bad_1__txt=content)
    with pytest.raises(UsageError, match=message) as refusal:
        gaits.read_directory(folder)
    assert f"{folder / 'dog_bad_1.txt'}: clip dog_bad_1" in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert listing(folder) == ["a.txt", "dog_bad_1.txt"]


def test_an_npz_in_the_other_order_is_refused_too(tmp_path):
    clip = made.clip()
    turn = turns.multiply(made.about(2, 1.5 * np.arange(len(clip.position)) / 120), clip.quaternion)
    good = directory(tmp_path / "good", a__npz=npz(tmp_path, clip._replace(quaternion=turn)))
    assert gaits.read_directory(good).valid.any()
    bad = clip._replace(quaternion=turn[:, [1, 2, 3, 0]])
    folder = directory(tmp_path / "bad", a__npz=npz(tmp_path, bad))
    with pytest.raises(UsageError, match=r"a\.npz: clip a: the base lies on its side"):
        gaits.read_directory(folder)


def test_a_clip_without_a_start_is_refused():
    clip = made.clip(fps=60.0)
    jumpy = clip.hinges + 1.5 * (np.arange(181) % 8 < 4)[:, None]
    with pytest.raises(
        UsageError, match=r"no episode could start in any of its 181 frames: 63 within .* longer or"
    ):
        importing.cleaned(clip._replace(hinges=jumpy), "file")


def test_a_humanoid_s_file_is_refused(tmp_path):
    humanoid = motion.library.SHIPPED.read_bytes()
    folder = directory(tmp_path / "motions", a__npz=humanoid)
    with pytest.raises(UsageError, match=r"is of another skeleton .unknown joint 'abdomen'"):
        gaits.read_directory(folder)


@pytest.mark.parametrize("valid", [np.ones(5, bool), np.ones(181), np.ones((181, 1), bool)])
def test_marks_that_do_not_fit_are_refused(tmp_path, valid):
    motion.save(motion.gather([made.clip(fps=60.0)], skeleton=gaits.DOG), tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz") as file:
        arrays = dict(file)
    np.savez(tmp_path / "a.npz", **arrays, valid=valid)
    with pytest.raises(UsageError, match=r"a\.npz: valid is .*; it must be bool \[181\]"):
        gaits.read_directory(tmp_path)


# Numbers of the URDF file laikago_toes_limits.
HIP_Z = {"F": 0.242889, "R": -0.194401}
REST = turns.to_matrix(np.array([0.5, 0.5, 0.5, 0.5]))


def as_laikago(clip: motion.Clip, **changes: object) -> bytes:
    """The text of a motion that points Laikago's legs where ours point in `clip`."""
    quaternion = turns.multiply(clip.quaternion, np.array([0.5, 0.5, 0.5, 0.5]))
    ahead = np.array([(HIP_Z["F"] + HIP_Z["R"]) / 2, 0.0, 0.0])
    place = clip.position / laikago.RATIO - turns.rotate(clip.quaternion, ahead)
    abduction, hip, knee = (clip.hinges[:, i::3] for i in range(3))
    joints = np.stack(
        [robot.SIDES * abduction, -hip - laikago.LEAN, laikago.LEAN - laikago.BEND - knee], axis=2
    ).reshape(-1, 12)
    frames = np.concatenate([place, quaternion[:, [1, 2, 3, 0]], joints], axis=1)
    file = {"LoopMode": "Clamp", "FrameDuration": 1 / clip.fps, "Frames": frames.tolist()}
    return json.dumps(file | changes).encode()


def about(axis, angle):
    return turns.to_matrix(made.about(axis, np.float64(angle)))


def test_laikago_s_limbs_point_where_ours_do():
    """By the axes of its URDF file, z and -z, x, x, and where that has knee and toe."""
    file = json.loads(as_laikago(made.clip()))
    clip = text.read(json.dumps(file).encode(), "x", "x", "x")
    for frame in (0, 50, 200):
        numbers = np.array(file["Frames"][frame])
        base = turns.to_matrix(numbers[[6, 3, 4, 5]])
        ours = turns.to_matrix(clip.quaternion[frame])
        np.testing.assert_allclose(base @ REST.T, ours, atol=1e-9)
        # Left, up and ahead of the base of the URDF file.
        np.testing.assert_allclose(base, ours[:, [1, 2, 0]], atol=1e-9)
        middle = numbers[:3] + base @ [0, 0, (HIP_Z["F"] + HIP_Z["R"]) / 2]
        np.testing.assert_allclose(clip.position[frame], middle * laikago.RATIO, atol=1e-9)
        for leg, side in enumerate(robot.SIDES):
            q = numbers[7 + 3 * leg : 10 + 3 * leg]
            upper = base @ about(2, side * q[0]) @ about(0, q[1])
            lower = upper @ about(0, q[2])
            theirs = [upper @ [0, -0.20833, -0.1422], lower @ [0, -0.25, -0.022]]
            a, h, k = clip.hinges[frame, 3 * leg : 3 * leg + 3]
            thigh = ours @ about(0, a) @ about(1, -h)
            mine = [thigh @ [0, 0, -1.0], thigh @ about(1, -k) @ [0, 0, -1.0]]
            for one, other in zip(theirs, mine, strict=True):
                np.testing.assert_allclose(one / np.linalg.norm(one), other, atol=1e-6)
    assert pytest.approx(0.503, abs=1e-3) == laikago.THIGH + laikago.SHANK


def test_the_stand_of_laikago_is_a_stand():
    """Its software's 0, 0.67, -1.25: feet under the hips, knees bent back."""
    joints = np.tile([0.0, 0.67 - 0.6, -1.25 + 0.66], 4)
    frame = [0.0, 0.0, 0.43, 0.5, 0.5, 0.5, 0.5, *joints]
    content = json.dumps({"LoopMode": "Clamp", "FrameDuration": 0.02, "Frames": [frame] * 100})
    clip = importing.cleaned(text.read(content.encode(), "x", "x", "x"), "x")[0]
    np.testing.assert_allclose(clip.quaternion, np.tile([1.0, 0, 0, 0], (119, 1)), atol=1e-12)
    feet = legs.feet(clip.hinges[0]) - robot.HIPS
    assert np.abs(feet[:, 0]).max() < 0.06
    np.testing.assert_allclose(feet[:, 1], robot.SIDES * robot.ABDUCTION, atol=1e-9)
    assert -0.4 < feet[:, 2].min() < -0.3
    assert clip.position[0, 2] == pytest.approx(robot.FOOT - feet[:, 2].min())
    assert dog.excess(clip).max() < 0


@pytest.mark.parametrize("turning", [True, False])
def test_motions_that_repeat_themselves_go_on_from_where_they_end(turning):
    clip = made.clip(1.0, fps=60.0)
    clip = clip._replace(hinges=np.repeat(clip.hinges[:1], 61, axis=0))
    content = as_laikago(
        clip, LoopMode="Wrap", EnableCycleOffsetPosition=True, EnableCycleOffsetRotation=turning
    )
    found = text.read(content, "x", "x", "x")
    once = text.read(as_laikago(clip), "x", "x", "x")
    assert len(found.position) == 360
    np.testing.assert_allclose(found.position[:60], once.position[:60], atol=1e-9)
    ends = turns.rotate(once.quaternion[[0, -1]], np.array([1.0, 0.0, 0.0]))
    angle = np.arctan2(ends[1, 1], ends[1, 0]) - np.arctan2(ends[0, 1], ends[0, 0])
    lap = made.about(2, np.array(angle * turning))
    way = once.position[-1] - once.position[0]
    way[2] = 0
    step = found.position[120] - found.position[60]
    np.testing.assert_allclose(step, turns.rotate(lap, way), atol=1e-9)
    assert turned_by(found.quaternion[60], turns.multiply(lap, found.quaternion[0])) < 1e-6
    np.testing.assert_allclose(found.position[60, :2], once.position[-1, :2], atol=1e-9)
