import json
from pathlib import Path

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_suite.ops.vtrace import vtrace
from tests.ops.sequences import RLAX_SETTINGS, double_sum, random_sequence

GOLDEN = Path(__file__).parent / "golden" / "vtrace.json"

# One compilation a length: all thresholds are traced, which is also how the systems use them.
jitted = jax.jit(vtrace)


def run(sequence, **settings):
    masked = settings.pop("masked", False)
    mask = sequence["sample_mask"] if masked else None
    names = ("values", "rewards", "discounts", "ratios")
    return jitted(*[jnp.asarray(sequence[n]) for n in names], sample_mask=mask, **settings)


@pytest.mark.parametrize("settings", RLAX_SETTINGS, ids=str)
@pytest.mark.parametrize("length", [1, 5, 40])
def test_equals_rlax(settings, length):
    pytest.importorskip("rlax")
    from tests.ops.make_golden import rlax_vtrace

    sequence = random_sequence(length, length)
    expected = rlax_vtrace(sequence, settings)
    out = run(sequence, **settings)
    errors = out.values - sequence["values"][:-1]
    np.testing.assert_allclose(errors, expected["errors"], rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(out.advantages, expected["advantages"], rtol=1e-6, atol=1e-6)


def test_equals_the_numbers_that_rlax_gave():
    cases = json.loads(GOLDEN.read_text())["cases"]
    assert [case["settings"] for case in cases] == RLAX_SETTINGS
    for case in cases:
        settings = case.pop("settings")
        sequence = {
            name: np.asarray(case[name], bool if name == "sample_mask" else np.float32)
            for name in case
        }
        out = run(sequence, **settings)
        errors = out.values - sequence["values"][:-1]
        np.testing.assert_allclose(errors, sequence["errors"], rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(out.advantages, sequence["advantages"], rtol=1e-6, atol=1e-6)


bounds = st.floats(0.1, 4.0)


@hypothesis.given(
    seed=st.integers(0, 10_000),
    length=st.sampled_from([1, 2, 12]),
    rho_bar=bounds,
    c_bar=bounds,
    pg_rho_bar=bounds,
    lambda_=st.floats(0.0, 1.0),
    alpha=st.floats(0.0, 1.0),
)
@hypothesis.example(
    seed=3, length=12, rho_bar=1.5, c_bar=0.7, pg_rho_bar=2.5, lambda_=0.8, alpha=1.0
)
def test_recursion_equals_the_explicit_double_sum(seed, length, **settings):
    sequence = random_sequence(seed, length)
    targets, advantages = double_sum(sequence, **settings)
    out = run(sequence, **settings)
    np.testing.assert_allclose(out.values, targets, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(out.advantages, advantages, rtol=1e-4, atol=1e-4)


def test_every_threshold_changes_what_it_should():
    # Guards against one threshold standing in for another: with all ratios above all bounds,
    # each has its own effect.
    sequence = random_sequence(5, 8) | {
        "ratios": np.full(8, 5.0, np.float32),
        "discounts": np.full(8, 0.9, np.float32),
    }
    base = run(sequence)
    moved = run(sequence, pg_rho_bar=2.0)
    np.testing.assert_array_equal(moved.values, base.values)
    np.testing.assert_allclose(moved.advantages, 2.0 * base.advantages, rtol=1e-6)
    moved = run(sequence, c_bar=2.0)
    # The last target has no trace after it; all others do.
    np.testing.assert_allclose(moved.values[-1], base.values[-1], rtol=1e-6)
    assert not np.any(np.isclose(moved.values[:-1], base.values[:-1]))
    moved = run(sequence, rho_bar=2.0)
    # The error is linear in the temporal differences, and every one of them doubles.
    v_tm1 = sequence["values"][:-1]
    np.testing.assert_allclose(moved.values - v_tm1, 2.0 * (base.values - v_tm1), rtol=1e-5)


@pytest.mark.parametrize("length", [1, 7])
def test_on_policy_target_is_the_n_step_bellman_target(length):
    sequence = random_sequence(11, length) | {"ratios": np.ones(length, np.float32)}
    target = float(sequence["values"][-1])
    expected = []
    for reward, discount in zip(
        sequence["rewards"][::-1], sequence["discounts"][::-1], strict=True
    ):
        target = float(reward) + float(discount) * target
        expected.append(target)
    out = run(sequence)
    np.testing.assert_allclose(out.values, expected[::-1], rtol=1e-5, atol=1e-6)
    # So the advantage is the n-step one too.
    v_tm1 = sequence["values"][:-1]
    np.testing.assert_allclose(out.advantages, out.values - v_tm1, rtol=1e-5, atol=1e-6)


def test_without_clipping_it_is_per_decision_importance_sampling():
    # v_0 = sum_t G_t (prod_{i<=t} w_i) r_t + G_T (prod w) V_T + V_0 terms that telescope:
    # every V(x_t) enters once with the ratio before it and once with the ratio after it.
    sequence = random_sequence(7, 6)
    values, rewards, discounts, ratios = (
        np.asarray(sequence[n], np.float64) for n in ("values", "rewards", "discounts", "ratios")
    )
    length = len(rewards)
    expected = []
    for s in range(length):
        total, weight = 0.0, 1.0
        for t in range(s, length):
            total += weight * (1 - ratios[t]) * values[t]  # control variate of mean 0
            total += weight * ratios[t] * rewards[t]
            weight *= ratios[t] * discounts[t]
        expected.append(total + weight * values[-1])
    out = run(sequence, rho_bar=np.inf, c_bar=np.inf)
    np.testing.assert_allclose(out.values, expected, rtol=1e-5, atol=1e-5)
    # alpha = 0 turns the clips off as well.
    leaky = run(sequence, alpha=0.0)
    np.testing.assert_allclose(leaky.values, out.values, rtol=1e-6, atol=1e-6)


def test_lambda_zero_is_the_one_step_target():
    sequence = random_sequence(2, 10) | {"ratios": np.ones(10, np.float32)}
    out = run(sequence, lambda_=0.0)
    expected = sequence["rewards"] + sequence["discounts"] * sequence["values"][1:]
    np.testing.assert_allclose(out.values, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        out.advantages, expected - sequence["values"][:-1], rtol=1e-5, atol=1e-6
    )


def perturbed_after(sequence, step):
    """The same sequence with other numbers from `step` on."""
    other = random_sequence(999, len(sequence["rewards"]))
    return {name: np.concatenate([sequence[name][:step], other[name][step:]]) for name in sequence}


def test_termination_cuts_the_sum():
    sequence = random_sequence(4, 8)
    sequence["discounts"] = np.full(8, 0.9, np.float32)
    reaches = run(perturbed_after(sequence, 5)).values[:5]
    assert not np.any(np.isclose(reaches, run(sequence).values[:5]))
    sequence["discounts"][4] = 0.0
    cut = run(perturbed_after(sequence, 5))
    np.testing.assert_array_equal(cut.values[:5], run(sequence).values[:5])
    np.testing.assert_array_equal(cut.advantages[:5], run(sequence).advantages[:5])


def test_ratio_zero_keeps_the_value_and_cuts_the_sums():
    # A reset step between two episodes: its value is that of the terminal observation, which a
    # truncated episode bootstraps from, and nothing of the next episode may leak through.
    sequence = random_sequence(4, 8)
    sequence["discounts"] = np.full(8, 0.9, np.float32)
    sequence["ratios"] = np.full(8, 0.8, np.float32)
    sequence["ratios"][4] = 0.0
    out = run(sequence)
    assert out.values[4] == sequence["values"][4]
    assert out.advantages[4] == 0.0
    other = perturbed_after(sequence, 5)
    other["rewards"][4] = 123.0
    np.testing.assert_array_equal(run(other).values[:4], out.values[:4])
    np.testing.assert_array_equal(run(other).advantages[:4], out.advantages[:4])
    # The step before it bootstraps from the terminal observation's value.
    expected = sequence["values"][3] + 0.8 * (
        sequence["rewards"][3] + 0.9 * sequence["values"][4] - sequence["values"][3]
    )
    np.testing.assert_allclose(out.values[3], expected, rtol=1e-6)


def test_masked_step_passes_the_later_error_on():
    sequence = random_sequence(6, 5)
    sequence["discounts"] = np.full(5, 0.9, np.float32)
    sequence["sample_mask"] = np.array([True, True, False, True, True])
    errors = run(sequence, masked=True).values - sequence["values"][:-1]
    np.testing.assert_allclose(errors[2], errors[3], rtol=1e-6, atol=1e-6)


def test_targets_are_constants_for_the_gradient():
    sequence = random_sequence(1, 4)
    arrays = [jnp.asarray(sequence[n]) for n in ("values", "rewards", "discounts", "ratios")]

    def total(*arrays):
        return sum(jnp.sum(x) for x in vtrace(*arrays, lambda_=0.9))

    for gradient in jax.grad(total, argnums=(0, 1, 2, 3))(*arrays):
        np.testing.assert_array_equal(gradient, 0.0)


def test_vmap_over_columns_equals_each_column_alone():
    columns = [random_sequence(seed, 6) for seed in range(3)]
    names = ("values", "rewards", "discounts", "ratios")
    stacked = [jnp.stack([c[n] for c in columns], axis=1) for n in names]
    together = jax.vmap(vtrace, in_axes=1, out_axes=1)(*stacked)
    for index, column in enumerate(columns):
        alone = run(column)
        np.testing.assert_allclose(together.values[:, index], alone.values, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", ["values", "rewards", "discounts", "ratios", "sample_mask"])
def test_wrong_length_raises(name):
    sequence = random_sequence(0, 4)
    sequence[name] = sequence[name][:-1]
    with pytest.raises(AssertionError):
        run(sequence, masked=True)


def test_batched_input_raises():
    sequence = {n: x[:, None] for n, x in random_sequence(0, 4).items()}
    with pytest.raises(AssertionError):
        run(sequence)


def test_traced_once_for_all_thresholds():
    # A Python branch on a threshold would fail here, or make a sweep compile again and again.
    traces = []

    def counted(*arrays, **thresholds):
        traces.append(None)
        return vtrace(*arrays, **thresholds)

    compiled = jax.jit(counted)
    sequence = random_sequence(0, 4)
    arrays = [jnp.asarray(sequence[n]) for n in ("values", "rewards", "discounts", "ratios")]
    for bound in (0.5, 1.0, 2.0):
        compiled(*arrays, rho_bar=bound, c_bar=bound, pg_rho_bar=bound, lambda_=0.9, alpha=0.5)
    assert len(traces) == 1
