import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from jaxrl_suite.core import UsageError
from jaxrl_suite.report import stats

scores_2d = arrays(
    float,
    st.tuples(st.integers(1, 9), st.integers(1, 5)),
    elements=st.floats(-1e3, 1e3, allow_subnormal=False),
)


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([7.0], 7.0),
        ([1, 2, 3], 2.0),  # floor(3 / 4) = 0: nothing is dropped
        ([0, 1, 3, 100], 2.0),
        ([[0, 1], [3, 100]], 2.0),
        ([5, 1, 4, 2, 3], 3.0),
        (range(8), 3.5),
    ],
)
def test_iqm_golden(scores, expected):
    assert stats.iqm(list(scores)) == expected


@given(scores_2d)
def test_iqm_is_scipys_trimmed_mean(scores):
    expected = scipy.stats.trim_mean(scores, 0.25, axis=None)
    np.testing.assert_allclose(stats.iqm(scores), expected, rtol=1e-12, atol=1e-9)


@given(scores_2d, st.floats(0.1, 10), st.floats(-10, 10))
def test_iqm_is_equivariant_and_within_range(scores, scale, shift):
    value = stats.iqm(scores)
    assert scores.min() - 1e-9 <= value <= scores.max() + 1e-9
    np.testing.assert_allclose(
        stats.iqm(scale * scores + shift), scale * value + shift, rtol=1e-9, atol=1e-6
    )


def test_iqm_does_not_hide_a_crashed_run():
    assert np.isnan(stats.iqm([1.0, 2.0, 3.0, np.nan]))


def test_mean_interval_golden():
    # 1..5: mean 3, s = sqrt(2.5), t(4, 0.975) = 2.7764451.
    interval = stats.mean_interval([1, 2, 3, 4, 5])
    half = 2.7764451051977987 * np.sqrt(2.5) / np.sqrt(5)
    np.testing.assert_allclose(interval, [3, 3 - half, 3 + half], rtol=1e-7)


def test_mean_interval_per_column_and_axis():
    x = np.random.default_rng(0).normal(size=(5, 7))
    low, high = scipy.stats.t.interval(0.9, 4, x.mean(0), scipy.stats.sem(x, axis=0))
    interval = stats.mean_interval(x, level=0.9)
    np.testing.assert_allclose(interval, [x.mean(0), low, high])
    np.testing.assert_allclose(stats.mean_interval(x.T, level=0.9, axis=1), interval)


def test_no_interval_from_fewer_than_three_seeds():
    for interval in (
        stats.mean_interval([[1.0], [3.0]]),
        stats.bootstrap_interval([[1.0], [3.0]], np.mean),
    ):
        assert interval.point == 2
        assert np.isnan(interval.low).all()
        assert np.isnan(interval.high).all()


def test_t_covers_where_the_bootstrap_does_not():
    """The reason given in the module's docstring: five seeds, a nominal 95%."""
    draws = np.random.default_rng(0).normal(size=(5, 4000))
    t = stats.mean_interval(draws)
    assert np.mean((t.low < 0) & (t.high > 0)) == pytest.approx(0.95, abs=0.012)

    few = draws[:, :400]
    covered = []
    for i in range(few.shape[1]):
        boot = stats.bootstrap_interval(few[:, i : i + 1], np.mean, num=200, seed=i)
        covered.append(boot.low < 0 < boot.high)
    assert np.mean(covered) == pytest.approx(0.83, abs=0.05)


def test_bootstrap_agrees_with_a_slow_loop():
    scores = np.random.default_rng(1).normal(size=(6, 3))
    interval = stats.bootstrap_interval(scores, stats.iqm, num=50, seed=3, level=0.8)
    generator = np.random.default_rng(3)
    replicates = []
    for _ in range(50):
        index = generator.integers(6, size=(6, 3))
        drawn = np.empty_like(scores)
        for run in range(6):
            for task in range(3):
                drawn[run, task] = scores[index[run, task], task]
        replicates.append(scipy.stats.trim_mean(drawn, 0.25, axis=None))
    np.testing.assert_allclose(interval.point, scipy.stats.trim_mean(scores, 0.25, axis=None))
    np.testing.assert_allclose(interval[1:], np.quantile(replicates, [0.1, 0.9]))


@settings(max_examples=30)
@given(arrays(float, (4, 3), elements=st.floats(-10, 10)))
def test_bootstrap_is_stratified_ordered_and_reproducible(scores):
    interval = stats.bootstrap_interval(scores, np.mean, num=50)
    assert interval.low <= interval.high
    assert interval == stats.bootstrap_interval(scores, np.mean, num=50)
    # Within a task only: equal runs have no spread, however far apart the tasks lie.
    constant = np.broadcast_to(scores[:1], scores.shape)
    low, high = stats.bootstrap_interval(constant, np.mean, num=20)[1:]
    np.testing.assert_allclose([low, high], constant.mean(), atol=1e-12)


@given(scores_2d, st.integers(1, 5), st.integers(0, 9))
def test_probability_of_improvement_is_a_counted_frequency(x, runs, seed):
    y = np.round(np.random.default_rng(seed).normal(size=(runs, x.shape[1])))
    total = 0.0
    for task in range(x.shape[1]):
        for a in x[:, task]:
            for b in y[:, task]:
                total += 1.0 if a > b else 0.5 if a == b else 0.0
    expected = total / (len(x) * len(y) * x.shape[1])
    assert stats.probability_of_improvement(x, y) == pytest.approx(expected)
    assert stats.probability_of_improvement(y, x) == pytest.approx(1 - expected)
    assert stats.probability_of_improvement(x, x) == pytest.approx(0.5)


def test_bootstrap_of_two_arrays():
    x, y = np.random.default_rng(2).normal(size=(2, 8, 4))
    interval = stats.bootstrap_interval((x + 1, y), stats.probability_of_improvement, num=200)
    assert 0.5 < interval.low < interval.point < interval.high < 1


def test_rliable_agrees():
    metrics = pytest.importorskip("rliable.metrics", reason="rliable (needs pandas<3) is absent")
    scores = np.random.default_rng(4).normal(size=(10, 6))
    np.testing.assert_allclose(stats.iqm(scores), metrics.aggregate_iqm(scores))
    y = scores + np.random.default_rng(5).normal(size=(10, 6))
    np.testing.assert_allclose(
        stats.probability_of_improvement(scores, y), metrics.probability_of_improvement(scores, y)
    )


def test_mann_whitney_counts_all_orders_of_a_small_sample():
    # All of x above all of y: 1 of the 20 orders of 3 and 3, and as many the other way round.
    assert stats.mann_whitney([4, 5, 6], [1, 2, 3]) == pytest.approx(2 / 20)
    assert stats.mann_whitney([1, 4, 5], [2, 3, 6]) == pytest.approx(1.0)
    same = stats.mann_whitney(np.zeros(4), np.zeros(5))
    assert same == pytest.approx(1.0)


def test_holm_golden_and_never_below_the_p_themselves():
    np.testing.assert_allclose(stats.holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    p = np.random.default_rng(0).uniform(size=9)
    adjusted = stats.holm(p)
    assert (adjusted >= p).all()
    assert (np.diff(adjusted[np.argsort(p)]) >= 0).all()
    assert (adjusted <= np.minimum(1, 9 * p) + 1e-12).all()  # never beyond Bonferroni's


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: stats.mann_whitney([1.0, np.nan], [2.0]), "two lists of finite numbers"),
        (lambda: stats.holm([0.5, 1.5]), "a list of probabilities"),
        (lambda: stats.iqm([]), "at least one score"),
        (lambda: stats.bootstrap_interval([1.0, 2.0]), r"\[runs, tasks\], not \[2\]"),
        (lambda: stats.mean_interval([1, 2, 3], level=95), "between 0 and 1, not 95"),
        (lambda: stats.probability_of_improvement([[1, 2]], [[1]]), "the same tasks"),
        (lambda: stats.bootstrap_interval([[1.0]], num=0), "at least 1, not 0"),
    ],
)
def test_bad_input_is_one_line(call, message):
    with pytest.raises(UsageError, match=message) as error:
        call()
    assert "\n" not in str(error.value)
