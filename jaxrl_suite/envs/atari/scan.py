"""Pools inside a compiled program: a source that steps EnvPool through foreign calls in a scan.

On a CPU this is no faster than a Python loop, for emulation is what takes the time; it spares
the host's Python, and the whole iteration is one program.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec

from jaxrl_suite.core import Source
from jaxrl_suite.envs.atari.games import OBSERVATION_SHAPE
from jaxrl_suite.envs.atari.pools import Books, Pools, PoolStep, follow, open_books
from jaxrl_suite.envs.rollout import Policy, PolicyInputs, Sequences

PyTree = Any


class ScanState(NamedTuple):
    """What the program knows of its emulators; they themselves live outside of it.

    A restored state meets fresh emulators: their first step is a reset, which the books notice.
    """

    inputs: PolicyInputs
    carry: PyTree
    books: Books


def scan_rollout(
    make_pools: Callable[[], Pools],
    num_tasks: int,
    policy: Policy,
    initial_carry: PyTree,
    *,
    batch_size: int,
    unroll_length: int,
) -> Source:
    """A source that steps pools inside the program: T steps of B emulators a sample.

    Not to be vmapped, split over devices or used by two programs at a time: the emulators are
    there once.

    Args:
      make_pools: starts the emulators, B columns; called once, when `sample` is first traced.
      num_tasks: N; column b plays task b mod N.
      policy: chooses actions and tells their log-probabilities; sees [B, 4, 84, 84].
      initial_carry: the policy's empty memory, [B, ...].
      batch_size: B.
      unroll_length: T.

    Returns:
      A source of :class:`Sequences` with `version` 0.
    """
    emulators = functools.cache(lambda: _foreign_calls(make_pools()))

    def init(key: jax.Array, hyper: PyTree, params: PyTree) -> ScanState:
        del key, hyper, params
        inputs = PolicyInputs(
            observation=jnp.zeros((batch_size, *OBSERVATION_SHAPE), jnp.uint8),
            first=jnp.ones(batch_size, bool),
            last_action=jnp.zeros(batch_size, jnp.int32),
            last_reward=jnp.zeros(batch_size),
        )
        return ScanState(inputs, initial_carry, open_books(batch_size, jnp))

    def sample(state: ScanState, params: PyTree, key: jax.Array) -> tuple[ScanState, Sequences]:
        handles, step_pools = emulators()
        first_carry = state.carry

        def step(carried: tuple, key: jax.Array) -> tuple[tuple, tuple]:
            state, handles = carried
            seen = state.inputs
            action, log_prob, carry = policy(params, seen, state.carry, key)
            # Adds 0, but ties the step to the answers before it even where a policy looks at
            # nothing: the handles alone order the calls within a sample, not between two.
            action = action + (jnp.min(state.books.elapsed) < -2).astype(action.dtype)
            handles, answer = step_pools(handles, action)
            books, followed = follow(state.books, answer, jnp)
            inputs = PolicyInputs(
                observation=answer.observation,
                first=~followed.valid,
                last_action=jnp.where(followed.valid, action, 0),
                last_reward=followed.reward,
            )
            record = {
                "action": action,
                "behaviour_log_prob": log_prob,
                "reward": followed.reward,
                "terminated": followed.terminated,
                "valid": followed.valid,
            }
            return (ScanState(inputs, carry, books), handles), (seen, record)

        keys = jax.random.split(key, unroll_length)
        (state, _), (seen, record) = jax.lax.scan(step, (state, handles), keys)
        seen = jax.tree.map(lambda s, last: jnp.concatenate([s, last[None]]), seen, state.inputs)
        batch = Sequences(
            **seen._asdict(),
            **record,
            carry=first_carry,
            task_index=jnp.arange(batch_size, dtype=jnp.int32) % num_tasks,
            version=jnp.zeros(batch_size, jnp.int32),
            last_return=state.books.last_return,
        )
        return state, batch

    return Source(init, sample, PartitionSpec())


def _foreign_calls(pools: Pools) -> tuple[tuple, Callable[[tuple, jax.Array], tuple]]:
    """The pools' handles, and one step of all of them: every send goes before every receive."""
    handles, receives, sends, _ = zip(*(pool.xla() for pool in pools.pools), strict=True)

    def step(handles: tuple, action: jax.Array) -> tuple[tuple, PoolStep]:
        columns = pools.split(action)
        handles = [s(h, a) for s, h, a in zip(sends, handles, columns, strict=True)]
        answers = []
        for place, receive in enumerate(receives):
            handles[place], (*parts, info) = receive(handles[place])
            answers.append((*parts, info["elapsed_step"]))
        join = lambda parts: jnp.stack(parts, 1).reshape(pools.batch_size, *parts[0].shape[1:])  # noqa: E731
        return tuple(handles), PoolStep(*(join(parts) for parts in zip(*answers, strict=True)))

    return tuple(jnp.asarray(handle) for handle in handles), step
