"""The vocabulary of the suite: a learner, a source of experience, and the system that joins them.

Everything here is a pure function of explicit state. A *learner* knows nothing of
environments, a *source* knows nothing of losses, and :func:`fuse` closes the loop between
them so that one call of ``System.update`` collects experience and learns from it inside
one compiled program.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

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


class System(NamedTuple):
    """What users hold: a closed loop on the device.

    init: ``(key, hyper=<the preset's>) -> SystemState``; `hyper` is a pytree of numbers, so a
        sweep is a ``vmap`` over it.
    update: ``SystemState -> (SystemState, Metrics)``; one iteration, experience and learning.
    evaluate: ``(SystemState, key) -> Metrics``.
    frames_per_update: environment steps that one update consumes.
    spec: prefix tree of PartitionSpec over the state, for a mesh with the axis DATA_AXIS.
    """

    init: Callable[..., SystemState]
    update: Callable[[SystemState], tuple[SystemState, Metrics]]
    evaluate: Callable[[SystemState, jax.Array], Metrics]
    frames_per_update: int
    spec: PyTree


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
        return jax.tree.map(_strongly_typed, state)

    def update(state: SystemState) -> tuple[SystemState, Metrics]:
        key, sample_key = jax.random.split(state.key)
        source_state, batch = source.sample(state.source, state.learner.params, sample_key)
        learner_state, metrics = learner.update(state.learner, batch)
        return SystemState(learner_state, source_state, key, state.num_updates + 1), metrics

    spec = SystemState(PartitionSpec(), source.spec, PartitionSpec(), PartitionSpec())
    return System(init, update, evaluate, frames_per_update, spec)


def _strongly_typed(x: jax.Array) -> jax.Array:
    """Without jax's weak types: updates drop them, so the second update would trace anew."""
    return x if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else x.astype(x.dtype)


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
