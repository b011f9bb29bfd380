"""The procedural gaits: what must hold of every clip, and what each of them is to show."""

import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_suite.core import UsageError
from jaxrl_suite.data import gaits, motion
from jaxrl_suite.data.gaits import build, composing, dog, repertoire
from jaxrl_suite.envs import turns
from jaxrl_suite.envs.quadruped import robot, tracking
from tests.test_docs import ROOT, blocks

KINDS = {
    "stand": 2, "walk": 3, "pace": 1, "trot": 3, "bound": 2, "gallop": 2, "pronk": 1, "turn": 1,
    "arc_walk": 2, "sidestep": 1, "backward": 1, "crouch_walk": 1, "sit": 2, "rear_up": 1,
    "hop": 1, "jump": 3, "start_stop": 3,
}  # fmt: skip
FR, FL, HR, HL = range(4)


@pytest.fixture(scope="module")
def made():
    """Clips before they are rounded, by name without "procedural/"."""
    found = [composing.composed(plan) for plan in repertoire.plans()]
    return {one.clip.name.removeprefix("procedural/"): one for one in found}


def speeds(clip):
    return np.linalg.norm(np.diff(clip.position[:, :2], axis=0), axis=1) * clip.fps


def ahead(clip):
    """Direction in which the base points, [F, 3]."""
    return turns.rotate(clip.quaternion, np.array([1.0, 0.0, 0.0]))


def touchdowns(one):
    """(frame, leg) in order."""
    return sorted((f + 1, leg) for f, leg in np.argwhere(one.stands[1:] & ~one.stands[:-1]))


def test_there_are_30_clips_of_8_to_10_seconds_in_less_than_a_megabyte():
    shipped = gaits.default()
    assert {group: shipped.groups.count(group) for group in KINDS} == KINDS
    assert len(shipped.names) == 30 == sum(KINDS.values())
    assert all(name.startswith("procedural/") for name in shipped.names)
    assert set(shipped.sources) == {"procedural"}
    assert shipped.skeleton == gaits.DOG
    seconds = (shipped.clips.length - 1) / shipped.clips.fps
    assert 8 <= seconds.min() <= seconds.max() <= 10
    assert 240 < seconds.sum() < 260
    assert set(shipped.clips.fps) == {60.0}
    assert dog.SHIPPED.stat().st_size < 1e6
    frames = shipped.clips.frames
    assert frames.balls.shape[1:] == (0, 4)
    assert frames.hinges.shape[1:] == (12,)
    assert {x.dtype for x in frames} == {np.dtype(np.float32)}


def test_the_build_makes_the_shipped_clips():
    again, shipped = build.build(), gaits.default()
    assert again[1:4] == shipped[1:4]
    np.testing.assert_array_equal(again.valid, shipped.valid)
    for a, b in zip(again.clips.frames[:4], shipped.clips.frames[:4], strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)
    for a, b in zip(again.clips[1:], shipped.clips[1:], strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_command_writes_clips_and_their_table(tmp_path, capsys):
    assert build.main(["--out", str(tmp_path / "gaits.npz")]) == 0
    text = gaits.table(gaits.quality(gaits.default()))
    assert (tmp_path / "QUALITY.md").read_text().endswith(text)
    assert capsys.readouterr().out.startswith("| clip | group |")
    (tmp_path / "file").touch()
    assert build.main(["--out", str(tmp_path / "file" / "gaits.npz")]) == 2
    assert "cannot write" in capsys.readouterr().err


def test_the_committed_table_is_of_the_committed_clips():
    committed = dog.SHIPPED.with_name("QUALITY.md").read_text()
    assert committed.endswith(gaits.table(gaits.quality(gaits.default())))


def test_another_seed_wanders_elsewhere():
    one, two = (composing.composed(repertoire.plans(seed)[3]).clip for seed in (0, 1))
    assert np.abs(one.position - two.position).max() > 0.05
    np.testing.assert_array_equal(one.position[0], two.position[0] * [1, 1, 1])


def test_joints_stay_within_limits_and_the_motors_speed(made):
    for name, one in made.items():
        assert dog.excess(one.clip).max() <= 0, name
        rates = np.abs(np.diff(one.clip.hinges, axis=0)) * 60
        assert (rates.max(0) < robot.SPEED).all(), name
    rows = gaits.quality(gaits.default())
    assert {row.jumps for row in rows} == {row.excess for row in rows} == {0}
    assert max(row.rate for row in rows) < 20


def test_feet_that_stand_do_not_slip_and_are_on_the_ground(made):
    for name, one in made.items():
        feet = dog.feet(one.clip)
        held = one.stands[1:] & one.stands[:-1]
        slip = np.linalg.norm(np.diff(feet, axis=0), axis=-1)[held]
        assert slip.max() < 1e-6, name
        height = feet[..., 2] - robot.FOOT
        assert np.abs(height[one.stands]).max() < 0.003, name
        assert height.min() > -0.003, name


def test_rounding_keeps_feet_in_place():
    shipped = gaits.default()
    for i in range(30):
        assert dog.lowest_foot(shipped.clip(i)).min() > -1e-5


def test_while_no_foot_stands_the_base_falls_freely(made):
    names = ("bound_1.5", "bound_2.0", "gallop_2.5", "pronk_0.6", "hop", "jump_0.45", "jump_0.6")
    for name in names:
        one = made[name]
        fall = np.diff(one.clip.position[:, 2], 2) * 60**2
        air = one.air if one.air.any() else ~one.stands.any(1)
        inside = air[2:] & air[1:-1] & air[:-2]
        assert inside.sum() > 5, name
        np.testing.assert_allclose(fall[inside], -9.81, atol=1e-3, err_msg=name)


@pytest.mark.parametrize(
    ("name", "apex"), [("jump_0.45", 0.45), ("jump_0.55", 0.55), ("jump_0.6", 0.6)]
)
def test_jumps_have_their_height_and_tuck(made, name, apex):
    one = made[name]
    height = one.clip.position[:, 2]
    assert height.max() == pytest.approx(apex, abs=1e-3)
    air = one.air & ~one.stands.any(1)
    assert np.sum(np.diff(air.astype(int)) == 1) == 3
    top = height.argmax()
    feet = dog.feet(one.clip)[top, :, 2] - robot.FOOT
    assert feet.min() > apex - robot.STAND_HEIGHT


def test_high_jumps_clear_the_obstacle_that_is_set_for_them():
    clips = gaits.default().clips
    jumps = tracking.jumps_of(clips)
    names = gaits.default().names
    jumping = [names[i] for i in np.flatnonzero(np.isfinite(jumps.time).any(1))]
    assert jumping == ["procedural/jump_0.55", "procedural/jump_0.6"]
    for name in jumping:
        clip = gaits.default().clip(names.index(name))
        q = jnp.asarray(np.concatenate([clip.position, clip.quaternion, clip.hinges], axis=1))
        time = jnp.arange(len(q)) / 60
        index = jnp.full(len(q), names.index(name))
        hit = jax.vmap(lambda q, t, i: tracking.hits(jumps, 0.2, i, t, types.SimpleNamespace(q=q)))
        assert not hit(q, time, index).any(), name


def test_speeds_are_those_of_the_names(made):
    for name, one in made.items():
        kind, _, number = name.partition("_")
        if kind in ("walk", "pace", "trot", "bound", "gallop", "pronk"):
            assert speeds(one.clip).mean() == pytest.approx(float(number), rel=0.06), name


def test_who_goes_forward_heads_there(made):
    for name in ("walk_0.7", "trot_1.0", "gallop_2.5", "arc_left", "arc_right", "jump_0.6"):
        clip = made[name].clip
        steps = np.diff(clip.position[:, :2], axis=0)
        side = np.cross(np.array([0.0, 0.0, 1.0]), ahead(clip)[:-1])[:, :2]
        # The base sways from foot to foot, and back.
        assert abs(np.sum(steps * side)) < 0.03, name


def test_feet_fall_in_the_order_of_the_gait(made):
    walk = [leg for _, leg in touchdowns(made["walk_0.55"])]
    begin = walk.index(HL)
    assert walk[begin : begin + 8] == [HL, FL, HR, FR] * 2
    gallop = [leg for _, leg in touchdowns(made["gallop_1.8"])]
    begin = gallop.index(HL)
    assert gallop[begin : begin + 8] == [HL, HR, FR, FL] * 2  # rotary: round about
    for name, pairs in {
        "trot_1.0": ((FR, HL), (FL, HR)),
        "pace_0.8": ((FR, HR), (FL, HL)),
        "bound_2.0": ((FR, FL), (HR, HL)),
        "pronk_0.6": ((FR, FL), (FR, HR), (FR, HL)),
    }.items():
        for a, b in pairs:
            stands = made[name].stands
            assert (stands[:, a] == stands[:, b]).mean() > 0.97, name
    duty = made["walk_0.55"].stands.mean()
    assert duty == pytest.approx(0.7, abs=0.02)


def heading(clip):
    return np.unwrap(np.arctan2(ahead(clip)[:, 1], ahead(clip)[:, 0]))


def up(clip):
    """Angle by which the base points upwards, [F] (degrees)."""
    return np.degrees(np.arcsin(ahead(clip)[:, 2]))


def test_each_kind_shows_what_it_is_called(made):
    turn = heading(made["turn"].clip)
    assert turn.max() - turn.min() > 3.5
    assert speeds(made["turn"].clip).max() < 0.1
    left, right = (heading(made[f"arc_{x}"].clip) for x in ("left", "right"))
    np.testing.assert_allclose(left[-1], -right[-1])
    assert left[-1] == pytest.approx(3.6, abs=0.1)
    back = made["backward"].clip
    way = np.sum(np.diff(back.position, axis=0) * ahead(back)[:-1])
    assert way == pytest.approx(-2.8, abs=0.1)
    side = made["sidestep"].clip.position
    assert side[:, 1].max() > 0.7
    assert np.ptp(side[:, 0]) < 0.05
    assert made["crouch_walk"].clip.position[:, 2].mean() == pytest.approx(0.22, abs=0.005)
    assert speeds(made["stand_1"].clip).max() < 0.15
    assert made["stand_1"].stands.all()
    assert made["sit_1"].stands.all()
    assert up(made["sit_2"].clip).max() > 30
    rear = made["rear_up"]
    assert up(rear.clip).max() > 45
    assert rear.stands[:, HR:].all()
    assert dog.feet(rear.clip)[:, :2, 2].max(0).min() > 0.3


def test_who_starts_and_stops_is_at_rest_before_and_after(made):
    for name in ("walk", "trot", "gallop"):
        clip = made[f"start_stop_{name}"].clip
        assert speeds(clip)[:5].max() < 1e-3
        assert speeds(clip).max() > 0.55
    assert speeds(made["start_stop_gallop"].clip).max() > 1.9
    assert speeds(made["start_stop_gallop"].clip)[-12:].max() < 1e-3


def test_the_last_second_is_no_start():
    shipped = gaits.default()
    for i, length in enumerate(shipped.clips.length):
        valid = shipped.clip(i).valid
        assert valid[: length - 63].all()
        assert not valid[length - 63 :].any()


def test_two_mirrors_are_none():
    shipped = gaits.default()
    for i in range(30):
        clip = shipped.clip(i)
        mirrored = gaits.mirror(clip)
        again = gaits.mirror(mirrored)
        assert mirrored.name == f"{clip.name}_mirror"
        assert again[:3] == clip[:3]
        for a, b in zip(again[3:7], clip[3:7], strict=True):
            np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(mirrored.position[:, 1], -clip.position[:, 1])
        np.testing.assert_array_equal(mirrored.quaternion[:, 1::2], -clip.quaternion[:, 1::2])
        np.testing.assert_array_equal(mirrored.hinges[:, 0], -clip.hinges[:, 3])
        np.testing.assert_array_equal(mirrored.hinges[:, 7:9], clip.hinges[:, 10:12])
        feet = dog.feet(clip)[:, [FL, FR, HL, HR]] * [1, -1, 1]
        np.testing.assert_allclose(dog.feet(mirrored), feet, atol=1e-6)


def test_a_library_with_mirrors_shares_draws_with_them():
    some = gaits.subset(gaits.default(), ["walk", "turn"])
    both = gaits.with_mirrors(some)
    assert both.names == (*some.names, *(f"{name}_mirror" for name in some.names))
    np.testing.assert_allclose(both.clips.weight, np.tile(some.clips.weight, 2) / 2, rtol=1e-6)
    np.testing.assert_array_equal(both.valid, np.tile(some.valid, 2))
    half = len(some.valid)
    rates = both.clips.frames.hinge_rates
    flipped = rates[half:, robot.MIRRORED] * robot.MIRROR_SIGN
    np.testing.assert_allclose(flipped, rates[:half], atol=1e-5)


def test_a_library_of_dogs_is_no_library_of_humanoids(tmp_path):
    with pytest.raises(UsageError, match=r"another skeleton .unknown joint 'FR_abd"):
        motion.load(dog.SHIPPED)
    with pytest.raises(UsageError, match="unknown joint 'abdomen'"):
        motion.load(motion.library.SHIPPED, gaits.DOG)
    motion.save(gaits.default(), tmp_path / "again.npz")
    again = motion.load(tmp_path / "again.npz", gaits.DOG)
    np.testing.assert_array_equal(again.valid, gaits.default().valid)
    for a, b in zip(again.clips.frames, gaits.default().clips.frames, strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_code_of_the_page_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    for code in blocks(ROOT / "docs" / "gaits.md", "python"):
        exec(code, names)
    assert names["both"].valid.shape == (2 * 4 * 481,)
    assert motion.load("runs/low.npz", gaits.DOG).names == ("low",)
