import itertools

import hypothesis
import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_suite.ops.importance import effective_sample_size, value_estimates
from jaxrl_suite.ops.vtrace import vtrace
from tests.ops.sequences import random_sequence

ess = jax.jit(effective_sample_size)
estimates = jax.jit(value_estimates)
everything = np.ones(4, bool)


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        ([3.0, 3.0, 3.0, 3.0], 1.0),
        ([1.0, 0.0, 0.0, 0.0], 0.25),
        ([1.0, 1.0, 0.0, 0.0], 0.5),
        ([1.0, 2.0, 3.0, 4.0], 100.0 / (4 * 30.0)),
    ],
)
def test_ess_known_values(weights, expected):
    with np.errstate(divide="ignore"):
        log_weights = np.log(np.asarray(weights, np.float32))
    np.testing.assert_allclose(ess(log_weights, everything), expected, rtol=1e-6)


@pytest.mark.parametrize("shift", [-1000.0, 1000.0])
def test_ess_does_not_change_with_scale_and_does_not_overflow(shift):
    # exp(1000) is infinite in float32. Multiples of 1/4, so that the shift is exact.
    log_weights = np.array([0.0, 0.25, -1.5, 2.0], np.float32)
    assert ess(log_weights + np.float32(shift), everything) == ess(log_weights, everything)


@hypothesis.given(
    hnp.arrays(np.float32, 4, elements=st.floats(-50, 50, width=32)),
    hnp.arrays(bool, 4).filter(np.any),
)
def test_ess_lies_between_one_sample_and_all(log_weights, mask):
    share = float(ess(log_weights, mask))
    assert (1.0 - 1e-6) / mask.sum() <= share <= 1.0 + 1e-6


def test_ess_sees_only_what_the_mask_shows():
    log_weights = np.array([0.0, np.nan, np.inf, np.log(2.0)], np.float32)
    mask = np.array([True, False, False, True])
    np.testing.assert_allclose(ess(log_weights, mask), 9.0 / (2 * 5.0), rtol=1e-6)


def test_on_policy_all_estimates_are_the_n_step_return():
    sequence = random_sequence(3, 9)
    sequence["discounts"] = np.full(9, 0.9, np.float32)
    target = sequence["values"][-1]
    for reward in sequence["rewards"][::-1]:
        target = reward + 0.9 * target
    out = estimates(jnp.zeros(9), sequence["rewards"], sequence["discounts"], sequence["values"])
    for estimate in out:
        np.testing.assert_allclose(estimate, target, rtol=1e-5)


class Tree:
    """Three decisions between two actions; the state is the history of actions, 15 states.

    Small enough to sum over all eight paths, so an expectation here is a number, not a sample.
    """

    length = 3

    def __init__(self):
        generator = np.random.default_rng(0)
        self.target = {}  # state -> probability of action 1 under pi
        self.behaviour = {}
        self.reward = {}
        self.discount = {}
        self.value = {}
        for depth in range(self.length + 1):
            for state in itertools.product((0, 1), repeat=depth):
                self.target[state] = generator.uniform(0.1, 0.9)
                self.behaviour[state] = generator.uniform(0.2, 0.8)
                self.value[state] = generator.normal()
                self.reward[state] = generator.normal()  # received on entering the state
                self.discount[state] = 0.9
        self.discount[(1, 0)] = 0.0  # this branch terminates early

    def true_value(self, state=()):
        """V^pi of the T-step problem that bootstraps from `value`."""
        if len(state) == self.length:
            return self.value[state]
        total = 0.0
        for action in (0, 1):
            probability = self.target[state] if action else 1.0 - self.target[state]
            after = (*state, action)
            total += probability * (
                self.reward[after] + self.discount[after] * self.true_value(after)
            )
        return total

    def expectation(self, **settings):
        """Mean of each estimate over all paths, weighted by the behaviour policy."""
        weights, columns = [], []
        for path in itertools.product((0, 1), repeat=self.length):
            states = [path[:t] for t in range(self.length + 1)]
            weight, log_ratios = 1.0, []
            for state, action in zip(states, path, strict=False):
                pi, mu = (
                    p[state] if action else 1.0 - p[state] for p in (self.target, self.behaviour)
                )
                weight *= mu
                log_ratios.append(np.log(pi / mu))
            weights.append(weight)
            columns.append(
                (
                    log_ratios,
                    [self.reward[s] for s in states[1:]],
                    [self.discount[s] for s in states[1:]],
                    [self.value[s] for s in states],
                )
            )
        arrays = [jnp.asarray(x, jnp.float32) for x in zip(*columns, strict=True)]
        out = jax.vmap(lambda *a: value_estimates(*a, **settings))(*arrays)
        return {name: float(np.dot(weights, x)) for name, x in out._asdict().items()}


def test_unbiased_estimates_are_unbiased_by_enumeration():
    tree = Tree()
    truth = tree.true_value()
    mean = tree.expectation()
    np.testing.assert_allclose(mean["trajectory"], truth, rtol=1e-5)
    np.testing.assert_allclose(mean["per_decision"], truth, rtol=1e-5)
    # The test can tell a biased estimate: the two that clip are off.
    assert abs(mean["clipped_step"] - truth) > 1e-2
    assert abs(mean["vtrace"] - truth) > 1e-2


def test_vtrace_is_unbiased_once_nothing_is_clipped():
    tree = Tree()
    mean = tree.expectation(rho_bar=jnp.inf, c_bar=jnp.inf)
    np.testing.assert_allclose(mean["vtrace"], tree.true_value(), rtol=1e-5)


def test_vtrace_estimate_is_the_first_target_of_the_op():
    sequence = random_sequence(8, 6)
    names = ("rewards", "discounts", "values")
    out = estimates(
        np.log(sequence["ratios"]), *[sequence[n] for n in names], rho_bar=1.4, c_bar=0.6
    )
    rest = [jnp.asarray(sequence[n]) for n in ("values", "rewards", "discounts", "ratios")]
    expected = vtrace(*rest, rho_bar=1.4, c_bar=0.6).values[0]
    np.testing.assert_allclose(out.vtrace, expected, rtol=1e-5)


def test_clipped_step_against_a_loop():
    sequence = random_sequence(13, 6)
    values, discounts = sequence["values"], sequence["discounts"]
    expected, survival = values[0], 1.0
    for t in range(6):
        clipped = min(max(sequence["ratios"][t], 0.9), 1.1)
        error = sequence["rewards"][t] + discounts[t] * values[t + 1] - values[t]
        expected += survival * clipped * error
        survival *= discounts[t]
    out = estimates(
        np.log(sequence["ratios"]), sequence["rewards"], discounts, values, clip_epsilon=0.1
    )
    np.testing.assert_allclose(out.clipped_step, expected, rtol=1e-5)


def test_trajectory_ratio_varies_more_than_per_decision_and_vtrace():
    # What the variance figure shows: seeded, 2000 paths of 20 steps of a fair coin seen by a
    # policy with probabilities 0.6 and 0.4.
    actions = np.random.default_rng(0).random((2000, 20)) < 0.5
    log_ratios = np.log(np.where(actions, 0.6, 0.4) / 0.5).astype(np.float32)
    ones = jnp.ones(20)
    out = jax.vmap(lambda log_ratio: value_estimates(log_ratio, ones, 0.9 * ones, jnp.zeros(21)))(
        jnp.asarray(log_ratios)
    )
    spread = {name: float(np.std(x)) for name, x in out._asdict().items()}
    assert spread["trajectory"] > spread["per_decision"] > spread["vtrace"]
