"""The clips that come with the package, against the numbers known of them."""

import os
import zipfile
from pathlib import Path

import mujoco
import numpy as np
import pytest

from jaxrl_suite.core import UsageError
from jaxrl_suite.data import motion
from jaxrl_suite.data.motion import build, checking, epmocap, library, measures, retarget
from jaxrl_suite.envs import clips as envs_clips
from jaxrl_suite.envs import turns
from jaxrl_suite.envs.humanoid import skeleton

# Frames, seconds, loop, lowest point (m, median) and largest angle beyond a limit (rad).
DEEPMIMIC = {
    "backflip": (29, 1.75, True, -0.004, 2.86),
    "cartwheel": (164, 2.72, True, 0.000, 1.16),
    "crawl": (177, 2.93, True, 0.007, 2.27),
    "dance_a": (98, 1.62, True, -0.011, 2.30),
    "dance_b": (153, 2.53, True, 0.010, 0.33),
    "getup_facedown": (183, 3.03, False, -0.012, 2.87),
    "getup_faceup": (227, 3.77, False, -0.024, 2.88),
    "jump": (107, 1.77, True, 0.004, 0.31),
    "kick": (47, 1.53, False, -0.004, 1.59),
    "punch": (65, 2.13, False, -0.032, 0.46),
    "roll": (121, 2.02, True, -0.013, 1.77),
    "run": (25, 0.80, True, 0.005, 0.07),
    "spin": (107, 4.42, True, -0.002, 1.85),
    "spinkick": (78, 1.28, True, -0.011, 2.44),
    "walk": (39, 1.27, True, 0.007, 0.0),
}
_CMU = {
    "016": (
        (22, (83, 80, 80, 76, 72, 65, 73, 76, 71, 115, 158, 76, 94)),
        (47, (113,)),
        (58, (92,)),
    ),
    "047": ((1, (364,)),),
    "056": ((1, (416,)),),
    "069": (
        (1, (128, 93, 117, 116, 123)),
        (20, (149, 166, 135, 153, 116, 126, 116, 115, 126, 106, 105, 101, 105, 109)),
    ),
}
CMU = {
    f"cmu_{subject}_{first + i:02d}": frames
    for subject, runs in _CMU.items()
    for first, counts in runs
    for i, frames in enumerate(counts)
}
GROUPS = {"straight": 12, "slow_stop": 2, "veer": 4, "turn": 16, "circle": 2}


@pytest.fixture(scope="module")
def rows():
    return {row.name: row for row in motion.quality(motion.default())}


def test_there_are_51_clips_of_166_seconds_in_less_than_2_mb():
    shipped = motion.default()
    clips = shipped.clips
    assert list(shipped.names) == [*DEEPMIMIC, *CMU]
    seconds = (clips.length - 1) / clips.fps
    assert seconds[:15].sum() == pytest.approx(33.6, abs=0.1)
    assert seconds.sum() == pytest.approx(33.6 + 4409 * 0.03, abs=1.2)
    assert library.SHIPPED.stat().st_size < 2e6
    assert {x.dtype for x in clips.frames} == {np.dtype(np.float32)}
    assert clips.frames.balls.shape == (1620 + 4409, 8, 4)


def test_frames_and_loops(rows):
    for name, (frames, seconds, loop, _, _) in DEEPMIMIC.items():
        assert (rows[name].frames, rows[name].loop) == (frames, loop), name
        assert rows[name].seconds == pytest.approx(seconds, abs=0.006), name
    for name, frames in CMU.items():
        assert (rows[name].frames, rows[name].loop) == (frames, False), name
        assert rows[name].seconds == pytest.approx((frames - 1) * 0.03, abs=1e-4), name


def test_groups_have_equal_shares():
    shipped = motion.default()
    assert {g: shipped.groups.count(g) for g in GROUPS} == GROUPS
    weight = dict.fromkeys(shipped.groups, 0.0)
    for group, share in zip(shipped.groups, shipped.clips.weight, strict=True):
        weight[group] += share
    assert len(weight) == 20
    np.testing.assert_allclose(list(weight.values()), 1 / 20, rtol=1e-5)


def test_all_clips_are_sound():
    shipped = motion.default()
    for i in range(51):
        motion.check(shipped.clip(i), "mix51")
    for quaternions in (shipped.clips.frames.quaternion, shipped.clips.frames.balls):
        np.testing.assert_allclose(np.linalg.norm(quaternions, axis=-1), 1.0, atol=1e-6)
    assert all(np.isfinite(x).all() for x in shipped.clips.frames)


def test_velocities_are_those_of_each_clip_alone():
    shipped = motion.default()
    for i in (0, 50):
        clip = shipped.clip(i)
        alone = envs_clips.rates(*clip[3:7], np.float32(clip.fps))
        own = slice(shipped.clips.start[i], shipped.clips.start[i] + len(clip.position))
        for a, b in zip(alone, shipped.clips.frames, strict=True):
            np.testing.assert_allclose(a, b[own], atol=1e-5)


def test_deepmimic_clips_stand_on_the_ground_within_the_known_limits(rows):
    for name, (*_, lowest, excess) in DEEPMIMIC.items():
        # The table has the box of a foot, we its spheres, and other shapes for the trunk.
        tolerance = 0.026 if name == "getup_faceup" else 0.01
        assert rows[name].lowest_median / 100 == pytest.approx(lowest, abs=tolerance), name
        assert rows[name].excess == pytest.approx(excess, abs=0.02), name
    lowest = [abs(rows[name].lowest_median) for name in DEEPMIMIC]
    assert sum(x <= 1.4 for x in lowest) >= 13


def test_cmu_clips_stand_on_the_ground_within_limits(rows):
    walks = [rows[name] for name in CMU]
    assert max(abs(row.foot_median) for row in walks) < 0.01
    assert max(row.excess for row in walks) <= 0.18 + 0.005
    beyond = sum(row.beyond * row.frames for row in walks) / sum(row.frames for row in walks)
    assert beyond == pytest.approx(0.01, abs=0.005)
    shipped = motion.default()
    spread = [measures.lowest_foot(shipped.clip(shipped.names.index(n))).std() for n in CMU]
    assert np.mean(spread) == pytest.approx(0.008, abs=0.001)


def test_no_joint_jumps(rows):
    # At 16 frames a second an arm of the backflip turns by 1.9 rad; hinges would wrap by 6.
    assert rows["backflip"].jump == pytest.approx(1.91, abs=0.01)
    assert (
        max(row.jump for name, row in rows.items() if name in DEEPMIMIC and name != "backflip") < 1
    )
    assert max(rows[name].jump for name in CMU) < 0.5
    shipped = motion.default()
    speeds = [checking.joint_steps(shipped.clip(i)).max() * shipped.clips.fps[i] for i in range(51)]
    assert max(speeds) < 31 < motion.HUMANOID.joint_speed


def test_walks_go_forward():
    shipped = motion.default()
    for name in ("walk", "run", *CMU):
        clip = shipped.clip(shipped.names.index(name))
        ahead = turns.rotate(clip.quaternion[:-1], np.array([1.0, 0.0, 0.0]))[:, :2]
        ahead /= np.linalg.norm(ahead, axis=-1, keepdims=True)
        steps = np.diff(clip.position[:, :2], axis=0)
        along = np.sum(ahead * steps, axis=-1)
        assert along.sum() > 0.9 * np.linalg.norm(steps, axis=-1).sum(), name


def test_our_kinematics_are_mujocos():
    shipped = motion.default()
    model = mujoco.MjModel.from_xml_string(skeleton.mjcf())
    data = mujoco.MjData(model)
    clip = shipped.clip(shipped.names.index("cartwheel"))
    poses = measures.links(clip)
    for frame in (0, 60, 120):
        balls, hinges = iter(clip.balls[frame]), iter(clip.hinges[frame][:, None])
        joints = [next(balls if joint.is_ball else hinges) for joint in skeleton.JOINTS]
        data.qpos[:] = np.concatenate([clip.position[frame], clip.quaternion[frame], *joints])
        mujoco.mj_kinematics(model, data)
        for link in skeleton.LINKS:
            np.testing.assert_allclose(poses[link][0][frame], data.body(link).xpos, atol=1e-5)


def test_the_committed_table_is_of_the_committed_clips():
    committed = library.SHIPPED.with_name("QUALITY.md").read_text()
    assert committed.endswith(motion.table(motion.quality(motion.default())))


@pytest.fixture(scope="module")
def wheels():
    folder = os.environ.get("JAXRL_MOTION_WHEELS")
    if not folder:
        pytest.skip("JAXRL_MOTION_WHEELS does not name a folder with the two wheels")
    found = [next(Path(folder).glob(x), None) for x in ("pybullet-3.2.7*", "envpool_assets-0.4.1*")]
    if None in found:
        pytest.skip(f"JAXRL_MOTION_WHEELS={folder} lacks one of the two wheels")
    return found


def test_the_build_makes_the_shipped_clips(wheels, tmp_path):
    made = tmp_path / "mix51.npz"
    arguments = ["--deepmimic", str(wheels[0]), "--cmu", str(wheels[1])]
    assert build.main([*arguments, "--out", str(made)]) == 0
    again, shipped = library.load(made), motion.default()
    assert again[1:4] == shipped[1:4]
    for a, b in zip(again.clips.frames[:4], shipped.clips.frames[:4], strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
    for a, b in zip(again.clips[1:], shipped.clips[1:], strict=True):
        np.testing.assert_array_equal(a, b)


def test_another_archive_is_refused_and_leaves_nothing(tmp_path, capsys):
    wheel = tmp_path / "other.whl"
    wheel.write_bytes(b"else")
    out = tmp_path / "out.npz"
    assert build.main(["--deepmimic", str(wheel), "--cmu", str(wheel), "--out", str(out)]) == 2
    assert "its SHA-256 is" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [wheel]
    with pytest.raises(UsageError, match=r"absent\.whl cannot be read"):
        build.build(tmp_path / "absent.whl", wheel)


def test_recordings_are_of_the_walker_scaled_by_1_2(wheels):
    assets = "envpool_assets/mujoco/locomotion/assets_dm_control/"
    with zipfile.ZipFile(wheels[1]) as archive:
        recordings = epmocap.read(archive.read(f"{assets}mocap_2020.bin"), "mocap_2020.bin")
        xml = archive.read(f"{assets}locomotion/walkers/assets/humanoid_CMU_V2020.xml").decode()
    assert len(recordings) == 36
    assert sum(len(recording.numbers["joints"]) for recording in recordings) == 4409
    assert {recording.seconds for recording in recordings} == {0.03}
    for recording in recordings[::5]:
        assert _source_error(xml, recording.numbers, 1.2) < 6e-5, recording.name
    numbers = recordings[0].numbers
    assert _source_error(xml, numbers, 1.0) > 0.1
    place = numbers["body_positions"].reshape(-1, 31, 3)
    assert retarget.leg_ratio(place[0]) == pytest.approx(0.8443, abs=1e-4)


def _source_error(xml: str, numbers: dict[str, np.ndarray], scale: float) -> float:
    """Largest error of MuJoCo's positions of the source's links (m)."""
    spec = mujoco.MjSpec.from_string(xml)
    for body in spec.bodies:
        body.pos = np.array(body.pos) * scale
    spec.body("root").add_freejoint()
    model = spec.compile()
    data, worst = mujoco.MjData(model), 0.0
    for frame in range(0, len(numbers["joints"]), 10):
        parts = [numbers[key][frame] for key in ("position", "quaternion", "joints")]
        data.qpos[:] = np.concatenate(parts)
        mujoco.mj_kinematics(model, data)
        for i, name in enumerate(epmocap.BODIES):
            if name in ("face", "lfingers", "rfingers"):  # not in the XML; 0.4 mm off, and not used
                continue
            found = numbers["body_positions"][frame, 3 * i : 3 * i + 3]
            worst = max(worst, np.abs(data.body(name).xpos - found).max())
    return worst
