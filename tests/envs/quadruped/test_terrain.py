"""Terrains: as the original draws them, wall to wall, and in order along x."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_suite.envs.quadruped import terrain as terrains
from jaxrl_suite.envs.quadruped.terrain import KINDS

COUNT = 512
SPEED = jnp.array([0.5, 3.0])


@functools.cache
def program():
    """One program draws all kinds."""
    kinds = jax.vmap(terrains.draw, in_axes=(0, 0, 0, None))
    return jax.jit(kinds)


@functools.cache
def drawn(name, level=1.0):
    """[COUNT] of a kind, NumPy."""
    keys = jax.random.split(jax.random.key(KINDS.index(name)), COUNT)
    kind = jnp.full(COUNT, KINDS.index(name), jnp.int32)
    return jax.device_get(program()(keys, kind, jnp.full(COUNT, level), SPEED))


def rows(name, level=1.0):
    """Of every terrain, its boxes that exist, [N, 4]: x from and to, z from and to; target's x."""
    for one in range(COUNT):
        blocks = jax.tree.map(lambda x: x[one], drawn(name, level).blocks)  # noqa: B023
        low, high = blocks.centre - blocks.half, blocks.centre + blocks.half
        row = np.stack([low[:, 0], high[:, 0], low[:, 2], high[:, 2]], 1)[blocks.exists]
        yield row, drawn(name, level).target[one, 0]


OBSTACLES = KINDS[1:]


@pytest.mark.parametrize("name", OBSTACLES)
@pytest.mark.parametrize("level", [0.0, 1.0])
def test_boxes_follow_each_other_behind_the_start(name, level):
    for row, target in rows(name, level):
        assert len(row) > 0
        assert row[0, 0] >= 0.44  # the robot is 0.3 m long, to the front
        assert (row[1:, 0] >= row[:-1, 1] - 1e-5).all()
        assert (row[:, 1] > row[:, 0]).all()
        assert (row[:, 3] > row[:, 2] + 0.009).all()
        assert target >= 1.0


@pytest.mark.parametrize("name", KINDS)
def test_boxes_reach_from_wall_to_wall_of_the_corridor(name):
    of = drawn(name)
    assert (of.kind == KINDS.index(name)).all()
    np.testing.assert_array_equal(of.blocks.centre[..., 1], 0.0)
    width = np.broadcast_to(of.half_width[:, None], of.blocks.half.shape[:2])
    np.testing.assert_array_equal(of.blocks.half[..., 1], width)
    for values, low, high in (
        (2 * of.half_width, 1.0, 20.0),
        (of.thickness, 0.02, 0.5),
        (of.speed, 0.5, 3.0),
    ):
        spread(values, low, high)
    np.testing.assert_array_equal(of.target[:, 1], 0.0)


def spread(values, low, high):
    """Uniform between the two: within, to both ends, half of them below the middle."""
    margin = 0.03 * (high - low)
    assert low - 1e-5 <= values.min() < low + margin
    assert high - margin < values.max() <= high + 1e-5
    assert np.abs(np.mean(values < (low + high) / 2) - 0.5) < 0.1


def test_the_joystick_has_nothing_in_its_way():
    of = drawn("joystick")
    assert not of.blocks.exists.any()
    np.testing.assert_array_equal(of.target[:, 0], terrains.FAR)
    keys = jax.random.split(jax.random.key(0), 4)
    draw = jax.jit(jax.vmap(lambda key, kind: terrains.draw(key, kind, 1.0, SPEED, True)))
    wide = draw(keys, jnp.arange(4))
    assert (np.asarray(wide.half_width) > 10).tolist() == [True, False, False, False]


def test_hurdles():
    ends, heights, rooms, counts = [], [], [], []
    for row, target in rows("hurdle"):
        np.testing.assert_allclose(row[:, 1] - row[:, 0], 0.1, atol=1e-5)
        np.testing.assert_array_equal(row[:, 2], 0.0)
        heights.extend(row[:, 3])
        counts.append(len(row))
        # L += d + 0.1 from 0, hurdles in the middle of d; until the target is passed.
        centre, end = row[:, :2].mean(1), 0.0
        for x in centre:
            room = 2 * (x - end)
            if not 1 - 1e-4 <= room <= 3 + 1e-4:
                break
            rooms.append(room)
            end += room + 0.1
        ends.append(target)
    spread(np.array(heights), 0.05, 0.15)
    spread(np.concatenate([row[:, 3] for row, _ in rows("hurdle", 0.0)]), 0.01, 0.03)
    assert 2 <= min(counts) < 4
    assert 16 < max(counts) <= 18
    assert max(ends) <= 9 * 3.1 + 1
    assert np.mean(np.array(rooms) < 2) == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize(
    ("name", "most", "slots", "room", "width"),
    [  # room: of a set behind its last box; width: of the target about the end of that
        ("hurdle", 9, 1, (0.55, 1.55), 1.0),
        ("creep", 9, 1, (0.55, 1.55), 1.0),
        ("block", 4, 4, (1.5, 1.5), 3.0),
        ("hard_block", 4, 8, (1.25, 1.25), 3.0),
        ("stairs", 3, 9, (0.0, 0.0), 1.0),
        ("gap", 3, 6, (0.0, 0.0), 1.0),
    ],
)
def test_a_target_is_by_the_end_of_its_sets_and_decoys_follow_it(name, most, slots, room, width):
    of = drawn(name)
    offsets = []
    sets = np.minimum(1 + (uniform(name)[:, :2] * most).astype(int), most)
    assert set(sets[:, 0]) == set(range(1, most + 1))
    for one in range(COUNT):
        index = np.arange(terrains.NUM_BLOCKS)
        exists, own = of.blocks.exists[one], index < sets[one, 0] * slots
        low = (of.blocks.centre - of.blocks.half)[one, :, 0]
        high = (of.blocks.centre + of.blocks.half)[one, :, 0]
        target = of.target[one, 0]
        behind = low[exists & ~own]
        assert (behind >= target - 1e-4).all()
        assert exists[index >= sets[one].sum() * slots].sum() == 0
        offsets.append(target - high[exists & own].max())
    offsets = np.array(offsets)
    assert offsets.max() <= room[1] + width + 1e-4
    assert offsets.min() >= room[0] - width - 1e-4
    assert np.ptp(offsets) > 1.8 * width


def uniform(name):
    keys = jax.random.split(jax.random.key(KINDS.index(name)), COUNT)
    size = terrains._DRAWS * terrains.NUM_BLOCKS + 6
    return np.asarray(jax.vmap(lambda key: jax.random.uniform(key, (size,)))(keys))


def test_bars_to_creep_under():
    low = np.concatenate([row[:, 2] for row, _ in rows("creep")])
    high = np.concatenate([row[:, 3] for row, _ in rows("creep")])
    spread(low, 0.25, 0.30)
    np.testing.assert_allclose(high - low, 0.3, atol=1e-6)
    # At the easiest the robot may walk under them: the top of its trunk is at 0.389 m.
    low = np.concatenate([row[:, 2] for row, _ in rows("creep", 0.0)])
    spread(low, 0.40, 0.45)


def test_blocks_to_climb():
    for row, _ in rows("block"):
        whole = len(row) // 4 * 4
        assert len(row) == whole
        for one in row.reshape(-1, 4, 4):
            s = one[0, 0] - 0.75
            centre, length = one[:, :2].mean(1), one[:, 1] - one[:, 0]
            np.testing.assert_allclose(centre - s, [1, 1.75, 2.5, 3.25], atol=1e-4)
            np.testing.assert_allclose(length, 0.5, atol=1e-4)
            np.testing.assert_allclose(one[:, 3], [0.10, 0.25, 0.25, 0.10], rtol=1e-5)
    starts = np.array([row[0, 0] - 0.75 for row, _ in rows("block")])
    spread(starts, 0.0, 1.0)
    # s + 5, and U(0, 1) to the next set's s.
    pairs = [row[4, 0] - row[0, 0] for row, target in rows("block") if target > row[4, 1]]
    spread(np.array(pairs), 5.0, 6.0)


def test_hard_blocks():
    middle, gaps = [], []
    for row, _ in rows("hard_block"):
        one = row[: np.flatnonzero(row[:, 3] < 0.11)[1] + 1]  # to the first step down to 0.1 m
        s = one[0, 0] - 0.75
        np.testing.assert_allclose(one[:3, :2].mean(1) - s, [1, 1.75, 2.75], atol=1e-4)
        np.testing.assert_allclose(one[:3, 3], [0.10, 0.25, 0.40], rtol=1e-5)
        more = one[3:-2]
        np.testing.assert_allclose(more[:, 1] - more[:, 0], 1.0, atol=1e-4)
        np.testing.assert_allclose(more[:, 3], 0.4, rtol=1e-5)
        gaps.extend(more[:, 0] - one[2:-3, 1])
        c = one[-3, 1]
        np.testing.assert_allclose(one[-2:, :2].mean(1) - c, [0.5, 1.5], atol=1e-4)
        np.testing.assert_allclose(one[-2:, 3], [0.25, 0.10], rtol=1e-5)
        middle.append(len(more))
    spread(np.array(gaps), 0.25, 0.75)
    assert max(middle) == 3
    for count, share in enumerate((1 / 2, 1 / 4, 1 / 8, 1 / 8)):
        assert np.mean(np.array(middle) == count) == pytest.approx(share, abs=0.06)


def test_stairs_go_up_and_down_by_equal_steps():
    tops = []
    for row, _ in rows("stairs"):
        rise = row[0, 3]
        top = int(np.flatnonzero(np.diff(row[:, 3]) < 0)[0])
        number = top + 1
        np.testing.assert_allclose(row[:number, 3], rise * np.arange(1, number + 1), rtol=1e-4)
        np.testing.assert_allclose(row[1:number, 0], row[: number - 1, 1], atol=1e-4)
        run = np.diff(row[: number - 1, :2]).ravel()
        assert np.ptp(run) < 1e-4
        assert 0.35 - 1e-4 <= run[0] <= 0.45 + 1e-4
        assert 0.8 - 1e-4 <= row[top, 1] - row[top, 0] <= 1.2 + 1e-4
        down = row[number : 2 * number - 1, 3]
        np.testing.assert_allclose(down, rise * np.arange(number - 1, 0, -1), rtol=1e-4)
        tops.append(number)
    assert set(tops) == {2, 3, 4, 5}
    rises = np.array([row[0, 3] for row, _ in rows("stairs")])
    spread(rises, 0.04, 0.15)
    assert np.ptp([row[0, 3] for row, _ in rows("stairs", 0.0)]) < 1e-6


def test_gaps_between_platforms():
    gaps = []
    for row, _ in rows("gap"):
        np.testing.assert_allclose(row[:2, 3], [0.15, 0.3], rtol=1e-5)
        last = int(np.flatnonzero(np.diff(row[:, 3]) < 0)[0])
        gaps.extend(row[2 : last + 1, 0] - row[1:last, 1])
        assert 1 <= last - 1 <= 3
        assert row[last + 1, 0] == pytest.approx(row[last, 1], abs=1e-4)
    spread(np.array(gaps), 0.1, 0.5)


@pytest.mark.parametrize("name", [name for name in OBSTACLES if name != "creep"])
def test_the_easiest_are_lower_than_the_hardest(name):
    easy, hard = (np.mean([row[:, 3].max() for row, _ in rows(name, x)]) for x in (0.0, 1.0))
    assert easy < 0.75 * hard


def test_walls_are_seen_at_both_sides():
    one = jax.tree.map(lambda x: x[0], drawn("hurdle"))
    seen = terrains.seen(one)
    assert seen.exists.shape == (terrains.NUM_BLOCKS + 2,)
    assert np.asarray(seen.exists[-2:]).all()
    low, high = np.asarray(seen.centre - seen.half), np.asarray(seen.centre + seen.half)
    assert low[-2, 1] == pytest.approx(one.half_width, rel=1e-5)
    assert high[-2, 1] == pytest.approx(one.half_width + one.thickness, rel=1e-5)
    assert high[-1, 1] == pytest.approx(-one.half_width, rel=1e-5)
    np.testing.assert_allclose(high[-2:, 2], 2.0)
    np.testing.assert_allclose(high[-2:, 0] - low[-2:, 0], 200.0)


def test_the_nearest_boxes_are_touched_in_their_order():
    one = jax.tree.map(lambda x: jnp.asarray(x[2]), drawn("stairs"))
    there = np.flatnonzero(one.blocks.exists)
    place = one.blocks.centre[there[2], 0] + 0.01
    near = terrains.nearest(one.blocks, place, 3, jnp.asarray(0.7))
    np.testing.assert_array_equal(near.position, one.blocks.centre[there[1:4]])
    np.testing.assert_array_equal(near.half_size, one.blocks.half[there[1:4]])
    assert np.asarray(near.exists).all()
    np.testing.assert_allclose(near.friction, 0.7)
    # None exists on the joystick's ground.
    one = jax.tree.map(lambda x: jnp.asarray(x[2]), drawn("joystick"))
    assert not np.asarray(terrains.nearest(one.blocks, place, 3, jnp.asarray(0.7)).exists).any()


def test_floor_and_walls_as_one_ground():
    ground = terrains.Corridor(jnp.asarray(2.0))
    for point, distance, normal in (
        ([5.0, 0.0, 0.3], 0.3, [0, 0, 1]),
        ([5.0, 1.9, 0.3], 0.1, [0, -1, 0]),
        ([5.0, -2.2, 0.3], -0.2, [0, 1, 0]),
        ([5.0, -1.9, -0.1], -0.1, [0, 0, 1]),
    ):
        told = ground(jnp.array(point))
        assert float(told[0]) == pytest.approx(distance, abs=1e-6)
        np.testing.assert_array_equal(told[1], normal)
