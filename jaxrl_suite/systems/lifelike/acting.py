"""Where experience comes from: a policy in its environments."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec

from jaxrl_suite.core import DATA_AXIS, Source
from jaxrl_suite.envs import character
from jaxrl_suite.envs.base import ControlEnvironment, TimeStep
from jaxrl_suite.systems.lifelike.config import Config, Hyper
from jaxrl_suite.systems.lifelike.ppo import (
    Acted,
    Params,
    Played,
    Policy,
    shown,
    where_fresh,
    worth,
)

PyTree = Any


class Schedule(NamedTuple):
    """What episodes are about, as it changes with what came of those before.

    init: ``(hyper) -> table``.
    task: ``(table, hyper) -> task`` of the environments.
    seen: ``(table, hyper, episodes [T, N], ended [T, N], outcomes [T, N]) -> table``.
    keep: ``(episode) -> PyTree``, what `seen` is to be told of an episode.
    """

    init: Callable[[Hyper], PyTree]
    task: Callable[[PyTree, Hyper], PyTree]
    seen: Callable[..., PyTree]
    keep: Callable[[PyTree], PyTree]


class SourceState(NamedTuple):
    """Environments under way.

    episode: of all N.
    observation: of each key [N, ...].
    memory: of the policy, leaves [N, ...].
    fresh: bool [N], an episode begins.
    table: of the schedule.
    hyper: see :class:`Hyper`.
    """

    episode: PyTree
    observation: dict[str, jax.Array]
    memory: PyTree
    fresh: jax.Array
    table: PyTree
    hyper: Hyper


SPEC = SourceState(*[PartitionSpec(DATA_AXIS)] * 4, PartitionSpec(), PartitionSpec())


# One of two pytrees, leaves [N, ...], by condition [N].
choose = jax.vmap(character.choose)


def source(env: ControlEnvironment, policy: Policy, config: Config, schedule: Schedule) -> Source:
    """A policy in its environments, which begin anew where an episode has ended."""
    n = config.num_envs
    reset = jax.vmap(env.reset, in_axes=(0, None))
    step = jax.vmap(env.step, in_axes=(0, 0, 0, None))
    many = lambda key: jax.random.split(key, n)  # noqa: E731

    def init(key: jax.Array, hyper: Hyper, params: Params) -> SourceState:
        hyper = jax.tree.map(jnp.asarray, hyper)
        table = schedule.init(hyper)
        episode, observation = reset(many(key), schedule.task(table, hyper))
        fresh = jnp.ones(n, bool)
        return SourceState(episode, observation, policy.memory(n), fresh, table, hyper)

    def sample(state: SourceState, params: Params, key: jax.Array) -> tuple[SourceState, Played]:
        hyper = state.hyper
        task = schedule.task(state.table, hyper)
        see = lambda observation: shown(params.inputs, observation, hyper.input_clip)  # noqa: E731

        def act(carry: tuple, key: jax.Array) -> tuple[tuple, tuple]:
            episode, observation, memory, fresh = carry
            acting, moving, again = jax.random.split(key, 3)
            memory = where_fresh(fresh, memory)
            memory, acted = policy.act(params, see(observation), memory, fresh, acting)
            after, told = step(episode, acted.motion, many(moving), task)
            ended = told.terminated | told.truncated
            next_value = policy.value(params, see(told.observation), memory)
            acted = acted._replace(value=worth(params.returns, acted.value))
            next_value = worth(params.returns, next_value)
            outcomes = jax.tree.map(
                lambda x: jnp.where(ended, x, jnp.nan), jax.vmap(env.outcomes)(after)
            )
            row = (observation, fresh, acted, next_value, told._replace(observation=()), outcomes)
            row += (jax.vmap(schedule.keep)(after),)
            begun = reset(many(again), task)
            episode, observation = choose(ended, begun, (after, told.observation))
            return (episode, observation, memory, ended), row

        carry = state.episode, state.observation, state.memory, state.fresh
        carry, rows = jax.lax.scan(act, carry, jax.random.split(key, config.num_steps))
        observation, fresh, acted, next_value, told, outcomes, kept = rows
        ended = told.terminated | told.truncated
        table = schedule.seen(state.table, hyper, kept, ended, outcomes)
        played = _played(state, observation, fresh, acted, next_value, told, outcomes)
        return SourceState(*carry, table, hyper), played

    return Source(init, sample, SPEC)


def _played(
    state: SourceState,
    observation: dict[str, jax.Array],
    fresh: jax.Array,
    acted: Acted,
    next_value: jax.Array,
    told: TimeStep,
    outcomes: dict[str, jax.Array],
) -> Played:
    return Played(
        observation,
        fresh,
        state.memory,
        acted.action,
        acted.noise,
        acted.log_prob,
        acted.value,
        next_value,
        told.reward,
        told.terminated,
        told.terminated | told.truncated,
        acted.told,
        outcomes,
    )
