"""Corridors: pieces against the original's arrays in NumPy, how they are drawn, as a ground."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_suite.envs.unimal import heights, terrain
from jaxrl_suite.envs.unimal.arena import Arena, bounded, nearest, under, walls
from jaxrl_suite.envs.unimal.terrain import CURVE, RUGGED, STEPS, Corridor
from jaxrl_suite.physics import Boxes, State

# One process for all tests of UNIMALs.
pytestmark = pytest.mark.xdist_group("unimal")
ARENA = Arena(-3, 97, 50)
COUNT = 400


@functools.cache
def corridors() -> Corridor:
    make = jax.jit(jax.vmap(lambda k: terrain.corridor(k, ARENA)))
    return make(jax.random.split(jax.random.key(0), COUNT))


def one(index: int) -> Corridor:
    return jax.tree.map(lambda x: x[index], corridors())


def triangle(t: float) -> float:
    """Between 0 and 2, period 2 pi, from 0: a symmetric sawtooth plus one."""
    t = t % (2 * np.pi)
    return 2 * t / np.pi if t < np.pi else 4 - 2 * t / np.pi


def by_cell(strips: np.ndarray) -> np.ndarray:
    """[P, S] blocks -> [P, 10 S], the strip of every cell across."""
    block, at = np.repeat(strips, 10, axis=1), np.arange(10 * strips.shape[1]) % 10
    return np.where(at[None] >= block >> 4, block >> 2, block) & 3


def slow(corridor: Corridor, total: int) -> np.ndarray:
    """[total, Y], cell by cell from the back right corner, as the original fills its arrays."""
    c = jax.tree.map(np.asarray, corridor)
    result = np.zeros((total, 10 * c.strips.shape[1]))
    for start, n, kind, rise, strip in zip(
        c.start, c.length, c.kind, c.rise, by_cell(c.strips), strict=True
    ):
        if n == 0:
            continue
        if kind == CURVE:
            piece = np.repeat(rise * np.sin(np.linspace(0, np.pi, n))[:, None], len(strip), 1)
        elif kind == STEPS:
            piece = np.repeat([0, 0.2, 0.4, 0.6, 0.6, 0.4, 0.2, 0], n // 8)[:, None]
            piece = np.repeat(piece, len(strip), 1)
        else:
            piece = np.zeros((n, len(strip)))
            for j, code in enumerate(strip):
                periods, clip = (10, 15)[code % 2], (0.2, 0.3)[code // 2]
                wave = [triangle(t) for t in np.linspace(0, periods * np.pi, n)]
                piece[:, j] = np.minimum(wave, clip)
        result[start : start + n] = piece
    return result


@functools.cache
def example() -> tuple[Corridor, np.ndarray]:
    """One that has every kind of piece, and its heights."""
    kinds = np.where(np.asarray(corridors().length) > 0, np.asarray(corridors().kind), -1)
    index = next(i for i in range(COUNT) if {CURVE, STEPS, RUGGED} <= set(kinds[i]))
    return one(index), slow(one(index), ARENA.length * 10)


def test_heights_of_cells_are_the_originals() -> None:
    corridor, expected = example()
    generator = np.random.default_rng(0)
    rows = generator.choice(1000, 12, replace=False)
    i, j = (x.ravel() for x in np.meshgrid(np.arange(1000), rows, indexing="ij"))
    of_cells = jax.jit(jax.vmap(corridor.of_cell))
    found = of_cells(jnp.asarray(i - 30), jnp.asarray(j - 500))
    # The wave falls back to 0 at some cells: there rounding of the place shows.
    np.testing.assert_allclose(found, expected[i, j], atol=2e-5)
    assert expected.max() > 0.59
    assert len(np.unique(np.round(expected[:, 0], 3))) > 20


def test_pieces_follow_each_other_and_stay_inside() -> None:
    c = jax.tree.map(np.asarray, corridors())
    for start, length, kind in zip(c.start, c.length, c.kind, strict=True):
        used = length > 0
        assert used[: used.sum()].all()  # the first slots
        start, length, kind = start[used], length[used], kind[used]
        allowed = {CURVE: {80, 160}, STEPS: {240, 320}, RUGGED: {80, 160}}
        assert all(n in allowed[k] for n, k in zip(length.tolist(), kind.tolist(), strict=True))
        assert start[0] in (80, 100, 120)
        assert (start + length)[-1] <= 1000
        level = start[1:] - (start + length)[:-1]
        assert (level > 0).all()
        assert (level % 20 == 0).all()


def test_what_is_drawn_is_drawn_evenly() -> None:
    c = jax.tree.map(np.asarray, corridors())
    shares = lambda x, n: np.bincount(x, minlength=n) / len(x)  # noqa: E731
    # Five standard deviations of a share of 1/3 among 400 are 0.118.
    np.testing.assert_allclose(shares(c.kind[:, 0], 3), 1 / 3, atol=0.118)
    np.testing.assert_allclose(shares((c.start[:, 0] - 80) // 20, 3), 1 / 3, atol=0.118)
    for kind in range(3):
        length = c.length[:, 0][c.kind[:, 0] == kind]
        np.testing.assert_allclose(np.mean(length == length.min()), 0.5, atol=0.25)
    curves = (c.kind == CURVE) & (c.length > 0)
    rise, counts = np.unique(np.round(c.rise[curves], 3), return_counts=True)
    np.testing.assert_allclose(rise, [0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2])
    assert counts.min() > 0.6 * counts.max()
    np.testing.assert_allclose(shares(c.strips[:, 0].ravel() & 3, 4), 0.25, atol=0.02)


def test_strips_are_ten_to_nineteen_cells_wide() -> None:
    strips = by_cell(np.asarray(corridors().strips[:40]).reshape(-1, 100))
    widths = []
    for strip in strips:
        ends = np.flatnonzero(np.diff(strip.astype(int)) != 0) + 1
        widths.extend(np.diff(ends).tolist())
    # Neighbours that are alike merge, one in four.
    assert min(widths) == 10
    alone = np.bincount(np.array(widths)[np.array(widths) < 20])[10:]
    assert alone.min() > 0.8 * alone.max()


@pytest.mark.parametrize("arena", [ARENA, Arena(-3, 57, 20)])
def test_as_many_tries_as_it_may_take(arena: Arena) -> None:
    """No piece would fit what is left, and there is a slot for every piece."""
    laid = jax.jit(jax.vmap(lambda k: terrain.lay(k, arena)))(
        jax.random.split(jax.random.key(1), 5000)
    )
    assert np.asarray(laid.end).min() + 100 > arena.length * 10
    assert np.asarray(laid.count).max() <= terrain.num_pieces(arena)


def test_as_a_ground_it_is_bilinear_between_the_cells_centres() -> None:
    corridor, cells = example()
    generator = np.random.default_rng(1)
    # Not at the edge of a cell, where rounding decides on a side.
    cell = np.stack([generator.integers(70, 980, 400), generator.integers(10, 980, 400)], axis=1)
    place = (cell + 0.5 + generator.uniform(0.05, 0.95, (400, 2))) / 10 - np.array([3, 50])
    x, y = place.T.astype(np.float32).astype(float)
    z = np.full_like(x, 2.0)
    distance, normal = jax.jit(jax.vmap(corridor))(jnp.asarray(np.stack([x, y, z], 1)))

    def height(x: float, y: float) -> float:
        u, v = (x + 3) * 10 - 0.5, (y + 50) * 10 - 0.5
        i, j = int(np.floor(u)), int(np.floor(v))
        s, t = u - i, v - j
        low = (1 - s) * cells[i, j] + s * cells[i + 1, j]
        return (1 - t) * low + t * ((1 - s) * cells[i, j + 1] + s * cells[i + 1, j + 1])

    for k in range(len(x)):
        h = height(x[k], y[k])
        step = 1e-4
        # One-sided differences within the cell that the point is in.
        sx = step if ((x[k] + 3) * 10 - 0.5) % 1 < 0.5 else -step
        sy = step if ((y[k] + 50) * 10 - 0.5) % 1 < 0.5 else -step
        slope = (height(x[k] + sx, y[k]) - h) / sx, (height(x[k], y[k] + sy) - h) / sy
        up = np.array([-slope[0], -slope[1], 1.0])
        up /= np.linalg.norm(up)
        np.testing.assert_allclose(normal[k], up, atol=2e-3)
        np.testing.assert_allclose(distance[k], (z[k] - h) * up[2], atol=1e-3)


def test_it_goes_on_level_beyond_the_arena() -> None:
    corridor, _ = example()
    for place in ([-30.0, 0.0], [150.0, 3.0], [1.0, 80.0]):
        distance, normal = corridor(jnp.array([*place, 1.0]))
        np.testing.assert_allclose(distance, 1.0, atol=1e-6)
        np.testing.assert_allclose(normal, [0, 0, 1], atol=1e-6)


def test_a_corridor_is_small() -> None:
    size = sum(leaf.nbytes for leaf in jax.tree.leaves(one(0)))
    assert size < 1_100


def offsets(end: int) -> list[int]:
    """The original's sampling: denser near 0."""
    raw = -np.log(1 - np.arange(end) / end)
    return np.unique((raw / raw[-1] * end).astype(int)).tolist()


def sight(x: float, y: float, yaw: float) -> State:
    q = jnp.zeros(27).at[:7].set(jnp.array([x, y, 1.0, np.cos(yaw / 2), 0.0, 0.0, np.sin(yaw / 2)]))
    zero = jnp.zeros(0)
    return State(q, zero, zero, zero, zero, zero)


@functools.cache
def seeing():
    corridor, _ = example()
    cell = bounded(ARENA, corridor.of_cell)
    return jax.jit(lambda state: heights.height_field(cell, state))


@pytest.mark.parametrize(
    ("x", "y", "yaw"),
    [(0.03, -0.01, 0.0), (20.0, 3.26, 0.7), (40.0, 46.7, -2.4), (-1.55, -48.0, 3.0), (95.0, 0, 0)],
)
def test_height_field_against_a_slow_loop(x: float, y: float, yaw: float) -> None:
    _, cells = example()
    padded = np.full((1000 + 200, 1000 + 200), -10.0 - 1.0)
    padded[90:-90, 90:-90] = 4.0 - 1.0
    padded[100:-100, 100:-100] = cells
    i, j = int(np.floor(x * 10)) + 130, int(np.floor(y * 10)) + 600
    forward = sorted({*offsets(40), *(-a for a in offsets(10))})
    lateral = sorted({*offsets(40), *(-a for a in offsets(40))}, reverse=True)
    assert (len(lateral), len(forward)) == (47, 30)
    expected = []
    for left in lateral:
        for ahead in forward:
            di = round(np.cos(yaw) * ahead - np.sin(yaw) * left)
            dj = round(np.sin(yaw) * ahead + np.cos(yaw) * left)
            expected.append(padded[i + di, j + dj] - padded[i, j])
    found = np.asarray(seeing()(sight(x, y, yaw)))
    assert found.shape == (1410,) == (heights.NUM_HEIGHTS,)
    # Where rounding of the turned point is a tie, either cell will do.
    assert np.mean(np.abs(found - expected) > 2e-5) < 0.002


def test_noise_at_reset_turns_no_point_into_another_cell() -> None:
    straight = np.asarray(heights.points(jnp.array([1.0, 0.0])))
    for yaw in (-0.0101, 0.0101):
        turned = heights.points(heights.heading(sight(0.0, 0.0, yaw)))
        np.testing.assert_array_equal(turned, straight)
    up = sight(0.0, 0.0, 0.0)
    up = up._replace(q=up.q.at[3:7].set(jnp.array([np.sqrt(0.5), 0, -np.sqrt(0.5), 0])))
    assert np.isfinite(heights.heading(up)).all()


def test_the_nearest_wall_is_chosen() -> None:
    all_walls: Boxes = walls(ARENA)
    for place, index in (([0, 0], 0), ([95, 0], 1), ([40, -45], 2), ([40, 45], 3)):
        wall = nearest(all_walls, jnp.array(place, float), 1)
        np.testing.assert_array_equal(wall.position[0], all_walls.position[index])
    top = all_walls.position[:, 2] + all_walls.half_size[:, 2]
    np.testing.assert_array_equal(top, 2.0)
    inner = np.abs(all_walls.position[:, :2] - [47, 0]) - all_walls.half_size[:, :2]
    np.testing.assert_allclose(inner.max(1), [50, 50, 50, 50])


def test_ground_under_the_head_is_that_of_its_cell() -> None:
    corridor, cells = example()
    cell = bounded(ARENA, corridor.of_cell)
    for x, y in ((10.01, 0.0), (33.39, -20.2)):
        expected = cells[int((x + 3) * 10), int((y + 50) * 10)]
        np.testing.assert_allclose(under(cell, jnp.array([x, y])), expected, atol=2e-5)
