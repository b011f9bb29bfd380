"""Many updates between two rows of metrics: one compiled loop, or a loop fed by actors."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxrl_suite.core import (
    HostSystem,
    Metrics,
    PyTree,
    System,
    SystemState,
    UsageError,
    strongly_typed,
)
from jaxrl_suite.runtime import mesh as meshes
from jaxrl_suite.runtime.actors import ActorError, ActorThreads
from jaxrl_suite.runtime.metrics import is_watched

# (name of a program, function to lower, its arguments) -> the compiled program
Compile = Callable[..., Any]


class ChunkResult(NamedTuple):
    """What leaves the device after a chunk."""

    mean: Metrics  # mean over the chunk's updates, NaN left out, float32
    bad_update: jax.Array  # int32 [], first update with a non-finite loss; -1 if none
    finite: jax.Array  # bool [], whether all parameters are finite


class Tally(NamedTuple):
    """Running sums over the updates of a chunk."""

    total: Metrics
    count: Metrics
    bad_update: jax.Array


def open_tally(shapes: Metrics) -> Tally:
    """A tally of nothing for metrics of these shapes."""
    # Two trees, for a donated buffer may occur but once.
    total, count = (
        jax.tree.map(lambda m: jnp.zeros(m.shape, jnp.float32), shapes) for _ in range(2)
    )
    return Tally(total, count, jnp.full((), -1, jnp.int32))


def add(tally: Tally, metrics: Metrics, num_updates: jax.Array) -> Tally:
    """The tally after one more update, the `num_updates`-th."""
    metrics = jax.tree.map(lambda m: m.astype(jnp.float32), metrics)
    total = jax.tree.map(lambda t, m: t + jnp.where(jnp.isnan(m), 0.0, m), tally.total, metrics)
    count = jax.tree.map(lambda c, m: c + ~jnp.isnan(m), tally.count, metrics)
    good = _all_finite({k: m for k, m in metrics.items() if is_watched(k)})
    bad = jnp.where((tally.bad_update < 0) & ~good, num_updates, tally.bad_update)
    return Tally(total, count, bad)


def close_tally(tally: Tally, state: SystemState) -> ChunkResult:
    """Means, and whether all parameters are finite."""
    mean = jax.tree.map(jnp.divide, tally.total, tally.count)  # 0 / 0: NaN without a value
    # Environments may hold NaN on purpose ("no episode yet"), parameters may not.
    finite = _all_finite(getattr(state.learner, "params", ()))
    return ChunkResult(mean, tally.bad_update, finite)


def _all_finite(tree: PyTree) -> jax.Array:
    floats = [x for x in jax.tree.leaves(tree) if jnp.issubdtype(x.dtype, jnp.inexact)]
    return jnp.all(jnp.array([True, *(jnp.isfinite(x).all() for x in floats)]))


def make_chunk(
    system: System,
) -> Callable[[SystemState, jax.Array], tuple[SystemState, ChunkResult]]:
    """Many updates as one pure function ``(state, num_updates) -> (state, ChunkResult)``.

    Unlike :func:`~jaxrl_suite.core.train` the number of updates is traced: one program serves
    every chunk, so that where a run is cut into chunks cannot change a bit of it (a loop of
    known length 1 would be inlined and fused otherwise), and a shorter last chunk compiles
    nothing new.
    """

    def chunk(state: SystemState, num_updates: jax.Array) -> tuple[SystemState, ChunkResult]:
        state = strongly_typed(state)  # a restored one is, a fresh one need not be
        update = jax.jit(system.update)  # so that the two uses below trace it once

        def body(_: jax.Array, carry: tuple) -> tuple:
            state, tally = carry
            state, metrics = update(state)
            return state, add(tally, metrics, state.num_updates)

        start = (state, open_tally(jax.eval_shape(update, state)[1]))
        state, tally = jax.lax.fori_loop(0, num_updates, body, start)
        return state, close_tally(tally, state)

    return chunk


class Compiled:
    """Chunks of a :class:`System`: experience and learning in one program."""

    def __init__(self, system: System, mesh: Mesh | None, compile_: Compile):
        """Nothing is compiled before :meth:`start`."""
        self._system, self._mesh, self._compile = system, mesh, compile_

    def start(self, state: SystemState) -> SystemState:
        """Compiles; returns the state on its devices."""
        chunk = make_chunk(self._system)
        if self._mesh is None:
            chunk = jax.jit(chunk, donate_argnums=0)
        else:
            split = meshes.shardings(self._system, self._mesh, state)
            whole = NamedSharding(self._mesh, PartitionSpec())
            state = meshes.moved(state, split)
            chunk = jax.jit(
                chunk,
                in_shardings=(split, whole),
                out_shardings=(split, whole),
                donate_argnums=0,
            )
        self._chunk = self._compile("training", chunk, state, np.int32(1))
        return state

    def advance(self, state: SystemState, num_updates: int) -> tuple[SystemState, ChunkResult]:
        """Makes so many updates; the state is donated."""
        return self._chunk(state, np.int32(num_updates))

    def host_metrics(self) -> Metrics:
        """None: everything is in the program."""
        return {}

    def close(self) -> None:
        """Nothing to end."""


@jax.jit
def _copy(params: PyTree) -> PyTree:
    return jax.tree.map(jnp.copy, params)


class Fed:
    """Chunks of a :class:`HostSystem`: actors play while the learner learns.

    Twice buffered on the device: while an update computes, the next batch is being moved there.
    """

    def __init__(self, system: HostSystem, mesh: Mesh | None, compile_: Compile):
        """No thread runs before :meth:`start`."""
        self._system, self._mesh, self._compile = system, mesh, compile_
        self._threads: ActorThreads | None = None
        self._next: tuple | None = None

    def start(self, state: SystemState) -> SystemState:
        """Starts the actors and compiles the learner; returns the state on its devices.

        Raises:
          ActorError: no actor has come as far as a first unroll.
        """
        if jax.process_count() > 1:
            raise UsageError("environments on the host feed one process; leave out --coordinator")
        system, made = self._system, int(state.num_updates)
        if self._mesh is not None:
            state = meshes.moved(state, meshes.shardings(system, self._mesh, state))
        self._threads = ActorThreads(system.actors(made), system.queue, place=self._place)
        self._publish(state, made)
        self._next = self._threads.take(made)

        def learn(state: SystemState, tally: Tally, unrolls: tuple) -> tuple[SystemState, Tally]:
            state, metrics = system.learn(strongly_typed(state), unrolls)
            return state, add(tally, metrics, state.num_updates)

        self._shapes = jax.eval_shape(system.learn, state, self._next)[1]
        self._learn = self._compile(
            "training",
            jax.jit(learn, donate_argnums=(0, 1)),
            state,
            self._open_tally(),
            self._next,
        )
        self._threads.metrics()  # waiting for the compiler does not count
        return state

    def _place(self, unroll: PyTree) -> PyTree:
        """An unroll on the learner's devices."""
        if self._mesh is None:
            return jax.device_put(unroll)
        is_spec = lambda x: isinstance(x, PartitionSpec)  # noqa: E731
        specs = jax.tree.broadcast(self._system.batch_spec, unroll, is_leaf=is_spec)
        meshes.check_divisible(self._mesh, specs, unroll)
        places = jax.tree.map(lambda s: NamedSharding(self._mesh, s), specs, is_leaf=is_spec)
        return jax.device_put(unroll, places)

    def _publish(self, state: SystemState, version: int) -> None:
        """Explicit copies: the learner donates the originals while actors act with these."""
        copies = _copy(state.learner.params)
        self._threads.publish(jax.device_put(copies, jax.local_devices()[0]), version)

    def _open_tally(self) -> Tally:
        tally = open_tally(self._shapes)
        if self._mesh is None:
            return tally
        return jax.device_put(tally, NamedSharding(self._mesh, PartitionSpec()))

    def advance(self, state: SystemState, num_updates: int) -> tuple[SystemState, ChunkResult]:
        """Makes so many updates; the state is donated.

        Raises:
          ActorError: an actor has failed; its `state` is the last that there is.
        """
        tally = self._open_tally()
        made = int(state.num_updates)
        end = made + num_updates
        for update in range(made, end):
            try:
                batch = self._next or self._threads.take(update)
                state, tally = self._learn(state, tally, batch)
                # Dispatched, not finished: what follows happens meanwhile. A chunk leaves nothing
                # behind, for nobody may want it.
                self._publish(state, update + 1)
                self._next = self._threads.take(update + 1) if update + 1 < end else None
            except ActorError as error:
                error.state = state
                raise
            # Lest the host run ahead of the device. A blocking wait would hide a second Ctrl-C.
            while not state.num_updates.is_ready():
                time.sleep(5e-4)
        return state, jax.jit(close_tally)(tally, state)

    def host_metrics(self) -> Metrics:
        """Queue and waiting, since the last call."""
        return self._threads.metrics()

    def close(self) -> None:
        """Ends the actors."""
        if self._threads is not None:
            self._threads.close()
