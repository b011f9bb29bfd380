"""Sources of on-policy, lagged and replayed experience from environments on the device.

Sources nest: :func:`rollout` steps a batch of environments, :func:`hold_actor` lets its
parameters lag, :func:`replay` mixes in old sequences. All columns (axis B) are independent,
which is what lets a mesh split them.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec

from jaxrl_suite.core import DATA_AXIS, Source, UsageError
from jaxrl_suite.envs.base import Environment, EpisodeState

PyTree = Any


class Sequences(NamedTuple):
    """A batch of sequences, time-major: what an actor-critic learner learns from.

    Step t holds the observation, the action chosen on it, and the reward that the action
    earned; row T of the four observation-side fields is the bootstrap.

    observation: [T+1, B, ...].
    first: bool [T+1, B], the observation opens an episode.
    last_action: int32 [T+1, B], chosen before the observation (a sticky environment may have
      executed another, which the agent is not told); 0 where first.
    last_reward: float32 [T+1, B], received with the observation; 0 where first.
    action: int32 [T, B].
    behaviour_log_prob: float32 [T, B], log mu(a_t|x_t), nats.
    reward: float32 [T, B].
    terminated: bool [T, B], the action ended the episode for good; a truncation does not.
    valid: bool [T, B], False where the step only reset the environment.
    carry: recurrent state before row 0, [B, ...].
    task_index: int32 [B], which of the tasks the column plays.
    version: int32 [B], number of updates behind the parameters that acted.
    last_return: float32 [B], return of the column's last finished episode; NaN before the first.
    """

    observation: jax.Array
    first: jax.Array
    last_action: jax.Array
    last_reward: jax.Array
    action: jax.Array
    behaviour_log_prob: jax.Array
    reward: jax.Array
    terminated: jax.Array
    valid: jax.Array
    carry: PyTree
    task_index: jax.Array
    version: jax.Array
    last_return: jax.Array


# Where the axis B lies in every field.
BATCH_AXIS = Sequences(*[1] * 9, carry=0, task_index=0, version=0, last_return=0)


class PolicyInputs(NamedTuple):
    """What a policy acts on: one row [B] of the observation-side fields of Sequences."""

    observation: jax.Array
    first: jax.Array
    last_action: jax.Array
    last_reward: jax.Array


# (params, inputs, carry, key) -> (action [B], log_prob [B], carry)
Policy = Callable[[PyTree, PolicyInputs, PyTree, jax.Array], tuple[jax.Array, jax.Array, PyTree]]


class RolloutState(NamedTuple):
    """A batch of running environments; every leaf has the leading axis B."""

    episodes: EpisodeState
    inputs: PolicyInputs
    carry: PyTree
    task: PyTree
    task_index: jax.Array


def start(
    environment: Environment, tasks: PyTree, batch_size: int, carry: PyTree, key: jax.Array
) -> RolloutState:
    """Resets `batch_size` environments; environment b plays task b mod N, so tasks are balanced.

    Args:
      environment: made by :func:`jaxrl_suite.envs.base.episodic`.
      tasks: pytree with a leading axis N.
      batch_size: B, a multiple of N.
      carry: empty recurrent state, [B, ...].
      key: random key.
    """
    num_tasks = jax.tree.leaves(tasks)[0].shape[0]
    if batch_size % num_tasks:
        raise UsageError(
            f"{batch_size} environments cannot be shared evenly by {num_tasks} variants; "
            f"choose num_envs as a multiple of {num_tasks}"
        )
    task_index = jnp.arange(batch_size, dtype=jnp.int32) % num_tasks
    # An index of its own per environment rather than a slice: the tasks then are data of the
    # state, and another task needs no other program.
    task = jax.tree.map(lambda leaf: jnp.asarray(leaf)[task_index], tasks)
    keys = jax.random.split(key, batch_size)
    episodes, observation = jax.vmap(environment.reset)(keys, task)
    inputs = PolicyInputs(
        observation=observation,
        first=jnp.ones(batch_size, bool),
        last_action=jnp.zeros(batch_size, jnp.int32),
        last_reward=jnp.zeros(batch_size),
    )
    return RolloutState(episodes, inputs, carry, task, task_index)


def advance(
    environment: Environment, policy: Policy, params: PyTree, state: RolloutState, key: jax.Array
) -> tuple[RolloutState, dict[str, jax.Array]]:
    """One step of every environment; returns the step-side fields of :class:`Sequences`."""
    policy_key, env_key = jax.random.split(key)
    action, log_prob, carry = policy(params, state.inputs, state.carry, policy_key)
    keys = jax.random.split(env_key, action.shape[0])
    resetting = state.episodes.ended
    episodes, step = jax.vmap(environment.step)(state.episodes, action, keys, state.task)
    inputs = PolicyInputs(
        observation=step.observation,
        first=resetting,
        last_action=jnp.where(resetting, 0, action),
        last_reward=step.reward,
    )
    record = {
        "action": action,
        "behaviour_log_prob": log_prob,
        "reward": step.reward,
        "terminated": step.terminated,
        "valid": ~resetting,
    }
    return state._replace(episodes=episodes, inputs=inputs, carry=carry), record


def rollout(
    environment: Environment,
    tasks: PyTree,
    policy: Policy,
    initial_carry: PyTree,
    *,
    batch_size: int,
    unroll_length: int,
) -> Source:
    """A source that steps environments on the device: T steps of B environments a sample.

    Args:
      environment: made by :func:`jaxrl_suite.envs.base.episodic`.
      tasks: pytree with a leading axis N that divides B.
      policy: chooses actions and tells their log-probabilities.
      initial_carry: the policy's empty recurrent state, [B, ...].
      batch_size: B.
      unroll_length: T.

    Returns:
      A source of :class:`Sequences` with `version` 0.
    """

    def init(key: jax.Array, hyper: PyTree, params: PyTree) -> RolloutState:
        del hyper, params
        return start(environment, tasks, batch_size, initial_carry, key)

    def sample(
        state: RolloutState, params: PyTree, key: jax.Array
    ) -> tuple[RolloutState, Sequences]:
        first_carry = state.carry

        def step(
            state: RolloutState, key: jax.Array
        ) -> tuple[RolloutState, tuple[PolicyInputs, dict[str, jax.Array]]]:
            seen = state.inputs
            state, record = advance(environment, policy, params, state, key)
            return state, (seen, record)

        keys = jax.random.split(key, unroll_length)
        state, (seen, record) = jax.lax.scan(step, state, keys)
        seen = jax.tree.map(lambda s, last: jnp.concatenate([s, last[None]]), seen, state.inputs)
        batch = Sequences(
            **seen._asdict(),
            **record,
            carry=first_carry,
            task_index=state.task_index,
            version=jnp.zeros(batch_size, jnp.int32),
            last_return=state.episodes.last_return,
        )
        return state, batch

    return Source(init, sample, PartitionSpec(DATA_AXIS))


class HeldState(NamedTuple):
    """State of :func:`hold_actor`: the parameters that act, and when they were fetched."""

    source: PyTree
    actor_params: PyTree
    version: jax.Array  # int32 [], update count at which actor_params were fetched
    num_samples: jax.Array  # int32 []
    hold: jax.Array  # int32 []


def hold_actor(source: Source) -> Source:
    """Lets the acting parameters lag: they are fetched anew every ``hyper.actor_hold + 1`` samples.

    With actor_hold = k the lag of a sample runs through 0, 1, .., k. It is a traced number: runs
    with different lags are one program, and can be vmapped.

    Args:
      source: a source of :class:`Sequences`.

    Returns:
      A source whose `version` tells how many updates made the parameters that acted.
    """

    def init(key: jax.Array, hyper: PyTree, params: PyTree) -> HeldState:
        zero = jnp.zeros((), jnp.int32)
        hold = jnp.asarray(hyper.actor_hold, jnp.int32)
        inner = source.init(key, hyper, params)
        # A copy: the state may be donated, and one buffer cannot be donated twice.
        return HeldState(inner, jax.tree.map(jnp.copy, params), zero, zero, hold)

    def sample(state: HeldState, params: PyTree, key: jax.Array) -> tuple[HeldState, Sequences]:
        fetch = state.num_samples % (state.hold + 1) == 0
        actor_params = jax.tree.map(
            lambda new, old: jnp.where(fetch, new, old), params, state.actor_params
        )
        version = jnp.where(fetch, state.num_samples, state.version)
        inner, batch = source.sample(state.source, actor_params, key)
        batch = batch._replace(version=jnp.full_like(batch.version, version))
        state = HeldState(inner, actor_params, version, state.num_samples + 1, state.hold)
        return state, batch

    spec = HeldState(source.spec, *[PartitionSpec()] * 4)
    return Source(init, sample, spec)


class ReplayState(NamedTuple):
    """State of :func:`replay`: a ring of the last batches; leaves [slots, ...]."""

    source: PyTree
    ring: Sequences
    num_samples: jax.Array  # int32 []


def replay(source: Source, *, fraction: float, slots: int) -> Source:
    """Appends columns drawn from past batches, so that `fraction` of the batch is replayed.

    Column b of the ring holds the last `slots` sequences of environment b; a replayed column
    takes one of them, uniformly, so tasks stay balanced and columns independent.

    Args:
      source: a source of :class:`Sequences` with B columns.
      fraction: share of replayed columns, in (0, 1); B / (1 - fraction) must be a multiple of B
        (1/2, 2/3, 3/4, ..), so that every column is replayed equally often.
      slots: batches kept, >= 1.

    Raises:
      UsageError: a fraction or a number of slots outside its range.

    Source: Espeholt et al. 2018, section 5.2.2 (50% of the items come from replay).
    """
    copies = round(fraction / (1.0 - fraction)) if 0 < fraction < 1 else 0
    if copies < 1 or abs(copies / (copies + 1) - fraction) > 1e-6:
        raise UsageError(
            f"replay fraction {fraction} is not of the form n/(n+1); "
            "legal: 0 (no replay), 0.5, 0.6666667, 0.75, .."
        )
    if slots < 1:
        raise UsageError(f"replay slots must be at least 1, not {slots}")

    def init(key: jax.Array, hyper: PyTree, params: PyTree) -> ReplayState:
        inner = source.init(key, hyper, params)
        shapes = jax.eval_shape(source.sample, inner, params, key)[1]
        ring = jax.tree.map(lambda x: jnp.zeros((slots, *x.shape), x.dtype), shapes)
        return ReplayState(inner, ring, jnp.zeros((), jnp.int32))

    def draw(
        ring: Sequences, columns: Sequences, num_filled: jax.Array, key: jax.Array
    ) -> Sequences:
        slot = jax.random.randint(key, columns.version.shape, 0, num_filled)
        ring_axis = jax.tree.map(lambda axis: axis + 1, BATCH_AXIS)
        pick = jax.vmap(
            lambda column, s: jax.tree.map(lambda x: x[s], column),
            in_axes=(ring_axis, 0),
            out_axes=BATCH_AXIS,
        )
        # What describes the environment now, not the sequence, must not come from the past.
        return pick(ring, slot)._replace(last_return=columns.last_return)

    def sample(state: ReplayState, params: PyTree, key: jax.Array) -> tuple[ReplayState, Sequences]:
        sample_key, *draw_keys = jax.random.split(key, copies + 1)
        inner, fresh = source.sample(state.source, params, sample_key)
        slot = state.num_samples % slots
        ring = jax.tree.map(lambda r, x: r.at[slot].set(x), state.ring, fresh)
        num_samples = state.num_samples + 1
        num_filled = jnp.minimum(num_samples, slots)
        old = [draw(ring, fresh, num_filled, k) for k in draw_keys]
        batch = concatenate([fresh, *old])
        return ReplayState(inner, ring, num_samples), batch

    time_major, batch_major = PartitionSpec(None, None, DATA_AXIS), PartitionSpec(None, DATA_AXIS)
    ring_spec = Sequences(*[time_major if axis == 1 else batch_major for axis in BATCH_AXIS])
    return Source(init, sample, ReplayState(source.spec, ring_spec, PartitionSpec()))


def concatenate(batches: list[Sequences]) -> Sequences:
    """Joins batches along B."""
    joined = [
        jax.tree.map(lambda *leaves, axis=axis: jnp.concatenate(leaves, axis), *fields)
        for axis, *fields in zip(BATCH_AXIS, *batches, strict=True)
    ]
    return Sequences(*joined)


def split_axis(x: jax.Array, axis: int, num_tasks: int) -> jax.Array:
    """[.., B, ..] -> [N, .., B/N, ..]: row n holds the columns b with b mod N = n."""
    shape = (*x.shape[:axis], x.shape[axis] // num_tasks, num_tasks, *x.shape[axis + 1 :])
    return jnp.moveaxis(x.reshape(shape), axis + 1, 0)


def join_axis(x: jax.Array, axis: int) -> jax.Array:
    """Inverse of :func:`split_axis`: [N, .., B/N, ..] -> [.., B, ..], `axis` in the result."""
    x = jnp.moveaxis(x, 0, axis + 1)
    return x.reshape(*x.shape[:axis], -1, *x.shape[axis + 2 :])


def split_columns(batch: Sequences, num_tasks: int) -> Sequences:
    """The batch task by task: every leaf gets a leading axis [N]."""
    fields = [
        jax.tree.map(lambda x, axis=axis: split_axis(x, axis, num_tasks), field)
        for axis, field in zip(BATCH_AXIS, batch, strict=True)
    ]
    return Sequences(*fields)
