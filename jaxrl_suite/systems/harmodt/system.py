"""HarmoDT as a system: one update is an interval of training steps and one update of the masks."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxrl_suite.core import Metrics, PyTree, Source, System, SystemState, UsageError, fuse
from jaxrl_suite.ops.harmony import average_harmony_score
from jaxrl_suite.systems.harmodt.config import Config, Hyper
from jaxrl_suite.systems.harmodt.dataset import Dataset, sequences
from jaxrl_suite.systems.harmodt.learner import (
    Batch,
    LearnerState,
    Sequences,
    make_learner,
    network,
    parameter_shapes,
    task_gradients,
)
from jaxrl_suite.systems.harmodt.weights import layout

Evaluate = Callable[[SystemState, jax.Array], Metrics]


def _nothing(state: SystemState, key: jax.Array) -> Metrics:
    return {}


def make(
    config: Config, hyper: Hyper, dataset: Dataset, evaluate: Evaluate | None = None
) -> System:
    """The closed loop over a data set.

    Args:
      config: of the system.
      hyper: what may be swept.
      dataset: see :func:`dataset.build`; made with ``config.data``.
      evaluate: ``(SystemState, key) -> Metrics``, on the host; None for no evaluation.

    Raises:
      UsageError: a setting that no program can be made of.
    """
    config.check()
    num_tasks = len(dataset.tasks)
    if config.tasks_per_step > num_tasks:
        raise UsageError(
            f"tasks_per_step must be at most the {num_tasks} tasks, not {config.tasks_per_step}"
        )
    if config.network.condition == "task" and config.network.num_tasks != num_tasks:
        raise UsageError(
            f"num_tasks of the network must be {num_tasks}, as there are tasks in the data, not "
            f"{config.network.num_tasks}"
        )
    learner = make_learner(config, num_tasks, dataset.state_size, dataset.action_size)
    system = fuse(
        learner,
        _source(config, dataset),
        hyper=hyper,
        evaluate=evaluate or _nothing,
        frames_per_update=config.interval * config.tasks_per_step * config.batch,
    )
    return system._replace(evaluates_on_host=True)


def agreement(
    config: Config, dataset: Dataset, windows: int
) -> Callable[[LearnerState, jax.Array], jax.Array]:
    """``(LearnerState, key) -> []``: the average harmony score of the tasks' gradients.

    With masks or without; of so many windows a task, drawn by the key. See
    :func:`ops.harmony.average_harmony_score`: a weight that fewer tasks have scores higher by that
    alone. Gradients are those of a mask update, with dropout and clipped in the mode "repo".

    Args:
      config: of the system.
      dataset: that it learns from.
      windows: of each task.
    """
    sizes = dataset.state_size, dataset.action_size
    net = network(config, *sizes)
    weights = layout(config.masks, parameter_shapes(config, *sizes))

    def score(state: LearnerState, key: jax.Array) -> jax.Array:
        draw, drop = jax.random.split(key)
        of = _of_all_tasks(config, dataset, draw, windows)
        found = task_gradients(config, net, weights, state, of, drop)
        return average_harmony_score(found.own, found.masks).score

    return score


def _of_all_tasks(config: Config, dataset: Dataset, key: jax.Array, count: int) -> Sequences:
    """So many windows of every task, leaves [N, count, ...]."""
    tasks = jnp.arange(len(dataset.tasks))
    draw = lambda t, k: Sequences(t, *sequences(config.data, dataset.data, t, k, count))  # noqa: E731
    return jax.vmap(draw)(tasks, jax.random.split(key, len(tasks)))


def _source(config: Config, dataset: Dataset) -> Source:
    """Windows of the data; its state is the task whose turn is next, int32 []."""
    data, num_tasks = dataset.data, len(dataset.tasks)
    upper = config.masks.kind == "harmony"

    def init(key: jax.Array, hyper: PyTree, params: PyTree) -> jax.Array:
        return jnp.zeros((), jnp.int32)

    def draw(task: jax.Array, key: jax.Array) -> Sequences:
        return Sequences(task, *sequences(config.data, data, task, key, config.batch))

    def sample(turn: jax.Array, params: PyTree, key: jax.Array) -> tuple[jax.Array, Batch]:
        one, two = jax.random.split(key)
        shape = (config.interval, config.tasks_per_step)
        order = turn + jnp.arange(shape[0] * shape[1])
        tasks = (order % num_tasks).reshape(shape)
        inner = jax.vmap(jax.vmap(draw))(tasks, jax.random.split(one, shape))
        above = ()
        if upper:
            above = _of_all_tasks(config, dataset, two, config.batch * config.masks.batches)
        return (turn + shape[0] * shape[1]) % num_tasks, Batch(inner, above)

    return Source(init, sample)
