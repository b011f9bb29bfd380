"""Offsets, mirror and overlap: whole numbers against exact arithmetic."""

import itertools
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_suite.core import UsageError
from jaxrl_suite.envs.unimal import Design, lattice
from jaxrl_suite.envs.unimal.validity import _near


def exact_directions() -> np.ndarray:
    """[17, 3], unit."""
    thetas = np.radians(45 * np.arange(8))
    level = np.stack([np.cos(thetas), np.sin(thetas), 0 * thetas], axis=1)
    down = np.array([[0.0, 0.0, -1.0]])
    return np.concatenate([down, level, (level + down) / np.sqrt(2)])


@pytest.mark.parametrize("name", ["original", "clean"])
def test_offsets_are_the_nearest_whole_centimetres(name: str) -> None:
    exact = exact_directions()[:, None] * np.arange(0, 51, 5)[None, :, None]
    # A tie may go either way.
    assert np.abs(lattice.OFFSETS[name] - exact).max() <= 0.5 + 1e-9


def test_the_clean_table_is_its_own_mirror_image() -> None:
    clean, original = (lattice.OFFSETS[name] for name in ("clean", "original"))
    image = clean[lattice.MIRROR] * np.array([1, -1, 1])
    np.testing.assert_array_equal(clean, image)
    broken = np.any(original != original[lattice.MIRROR] * np.array([1, -1, 1]), axis=(1, 2))
    # Sloping diagonals only: theta = 45, 135, 225, 315.
    assert np.flatnonzero(broken).tolist() == [10, 12, 14, 16]


@pytest.mark.parametrize("name", ["original", "clean"])
def test_axes_are_unit_and_square_to_the_limb_and_each_other(name: str) -> None:
    axes = lattice.AXES[name]
    ends = lattice.OFFSETS[name][:, lattice.END].astype(float)
    along = ends / np.linalg.norm(ends, axis=-1, keepdims=True)
    np.testing.assert_allclose(np.linalg.norm(axes, axis=-1), 1.0, atol=1e-12)
    np.testing.assert_allclose(np.einsum("dlai,dli->dla", axes, along), 0.0, atol=2e-4)
    np.testing.assert_allclose(np.sum(axes[:, :, 0] * axes[:, :, 1], -1), 0.0, atol=2e-4)


def squared_distance(p, u, q, w) -> Fraction:
    """Of two segments, exact: the least over the ends and the lines' nearest points."""
    p, u, q, w = ([Fraction(int(x)) for x in v] for v in (p, u, q, w))
    dot = lambda a, b: sum(x * y for x, y in zip(a, b, strict=True))  # noqa: E731
    sub = lambda a, b: [x - y for x, y in zip(a, b, strict=True)]  # noqa: E731
    at = lambda a, d, s: [x + s * y for x, y in zip(a, d, strict=True)]  # noqa: E731

    def to_segment(point, start, along) -> Fraction:
        length = dot(along, along)
        s = min(max(dot(sub(point, start), along) / length, 0), 1) if length else Fraction(0)
        apart = sub(point, at(start, along, s))
        return dot(apart, apart)

    found = [to_segment(at(p, u, s), q, w) for s in (0, 1)]
    found += [to_segment(at(q, w, s), p, u) for s in (0, 1)]
    a, e, b, c, f = dot(u, u), dot(w, w), dot(u, w), dot(u, sub(p, q)), dot(w, sub(p, q))
    cross = a * e - b * b
    if cross:
        s, t = (b * f - c * e) / cross, (a * f - b * c) / cross
        if 0 <= s <= 1 and 0 <= t <= 1:
            apart = sub(at(p, u, s), at(q, w, t))
            found.append(dot(apart, apart))
    return min(found)


def test_overlap_is_exact() -> None:
    """Random limbs of the lattice, a third of them so placed that many touch exactly."""
    generator = np.random.default_rng(0)
    ends = lattice.OFFSETS["original"][:, lattice.END].reshape(-1, 3)
    ends = np.concatenate([ends, np.zeros((4, 3), np.int32)])  # heads
    count = 3000
    p = np.zeros((count, 3), np.int32)
    q = generator.integers(-30, 31, (count, 3)).astype(np.int32)
    q[::3] = 5 * (q[::3] // 5)
    q[1::7] *= 15  # far away
    u, w = (ends[generator.integers(0, len(ends), count)] for _ in range(2))
    reach = np.where(np.arange(count) % 2, 100, 225).astype(np.int32)
    exact = [squared_distance(*rows) for rows in zip(p, u, q, w, strict=True)]
    touch = [d == r for d, r in zip(exact, reach, strict=True)]
    assert sum(touch) > 10
    for touching in (True, False):
        near = jax.jit(jax.vmap(lambda *x, t=touching: _near(*x, touching=t)))
        found = np.asarray(near(*(jnp.asarray(x) for x in (p, u, q, w, reach))))
        expected = [
            d <= r if touching else d < r for d, r in zip(exact, reach.tolist(), strict=True)
        ]
        np.testing.assert_array_equal(found, expected)


def test_designs_refuse_unknown_names() -> None:
    for field, value in itertools.product(("lattice", "contacts"), ("tidy",)):
        with pytest.raises(UsageError, match=f"{field} must be one of .* not 'tidy'"):
            Design(**{field: value})
