"""The loss on hand-made sequences, with networks that are tables: every gradient is known."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from jaxrl_suite.envs import rollout
from jaxrl_suite.envs.base import episodic
from jaxrl_suite.nets.actor_critic import Outputs
from jaxrl_suite.ops import popart
from jaxrl_suite.ops.policy_gradient import CORRECTIONS
from jaxrl_suite.systems.impala import losses
from jaxrl_suite.systems.impala.config import Hyper
from tests.envs.probes import FIRST_REWARD, SECOND_REWARD, two_step
from tests.ops.sequences import double_sum

T, B, ACTIONS, TASKS = 6, 4, 3, 2


class Table(NamedTuple):
    """A "network" whose outputs are its parameters: {"logits": [T+1, B, A], "values": ..}."""

    num_values: int = 1

    def apply(self, params, observation, first, last_action, last_reward, carry):
        del observation, first, last_action, last_reward
        return Outputs(params["logits"], params["values"]), carry


def make_batch(seed=0):
    generator = np.random.default_rng(seed)
    valid = generator.random((T, B)) < 0.8
    terminated = (generator.random((T, B)) < 0.2) & valid
    return rollout.Sequences(
        observation=np.zeros((T + 1, B, 1), np.float32),
        first=np.zeros((T + 1, B), bool),
        last_action=np.zeros((T + 1, B), np.int32),
        last_reward=np.zeros((T + 1, B), np.float32),
        action=generator.integers(0, ACTIONS, (T, B)).astype(np.int32),
        behaviour_log_prob=np.log(generator.uniform(0.1, 0.9, (T, B))).astype(np.float32),
        reward=(2.0 * generator.normal(size=(T, B))).astype(np.float32),
        terminated=terminated,
        valid=valid,
        carry=(),
        task_index=np.arange(B, dtype=np.int32) % TASKS,
        version=np.zeros(B, np.int32),
        last_return=np.zeros(B, np.float32),
    )


def make_params(num_values=1, seed=1):
    generator = np.random.default_rng(seed)
    return {
        "logits": generator.normal(size=(T + 1, B, ACTIONS)).astype(np.float32),
        "values": generator.normal(size=(T + 1, B, num_values)).astype(np.float32),
    }


HYPER = Hyper(
    gamma=0.9,
    entropy_cost=0.03,
    baseline_cost=0.4,
    reward_clip=1.5,
    rho_bar=1.2,
    c_bar=0.9,
    pg_rho_bar=1.1,
    lambda_=0.95,
)
IDENTITY = popart.init(1)
OFF_POLICY = np.zeros(B, bool)


@functools.partial(jax.jit, static_argnums=(1, 6))
def loss_and_gradient(params, network, batch, on_policy, moments, hyper, correction):
    args = (network, batch, on_policy, moments, hyper, correction)
    return jax.value_and_grad(losses.loss, has_aux=True)(params, *args)


def run(params, batch, *, on_policy=OFF_POLICY, moments=IDENTITY, hyper=HYPER, correction="vtrace"):
    network = Table(params["values"].shape[-1])
    return loss_and_gradient(params, network, batch, on_policy, moments, hyper, correction)


def by_loop(params, batch, on_policy, mean, sigma, hyper):
    """V-trace's loss and its gradients, column by column and step by step, in float64.

    `mean` and `sigma` are PopArt's, per column; the columns' values are already chosen.
    """
    loss = {"policy": 0.0, "value": 0.0, "entropy": 0.0}
    logits_gradient = np.zeros((T + 1, B, ACTIONS))
    values_gradient = np.zeros((T + 1, B))
    all_targets = np.zeros((T, B))
    log_policy = scipy.special.log_softmax(params["logits"].astype(np.float64), axis=-1)
    for b in range(B):
        normalised = params["values"][:, b].astype(np.float64)
        actions, valid = batch.action[:, b], batch.valid[:, b]
        log_pi = log_policy[np.arange(T), b, actions]
        log_mu = log_pi if on_policy[b] else batch.behaviour_log_prob[:, b]
        sequence = {
            "values": normalised * sigma[b] + mean[b],
            "rewards": np.clip(batch.reward[:, b], -hyper.reward_clip, hyper.reward_clip),
            "discounts": hyper.gamma * (1.0 - batch.terminated[:, b]),
            "ratios": np.where(valid, np.exp(log_pi - log_mu), 0.0),
        }
        targets, advantages = double_sum(
            sequence,
            rho_bar=hyper.rho_bar,
            c_bar=hyper.c_bar,
            pg_rho_bar=hyper.pg_rho_bar,
            lambda_=hyper.lambda_,
        )
        all_targets[:, b] = targets
        for t in np.flatnonzero(valid):
            probabilities = np.exp(log_policy[t, b])
            advantage = advantages[t] / sigma[b]
            error = (targets[t] - mean[b]) / sigma[b] - normalised[t]
            entropy = -np.sum(probabilities * log_policy[t, b])
            loss["policy"] -= advantage * log_pi[t]
            loss["value"] += 0.5 * error**2
            loss["entropy"] += entropy
            # d log pi(a) / d logits = onehot(a) - pi; dH / d logits = -pi (log pi + H).
            chosen = np.eye(ACTIONS)[actions[t]]
            logits_gradient[t, b] = -advantage * (chosen - probabilities)
            logits_gradient[t, b] += (
                hyper.entropy_cost * probabilities * (log_policy[t, b] + entropy)
            )
            values_gradient[t, b] = -hyper.baseline_cost * error
    total = loss["policy"] + hyper.baseline_cost * loss["value"]
    total -= hyper.entropy_cost * loss["entropy"]
    return total, loss, logits_gradient, values_gradient, all_targets


def assert_equals_loop(params, batch, *, on_policy=OFF_POLICY, moments=IDENTITY):
    (total, output), gradient = run(params, batch, on_policy=on_policy, moments=moments)
    heads = params["values"].shape[-1]
    head = batch.task_index if heads > 1 else np.zeros(B, int)
    chosen = {**params, "values": params["values"][:, np.arange(B), head]}
    expected, parts, logits_gradient, values_gradient, targets = by_loop(
        chosen, batch, on_policy, np.asarray(moments.mean)[head], np.asarray(moments.sigma)[head],
        HYPER,
    )  # fmt: skip
    close = functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5)
    close(total, expected)
    for name, part in (("loss_policy", "policy"), ("loss_value", "value"), ("entropy", "entropy")):
        close(output.metrics[name], parts[part])
    close(output.metrics["loss"], expected)
    assert output.metrics["num_valid"] == batch.valid.sum()
    close(output.value_targets, targets)
    close(gradient["logits"], logits_gradient)
    own_head = np.zeros((T + 1, B, heads))
    own_head[:, np.arange(B), head] = values_gradient
    close(gradient["values"], own_head)


def test_loss_and_gradients_equal_a_loop():
    assert_equals_loop(make_params(), make_batch())


def test_popart_loss_equals_a_loop_and_reaches_only_the_own_head():
    moments = popart.PopArtState(jnp.array([0.7, -2.0]), jnp.array([0.49 + 4.0, 4.0 + 0.25]))
    assert_equals_loop(make_params(TASKS), make_batch(), moments=moments)


def test_loss_of_partly_on_policy_columns_equals_a_loop():
    on_policy = np.array([True, False, False, True])
    assert_equals_loop(make_params(), make_batch(), on_policy=on_policy)


def test_bootstrap_row_and_invalid_steps_have_no_gradient():
    batch, params = make_batch(), make_params()
    for correction in CORRECTIONS:
        _, gradient = run(params, batch, correction=correction)
        for leaf in jax.tree.leaves(gradient):
            np.testing.assert_array_equal(leaf[-1], 0.0)
            np.testing.assert_array_equal(leaf[:-1][~batch.valid], 0.0)


@pytest.mark.parametrize("correction", CORRECTIONS)
def test_loss_is_a_sum_over_columns(correction):
    # So the gradient of a batch is the sum over devices, and over variants.
    batch, params = make_batch(), make_params()
    (total, _), _ = run(params, batch, correction=correction)
    halves = []
    for part in (slice(0, 2), slice(2, 4)):
        fields = [
            jax.tree.map(lambda x, axis=axis, part=part: x[:, part] if axis else x[part], field)
            for axis, field in zip(rollout.BATCH_AXIS, batch, strict=True)
        ]
        half = {name: x[:, part] for name, x in params.items()}
        (value, _), _ = run(
            half, rollout.Sequences(*fields), on_policy=OFF_POLICY[:2], correction=correction
        )
        halves.append(value)
    np.testing.assert_allclose(total, sum(halves), rtol=1e-5)


def test_on_policy_ratio_is_exactly_one_and_rounding_is_reported():
    params, batch = make_params(), make_batch()
    log_pi = scipy.special.log_softmax(params["logits"][:-1], axis=-1)
    acted = np.take_along_axis(log_pi, batch.action[..., None], -1)[..., 0].astype(np.float32)
    # One step acted with a log-probability that another program rounded otherwise.
    t, b = np.argwhere(batch.valid)[0]
    acted[t, b] += 1e-3
    batch = batch._replace(behaviour_log_prob=acted)
    (_, output), _ = run(params, batch, on_policy=np.ones(B, bool))
    np.testing.assert_array_equal(output.log_ratios, 0.0)
    np.testing.assert_allclose(output.rounding, 1 - np.exp(-1e-3), rtol=1e-3)
    # Off-policy columns keep their ratio and are no rounding.
    (_, output), _ = run(params, batch)
    assert output.rounding == 0.0
    np.testing.assert_allclose(output.log_ratios[t, b], -1e-3, rtol=1e-3)


def test_reward_is_clipped_for_learning():
    params, batch = make_params(), make_batch()
    clipped = batch._replace(reward=np.clip(batch.reward, -1.5, 1.5))
    assert np.any(clipped.reward != batch.reward)
    assert run(params, batch)[0][0] == run(params, clipped)[0][0]
    wider = HYPER._replace(reward_clip=jnp.inf)
    assert run(params, batch, hyper=wider)[0][0] != run(params, clipped, hyper=wider)[0][0]


# --- Alignment, on an environment with known values -------------------------------------------

GAMMA = 0.9
# Of the uniform policy, by hand.
SECOND_VALUE = np.mean(SECOND_REWARD)  # 0.5
FIRST_VALUE = np.mean(FIRST_REWARD) + GAMMA * SECOND_VALUE  # 0.7


class StateTable(NamedTuple):
    """A "network" with one row of logits and one value for each state of :func:`two_step`."""

    num_values: int = 1

    def apply(self, params, observation, first, last_action, last_reward, carry):
        del first, last_action, last_reward
        one_hot = observation[:, :, 0, 0]  # [T+1, B, 3]
        return Outputs(one_hot @ params["logits"], (one_hot @ params["values"])[..., None]), carry


ALIGNED = Hyper(gamma=GAMMA, entropy_cost=0.0, baseline_cost=1.0)


def two_step_batch(length):
    """What the rollout source gives: four columns that play the four pairs of actions.

    Together they are the uniform policy exactly, so sums over them are expectations.
    """

    def every_pair(params, inputs, carry, key):
        del params, key
        second = inputs.observation[:, 0, 0, 1] > 0
        column = jnp.arange(4)
        action = jnp.where(second, column // 2, column % 2)
        return action, jnp.full(4, -jnp.log(2.0)), carry

    source = rollout.rollout(
        episodic(two_step(), time_limit=10),
        np.zeros(1),
        every_pair,
        (),
        batch_size=4,
        unroll_length=length,
    )
    state = source.init(jax.random.key(0), None, None)
    return jax.jit(source.sample)(state, None, jax.random.key(1))[1]


def state_gradient(values, batch):
    params = {"logits": jnp.zeros((3, 2)), "values": jnp.asarray(values, jnp.float32)}
    args = (StateTable(), batch, jnp.zeros(4, bool), IDENTITY, ALIGNED, "vtrace")
    return loss_and_gradient(params, *args)[1]


# Sequences that end with the episode (3 rows, the third only resets), after it, and in it.
@pytest.mark.parametrize("length", [2, 3, 4, 6])
def test_alignment_analytic_values_are_the_fixed_point(length):
    batch = two_step_batch(length)
    gradient = state_gradient([FIRST_VALUE, SECOND_VALUE, 123.0], batch)
    np.testing.assert_allclose(gradient["values"], 0.0, atol=1e-5)
    # Each visit of the first state pushes by pi (Q - V): 0.5 (1 + 0.9/2 - 0.7) = 0.375 towards
    # action 0; each of the second by 0.5 (0.75 - 0.5) = 0.125 towards action 1. Four columns.
    visits = np.array([[1, 1], [1, 1], [2, 1], [2, 2]])[[2, 3, 4, 6].index(length)]
    expected = 4 * visits[:, None] * np.array([[-0.375, 0.375], [0.125, -0.125]])
    np.testing.assert_allclose(gradient["logits"][:2], expected, atol=1e-5)
    # The terminal observation's value teaches nothing and is not taught.
    np.testing.assert_array_equal(gradient["logits"][2], 0.0)


def test_alignment_learning_finds_the_analytic_values():
    batch = two_step_batch(6)

    def step(values, _):
        return values - 0.05 * state_gradient(values, batch)["values"], None

    values, _ = jax.jit(lambda v: jax.lax.scan(step, v, length=100))(jnp.zeros(3))
    np.testing.assert_allclose(values, [FIRST_VALUE, SECOND_VALUE, 0.0], atol=1e-4)


def test_alignment_test_can_tell_the_shift_by_one():
    # With the reward that arrived with the observation, as in cleanba, the reward of an
    # episode's last action is lost, and the first action's comes a step late, discounted.
    batch = two_step_batch(3)
    shifted = batch._replace(reward=batch.last_reward[:-1])
    gradient = state_gradient([FIRST_VALUE, SECOND_VALUE, 0.0], shifted)
    assert np.abs(gradient["values"][:2]).max() > 0.1
    np.testing.assert_allclose(gradient["logits"][1], 0.0, atol=1e-6)
    np.testing.assert_allclose(np.abs(gradient["logits"][0]), GAMMA * 4 * 0.375, rtol=1e-5)


# --- Metrics ----------------------------------------------------------------------------------


def test_lag_metrics_known_values():
    lag = jnp.array([0, 1, 3, 16, 17, 100])
    ratios = np.array([[1.0, 2.0, 9.0, 1.0, 0.5, 0.5], [1.0, 1.0, 9.0, 1.0, 1.0, 9.0]])
    valid = np.array([[1, 1, 0, 1, 1, 1], [1, 1, 0, 1, 1, 0]], bool)
    out = losses.lag_metrics(lag, jnp.asarray(valid), jnp.log(ratios))
    np.testing.assert_allclose(out["lag_mean"], 137 / 6, rtol=1e-6)
    assert out["lag_max"] == 100
    # 0, 1, 2-4, 5-16, 17-64, more
    np.testing.assert_allclose(out["lag_histogram"], np.full(6, 1 / 6), rtol=1e-6)
    seen = ratios[valid]
    np.testing.assert_allclose(out["ratio_mean"], seen.mean(), rtol=1e-6)
    np.testing.assert_allclose(out["ratio_max"], 2.0, rtol=1e-6)
    expected = seen.sum() ** 2 / (seen.size * np.sum(seen**2))
    np.testing.assert_allclose(out["effective_sample_size"], expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("lag", "bucket"), [(0, 0), (1, 1), (2, 2), (4, 2), (5, 3), (64, 4), (65, 5)]
)
def test_lag_histogram_edges(lag, bucket):
    out = losses.lag_metrics(jnp.array([lag]), jnp.ones((1, 1), bool), jnp.zeros((1, 1)))
    np.testing.assert_array_equal(out["lag_histogram"], np.eye(6)[bucket])
