"""DERL as a system: one update is a phase of the ring, all slots in one program.

A phase: the group of slots whose turn it is takes its next bodies, all slots learn for a share of a
life, and the group that has then come to the end of its lives enters the lineage.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec

from jaxrl_suite.core import (
    DATA_AXIS,
    History,
    Metrics,
    System,
    SystemState,
    strongly_typed,
)
from jaxrl_suite.envs import unimal
from jaxrl_suite.envs.base import ControlEnvironment
from jaxrl_suite.envs.unimal import observation
from jaxrl_suite.ops import running
from jaxrl_suite.systems.derl import evolution, ppo
from jaxrl_suite.systems.derl.config import Config, Hyper
from jaxrl_suite.systems.derl.evaluate import Policy, evaluate
from jaxrl_suite.systems.derl.evolution import Lineage
from jaxrl_suite.systems.derl.ppo import Body, BodyState

PyTree = Any


class Best(NamedTuple):
    """The fittest bodies so far, in order, with the policies they died with, [keep].

    number: int32 [keep], row of the lineage; `bodies` where there is none yet.
    fitness: [keep], minus infinity there.
    params, inputs: see :class:`BodyState`.
    """

    number: jax.Array
    fitness: jax.Array
    params: PyTree
    inputs: running.Running


class Evolution(NamedTuple):
    """All of an evolution.

    hyper: see :class:`Hyper`.
    lineage: see :class:`Lineage`.
    number: int32 [m, G], row of the body in every slot; `bodies` where there is none. Column g is
      a group that finishes at once.
    slots: a :class:`BodyState` with leaves [m, G, ...].
    best: see :class:`Best`.
    """

    hyper: Hyper
    lineage: Lineage
    number: jax.Array
    slots: BodyState
    best: Best


def body_of(config: Config, genotype: unimal.Genotype) -> Body:
    """Who learns in the environments of the evolution."""
    scene = unimal.scene(config.design, genotype)
    return Body(scene, observation.mask(scene.model), scene.model.dof_mask[6:])


def _bodies(config: Config, lineage: Lineage, numbers: jax.Array) -> Body:
    """Those of so many rows [m, ...]; of a row beyond the last, the first."""
    rows = jnp.where(numbers < config.bodies, numbers, 0)
    genotypes = jax.tree.map(lambda x: x[rows], lineage.genotype)
    flat = jax.tree.map(lambda x: x.reshape(-1, *x.shape[numbers.ndim :]), genotypes)
    made = jax.vmap(lambda g: body_of(config, g))(flat)
    return jax.tree.map(lambda x: x.reshape(*numbers.shape, *x.shape[1:]), made)


def _merged(best: Best, number: jax.Array, fitness: jax.Array, slots: BodyState) -> Best:
    """The fittest of those so far and those [m] that have just finished; ties go to the older."""
    new = Best(number, fitness, slots.params, slots.inputs)
    every = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), best, new)
    order = jnp.argsort(-every.fitness, stable=True)[: best.number.shape[0]]
    return jax.tree.map(lambda x: x[order], every)


def make(config: Config, hyper: Hyper) -> System:
    """The closed loop of an evolution.

    Raises:
      UsageError: a setting that no program can be made of.
    """
    config.check()
    env, life = config.make_environment(), config.life

    def begin(hyper: Hyper, bodies: Body, key: jax.Array) -> BodyState:
        count = bodies.action.shape[0]
        one = lambda body, key: ppo.init(env, life, hyper, body, key)  # noqa: E731
        keys = jax.random.split(key, count)
        if config.common_random_numbers:
            keys = jnp.broadcast_to(jax.random.key(0), (count,))
        return jax.vmap(one)(bodies, keys)

    def init(key: jax.Array, hyper: Hyper = hyper) -> SystemState:
        hyper = jax.tree.map(jnp.asarray, hyper)
        key, first, born = jax.random.split(key, 3)
        lineage = evolution.start(config, _outcomes(env), first)
        slots = begin(hyper, _bodies(config, lineage, jnp.arange(config.slots)), born)
        none = jnp.full((config.group, config.phases), config.bodies, jnp.int32)
        best = Best(
            jnp.full(config.keep, config.bodies, jnp.int32),
            jnp.full(config.keep, -jnp.inf),
            *jax.tree.map(lambda x: x[: config.keep], (slots.params, slots.inputs)),
        )
        shape = (config.group, config.phases)
        slots = jax.tree.map(lambda x: x.reshape(*shape, *x.shape[1:]), slots)
        state = Evolution(hyper, lineage, none, slots, best)
        return strongly_typed(SystemState(state, (), key, jnp.zeros((), jnp.int32)))

    def update(state: SystemState) -> tuple[SystemState, Metrics]:
        at, phase = state.learner, state.num_updates
        key, mate, born = jax.random.split(state.key, 3)
        # Whose turn it is; after the last body has begun, nobody's.
        numbers = jnp.minimum(phase * config.group + jnp.arange(config.group), config.bodies)
        finished = evolution.completed(config, phase)
        lineage = evolution.conceive(config, at.lineage, numbers, finished, mate)
        turn = phase % config.phases
        number = at.number.at[:, turn].set(numbers)
        bodies = _bodies(config, lineage, number)
        fresh = begin(at.hyper, jax.tree.map(lambda x: x[:, turn], bodies), born)
        slots = jax.tree.map(lambda x, new: x.at[:, turn].set(new), at.slots, fresh)
        one = lambda body, slot: ppo.iterate(env, life, at.hyper, body, slot)  # noqa: E731
        there = number < config.bodies
        slots, metrics = _live(jax.vmap(jax.vmap(one)), config, bodies, there, slots)
        # The group whose turn comes next has lived through all phases, if it had begun.
        turn = (phase + 1) % config.phases
        ended = jax.tree.map(lambda x: x[:, turn], slots)
        numbers = number[:, turn]
        fitness = jax.vmap(lambda s: ppo.fitness(life, s))(ended)
        if config.int_fitness:
            fitness = jnp.trunc(fitness)
        fitness = jnp.where(numbers < config.bodies, fitness, -jnp.inf)
        lineage = evolution.remember(lineage, numbers, fitness, ended.curves)
        best = _merged(at.best, numbers, fitness, ended)
        number = number.at[:, turn].set(config.bodies)
        metrics |= evolution.summary(config, lineage, evolution.completed(config, phase + 1))
        at = Evolution(at.hyper, lineage, number, slots, best)
        return SystemState(at, (), key, phase + 1), metrics

    slots = PartitionSpec(DATA_AXIS)
    whole = PartitionSpec()

    def evaluate_best(state: SystemState, key: jax.Array) -> Metrics:
        at = state.learner
        bodies = _bodies(config, at.lineage, at.best.number)

        def one(body: Body, params: PyTree, inputs: running.Running, key: jax.Array) -> Metrics:
            policy = Policy(params, inputs)
            return evaluate(env, config, at.hyper, body, policy, key, config.eval_episodes)

        keys = jax.random.split(key, config.keep)
        told = jax.vmap(one)(bodies, at.best.params, at.best.inputs, keys)
        there = (at.best.number < config.bodies)[:, None]
        told = {name: jnp.where(there, x, jnp.nan) for name, x in told.items()}
        return told | {"number": at.best.number, "fitness": at.best.fitness}

    return System(
        init,
        update,
        evaluate_best,
        config.frames_per_update,
        SystemState(Evolution(whole, whole, slots, slots, whole), whole, whole, whole),
        history=lambda state: _history(config, state),
    )


def _outcomes(env: ControlEnvironment) -> list[str]:
    """Names of what an episode comes to."""
    body = jax.eval_shape(lambda: body_of(Config(), unimal.head(jnp.zeros(2, jnp.int32))))
    state, _ = jax.eval_shape(env.reset, jax.random.key(0), body.task)
    return list(jax.eval_shape(env.outcomes, state))


def _live(
    iterate: Callable[[Body, BodyState], tuple[BodyState, Metrics]],
    config: Config,
    bodies: Body,
    there: jax.Array,
    slots: BodyState,
) -> tuple[BodyState, Metrics]:
    """A phase of all slots; metrics are means over its iterations and the bodies that are there."""

    def mean(x: jax.Array) -> jax.Array:
        counts = there & jnp.isfinite(x)
        return jnp.sum(jnp.where(counts, x, 0.0)) / jnp.sum(counts)

    def step(state: BodyState, _: None) -> tuple[BodyState, Metrics]:
        state, told = iterate(bodies, state)
        return state, {name: mean(x.astype(jnp.float32)) for name, x in told.items()}

    slots, told = jax.lax.scan(step, slots, length=config.iterations_per_update)
    metrics = {name: jnp.nanmean(x) for name, x in told.items()}
    return slots, metrics | {"slots": jnp.sum(there).astype(jnp.float32)}


def _history(config: Config, state: SystemState) -> History:
    """The bodies whose lives have ended, for the lineage file."""
    lineage = state.learner.lineage
    genotype = lineage.genotype._asdict()
    columns = {f"curve_{name}": x for name, x in lineage.curves.items()}
    columns |= {name: getattr(lineage, name) for name in ("parent", "operator", "generation")}
    columns |= {"founder": lineage.founder, "fitness": lineage.fitness}
    columns |= {f"gene_{name}": x for name, x in genotype.items()}
    return History(columns, evolution.completed(config, state.num_updates))
