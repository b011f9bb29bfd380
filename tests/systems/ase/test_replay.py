"""Windows of before: all while there is room, then few of each update."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl_suite.systems.ase import replay

SIZE, BATCH, KEPT = 20, 8, 3


def batch(number):
    """Windows that tell which push they are of: 100, 101, ... for the first."""
    return (100.0 * (number + 1) + jnp.arange(BATCH))[:, None] * jnp.ones((1, 2))


def filled(pushes):
    ring = replay.empty(SIZE, 2)
    push = jax.jit(replay.pushed, static_argnums=2)
    for i in range(pushes):
        ring = push(ring, batch(i), KEPT, jax.random.key(i))
    return ring


def held(ring):
    return np.asarray(ring.windows)[:, 0]


def test_all_is_kept_while_there_is_room():
    ring = filled(2)
    assert int(ring.count) == 2 * BATCH
    expected = np.concatenate([np.asarray(batch(i))[:, 0] for i in range(2)])
    np.testing.assert_array_equal(np.sort(held(ring)[: 2 * BATCH]), expected)
    np.testing.assert_array_equal(held(ring)[2 * BATCH :], 0)


def test_once_full_so_many_of_each_push_replace_the_oldest():
    full = filled(3)
    assert int(full.count) == 3 * BATCH
    assert (held(full) > 0).all()
    # Four of the last eight fill the room; the others go where the first ones were.
    assert ((held(full) >= 300).sum(), (held(full) < 200).sum()) == (8, 4)
    later = filled(4)
    assert int(later.count) == 3 * BATCH + KEPT
    changed = held(later) != held(full)
    assert changed.sum() == KEPT
    assert (held(later)[changed] >= 400).all()
    assert len(set(held(later)[changed])) == KEPT
    # In turn: the places after those written last.
    np.testing.assert_array_equal(np.flatnonzero(changed), [4, 5, 6])


def test_which_are_kept_is_drawn_evenly():
    full = filled(3)
    keys = jax.random.split(jax.random.key(7), 2000)
    push = jax.jit(jax.vmap(lambda k: replay.pushed(full, batch(5), KEPT, k).windows[4:7, 0]))
    counts = np.bincount(np.asarray(push(keys)).ravel().astype(int) - 600, minlength=BATCH)
    expected = 2000 * KEPT / BATCH
    assert np.abs(counts - expected).max() < 5 * np.sqrt(expected * (1 - KEPT / BATCH))


def test_what_is_drawn_was_written():
    some = replay.drawn(filled(2), batch(9), jax.random.key(0))
    assert some.shape == (BATCH, 2)
    keys = jax.random.split(jax.random.key(1), 200)
    for pushes, known in ((2, 2 * BATCH), (5, SIZE)):
        ring = filled(pushes)
        drawn = jax.vmap(lambda k, ring=ring: replay.drawn(ring, batch(9), k))(keys)
        assert set(np.unique(drawn)) == set(held(ring)[:known])


def test_an_empty_ring_gives_the_windows_of_now():
    drawn = replay.drawn(replay.empty(SIZE, 2), batch(9), jax.random.key(0))
    np.testing.assert_array_equal(drawn, batch(9))
