"""Atari: actors over a scripted game."""

import itertools
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_suite.envs import rollout
from jaxrl_suite.envs.atari.actor import Actor
from jaxrl_suite.envs.atari.pools import PoolStep, follow, open_books
from jaxrl_suite.nets.actor_critic import Outputs
from jaxrl_suite.ops import popart
from jaxrl_suite.systems.impala import losses
from jaxrl_suite.systems.impala.config import Hyper
from tests.envs.scripted_pools import (
    NUM_ACTIONS,
    Episode,
    ScriptedPools,
    reward_of,
    terminating,
    truncating,
)

SCRIPTS = (
    (terminating(2), truncating(3)),
    (truncating(4), terminating(1)),
    (Episode(5, True, True), truncating(1), terminating(7)),
)


def act(params, inputs, carry, key):
    """An action of all that is seen; the log-probability is the parameters; memory counts rows."""
    episode, elapsed = inputs.observation[:, 1, 0, 0], inputs.observation[:, 2, 0, 0]
    action = (3 * elapsed + episode + 2 * inputs.last_action + 1) % NUM_ACTIONS
    (memory,) = carry
    memory = np.where(inputs.first, 0, memory) + 1
    return action, np.full(action.shape, params, np.float32), (memory,), key


def scripted_actor(scripts, unroll_length):
    pools = ScriptedPools(*scripts)
    size = pools.batch_size
    task_index = np.arange(size, dtype=np.int32) % 2
    carry = (np.zeros(size, np.int32),)
    return Actor(pools, act, carry, None, unroll_length=unroll_length, task_index=task_index)


def unrolls(count, scripts=SCRIPTS, unroll_length=7):
    """So many unrolls in a row; the parameters of unroll n are the number n."""
    actor = scripted_actor(scripts, unroll_length)
    return [actor.unroll(n, version=n) for n in range(count)]


def test_every_action_is_paired_with_its_own_reward():
    for batch in unrolls(4):
        earned = reward_of(batch.observation[:-1], batch.action)
        np.testing.assert_array_equal(batch.reward, np.where(batch.valid, earned, 0))
        assert batch.valid.any(axis=0).all()


def test_every_field_is_what_its_documentation_says():
    (batch,) = unrolls(1, scripts=((terminating(2),), (truncating(3),)))
    # Terminal observations (2 and 3) are kept, and the step after them only resets, as does the
    # very first one, which acts on nothing.
    expected = {
        "elapsed": ([0, 0, 1, 2, 0, 1, 2, 0], [0, 0, 1, 2, 3, 0, 1, 2]),
        "first": ([1, 1, 0, 0, 1, 0, 0, 1], [1, 1, 0, 0, 0, 1, 0, 0]),
        "valid": ([0, 1, 1, 0, 1, 1, 0], [0, 1, 1, 1, 0, 1, 1]),
        "terminated": ([0, 0, 1, 0, 0, 1, 0], [0] * 7),
        "action": ([1, 1, 1, 4, 2, 4, 1], [1, 1, 1, 4, 3, 2, 4]),
        "last_action": ([0, 0, 1, 1, 0, 2, 4, 0], [0, 0, 1, 1, 4, 0, 2, 4]),
    }
    actual = batch._asdict() | {"elapsed": batch.observation[:, :, 2, 0, 0]}
    for name, columns in expected.items():
        np.testing.assert_array_equal(actual[name], np.array(columns).T, err_msg=name)
    np.testing.assert_array_equal(batch.last_reward[0], 0)
    np.testing.assert_array_equal(batch.last_reward[1:], batch.reward)
    assert not batch.observation[0].any()
    types = {name: getattr(batch, name).dtype for name in batch._fields if name != "carry"}
    assert types == {
        **dict.fromkeys(("first", "terminated", "valid"), np.dtype(bool)),
        **dict.fromkeys(("action", "last_action", "task_index", "version"), np.dtype(np.int32)),
        **dict.fromkeys(
            ("reward", "last_reward", "behaviour_log_prob", "last_return"), np.dtype(np.float32)
        ),
        "observation": np.dtype(np.uint8),
    }


def test_both_ends_at_once_is_a_termination():
    (batch,) = unrolls(1, scripts=((Episode(3, True, True),),))
    np.testing.assert_array_equal(np.flatnonzero(batch.terminated), [3])


def test_task_and_version_are_recorded():
    for n, batch in enumerate(unrolls(3)):
        np.testing.assert_array_equal(batch.task_index, [0, 1, 0])
        np.testing.assert_array_equal(batch.version, n)
        np.testing.assert_array_equal(batch.behaviour_log_prob, n)


def test_one_long_unroll_equals_short_ones_in_a_row():
    (long,) = unrolls(1, unroll_length=21)
    short = unrolls(3)
    for n, batch in enumerate(short):
        for name in ("action", "reward", "terminated", "valid"):
            np.testing.assert_array_equal(
                getattr(batch, name), getattr(long, name)[7 * n : 7 * n + 7]
            )
        for name in rollout.PolicyInputs._fields:
            # The bootstrap row is the first row of the next unroll.
            np.testing.assert_array_equal(
                getattr(batch, name), getattr(long, name)[7 * n : 7 * n + 8]
            )


def test_carry_is_the_memory_before_the_first_row():
    carries = [batch.carry[0] for batch in unrolls(3, scripts=SCRIPTS[:2], unroll_length=5)]
    # Rows since the last `first`, excluding row 0; firsts at rows 0, 1, 4, 8 and 0, 1, 6, 8.
    np.testing.assert_array_equal(carries, [[0, 0], [1, 4], [2, 2]])


def test_earlier_unrolls_are_not_written_over():
    actor = scripted_actor(SCRIPTS, 7)
    one = actor.unroll(0, 0)
    kept = jax.tree.map(np.copy, one)
    actor.unroll(1, 1)
    jax.tree.map(np.testing.assert_array_equal, one, kept)


def slow_books(script, batches, column):
    """Return and length of the last finished episode after every unroll, a step at a time."""
    episodes = iter(itertools.cycle(script))
    left, total, length, last = 0, 0.0, 0, (np.nan, 0)
    lasts = []
    for batch in batches:
        for t in range(batch.action.shape[0]):
            if left == 0:
                left, total, length = next(episodes).length, 0.0, 0
                continue
            total += float(reward_of(batch.observation[t, column], batch.action[t, column]))
            left, length = left - 1, length + 1
            if left == 0:
                last = (total, length)
        lasts.append(last)
    return lasts


def test_books_equal_a_slow_replay():
    actor = scripted_actor(SCRIPTS, 4)
    batches, lengths = [], []
    for n in range(6):
        batches.append(actor.unroll(n, n))
        lengths.append(actor.books.last_length)
    for column, script in enumerate(SCRIPTS):
        slow = slow_books(script, batches, column)
        np.testing.assert_array_equal(
            [b.last_return[column] for b in batches], [r for r, _ in slow]
        )
        np.testing.assert_array_equal([n[column] for n in lengths], [n for _, n in slow])
    assert np.isnan(batches[0].last_return).tolist() == [False, True, True]


def test_closing_an_actor_closes_its_emulators():
    pools = ScriptedPools(SCRIPTS[0])
    Actor(pools, act, (), None, unroll_length=1, task_index=np.zeros(1, np.int32)).close()
    assert pools.closed


@pytest.mark.parametrize("xp", [np, jnp], ids=["numpy", "jax"])
def test_only_a_step_that_counts_on_is_valid(xp):
    books = open_books(4, xp)._replace(elapsed=xp.array([-2, -2, 4, 4], xp.int32))
    no = xp.zeros(4, bool)
    elapsed = xp.array([0, 9, 5, 9], xp.int32)
    step = PoolStep(None, xp.ones(4, xp.float32), ~no, no, elapsed)
    after, followed = follow(books, step, xp)
    for field in (followed.valid, followed.ended, followed.terminated, followed.reward):
        np.testing.assert_array_equal(field, [0, 0, 1, 0])
    np.testing.assert_array_equal(after.last_return, [np.nan, np.nan, 1, np.nan])
    np.testing.assert_array_equal(after.last_length, [0, 0, 5, 0])
    assert [x.dtype for x in after] == [x.dtype for x in books]


def test_values_bootstrap_from_the_terminal_observation_of_a_truncated_episode_only():
    (batch,) = unrolls(1, scripts=((terminating(3),), (truncating(3),)))
    value_of = lambda observation: jnp.asarray(observation)[..., 2, 0, 0] + 10.0  # noqa: E731

    def apply(params, observation, *rest):
        logits = jnp.zeros((*observation.shape[:2], NUM_ACTIONS))
        return Outputs(logits, value_of(observation)[..., None]), ()

    network = SimpleNamespace(apply=apply, num_values=1)
    hyper = Hyper(gamma=0.9, reward_clip=float("inf"))
    arguments = (jax.tree.map(jnp.asarray, batch), jnp.ones(2, bool), popart.init(1), hyper)
    _, output = losses.loss({}, network, *arguments, "vtrace")
    targets = output.value_targets
    # The episode's last step is step 3; step 4 only resets.
    np.testing.assert_allclose(targets[3, 0], batch.reward[3, 0], rtol=1e-6)
    terminal = value_of(batch.observation[4, 1])
    np.testing.assert_allclose(targets[3, 1], batch.reward[3, 1] + 0.9 * terminal, rtol=1e-6)
    np.testing.assert_allclose(targets[2, 1], batch.reward[2, 1] + 0.9 * targets[3, 1], rtol=1e-6)
