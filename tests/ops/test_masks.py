"""Masks: against NumPy, and what may never happen to them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxrl_suite.ops import masks


def numpy_swap(mask, harmony, recovery, count):
    """The slides' update, by sorting."""
    ones, zeros = np.flatnonzero(mask), np.flatnonzero(~mask)
    out = ones[np.argsort(harmony[ones], kind="stable")[:count]]
    into = zeros[np.argsort(-recovery[zeros], kind="stable")[:count]]
    mask = mask.copy()
    mask[out], mask[into] = False, True
    return mask


@given(st.integers(0, 1000), st.integers(5, 40), st.integers(0, 12))
def test_swap_is_the_slides(seed, size, count):
    rng = np.random.default_rng(seed)
    mask = rng.random(size) < 0.7
    harmony, recovery = rng.normal(size=(2, size)).astype(np.float32)
    most = min(12, size)
    ours = np.asarray(masks.swap(jnp.asarray(mask), harmony, recovery, jnp.asarray(count), most))
    count = min(count, mask.sum(), (~mask).sum())
    np.testing.assert_array_equal(ours, numpy_swap(mask, harmony, recovery, count))
    assert ours.sum() == mask.sum()
    assert (mask & ~ours).sum() == (~mask & ours).sum() == count


def test_swap_of_a_large_mask_conserves_the_ones():
    rng = np.random.default_rng(1)
    size = 200_000
    mask = rng.random(size) < 0.8
    harmony, recovery = rng.normal(size=(2, size)).astype(np.float32)
    ours = np.asarray(
        jax.jit(masks.swap, static_argnums=4)(jnp.asarray(mask), harmony, recovery, 77, 100)
    )
    np.testing.assert_array_equal(ours, numpy_swap(mask, harmony, recovery, 77))


def test_entries_that_must_stay_do():
    mask = jnp.array([True, True, False, False])
    harmony = jnp.array([jnp.inf, jnp.inf, 0.0, 0.0])
    ours = masks.swap(mask, harmony, jnp.zeros(4), jnp.asarray(2), 2)
    np.testing.assert_array_equal(ours, mask)
    ours = masks.swap(mask, jnp.zeros(4), jnp.full(4, -jnp.inf), jnp.asarray(2), 2)
    np.testing.assert_array_equal(ours, mask)


@pytest.mark.parametrize("size", [100, 5_000, 300_001])
@pytest.mark.parametrize("ties", [False, True])
def test_top_indices_are_a_sorts(size, ties):
    rng = np.random.default_rng(size)
    score = rng.normal(size=size).astype(np.float32)
    if ties:
        score = np.round(score, 1) + 0.0  # without -0.0, which a sort of floats puts below 0.0
    ours = np.asarray(masks.top_indices(jnp.asarray(score), 100))
    np.testing.assert_array_equal(ours, np.argsort(-score, kind="stable")[:100])


def test_top_indices_look_behind_the_last_whole_block():
    score = np.zeros(200 * masks.BLOCK + 7, np.float32)
    score[:: masks.BLOCK], score[-7:] = 1, 2
    ours = np.asarray(masks.top_indices(jnp.asarray(score), 100))
    np.testing.assert_array_equal(ours, np.argsort(-score, kind="stable")[:100])


def harmodt_shapes():
    """The original's 99 tensors, by the size of their network."""
    d, states, actions = 256, 39, 4
    shapes = {"wte": (1, d), "ln_f.w": (d,), "ln_f.b": (d,)}
    for i in range(6):
        block = {"attn": (d, 3 * d), "proj": (d, d), "in": (d, 4 * d), "out": (4 * d, d)}
        for name, shape in block.items():
            shapes |= {f"{i}.{name}.w": shape, f"{i}.{name}.b": shape[1:]}
        shapes |= {f"{i}.ln{j}.{x}": (d,) for j in (1, 2) for x in "wb"}
    for prompt in ("", "prompt_"):
        shapes[f"{prompt}timestep"] = (1000, d)
        for name, size in (("return", 1), ("state", states), ("action", actions)):
            shapes |= {f"{prompt}{name}.w": (d, size), f"{prompt}{name}.b": (d,)}
    shapes |= {"embed_ln.w": (d,), "embed_ln.b": (d,), "unused.w": (d, 4), "unused.b": (d,)}
    for name, size in (("state", states), ("action", actions), ("return", 1)):
        shapes |= {f"predict_{name}.w": (size, d), f"predict_{name}.b": (size,)}
    return shapes


def test_erk_is_the_originals():
    shapes = harmodt_shapes()
    assert len(shapes) == 99
    sizes = {name: np.prod(shape) for name, shape in shapes.items()}
    assert sum(sizes.values()) == 5_288_492
    density = masks.erk_densities(shapes, 0.8)
    assert sum(x == 1.0 for x in density.values()) == 79
    assert density["0.attn.w"] == pytest.approx(0.8197, abs=5e-5)
    assert density["3.in.w"] == pytest.approx(0.7685, abs=5e-5)
    assert density["3.out.w"] == density["3.in.w"]
    assert density["timestep"] == pytest.approx(0.7722, abs=5e-5)
    zeros = {name: (1 - density[name]) * size for name, size in sizes.items()}
    tables = zeros["timestep"] + zeros["prompt_timestep"]
    assert tables == pytest.approx(116_657, abs=1)
    assert sum(zeros.values()) - tables == pytest.approx(941_041, abs=1)


def test_erk_of_everything_dense():
    assert masks.erk_densities({"a": (3, 4), "b": (5,)}, 1.0) == {"a": 1.0, "b": 1.0}


def test_schedules():
    share = jnp.arange(5) / 4
    count = lambda schedule: masks.swap_count(share, 0.0, 100.0, schedule).tolist()  # noqa: E731
    assert count("hump") == [0, 50, 100, 50, 0]
    assert count("decay") == [100, 85, 50, 14, 0]
    assert count("constant") == [100] * 5
    # 1e6 steps, every 500: the swaps of a task's whole training.
    every = jnp.arange(2000) * 500 / 1e6
    assert abs(int(masks.swap_count(every, 0.0, 100.0, "hump").sum()) - 99_000) <= 60


def test_votes_differ_at_ties_alone():
    given_ = jnp.array([[1, 1, 0, 0], [1, 0, 1, 0]], bool)
    np.testing.assert_array_equal(masks.vote(given_, 1), [True, False, False, False])
    np.testing.assert_array_equal(masks.vote(given_, 1, inclusive=True), [True, True, True, False])
