from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_suite.core import UsageError
from jaxrl_suite.envs import rollout
from jaxrl_suite.envs.base import episodic
from tests.envs.probes import Counting, counting

TIME_LIMIT = 3
# Environment 0 terminates after two steps; environment 1 would after 99 and is truncated.
TASKS = Counting(np.array([2, 99], np.int32))


class Hyper(NamedTuple):
    actor_hold: int = 0


def policy(params, inputs, carry, key):
    """Action (count + 1) mod 3; the log-probability is the parameters' number; memory counts."""
    del key
    action = (inputs.observation[:, 0].astype(jnp.int32) + 1) % 3
    log_prob = jnp.full(action.shape, params["version"])
    (memory,) = carry
    return action, log_prob, (jnp.where(inputs.first, 0, memory) + 1,)


def at_version(version):
    return {"version": jnp.asarray(version, jnp.float32)}


def make_source(batch_size=2, unroll_length=7, *, time_limit=TIME_LIMIT, tasks=TASKS, **options):
    return rollout.rollout(
        episodic(counting(), time_limit=time_limit, **options),
        tasks,
        policy,
        (jnp.zeros(batch_size, jnp.int32),),
        batch_size=batch_size,
        unroll_length=unroll_length,
    )


def samples(source, count, hyper=None, seed=0):
    """`count` batches in a row; parameters of sample n are version n."""
    key = jax.random.key(seed)
    state = jax.jit(source.init)(key, hyper or Hyper(), at_version(0))
    sample = jax.jit(source.sample)
    batches = []
    for n in range(count):
        state, batch = sample(state, at_version(n), jax.random.fold_in(key, n))
        batches.append(jax.device_get(batch))
    return batches


def test_every_field_is_what_its_documentation_says():
    (batch,) = samples(make_source(), 1)
    expected = {
        # Row by row, for the environment that terminates and the one that is truncated.
        # Terminal observations (2 and 3) are kept, and the step after them only resets.
        "observation": ([0, 1, 2, 0, 1, 2, 0, 1], [0, 1, 2, 3, 0, 1, 2, 3]),
        "first": ([1, 0, 0, 1, 0, 0, 1, 0], [1, 0, 0, 0, 1, 0, 0, 0]),
        "last_action": ([0, 1, 2, 0, 1, 2, 0, 1], [0, 1, 2, 0, 0, 1, 2, 0]),
        "last_reward": ([0, 2, 13, 0, 2, 13, 0, 2], [0, 2, 13, 21, 0, 2, 13, 21]),
        "action": ([1, 2, 0, 1, 2, 0, 1], [1, 2, 0, 1, 1, 2, 0]),
        "reward": ([2, 13, 0, 2, 13, 0, 2], [2, 13, 21, 0, 2, 13, 21]),
        "terminated": ([0, 1, 0, 0, 1, 0, 0], [0] * 7),
        "valid": ([1, 1, 0, 1, 1, 0, 1], [1, 1, 1, 0, 1, 1, 1]),
    }
    actual = batch._asdict() | {"observation": batch.observation[..., 0]}
    for name, columns in expected.items():
        np.testing.assert_array_equal(actual[name], np.array(columns).T, err_msg=name)
    np.testing.assert_array_equal(batch.task_index, [0, 1])
    np.testing.assert_array_equal(batch.version, 0)
    np.testing.assert_array_equal(batch.carry[0], 0)
    # Of the last episode that has ended by the end of the sequence.
    np.testing.assert_array_equal(batch.last_return, [2 + 13, 2 + 13 + 21])


def test_no_episode_has_finished_at_first():
    (batch,) = samples(make_source(unroll_length=1), 1)
    assert np.all(np.isnan(batch.last_return))


def test_one_long_sample_equals_short_ones_in_a_row():
    (long,) = samples(make_source(unroll_length=21), 1)
    short = samples(make_source(unroll_length=7), 3)
    step_side = ("action", "behaviour_log_prob", "reward", "terminated", "valid")
    observation_side = ("observation", "first", "last_action", "last_reward")
    for n, batch in enumerate(short):
        rows = slice(7 * n, 7 * n + 7)
        for name in step_side[:1] + step_side[2:]:
            np.testing.assert_array_equal(getattr(batch, name), getattr(long, name)[rows])
        for name in observation_side:
            # The bootstrap row is the first row of the next sample.
            with_bootstrap = getattr(long, name)[7 * n : 7 * n + 8]
            np.testing.assert_array_equal(getattr(batch, name), with_bootstrap)


def test_carry_is_the_memory_before_the_first_row():
    # Memory counts the rows since the episode opened, this row excluded.
    batches = samples(make_source(unroll_length=5), 3)
    np.testing.assert_array_equal(batches[0].carry[0], [0, 0])
    np.testing.assert_array_equal(batches[1].carry[0], [2, 1])  # rows 3, 4 and row 4
    np.testing.assert_array_equal(batches[2].carry[0], [1, 2])  # row 9 and rows 8, 9


def test_chosen_action_is_recorded_under_sticky_actions():
    (batch,) = samples(make_source(unroll_length=30, sticky=0.9), 1)
    executed = np.asarray(batch.observation[1:, :, 1])
    going_on = ~np.asarray(batch.first[1:])
    assert np.any(executed[going_on] != np.asarray(batch.action)[going_on])
    np.testing.assert_array_equal(batch.last_action[1:], np.where(going_on, batch.action, 0))


def test_tasks_are_shared_evenly():
    (batch,) = samples(make_source(batch_size=6), 1)
    np.testing.assert_array_equal(batch.task_index, [0, 1, 0, 1, 0, 1])
    np.testing.assert_array_equal(np.any(batch.terminated, axis=0), [1, 0, 1, 0, 1, 0])


def test_uneven_share_names_a_legal_number():
    with pytest.raises(UsageError, match=r"5 environments.*multiple of 2"):
        samples(make_source(batch_size=5), 1)


@pytest.mark.parametrize("hold", [0, 1, 2])
def test_held_actor_is_the_old_one_until_it_is_fetched_again(hold):
    batches = samples(rollout.hold_actor(make_source()), 6, Hyper(actor_hold=hold))
    fetched = [n - n % (hold + 1) for n in range(6)]
    for batch, version in zip(batches, fetched, strict=True):
        np.testing.assert_array_equal(batch.version, version)
        # What really acted, as its log-probability shows, not only what is claimed.
        np.testing.assert_array_equal(batch.behaviour_log_prob, version)


def test_lags_are_one_program():
    source = rollout.hold_actor(make_source())
    key = jax.random.key(0)

    def versions(hold):
        state = source.init(key, Hyper(hold), at_version(0))

        def step(state, n):
            state, batch = source.sample(state, at_version(n), jax.random.fold_in(key, n))
            return state, batch.version[0]

        return jax.lax.scan(step, state, jnp.arange(4))[1]

    together = jax.jit(jax.vmap(versions))(jnp.array([0, 1, 3]))
    np.testing.assert_array_equal(together, [[0, 1, 2, 3], [0, 0, 2, 2], [0, 0, 0, 0]])


def test_holding_lets_the_state_be_donated():
    source = rollout.hold_actor(make_source())
    params = at_version(0)
    state = jax.jit(source.init)(jax.random.key(0), Hyper(), params)
    jax.jit(source.sample, donate_argnums=0)(state, params, jax.random.key(1))
    assert params["version"] == 0  # not deleted with the state


def columns_of(batch, index):
    """Column `index` of every field but last_return, for comparison."""
    batch = batch._replace(last_return=batch.version)
    fields = [
        jax.tree.map(lambda x, axis=axis: np.take(np.asarray(x), index, axis), field)
        for axis, field in zip(rollout.BATCH_AXIS, batch, strict=True)
    ]
    return jax.tree.leaves(rollout.Sequences(*fields))


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize(("fraction", "copies"), [(0.5, 1), (2 / 3, 2)])
def test_replayed_columns_are_exact_copies_of_the_same_environment(fraction, copies):
    slots, size = 3, 4
    # Episodes that outlast the test, so that no two sequences are alike.
    tasks = Counting(np.array([1000, 2000], np.int32))
    source = rollout.replay(
        rollout.hold_actor(make_source(size, 2, time_limit=3000, tasks=tasks)),
        fraction=fraction,
        slots=slots,
    )
    batches = samples(source, 8)
    ages = set()
    for n, batch in enumerate(batches):
        assert batch.task_index.shape == (size * (copies + 1),)
        np.testing.assert_array_equal(batch.version[:size], n)
        # Task balance: every block of columns plays the same tasks as the fresh one.
        np.testing.assert_array_equal(
            batch.task_index, np.tile(batch.task_index[:size], copies + 1)
        )
        for column in range(size, size * (copies + 1)):
            origin = int(batch.version[column])
            assert n - slots < origin <= n
            fresh = columns_of(batches[origin], column % size)
            assert same(columns_of(batch, column), fresh)
            ages.add(n - origin)
    assert ages == set(range(slots))


def test_replay_does_not_disturb_the_fresh_columns():
    tasks = Counting(np.array([1000, 2000], np.int32))
    inner = make_source(4, 2, time_limit=3000, tasks=tasks)
    plain = samples(inner, 3)
    mixed = samples(rollout.replay(inner, fraction=0.5, slots=2), 3)
    for alone, batch in zip(plain, mixed, strict=True):
        for column in range(4):
            assert same(columns_of(batch, column), columns_of(alone, column))


def test_replay_reports_returns_of_now():
    # An old return would be counted again as if it were new. One step a sample, so that in some
    # samples no episode has finished yet and in others one has.
    batches = samples(rollout.replay(make_source(unroll_length=1), fraction=0.5, slots=4), 6)
    for batch in batches:
        np.testing.assert_array_equal(batch.last_return[2:], batch.last_return[:2])
    seen = np.stack([batch.last_return[:2] for batch in batches])
    np.testing.assert_array_equal(np.isnan(seen).sum(axis=0), [1, 2])


@pytest.mark.parametrize("fraction", [-0.5, 0.0, 0.4, 0.97, 1.0, 1.5])
def test_illegal_fraction_names_the_legal_ones(fraction):
    with pytest.raises(UsageError, match=r"replay fraction .* legal: 0 \(no replay\), 0.5"):
        rollout.replay(make_source(), fraction=fraction, slots=2)


def test_replay_needs_a_slot():
    with pytest.raises(UsageError, match="slots must be at least 1, not 0"):
        rollout.replay(make_source(), fraction=0.5, slots=0)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_join_is_the_inverse_of_split(axis):
    shape = [2, 3, 4]
    shape[axis] = 6
    x = jnp.arange(np.prod(shape)).reshape(shape)
    parts = rollout.split_axis(x, axis, 3)
    assert parts.shape[0] == 3
    for n in range(3):
        np.testing.assert_array_equal(parts[n], np.take(x, [n, n + 3], axis))
    np.testing.assert_array_equal(rollout.join_axis(parts, axis), x)


def test_split_columns_sorts_by_task():
    (batch,) = samples(make_source(batch_size=6), 1)
    parts = rollout.split_columns(batch, 2)
    np.testing.assert_array_equal(parts.task_index, [[0, 0, 0], [1, 1, 1]])
    for n in range(2):
        part = jax.tree.map(lambda x, n=n: x[n], parts)
        for place, column in enumerate((n, n + 2, n + 4)):
            assert same(columns_of(part, place), columns_of(batch, column))


def test_concatenate_joins_columns():
    one, other = samples(make_source(), 2)
    joined = rollout.concatenate([one, other])
    assert joined.observation.shape == (8, 4, 2)
    for column, source in ((0, one), (1, one), (2, other), (3, other)):
        assert same(columns_of(joined, column), columns_of(source, column % 2))
