"""Proximal policy optimisation as all three levels use it: what acts, and what an update does.

A level brings a :class:`Policy`: functions of its networks. Everything here is the same for all:
sequences of T steps of N environments, memories that begin where episodes do, and minibatches of
whole sequences.

Source: Schulman et al. 2017; Han et al. 2024.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxrl_suite.core import Learner, Metrics
from jaxrl_suite.ops import running
from jaxrl_suite.ops.gae import gae_bootstrapped
from jaxrl_suite.systems.lifelike.config import Config, Hyper
from jaxrl_suite.systems.lifelike.metrics import of_codes

PyTree = Any
ADAM = optax.scale_by_adam(eps=1e-5)
_LEAST = 1e-12  # variance of returns that are all alike, as before a game has been won


class Params(NamedTuple):
    """What acts.

    weights: what gradients move.
    inputs: normalisers by the observation's key.
    returns: normaliser of what values are of.
    average: of a codebook that is a moving average, else ().
    frozen: of the levels below, never changed; () on the lowest.
    """

    weights: PyTree
    inputs: dict[str, running.Running]
    returns: running.Running
    average: PyTree
    frozen: PyTree


class Acted(NamedTuple):
    """A step's, [N, ...].

    action: what the policy chose.
    motion: [N, A], what the environment is given for it.
    log_prob: of the action.
    value: of the state.
    noise: what the latent was made with, so that it can be made again.
    told: for metrics.
    """

    action: jax.Array
    motion: jax.Array
    log_prob: jax.Array
    value: jax.Array
    noise: jax.Array
    told: dict[str, jax.Array]


class Judged(NamedTuple):
    """Of a minibatch: log_prob, entropy and value [T, n], further losses [], and metrics."""

    log_prob: jax.Array
    entropy: jax.Array
    value: jax.Array
    loss: jax.Array
    metrics: Metrics


class Policy(NamedTuple):
    """A level's networks; observations and values are normalised.

    init: ``(key, hyper, frozen) -> Params``.
    memory: ``(n) -> memory`` of n environments at the start of episodes, all zeros.
    act: ``(params, observation, memory, fresh [N], key) -> (memory, Acted)``.
    value: ``(params, observation, memory) -> [N]``, of the state after :func:`act`.
    judge: ``(weights, params, hyper, observation, fresh [T, n], memory, action, noise) -> Judged``.
    settle: ``(params, hyper, observation [T, N], first bool [], key) -> Params``, once an update.
    """

    init: Callable[..., Params]
    memory: Callable[[int], PyTree]
    act: Callable[..., tuple[PyTree, Acted]]
    value: Callable[..., jax.Array]
    judge: Callable[..., Judged]
    settle: Callable[..., Params]


class Played(NamedTuple):
    """An update's experience, [T, N, ...].

    observation: by key, as the environment tells it.
    fresh: bool, the step begins an episode.
    memory: leaves [N, ...], before the first step.
    action, noise, log_prob, value: see :class:`Acted`.
    next_value: of the state after the action, before any reset.
    reward: of the environment.
    terminated, ended: bool.
    told: for metrics, of every step.
    outcomes: of episodes that ended, NaN elsewhere.
    """

    observation: dict[str, jax.Array]
    fresh: jax.Array
    memory: PyTree
    action: jax.Array
    noise: jax.Array
    log_prob: jax.Array
    value: jax.Array
    next_value: jax.Array
    reward: jax.Array
    terminated: jax.Array
    ended: jax.Array
    told: dict[str, jax.Array]
    outcomes: dict[str, jax.Array]


class LearnerState(NamedTuple):
    """All that learns; `updates` is int32 []."""

    params: Params
    optimiser: PyTree
    hyper: Hyper
    key: jax.Array
    updates: jax.Array


class Rows(NamedTuple):
    """What a minibatch is taken from, [T, n, ...]; memory is [n, ...].

    Observations and targets are normalised.
    """

    observation: dict[str, jax.Array]
    fresh: jax.Array
    memory: PyTree
    action: jax.Array
    noise: jax.Array
    log_prob: jax.Array
    advantage: jax.Array
    target: jax.Array


def shown(
    inputs: dict[str, running.Running], observation: dict[str, jax.Array], clip: jax.Array
) -> dict[str, jax.Array]:
    """An observation as the networks see it: keys with a normaliser are normalised."""
    return observation | {
        name: running.normalised(seen, observation[name], clip) for name, seen in inputs.items()
    }


def no_returns() -> running.Running:
    """The normaliser of returns before any: without spread, so that values begin as 0.

    Across terrains most rewards are 1/1000 and less. Beside a spread of 1 they would be lost in
    what a network says that knows nothing, for as long as that counts in the statistics.
    """
    return running.start()._replace(variance=jnp.zeros(()))


def worth(returns: running.Running, value: jax.Array) -> jax.Array:
    """A network's value as a sum of discounted rewards."""
    return returns.mean + jnp.sqrt(returns.variance) * value


def where_fresh(fresh: jax.Array, memory: PyTree) -> PyTree:
    """Memories [N, ...], zero where an episode begins."""
    return jax.tree.map(
        lambda x: jnp.where(fresh.reshape(-1, *[1] * (x.ndim - 1)), jnp.zeros_like(x), x), memory
    )


def advantages(hyper: Hyper, played: Played) -> jax.Array:
    """Generalised advantages [T, N]; a time limit keeps the value of what it cuts off."""
    discounts = hyper.discount * (1.0 - played.terminated)
    columns = jax.vmap(gae_bootstrapped, in_axes=(1, 1, 1, 1, 1, None), out_axes=1)
    return columns(
        played.value, played.next_value, played.reward, discounts, played.ended, hyper.lambda_
    )


def loss(
    policy: Policy, hyper: Hyper, params: Params, weights: PyTree, rows: Rows
) -> tuple[jax.Array, Metrics]:
    r"""Of a minibatch.

    .. math::

      -\min(r A, clip(r, 1 \pm e) A) + \tfrac12 c_v (v - R)^2 - c_e H + L

    averaged over its rows, L being the level's own; v and R are normalised.

    differs: where the advantage is negative the original takes the clipped ratio alone, so that an
    action that became likelier than the clip allows is never taken back; here it is the minimum.
    The original clips values as it clips ratios; returns of 20 would then be reached in steps of
    the clip.
    """
    judged = policy.judge(
        weights,
        params,
        hyper,
        rows.observation,
        rows.fresh,
        rows.memory,
        rows.action,
        rows.noise,
    )
    ratio = jnp.exp(judged.log_prob - rows.log_prob)
    clipped = jnp.clip(ratio, 1.0 - hyper.clip, 1.0 + hyper.clip)
    surrogate = -jnp.mean(jnp.minimum(ratio * rows.advantage, clipped * rows.advantage))
    value = 0.5 * jnp.mean((judged.value - rows.target) ** 2)
    entropy = jnp.mean(judged.entropy)
    total = surrogate + hyper.value * value - hyper.entropy * entropy + judged.loss
    told = {
        "surrogate": surrogate,
        "value_error": value,
        "entropy": entropy,
        "kl": jnp.mean(rows.log_prob - judged.log_prob),
        "clipped": jnp.mean(jnp.abs(ratio - 1.0) > hyper.clip),
    }
    return total, told | judged.metrics


def learner(config: Config, policy: Policy, frozen: PyTree = ()) -> Learner:
    """The learner of a level above what is frozen."""

    def init(key: jax.Array, hyper: Hyper) -> LearnerState:
        key, fresh = jax.random.split(key)
        hyper = jax.tree.map(jnp.asarray, hyper)
        params = policy.init(fresh, hyper, frozen)
        zero = jnp.zeros((), jnp.int32)
        return LearnerState(params, ADAM.init(params.weights), hyper, key, zero)

    def update(state: LearnerState, played: Played) -> tuple[LearnerState, Metrics]:
        hyper, params = state.hyper, state.params
        advantage = advantages(hyper, played)
        target = advantage + played.value
        returns = running.seen(params.returns, target.reshape(-1))
        # By the normalisers that acted: the first ratio of probabilities is 1.
        seen = shown(params.inputs, played.observation, hyper.input_clip)
        rows = Rows(
            seen,
            played.fresh,
            played.memory,
            played.action,
            played.noise,
            played.log_prob,
            (advantage - jnp.mean(advantage)) / (jnp.std(advantage) + 1e-8),
            (target - returns.mean) / jnp.sqrt(returns.variance + _LEAST),
        )
        key, learning, settling = jax.random.split(state.key, 3)
        judged = lambda weights, rows: loss(policy, hyper, params, weights, rows)  # noqa: E731
        weights, optimiser, told = epochs(config, state, rows, judged, learning)
        params = policy.settle(
            params._replace(weights=weights), hyper, seen, state.updates == 0, settling
        )
        flat = lambda x: x.reshape(-1, x.shape[-1])  # noqa: E731
        inputs = {
            name: running.seen(params.inputs[name], flat(played.observation[name]))
            for name in params.inputs
        }
        params = params._replace(inputs=inputs, returns=returns)
        after = LearnerState(params, optimiser, hyper, key, state.updates + 1)
        return after, told | _told(config, played)

    return Learner(init, update)


def epochs(
    config: Config,
    state: LearnerState,
    rows: PyTree,
    loss: Callable[[PyTree, PyTree], tuple[jax.Array, Metrics]],
    key: jax.Array,
) -> tuple[PyTree, PyTree, Metrics]:
    """Passes over an update's rows, in minibatches of whole sequences.

    Args:
      config: has the numbers of passes and of minibatches.
      state: of the learner.
      rows: leaves [T, N, ...], but for the field `memory`, leaves [N, ...].
      loss: ``(weights, rows of n environments) -> (loss, metrics)``.
      key: of the order of environments.

    Returns:
      Weights, the optimiser's state, and means of metrics.
    """
    hyper = state.hyper

    def update(carry: tuple, columns: jax.Array) -> tuple[tuple, Metrics]:
        weights, optimiser = carry
        part = jax.tree.map(lambda x: x[:, columns], rows._replace(memory=()))
        part = part._replace(memory=jax.tree.map(lambda x: x[columns], rows.memory))
        gradient, told = jax.grad(loss, has_aux=True)(weights, part)
        norm = optax.tree.norm(gradient)
        scale = hyper.norm / jnp.maximum(norm, hyper.norm)
        gradient = jax.tree.map(lambda g: scale * g, gradient)
        change, optimiser = ADAM.update(gradient, optimiser)
        weights = jax.tree.map(lambda p, c: p - hyper.learning_rate * c, weights, change)
        return (weights, optimiser), told | {"gradient_norm": norm}

    keys = jax.random.split(key, config.epochs)
    orders = jax.vmap(lambda k: jax.random.permutation(k, config.num_envs))(keys)
    orders = orders.reshape(config.epochs * config.minibatches, -1)
    begin = state.params.weights, state.optimiser
    (weights, optimiser), told = jax.lax.scan(update, begin, orders)
    return weights, optimiser, jax.tree.map(jnp.mean, told)


def _told(config: Config, played: Played) -> Metrics:
    """Of the steps, and of the episodes that ended; NaN if none did."""
    ended = jnp.sum(played.ended)
    mean = lambda x: jnp.nansum(x) / jnp.where(ended > 0, ended, jnp.nan)  # noqa: E731
    told = {name: mean(x) for name, x in played.outcomes.items()}
    if "code" in played.told:
        code = played.told["code"]
        told |= of_codes(code, jnp.ones(code.shape, bool), config.networks.num_codes)
    return told | {
        "reward": jnp.mean(played.reward),
        "episodes": ended.astype(jnp.float32),
        "terminated": jnp.sum(played.terminated).astype(jnp.float32),
    }
