"""The vocabulary of the suite: a learner, a source of experience, and the system that joins them.

Everything here is a pure function of explicit state. A *learner* knows nothing of
environments, a *source* knows nothing of losses, and :func:`fuse` closes the loop between
them so that one call of ``System.update`` collects experience and learns from it inside
one compiled program.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec

PyTree = Any
Metrics = dict[str, jax.Array]

# The one mesh axis of the suite: environments (columns of a batch) are split over it.
DATA_AXIS = "data"


class UsageError(ValueError):
    """Bad input from the user: one line that names the thing, the legal values and the remedy.

    The command line prints the message alone and exits with code 2.
    """


class Learner(NamedTuple):
    """How parameters change, given experience.

    init: ``(key, hyper) -> LearnerState``; the state holds everything that must be saved and
        has a field ``params``, which is what a source acts with, and a field ``hyper``.
    update: ``(LearnerState, batch) -> (LearnerState, Metrics)``.
    """

    init: Callable[[jax.Array, PyTree], PyTree]
    update: Callable[[PyTree, PyTree], tuple[PyTree, Metrics]]


class Source(NamedTuple):
    """Where experience comes from.

    init: ``(key, hyper, params) -> SourceState``.
    sample: ``(SourceState, params, key) -> (SourceState, batch)``.
    spec: prefix tree of :class:`jax.sharding.PartitionSpec` over the source's state: which
        axes of which leaves are split over the mesh axis :data:`DATA_AXIS`.
    """

    init: Callable[[jax.Array, PyTree, PyTree], PyTree]
    sample: Callable[[PyTree, PyTree, jax.Array], tuple[PyTree, PyTree]]
    spec: PyTree = PartitionSpec()


class SystemState(NamedTuple):
    """All that a run is: saving this and loading it again continues bit for bit."""

    learner: PyTree
    source: PyTree
    key: jax.Array
    num_updates: jax.Array  # int32 [], updates made so far


class History(NamedTuple):
    """Rows that a run only ever adds to, such as the bodies of an evolution.

    columns: arrays with a leading axis of all rows that there will be.
    count: int32 [], rows that are complete; they never change again.
    """

    columns: dict[str, jax.Array]
    count: jax.Array


class System(NamedTuple):
    """What users hold: a closed loop on the device.

    init: ``(key, hyper=<the preset's>) -> SystemState``; `hyper` is a pytree of numbers, so a
        sweep is a ``vmap`` over it.
    update: ``SystemState -> (SystemState, Metrics)``; one iteration, experience and learning.
    evaluate: ``(SystemState, key) -> Metrics``.
    frames_per_update: environment frames that one update consumes.
    spec: prefix tree of PartitionSpec over the state, for a mesh with the axis DATA_AXIS.
    evaluates_on_host: `evaluate` plays on the host and cannot be compiled.
    history: ``SystemState -> History``, mirrored to a file of the run; None without one.
    """

    init: Callable[..., SystemState]
    update: Callable[[SystemState], tuple[SystemState, Metrics]]
    evaluate: Callable[[SystemState, jax.Array], Metrics]
    frames_per_update: int
    spec: PyTree
    evaluates_on_host: bool = False
    history: Callable[[SystemState], History] | None = None


class Actor(Protocol):
    """Environments on the host with a policy of their own; the runtime gives each a thread."""

    def unroll(self, params: PyTree, version: int) -> PyTree:
        """Plays a sequence with `params`, made by `version` updates; arrays of the host."""

    def close(self) -> None:
        """Ends the environments."""


@dataclasses.dataclass(frozen=True)
class QueueConfig:
    """The queue between actors and learner.

    Attributes:
      size: unrolls that may wait; an actor that finds it full waits, too.
      max_lag: unrolls whose parameters are older than so many updates are thrown away; 0 keeps
        all.
    """

    size: int = 2
    max_lag: int = 0

    def check(self) -> None:
        """Raises UsageError for a number outside its range."""
        if self.size < 1:
            raise UsageError(f"the queue's size must be at least 1, not {self.size}")
        if self.max_lag < 0:
            raise UsageError(f"max_lag must be at least 0, not {self.max_lag}")


class HostSystem(NamedTuple):
    """A loop whose environments live on the host: actors on threads feed the compiled learner.

    init: ``(key, hyper=<the preset's>) -> SystemState``, whose source is empty.
    learn: ``(SystemState, tuple of unrolls) -> (SystemState, Metrics)``; pure, the runtime
        compiles it.
    actors: ``num_updates -> actors``; called when a run starts or goes on, with the updates made
        so far. Every update takes as many unrolls as there are actors.
    evaluate: ``(SystemState, key) -> Metrics``, on the host.
    frames_per_update: environment frames that one update consumes.
    spec: prefix tree of PartitionSpec over the state.
    batch_spec: prefix tree of PartitionSpec over one unroll.
    queue: how many unrolls may wait, and how old they may grow.
    """

    init: Callable[..., SystemState]
    learn: Callable[[SystemState, tuple], tuple[SystemState, Metrics]]
    actors: Callable[[int], Sequence[Actor]]
    evaluate: Callable[[SystemState, jax.Array], Metrics]
    frames_per_update: int
    spec: PyTree
    batch_spec: PyTree
    queue: QueueConfig


def fuse(
    learner: Learner,
    source: Source,
    *,
    hyper: PyTree,
    evaluate: Callable[[SystemState, jax.Array], Metrics],
    frames_per_update: int,
) -> System:
    """Join a learner and a source into a closed loop on the device.

    Args:
      learner: what learns.
      source: what it learns from.
      hyper: default of ``System.init``'s second argument.
      evaluate: ``(SystemState, key) -> Metrics``.
      frames_per_update: environment steps that one ``source.sample`` makes.

    Returns:
      The joined :class:`System`. Its key is split once per update.
    """

    def init(key: jax.Array, hyper: PyTree = hyper) -> SystemState:
        key, learner_key, source_key = jax.random.split(key, 3)
        learner_state = learner.init(learner_key, hyper)
        source_state = source.init(source_key, hyper, learner_state.params)
        state = SystemState(learner_state, source_state, key, jnp.zeros((), jnp.int32))
        return strongly_typed(state)

    def update(state: SystemState) -> tuple[SystemState, Metrics]:
        key, sample_key = jax.random.split(state.key)
        source_state, batch = source.sample(state.source, state.learner.params, sample_key)
        learner_state, metrics = learner.update(state.learner, batch)
        return SystemState(learner_state, source_state, key, state.num_updates + 1), metrics

    spec = SystemState(PartitionSpec(), source.spec, PartitionSpec(), PartitionSpec())
    return System(init, update, evaluate, frames_per_update, spec)


def strongly_typed(state: PyTree) -> PyTree:
    """Without jax's weak types: updates drop them, so the second update would trace anew."""
    is_key = lambda x: jnp.issubdtype(x.dtype, jax.dtypes.prng_key)  # noqa: E731
    return jax.tree.map(lambda x: x if is_key(x) else x.astype(x.dtype), state)


def train(system: System, num_updates: int) -> Callable[[SystemState], tuple[SystemState, Metrics]]:
    """The whole run as one pure function: ``lax.scan`` of ``system.update``.

    Jit it, vmap it over keys (seeds) or over hyper-parameters, or shard its state.

    Args:
      system: the closed loop.
      num_updates: updates to make, >= 1.

    Returns:
      ``SystemState -> (SystemState, Metrics)``, every metric with a leading axis [num_updates].

    Example::

      preset = impala.PRESETS["quick"]
      system = impala.make(preset.config, preset.hyper)
      run = jax.jit(lambda key: train(system, 100)(system.init(key)))
      states, metrics = jax.vmap(run)(jax.random.split(jax.random.key(0), 8))
    """
    if num_updates < 1:
        raise UsageError(f"num_updates must be at least 1, not {num_updates}")

    def run(state: SystemState) -> tuple[SystemState, Metrics]:
        return jax.lax.scan(lambda s, _: system.update(s), state, length=num_updates)

    return run


class Preset(NamedTuple):
    """A named setting of a system.

    config: frozen dataclass; sets shapes and branches, hence the compiled program.
    hyper: NamedTuple of numbers; carried in the state, so it can be vmapped over.
    num_updates: length of the run.
    """

    config: PyTree
    hyper: PyTree
    num_updates: int
