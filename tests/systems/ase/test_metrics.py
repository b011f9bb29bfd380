"""Measures of what was learned: every one by hand."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_suite.ops import running
from jaxrl_suite.systems import ase
from jaxrl_suite.systems.ase import metrics
from tests.systems.ase.small import CONFIG


@functools.cache
def known():
    env = ase.make_character(CONFIG)
    return env, jax.jit(lambda: metrics.references(env, env.world(jax.random.key(0))))()


def test_reference_windows_are_one_an_action_of_every_clip():
    env, (windows, labels) = known()
    # 61 frames of 2 s; the first window ends with the third.
    np.testing.assert_array_equal(np.bincount(labels), np.full(8, 59))
    assert windows.shape == (8 * 59, env.observation_sizes["window"])
    clips, times = metrics.grid(env)
    assert times.max() <= 2.0 + 1e-6
    np.testing.assert_array_equal(clips, labels)
    # Velocities of a clip: its direction at 1 m/s, the same in all frames.
    angle = 2 * np.pi * np.asarray(labels) / 8
    expected = np.tile(np.stack([np.cos(angle), np.sin(angle)], 1), (1, 3))
    np.testing.assert_allclose(windows, expected, atol=1e-5)


def test_a_reference_window_belongs_to_its_own_clip():
    _, (windows, labels) = known()
    normaliser = running.Running(jnp.full(6, 0.3), jnp.full(6, 4.0), jnp.ones(()))
    label = jax.jit(lambda x: metrics.nearest(x, (windows, labels), normaliser))
    np.testing.assert_array_equal(label(windows), labels)
    # A little noise, and leading axes: the direction that is nearest.
    noise = 0.1 * jax.random.normal(jax.random.key(0), (4, 118, 6))
    np.testing.assert_array_equal(label(windows.reshape(4, 118, 6) + noise), labels.reshape(4, 118))


def test_distances_are_those_of_normalised_windows():
    """The second number varies a hundred times as much, and counts so much less."""
    normaliser = running.Running(jnp.zeros(2), jnp.array([1.0, 1e4]), jnp.ones(()))
    references = jnp.array([[1.0, 0.0], [0.0, 100.0]])
    labels = jnp.array([7, 9])
    found = metrics.nearest(jnp.array([[0.9, 60.0], [0.2, 60.0]]), (references, labels), normaliser)
    np.testing.assert_array_equal(found, [7, 9])


def test_the_histogram_leaves_out_what_does_not_count():
    labels = jnp.array([[0, 1, 1], [2, 2, 2]])
    count = jnp.array([[True, True, True], [True, False, False]])
    np.testing.assert_allclose(metrics.histogram(labels, count, 4), [0.25, 0.5, 0.25, 0])


@pytest.mark.parametrize(
    ("shares", "covered", "entropy"),
    [
        ([0.25] * 4, 1.0, 1.0),
        ([1.0, 0, 0, 0], 0.25, 0.0),
        ([0.5, 0.5, 0, 0], 0.5, 0.5),
        # A fortieth is what a clip needs, of which 0.02 is less.
        ([0.48, 0.47, 0.03, 0.02], 0.75, None),
    ],
)
def test_coverage_and_entropy_by_hand(shares, covered, entropy):
    found = metrics.coverage(jnp.array(shares))
    assert float(found["coverage"]) == covered
    if entropy is not None:
        assert float(found["entropy"]) == pytest.approx(entropy, abs=1e-6)


def test_transitions_are_counted_by_pairs():
    before, after = jnp.array([0, 0, 1, 2, 2]), jnp.array([1, 1, 1, 0, 1])
    stood = jnp.array([True, True, True, True, False])  # the last one had fallen
    counts = metrics.transitions(before, after, stood, 3)
    np.testing.assert_array_equal(counts, [[0, 2, 0], [0, 1, 0], [1, 0, 0]])
    # Of the six pairs of two clips, two; staying is none.
    assert float(metrics.transition_coverage(counts)) == pytest.approx(2 / 6)


def test_the_distance_of_trajectories_is_a_mean_over_time_and_pairs():
    """A right triangle of sides 3, 4 and 5 at first, one point of it moved on later."""
    first = [[0.0, 0], [3, 0], [0, 4]]
    later = [[0.0, 0], [6, 0], [0, 8]]
    found = metrics.pairwise_distance(jnp.array([first, later]))
    assert float(found) == pytest.approx((4 + 8) / 2, rel=1e-5)
    same = jnp.broadcast_to(jnp.arange(4.0)[:, None, None], (4, 3, 2))
    assert float(metrics.pairwise_distance(same)) == pytest.approx(0.0, abs=2e-3)


def test_recovery_is_a_share_and_a_median():
    upright = jnp.array([[0, 1, 0, 0], [0, 1, 0, 1], [0, 0, 0, 1], [1, 0, 0, 1]], bool)
    found = metrics.recovery(upright, 0.5)
    assert float(found["recovery_rate"]) == 0.75
    # After 4, 1 and 2 steps of half a second.
    assert float(found["recovery_time"]) == 1.0
    none = metrics.recovery(jnp.zeros((3, 2), bool), 0.5)
    assert float(none["recovery_rate"]) == 0
    assert np.isnan(none["recovery_time"])
