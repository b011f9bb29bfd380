import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_suite.core import UsageError
from jaxrl_suite.ops.policy_gradient import CORRECTIONS, ClipParameters, actor_critic_terms

T = 7
CLIPS = ClipParameters(rho_bar=1.3, c_bar=0.8, pg_rho_bar=1.1, lambda_=0.9, ppo_epsilon=0.2)
VALID = np.array([True, True, True, False, True, True, True])


def make_sequence(seed=0, *, off_policy=0.6):
    generator = np.random.default_rng(seed)
    log_probs = np.log(generator.uniform(0.1, 0.9, T)).astype(np.float32)
    noise = off_policy * generator.normal(size=T).astype(np.float32)
    discounts = np.full(T, 0.9, np.float32)
    discounts[1] = 0.0
    return {
        "log_probs": log_probs,
        "behaviour_log_probs": log_probs + noise,
        "values": generator.normal(size=T + 1).astype(np.float32),
        "rewards": generator.normal(size=T).astype(np.float32),
        "discounts": discounts,
        "valid": VALID,
    }


@functools.cache
def compiled(correction):
    """Terms, and the gradient of the summed policy loss in the log-probabilities."""

    def both(log_probs, rest, clips, scale):
        def total(log_probs):
            terms = actor_critic_terms(
                correction, log_probs, **rest, clips=clips, advantage_scale=scale
            )
            return jnp.sum(terms.policy_loss), terms

        return jax.value_and_grad(total, has_aux=True)(log_probs)

    return jax.jit(both)


def run(correction, sequence, clips=CLIPS, scale=1.0):
    rest = dict(sequence)
    (_, terms), gradient = compiled(correction)(rest.pop("log_probs"), rest, clips, scale)
    return terms, gradient


def returns_and_advantages(sequence, weights, clips):
    """V-trace by its backward recursion in float64; invalid steps have weight 0."""
    s = {name: np.asarray(x, np.float64) for name, x in sequence.items()}
    weights = np.where(sequence["valid"], weights, 0.0)
    targets = s["values"].copy()
    for t in reversed(range(T)):
        delta = s["rewards"][t] + s["discounts"][t] * s["values"][t + 1] - s["values"][t]
        trace = clips.lambda_ * min(clips.c_bar, weights[t])
        later = targets[t + 1] - s["values"][t + 1] if t + 1 < T else 0.0
        error = min(clips.rho_bar, weights[t]) * delta + s["discounts"][t] * trace * later
        targets[t] = s["values"][t] + error
    advantages = np.zeros(T)
    for t in range(T):
        mixed = clips.lambda_ * targets[t + 1] + (1 - clips.lambda_) * s["values"][t + 1]
        q_value = s["rewards"][t] + s["discounts"][t] * mixed
        advantages[t] = min(clips.pg_rho_bar, weights[t]) * (q_value - s["values"][t])
    return targets[:-1], advantages


def expected_terms(correction, sequence, clips, scale=1.0):
    """Loss, its derivative in log pi, and the value targets; step by step as in the docs."""
    log_pi = sequence["log_probs"].astype(np.float64)
    ratios = np.exp(log_pi - sequence["behaviour_log_probs"])
    # Only V-trace has thresholds for its targets; the others are on-policy n-step returns.
    open_clips = ClipParameters(1.0, 1.0, 1.0, clips.lambda_, clips.ppo_epsilon)
    on_policy = returns_and_advantages(sequence, np.ones(T), open_clips)
    targets, advantages = (
        returns_and_advantages(sequence, ratios, clips) if correction == "vtrace" else on_policy
    )
    loss, gradient = np.zeros(T), np.zeros(T)
    for t in np.flatnonzero(sequence["valid"]):
        a, w, pi = advantages[t] / scale, ratios[t], np.exp(log_pi[t])
        match correction:
            case "none" | "vtrace":
                loss[t], gradient[t] = -a * log_pi[t], -a
            case "epsilon":
                loss[t], gradient[t] = -a * np.log(pi + 1e-6), -a * pi / (pi + 1e-6)
            case "one_step_is":
                clipped = min(clips.pg_rho_bar, w)
                loss[t], gradient[t] = -clipped * a * log_pi[t], -clipped * a
            case "ppo":
                low, high = 1 - clips.ppo_epsilon, 1 + clips.ppo_epsilon
                loss[t] = -min(w * a, min(max(w, low), high) * a)
                stopped = (a > 0 and w > high) or (a < 0 and w < low)
                gradient[t] = 0.0 if stopped else -w * a
    return loss, gradient, targets


@pytest.mark.parametrize("correction", CORRECTIONS)
@pytest.mark.parametrize("seed", [0, 1])
def test_equals_a_loop(correction, seed):
    sequence = make_sequence(seed)
    terms, gradient = run(correction, sequence)
    loss, expected_gradient, targets = expected_terms(correction, sequence, CLIPS)
    np.testing.assert_allclose(terms.policy_loss, loss, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(gradient, expected_gradient, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(terms.value_targets, targets, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("correction", ["none", "epsilon", "one_step_is", "ppo"])
def test_thresholds_of_vtrace_leave_other_targets_alone(correction):
    # Bounds below 1 would shrink even a ratio of 1.
    sequence = make_sequence()
    tight = CLIPS._replace(rho_bar=0.5, c_bar=0.5, pg_rho_bar=0.5)
    terms, gradient = run(correction, sequence, tight)
    loss, expected_gradient, targets = expected_terms(correction, sequence, tight)
    np.testing.assert_allclose(terms.policy_loss, loss, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(gradient, expected_gradient, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(terms.value_targets, targets, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("correction", CORRECTIONS)
def test_advantage_scale_divides_the_loss_and_not_the_targets(correction):
    sequence = make_sequence()
    plain, scaled = run(correction, sequence)[0], run(correction, sequence, scale=4.0)[0]
    np.testing.assert_allclose(4.0 * scaled.policy_loss, plain.policy_loss, rtol=1e-5)
    np.testing.assert_array_equal(scaled.value_targets, plain.value_targets)


def test_on_policy_corrections_coincide():
    sequence = make_sequence(off_policy=0.0)
    clips = CLIPS._replace(rho_bar=1.0, c_bar=1.0, pg_rho_bar=1.0)
    plain, plain_gradient = run("none", sequence, clips)
    for correction in CORRECTIONS:
        terms, gradient = run(correction, sequence, clips)
        np.testing.assert_allclose(terms.value_targets, plain.value_targets, rtol=1e-6)
        # PPO's loss is another number with the same gradient; epsilon shrinks it by 1e-6 / pi.
        np.testing.assert_allclose(gradient, plain_gradient, rtol=2e-5)
        if correction in ("one_step_is", "vtrace"):
            np.testing.assert_allclose(terms.policy_loss, plain.policy_loss, rtol=1e-6)


def test_epsilon_bounds_loss_and_gradient_of_a_forgotten_action():
    sequence = make_sequence()
    sequence["log_probs"] = np.array([-1, -10, -20, -40, -80, -200, -np.inf], np.float32)
    sequence["valid"] = np.ones(T, bool)
    terms, gradient = run("epsilon", sequence)
    _, advantages = returns_and_advantages(sequence, np.ones(T), ClipParameters(lambda_=0.9))
    assert np.all(np.isfinite(terms.policy_loss))
    assert np.all(np.abs(terms.policy_loss) <= np.abs(advantages) * -np.log(1e-6) + 1e-4)
    # In pi the slope is A / (pi + 1e-6), at most 1e6 A; so in log pi it vanishes with pi.
    assert np.all(np.isfinite(gradient))
    pi = np.exp(sequence["log_probs"].astype(np.float64))
    assert np.all(np.abs(gradient) <= np.abs(advantages) * pi * 1e6 * (1 + 1e-4) + 1e-30)
    # Without epsilon it does not.
    _, plain = run("none", sequence)
    assert np.all(np.abs(plain[2:-1]) > 0.01)


@pytest.mark.parametrize(
    ("ratio", "reward", "moves"),
    [(1.5, 1.0, False), (1.5, -1.0, True), (0.5, 1.0, True), (0.5, -1.0, False), (1.1, 1.0, True)],
)
def test_ppo_stops_at_the_clip_only_where_it_would_go_further(ratio, reward, moves):
    sequence = make_sequence()
    sequence |= {
        "behaviour_log_probs": sequence["log_probs"] - np.float32(np.log(ratio)),
        "values": np.zeros(T + 1, np.float32),
        "rewards": np.full(T, reward, np.float32),
        "discounts": np.zeros(T, np.float32),
    }
    terms, gradient = run("ppo", sequence)
    expected = -ratio * reward if moves else 0.0
    np.testing.assert_allclose(gradient, np.where(VALID, expected, 0.0), rtol=1e-5)
    clipped = ratio if moves else np.clip(ratio, 0.8, 1.2)
    np.testing.assert_allclose(
        terms.policy_loss, np.where(VALID, -clipped * reward, 0.0), rtol=1e-5
    )


@pytest.mark.parametrize("correction", CORRECTIONS)
@pytest.mark.parametrize("garbage", [1e4, -1e4, np.inf, -np.inf, np.nan])
def test_invalid_steps_contribute_nothing_whatever_they_hold(correction, garbage):
    sequence = make_sequence()
    terms, gradient = run(correction, sequence)
    assert terms.policy_loss[3] == 0.0
    assert gradient[3] == 0.0
    for names in (["log_probs"], ["behaviour_log_probs"], ["rewards"], ["discounts"]):
        dirty = {name: x.copy() for name, x in sequence.items()}
        for name in names:
            dirty[name][3] = garbage
        dirty_terms, dirty_gradient = run(correction, dirty)
        np.testing.assert_array_equal(dirty_terms.policy_loss, terms.policy_loss)
        np.testing.assert_array_equal(dirty_terms.value_targets, terms.value_targets)
        np.testing.assert_array_equal(dirty_gradient, gradient)


@pytest.mark.parametrize("correction", CORRECTIONS)
def test_nothing_of_the_next_episode_leaks_over_a_reset_step(correction):
    sequence = make_sequence()
    other = {name: np.concatenate([x[:4], x[4:][::-1]]) for name, x in sequence.items()}
    terms, gradient = run(correction, sequence)
    other_terms, other_gradient = run(correction, other)
    np.testing.assert_array_equal(other_terms.policy_loss[:4], terms.policy_loss[:4])
    np.testing.assert_array_equal(other_terms.value_targets[:4], terms.value_targets[:4])
    np.testing.assert_array_equal(other_gradient[:4], gradient[:4])
    assert not np.allclose(other_terms.policy_loss[4:], terms.policy_loss[4:])


@pytest.mark.parametrize("correction", CORRECTIONS)
def test_only_log_probabilities_carry_a_gradient(correction):
    sequence = {name: jnp.asarray(x) for name, x in make_sequence().items()}

    def total(values, behaviour_log_probs):
        changed = sequence | {"values": values, "behaviour_log_probs": behaviour_log_probs}
        terms = actor_critic_terms(correction, **changed, clips=CLIPS)
        return jnp.sum(terms.value_targets) + jnp.sum(terms.policy_loss)

    in_values, in_behaviour = jax.grad(total, argnums=(0, 1))(
        sequence["values"], sequence["behaviour_log_probs"]
    )
    np.testing.assert_array_equal(in_values, 0.0)
    if correction != "ppo":  # PPO's ratio is the one through which it learns
        np.testing.assert_array_equal(in_behaviour, 0.0)


def test_unknown_correction_names_the_legal_ones():
    sequence = {name: jnp.asarray(x) for name, x in make_sequence().items()}
    with pytest.raises(UsageError, match=r"'retrace'.*none, epsilon, one_step_is, ppo, vtrace"):
        actor_critic_terms("retrace", **sequence, clips=CLIPS)
