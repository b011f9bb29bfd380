"""The two levels of HarmoDT: weights learn under the masks, masks follow the tasks' gradients.

Source: Hu et al. 2024, "HarmoDT: harmony multi-task decision transformer for offline reinforcement
learning", bi-level objective; its released code for what the paper leaves open.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxrl_suite.core import Learner, Metrics, PyTree
from jaxrl_suite.nets.decision_transformer import DecisionTransformer, Steps
from jaxrl_suite.ops import harmony, masks
from jaxrl_suite.systems.harmodt.config import Config, Hyper
from jaxrl_suite.systems.harmodt.weights import Weights, first_masks, flatten, layout


class Sequences(NamedTuple):
    """Windows of one task.

    task: int32 [].
    prompt: [B, K*], see :class:`Steps`.
    context: [B, K].
    """

    task: jax.Array
    prompt: Steps
    context: Steps


class Batch(NamedTuple):
    """What an update learns from.

    inner: leaves [interval, T, ...], of the tasks whose turn it is in every training step.
    upper: leaves [N, ...], of all tasks, for the masks; () where they do not change.
    """

    inner: Sequences
    upper: Sequences | tuple


class LearnerState(NamedTuple):
    """All that is learned.

    hyper: see :class:`Hyper`.
    params: one network for all tasks.
    optimiser: Adam's moments, shared by all tasks.
    masks: bool [N, P], see :mod:`weights`; [N, 0] without any.
    steps: int32 [], training steps made.
    updates: int32 [].
    key: of dropout.
    """

    hyper: Hyper
    params: PyTree
    optimiser: PyTree
    masks: jax.Array
    steps: jax.Array
    updates: jax.Array
    key: jax.Array


_ADAM = optax.scale_by_adam(b1=0.9, b2=0.999, eps=1e-8)


def network(config: Config, state_size: int, action_size: int) -> DecisionTransformer:
    """The network of all tasks."""
    return DecisionTransformer(config.network, state_size, action_size)


def loss(
    net: DecisionTransformer, params: PyTree, of: Sequences, key: jax.Array | None
) -> jax.Array:
    r"""Mean squared error of the actions of a task's windows, [].

    :math:`\frac1{|valid|} \sum_{b, m} \frac1A \| a_{b,m} - \pi(\tau^*_b, \tau_{b, \le m}) \|^2`

    Source: Hu et al. 2024, inner level. differs: the mean over an action's entries, as the
    released code takes it, not the sum.
    """
    told = of.prompt
    if net.config.condition == "task":
        told = jnp.full(of.context.valid.shape[:1], of.task)
    actions = net.apply({"params": params}, told, of.context, key)
    error = jnp.mean((actions - of.context.actions) ** 2, axis=-1)
    valid = of.context.valid
    return jnp.sum(jnp.where(valid, error, 0.0)) / jnp.maximum(jnp.sum(valid), 1)


def make_learner(config: Config, num_tasks: int, state_size: int, action_size: int) -> Learner:
    """How parameters and masks change, given :class:`Batch`.

    Args:
      config: of the system.
      num_tasks: N.
      state_size: D.
      action_size: A.
    """
    net = network(config, state_size, action_size)
    weights = layout(config.masks, parameter_shapes(config, state_size, action_size))

    def init(key: jax.Array, hyper: Hyper) -> LearnerState:
        one, two, three = jax.random.split(key, 3)
        params = _first_parameters(config, net, one)
        given = jnp.ones((num_tasks, 0), bool)
        if config.masks.kind != "none":
            given = first_masks(config.masks, weights, num_tasks, two)
        zero = jnp.zeros((), jnp.int32)
        hyper = jax.tree.map(jnp.asarray, hyper)
        return LearnerState(hyper, params, _ADAM.init(params), given, zero, zero, three)

    def update(state: LearnerState, batch: Batch) -> tuple[LearnerState, Metrics]:
        step = lambda s, b: train_step(config, net, weights, s, b)  # noqa: E731
        state, told = jax.lax.scan(step, state, batch.inner)
        metrics = {name: jnp.mean(x) for name, x in told.items()}
        if config.masks.kind == "harmony":
            state, more = update_masks(config, net, weights, state, batch.upper)
            metrics |= more
        return state._replace(updates=state.updates + 1), metrics

    return Learner(init, update)


def parameter_shapes(config: Config, state_size: int, action_size: int) -> PyTree:
    """Of the network's parameters."""
    net = network(config, state_size, action_size)
    return jax.eval_shape(lambda k: _first_parameters(config, net, k), jax.random.key(0))


def _first_parameters(config: Config, net: DecisionTransformer, key: jax.Array) -> PyTree:
    def steps(length: int) -> Steps:
        flat = jnp.zeros((1, length))
        wide = [jnp.zeros((1, length, size)) for size in (net.state_size, net.action_size)]
        return Steps(flat, *wide, flat.astype(jnp.int32), flat == 0)

    task = config.network.condition == "task"
    told = jnp.zeros(1, jnp.int32) if task else steps(config.data.prompt)
    return net.init(key, told, steps(config.data.context))["params"]


def masked(weights: Weights, params: PyTree, mask: jax.Array) -> PyTree:
    """The network of a task: its weights where its mask, bool [P], is 1, else 0."""
    kept = weights.unflatten(mask | ~weights.applied)
    return jax.tree.map(lambda p, m: jnp.where(m, p, 0.0), params, kept)


def _clipped(gradient: PyTree, most: jax.Array) -> PyTree:
    scale = jnp.minimum(1.0, most / jnp.maximum(optax.tree.norm(gradient), 1e-12))
    return jax.tree.map(lambda g: g * scale, gradient)


def train_step(
    config: Config,
    net: DecisionTransformer,
    weights: Weights,
    state: LearnerState,
    batch: Sequences,
) -> tuple[LearnerState, Metrics]:
    """One step of the inner level, from windows of T tasks, leaves [T, ...].

    Each task's gradient is that of its masked network, clipped, then masked again; AdamW moves the
    weights by their mean, and those that none of the tasks has are put back.
    """
    hyper, sparse = state.hyper, config.masks.kind != "none"
    key, *keys = jax.random.split(state.key, 1 + config.tasks_per_step)

    def of_task(of: Sequences, key: jax.Array) -> tuple:
        mask = state.masks[of.task] if sparse else None
        own = masked(weights, state.params, mask) if sparse else state.params
        error, gradient = jax.value_and_grad(loss, argnums=1)(net, own, of, key)
        norm = optax.tree.norm(gradient)
        gradient = _clipped(gradient, hyper.max_grad_norm)
        if sparse:
            gradient = masked(weights, gradient, mask)
        return error, norm, gradient

    if config.tasks_per_step == 1:  # spares the vmap, which makes the products slower
        only = jax.tree.map(lambda x: x[0], batch)
        error, norm, gradient = of_task(only, keys[0])
    else:
        error, norm, gradient = jax.vmap(of_task)(batch, jnp.stack(keys))
        gradient = jax.tree.map(lambda g: jnp.mean(g, axis=0), gradient)
    change, optimiser = _ADAM.update(gradient, state.optimiser)
    rate = hyper.learning_rate * jnp.minimum(1.0, (state.steps + 1) / hyper.warmup)
    done = state.steps / (config.updates * config.interval)
    rate *= jnp.maximum(0.0, 1.0 - hyper.decay * done)  # a longer training stands still
    decayed = lambda p, c: p - rate * (c + hyper.weight_decay * p)  # noqa: E731
    moved = jax.tree.map(decayed, state.params, change)
    if sparse:
        held = weights.unflatten(jnp.any(state.masks[batch.task], axis=0))
        moved = jax.tree.map(jnp.where, held, moved, state.params)
    state = state._replace(params=moved, optimiser=optimiser, steps=state.steps + 1, key=key)
    return state, {"loss": jnp.mean(error), "grad_norm": jnp.mean(norm)}


class Gradients(NamedTuple):
    """Of all tasks, [N, ...].

    loss: [N].
    own: [N, P], of the masked network. In the mode "repo" masked; else not: where a mask is 0 it
      tells what the weight would do if it came back alone.
    masks: bool [N, P], by which `own` is yet to be masked; None if it need not be.
    recovery: [N, P], what decides what comes back.
    """

    loss: jax.Array
    own: jax.Array
    masks: jax.Array | None
    recovery: jax.Array


def task_gradients(
    config: Config,
    net: DecisionTransformer,
    weights: Weights,
    state: LearnerState,
    upper: Sequences,
    key: jax.Array,
) -> Gradients:
    """Gradients of all tasks at the weights as they are, one task after the other.

    Of a dense network, where there are no masks.

    differs: without dropout and not clipped. In the mode "repo" with dropout and clipped, and what
    comes back is decided by the masked gradient, which is 0 wherever it could matter.
    """
    repo, dense = config.masks.mode == "repo", config.masks.kind == "none"
    another = config.masks.recovery == "dense" and not repo and not dense

    def of_task(given: tuple[Sequences, jax.Array]) -> tuple:
        of, key = given
        mask = jnp.ones(weights.size, bool) if dense else state.masks[of.task]
        own = masked(weights, state.params, mask)
        graded = jax.value_and_grad(loss, argnums=1)
        error, gradient = graded(net, own, of, key if repo else None)
        if repo:
            gradient = _clipped(gradient, state.hyper.max_grad_norm)
            gradient = masked(weights, gradient, mask)
        found = error, flatten(gradient)
        if another:
            found += (flatten(jax.grad(loss, argnums=1)(net, state.params, of, None)),)
        return found

    keys = jax.random.split(key, upper.task.shape[0])
    error, own, *more = jax.lax.map(of_task, (upper, keys))
    # In the mode "paper" masks are 1 wherever they do not apply.
    masks = None if repo or dense else state.masks[upper.task]
    return Gradients(error, own, masks, *(more or [own]))


def update_masks(
    config: Config,
    net: DecisionTransformer,
    weights: Weights,
    state: LearnerState,
    upper: Sequences,
) -> tuple[LearnerState, Metrics]:
    """One step of the upper level: every task swaps a few of its weights for others."""
    settings, repo = config.masks, config.masks.mode == "repo"
    key, dropping = jax.random.split(state.key)
    found = task_gradients(config, net, weights, state, upper, dropping)
    agreed = harmony.average_harmony_score(found.own, found.masks)
    share = jnp.minimum(1.0, state.updates / config.updates)
    count = masks.swap_count(share, settings.least, settings.most, settings.schedule)
    theta = flatten(state.params)
    gradients = found.own
    mean = harmony.mean_over_tasks(gradients, found.masks)
    wanted = harmony.mean_over_tasks(found.recovery)
    if repo:  # there the first task's gradient is the mean of all: one tensor under two names
        gradients = gradients.at[0].set(mean)

    def of_task(given: tuple) -> tuple[jax.Array, jax.Array, jax.Array]:
        mask, gradient, back, error = given
        # Of weights that a task does not have, this is looked at by nobody.
        needed = harmony.importance(settings.importance, gradient, error, theta)
        score = harmony.harmony(gradient, mean, needed, state.hyper.importance_weight)
        if repo:  # in float32 hardly anything is left of the product beside the 1
            recovery = gradient * mean + 1.0
        else:
            score = jnp.where(weights.maskable, score, jnp.inf)
            recovery = jnp.where(weights.maskable, back * wanted, -jnp.inf)
        swapped = masks.swap(mask, score, recovery, count, settings.most)
        return swapped, jnp.sum(swapped != mask), jnp.sum(swapped & weights.maskable)

    each = (state.masks, gradients, found.recovery, found.loss)
    new, changed, ones = jax.lax.map(of_task, each)
    metrics = {
        "harmony": agreed.score,
        "harmony_counted": agreed.counted,
        "swapped": jnp.mean(changed) / 2.0,
        "ones": jnp.mean(ones / weights.maskable.sum()),
    }
    return state._replace(masks=new, key=key), metrics
