"""Recorded dogs, where there are some, against the numbers that the specification has of them."""

from pathlib import Path

import numpy as np
import pytest

from jaxrl_suite.core import UsageError
from jaxrl_suite.data import gaits
from jaxrl_suite.data.gaits import dog, importing, text
from jaxrl_suite.data.motion import gather
from jaxrl_suite.envs import turns
from jaxrl_suite.envs.quadruped import robot

PLACE = Path(__file__).parents[4] / "shared" / "data" / "dog_mocap"
# Frames, speed (mean, 95 %, m/s), base (least, most, m), lowest foot (median, least, mm),
# frames 1 cm deep (%), jumps, largest joint rate (rad/s), sign flips.
TABLE = {
    "back_001": (967, 0.44, 0.95, 0.296, 0.344, -2.0, -10, 0, 0, 11, 0),
    "fast_run_02_004": (1790, 1.50, 3.79, 0.196, 0.344, -2.3, -111, 9, 1, 44, 1),
    "fast_run_02_005": (3089, 1.83, 3.98, 0.162, 0.348, -12.5, -196, 63, 6, 511, 5),
    "fast_run_02_007": (5433, 1.83, 3.60, 0.213, 0.354, 2.7, -150, 16, 2, 542, 6),
    "fast_run_02_008": (3663, 1.30, 2.72, 0.181, 0.634, -13.0, -133, 67, 2, 569, 15),
    "hit_001": (3559, 0.24, 0.66, 0.278, 0.349, -2.8, -14, 2, 0, 19, 0),
    "idle_001": (3059, 0.67, 1.51, 0.258, 0.343, 0.8, -67, 2, 0, 18, 1),
    "idle_002": (919, 0.72, 2.46, 0.242, 0.463, -1.0, -25, 4, 2, 231, 0),
    "idle_004": (1279, 1.10, 2.79, 0.216, 0.332, -1.4, -235, 21, 4, 745, 1),
    "jump_002": (1125, 1.49, 2.91, 0.215, 0.629, -13.2, -100, 70, 0, 40, 1),
    "jump_003": (1165, 1.44, 2.78, 0.231, 0.641, -11.8, -137, 58, 8, 674, 1),
    "jump_006": (1713, 1.32, 3.26, 0.218, 0.614, -12.0, -182, 60, 0, 48, 17),
    "jump_007": (1561, 1.49, 3.18, 0.245, 0.628, -12.4, -110, 60, 0, 31, 3),
    "jump_high_001": (1825, 1.25, 2.87, 0.166, 0.767, -13.7, -141, 64, 2, 44, 4),
    "play_001": (4949, 0.90, 1.90, 0.203, 0.649, -12.2, -130, 66, 2, 221, 9),
    "quad_run_001": (4399, 1.47, 2.20, 0.182, 0.332, 1.7, -92, 4, 0, 19, 17),
    "quad_walkrun_001": (1147, 1.34, 3.75, 0.247, 0.339, -1.2, -112, 10, 1, 43, 0),
    "quad_walkrun_006": (1187, 1.00, 3.31, 0.157, 0.336, -3.1, -160, 14, 0, 28, 0),
    "quad_walkrun_007": (791, 1.54, 3.40, 0.234, 0.334, -3.0, -202, 19, 5, 472, 0),
    "star_walk_001": (7939, 0.58, 0.93, 0.149, 0.338, -1.2, -91, 12, 0, 17, 4),
    "zig_walk_001": (3691, 0.39, 0.71, 0.176, 0.338, -2.9, -56, 9, 0, 18, 6),
}


@pytest.fixture(scope="module")
def found():
    """(library, rows by name without "dog_")."""
    if not PLACE.exists():
        pytest.skip(f"{PLACE} does not exist: no recordings to check against")
    made = [
        importing.cleaned(text.read(path.read_bytes(), path.stem, path.name, path), path)
        for path in sorted(PLACE.glob("*.txt"))
    ]
    library = gather([clip for clip, _ in made], skeleton=gaits.DOG)
    return library, {row.name.removeprefix("dog_"): row for _, row in made}


def test_all_21_clips_are_read(found):
    library, rows = found
    assert sorted(rows) == sorted(TABLE)
    assert sum(row.frames for row in rows.values()) == 55_250
    assert library.names == gaits.examined(PLACE)[0].names
    assert set(library.groups) == {
        "back", "fast_run", "hit", "idle", "jump", "jump_high", "play", "quad_run", "quad_walkrun",
        "star_walk", "zig_walk",
    }  # fmt: skip


@pytest.mark.parametrize("name", TABLE)
def test_rows_are_the_specification_s(found, name):
    frames, mean, fast, low, high, median, least, deep, jumps, rate, flips = TABLE[name]
    row = found[1][name]
    assert (row.frames, row.jumps, row.flips) == (frames, jumps, flips)
    assert (row.speed, row.fast) == pytest.approx((mean, fast), abs=0.005)
    assert (row.low, row.high) == pytest.approx((low, high), abs=5e-4)
    # The specification's decimals. One number rounds otherwise: zig_walk's foot is 55.48 mm deep,
    # and the specification's more than 55.5 mm, measured before the numbers were rounded.
    assert row.foot_median == pytest.approx(median, abs=0.06)
    assert row.foot_min == pytest.approx(least, abs=0.52)
    assert 100 * row.deep == pytest.approx(deep, abs=0.5)
    assert row.rate == pytest.approx(rate, abs=0.5)


def test_what_is_made_of_them_is_sound(found):
    library, _ = found
    frames = library.clips.frames
    assert library.clips.fps.tolist() == [60.0] * 21
    np.testing.assert_allclose(np.linalg.norm(frames.quaternion, axis=1), 1, atol=1e-6)
    for i in range(21):
        clip = library.clip(i)
        assert np.median(dog.lowest_foot(clip)) == pytest.approx(0, abs=1e-6)
        assert np.sum(clip.quaternion[1:] * clip.quaternion[:-1], axis=1).min() > 0.9
        good = clip.valid
        assert dog.lowest_foot(clip)[good].min() >= -0.02
        assert dog.excess(clip)[good].max() <= 0.1
        assert not good[-63:].any()
        assert good.mean() > 0.7
    assert library.valid.mean() == pytest.approx(0.904, abs=0.002)
    # Before the low pass, 753 rad/s; the motors reach 20 and 33.
    assert np.abs(frames.hinge_rates).max() < 27
    assert np.linalg.norm(frames.velocity, axis=1).max() < 4.6


def test_they_stand_up_and_mirror(found):
    library, _ = found
    both = gaits.with_mirrors(library)
    half = len(library.valid)
    up = turns.rotate(both.clips.frames.quaternion, np.array([0.0, 0.0, 1.0]))[:, 2]
    assert (up > 0.5).mean() > 0.999
    flipped = both.clips.frames.hinges[half:, robot.MIRRORED] * robot.MIRROR_SIGN
    np.testing.assert_array_equal(flipped, library.clips.frames.hinges)


def test_a_recording_with_its_scalar_first_is_refused(found, tmp_path):
    for name in ("dog_back_001", "dog_play_001", "dog_quad_walkrun_007"):
        clip = text.read((PLACE / f"{name}.txt").read_bytes(), name, name, name)
        swapped = clip._replace(quaternion=np.roll(clip.quaternion, 1, axis=1))
        with pytest.raises(UsageError, match="another order"):
            importing.cleaned(swapped, name)
