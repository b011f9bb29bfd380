"""PPO for one body in its environments; callers vmap over a population.

Everything of a body is in its state: parameters, optimiser, normalisers, environments, clock and
key, so bodies of one population may be at different points of their lives. Padded observations and
actions are masked in networks, log-probabilities and entropies.

Source: Gupta et al. 2021 and its released code; Schulman et al. 2017.
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxrl_suite.core import Metrics
from jaxrl_suite.envs.base import ControlEnvironment
from jaxrl_suite.nets.mlp import Critic, GaussianActor, masked_orthogonal
from jaxrl_suite.ops import running
from jaxrl_suite.ops.gae import gae
from jaxrl_suite.systems.derl.config import Hyper, Life

PyTree = Any


class Body(NamedTuple):
    """Who learns.

    task: what its environments are told, see :class:`ControlEnvironment`.
    observation: [D], 1 for entries of its proprioception that are its own, 0 for padding.
    action: [A], the same for actions.
    """

    task: PyTree
    observation: jax.Array
    action: jax.Array


class BodyState(NamedTuple):
    """A body's life so far.

    params: of actor and critic.
    optimiser: Adam's moments.
    inputs, rewards: normalisers.
    discounted: [N], discounted sum of rewards, whose spread scales rewards.
    env: states of the N environments.
    observation: of each key [N, D], as the networks see it.
    recent: outcomes [E] of the last episodes that ended, NaN where there was none.
    curves: [I], the means of `recent` after every iteration, NaN for those to come; before the
      first episode has ended, the means of those under way.
    failed: bool [], a state of an episode of this life was not finite.
    iteration: int32 [].
    key: random key.
    """

    params: PyTree
    optimiser: PyTree
    inputs: running.Running
    rewards: running.Running
    discounted: jax.Array
    env: PyTree
    observation: dict[str, jax.Array]
    recent: dict[str, jax.Array]
    curves: dict[str, jax.Array]
    failed: jax.Array
    iteration: jax.Array
    key: jax.Array


class Played(NamedTuple):
    """What happened in an iteration, [T, N, ...].

    observation: as the networks saw it.
    action, log_prob, value: of the policy and critic as they were.
    reward: scaled.
    ended, cut: bool, the episode ended with this action, and by its time limit alone.
    last: [N], value of what is seen after the last action.
    """

    observation: dict[str, jax.Array]
    action: jax.Array
    log_prob: jax.Array
    value: jax.Array
    reward: jax.Array
    ended: jax.Array
    cut: jax.Array
    last: jax.Array


class Batch(NamedTuple):
    """What is learned from, [T, N, ...] or [T N, ...]."""

    observation: dict[str, jax.Array]
    action: jax.Array
    log_prob: jax.Array
    value: jax.Array
    advantage: jax.Array
    target: jax.Array


_ADAM = optax.scale_by_adam(eps=1e-5)
PROPRIOCEPTIVE = "proprioceptive"  # the key of what a body senses of itself


def networks(env: ControlEnvironment, life: Life) -> tuple[GaussianActor, Critic]:
    """A body's actor and critic; every body has the same ones, padded alike."""
    return GaussianActor(env.action_size, life.hidden), Critic(life.hidden)


def shown(
    hyper: Hyper, body: Body, inputs: running.Running, observation: dict[str, jax.Array]
) -> dict[str, jax.Array]:
    """What the networks see [N, ...]: proprioception is normalised and masked, the rest is raw."""
    own = (
        running.normalised(inputs, observation[PROPRIOCEPTIVE], hyper.input_clip)
        * body.observation[None]
    )
    return observation | {PROPRIOCEPTIVE: own}


def init(
    env: ControlEnvironment, life: Life, hyper: Hyper, body: Body, key: jax.Array
) -> BodyState:
    """A body that has learned nothing."""
    actor, critic = networks(env, life)
    keys = jax.random.split(key, 6)
    empty = {name: jnp.zeros(size) for name, size in env.observation_sizes.items()}
    params = {}
    for name, network, one, two in (
        ("actor", actor, keys[0], keys[1]),
        ("critic", critic, keys[2], keys[3]),
    ):
        made = network.init(one, empty)["params"]
        first = masked_orthogonal(two, body.observation, life.hidden[0])
        layer = f"{PROPRIOCEPTIVE}_0"
        params[name] = made | {layer: made[layer] | {"kernel": first}}
    reset = jax.vmap(env.reset, in_axes=(0, None))
    states, seen = reset(jax.random.split(keys[4], life.num_envs), body.task)
    inputs = running.seen(running.start(body.observation.shape), seen[PROPRIOCEPTIVE])
    names = jax.eval_shape(jax.vmap(env.outcomes), states)
    return BodyState(
        params,
        _ADAM.init(params),
        inputs,
        running.start(),
        jnp.zeros(life.num_envs),
        states,
        shown(hyper, body, inputs, seen),
        {name: jnp.full(life.last_episodes, jnp.nan) for name in names},
        {name: jnp.full(life.iterations, jnp.nan) for name in names},
        jnp.zeros((), bool),
        jnp.zeros((), jnp.int32),
        keys[5],
    )


def log_prob(mean: jax.Array, log_std: jax.Array, action: jax.Array, mask: jax.Array) -> jax.Array:
    """Of a normal policy over the actions in use, [...]."""
    terms = -0.5 * ((action - mean) * jnp.exp(-log_std)) ** 2 - log_std
    return jnp.sum((terms - 0.5 * math.log(2 * math.pi)) * mask, axis=-1)


def entropy(log_std: jax.Array, mask: jax.Array) -> jax.Array:
    """Mean over the actions in use, []: nats an action dimension."""
    each = log_std + 0.5 * math.log(2 * math.pi * math.e)
    return jnp.sum(each * mask) / jnp.maximum(jnp.sum(mask), 1.0)


def pushed(
    recent: dict[str, jax.Array], outcomes: dict[str, jax.Array], ended: jax.Array
) -> dict[str, jax.Array]:
    """The last outcomes [E], oldest first, with those of the environments [N] that have ended."""
    size = next(iter(recent.values())).shape[0]
    there = jnp.concatenate([jnp.ones(size, bool), ended])
    # Those that count, in order, last; the others before them.
    last = jnp.argsort(there, stable=True)[-size:]
    return {name: jnp.concatenate([x, outcomes[name]])[last] for name, x in recent.items()}


def _rollout(
    env: ControlEnvironment, life: Life, hyper: Hyper, body: Body, state: BodyState
) -> tuple[BodyState, Played]:
    """Plays an iteration with the policy as it is."""
    actor, critic = networks(env, life)
    step, reset = (
        jax.vmap(f, in_axes=axes)
        for f, axes in ((env.step, (0, 0, 0, None)), (env.reset, (0, None)))
    )
    mask = body.action[None]

    def act(carry: BodyState, key: jax.Array) -> tuple[BodyState, tuple]:
        noise, moving, fresh = jax.random.split(key, 3)
        mean, log_std = actor.apply({"params": carry.params["actor"]}, carry.observation)
        value = critic.apply({"params": carry.params["critic"]}, carry.observation)
        draw = jax.random.normal(noise, mean.shape)
        action = (mean + jnp.exp(log_std)[None] * draw) * mask
        chosen = log_prob(mean, log_std[None], action, mask)
        many = lambda k: jax.random.split(k, life.num_envs)  # noqa: E731
        moved, told = step(carry.env, action, many(moving), body.task)
        ended = told.terminated | told.truncated
        begun, first = reset(many(fresh), body.task)
        pick = lambda a, b: jnp.where(ended.reshape(-1, *[1] * (a.ndim - 1)), a, b)  # noqa: E731
        after = jax.tree.map(pick, begun, moved)
        seen = jax.tree.map(pick, first, told.observation)
        inputs = running.seen(carry.inputs, seen[PROPRIOCEPTIVE])
        discounted = carry.discounted * hyper.discount + told.reward
        rewards = running.seen(carry.rewards, discounted)
        reward = running.scaled(rewards, told.reward, hyper.reward_clip)
        outcomes = jax.vmap(env.outcomes)(moved)
        after = carry._replace(
            inputs=inputs,
            rewards=rewards,
            discounted=jnp.where(ended, 0.0, discounted),
            env=after,
            observation=shown(hyper, body, inputs, seen),
            recent=pushed(carry.recent, outcomes, ended),
            failed=carry.failed | jnp.any(outcomes["diverged"] > 0),
        )
        row = (carry.observation, action, chosen, value, reward, ended, told.truncated)
        return after, row

    key, now = jax.random.split(state.key)
    state, rows = jax.lax.scan(act, state._replace(key=key), jax.random.split(now, life.num_steps))
    last = critic.apply({"params": state.params["critic"]}, state.observation)
    return state, Played(*rows, last)


def advantages(hyper: Hyper, played: Played) -> Batch:
    """Generalised advantages and what the critic is to learn, [T, N]; none at a time limit."""
    values = jnp.concatenate([played.value, played.last[None]])
    discounts = hyper.discount * (1.0 - played.ended)
    columns = jax.vmap(gae, in_axes=(1, 1, 1, None, 1), out_axes=1)
    advantage = columns(values, played.reward, discounts, hyper.lambda_, played.cut)
    return Batch(*played[:4], advantage, advantage + played.value)


def loss(
    both: tuple[GaussianActor, Critic],
    hyper: Hyper,
    body: Body,
    params: PyTree,
    batch: Batch,
) -> tuple[jax.Array, Metrics]:
    """PPO's clipped loss on a minibatch [M], whose advantages are normalised.

    -min(w A, clip(w) A) + c_v / 2 max((v - R)^2, (v_old + clip(v - v_old) - R)^2) - c_e H, in the
    mean over the minibatch, with w the ratio of probabilities and H the entropy an action
    dimension.
    """
    actor, critic = both
    mean, log_std = actor.apply({"params": params["actor"]}, batch.observation)
    value = critic.apply({"params": params["critic"]}, batch.observation)
    log_ratio = log_prob(mean, log_std[None], batch.action, body.action[None]) - batch.log_prob
    ratio = jnp.exp(log_ratio)
    bounded = jnp.clip(ratio, 1.0 - hyper.clip, 1.0 + hyper.clip)
    policy = -jnp.mean(jnp.minimum(ratio * batch.advantage, bounded * batch.advantage))
    near = batch.value + jnp.clip(value - batch.value, -hyper.clip, hyper.clip)
    errors = jnp.maximum((value - batch.target) ** 2, (near - batch.target) ** 2)
    spread = entropy(log_std, body.action)
    total = policy + hyper.value_weight * 0.5 * jnp.mean(errors) - hyper.entropy_weight * spread
    return total, {
        "surrogate": policy,
        "value_error": 0.5 * jnp.mean(errors),
        "entropy": spread,
        "kl": -jnp.mean(log_ratio),
    }


def learn(
    env: ControlEnvironment,
    life: Life,
    hyper: Hyper,
    body: Body,
    state: BodyState,
    played: Played,
) -> tuple[BodyState, Metrics]:
    """Epochs of minibatches, until the policy has moved too far."""
    batch = advantages(hyper, played)
    batch = jax.tree.map(lambda x: x.reshape(life.batch, *x.shape[2:]), batch)
    advantage = batch.advantage - jnp.mean(batch.advantage)
    batch = batch._replace(advantage=advantage / (jnp.std(batch.advantage) + 1e-5))
    both = networks(env, life)
    left = life.iterations - state.iteration  # 0 at the end, to the last bit
    rate = hyper.learning_rate * left / life.iterations
    size = life.batch // life.minibatches

    def update(carry: tuple, rows: jax.Array) -> tuple[tuple, Metrics]:
        params, optimiser, stopped = carry
        part = jax.tree.map(lambda x: x[rows], batch)
        gradient, told = jax.grad(loss, argnums=3, has_aux=True)(both, hyper, body, params, part)
        stopped = stopped | (told["kl"] > hyper.max_kl)
        norm = optax.tree.norm(gradient)
        scale = jnp.minimum(1.0, hyper.max_grad_norm / jnp.maximum(norm, 1e-12))
        gradient = jax.tree.map(lambda g: g * scale, gradient)
        change, moments = _ADAM.update(gradient, optimiser)
        moved = jax.tree.map(lambda p, c: p - rate * c, params, change)
        keep = lambda old, new: jnp.where(stopped, old, new)  # noqa: E731
        params, optimiser = jax.tree.map(keep, (params, optimiser), (moved, moments))
        return (params, optimiser, stopped), told | {"stopped": stopped.astype(jnp.float32)}

    key, *orders = jax.random.split(state.key, 1 + life.epochs)
    rows = jnp.concatenate([jax.random.permutation(k, life.batch) for k in orders])
    begin = state.params, state.optimiser, jnp.zeros((), bool)
    (params, optimiser, _), told = jax.lax.scan(update, begin, rows.reshape(-1, size))
    metrics = {name: jnp.mean(x) for name, x in told.items()}
    return state._replace(params=params, optimiser=optimiser, key=key), metrics


def iterate(
    env: ControlEnvironment, life: Life, hyper: Hyper, body: Body, state: BodyState
) -> tuple[BodyState, Metrics]:
    """One iteration of a body's life: experience, then learning from it."""
    state, played = _rollout(env, life, hyper, body, state)
    state, learned = learn(env, life, hyper, body, state, played)
    told = jax.vmap(env.outcomes)(state.env)  # before the first episode has ended, of those at hand
    told = {
        name: jnp.where(jnp.all(jnp.isnan(x)), jnp.mean(told[name]), jnp.nanmean(x))
        for name, x in state.recent.items()
    }
    curves = {name: x.at[state.iteration].set(told[name]) for name, x in state.curves.items()}
    state = state._replace(curves=curves, iteration=state.iteration + 1)
    seen = {"episodes": jnp.sum(played.ended), "reward": jnp.mean(played.reward)}
    return state, seen | learned | told


def fitness(life: Life, state: BodyState) -> jax.Array:
    """Mean of the last reports of a body's life, []; minus infinity for one that failed.

    A body fails when a state of its simulation was not finite at any time of its life, as in the
    original, where that ends the worker, or when its parameters are not finite.
    """
    last = jnp.mean(state.curves["score"][-life.window :])
    leaves = [jnp.all(jnp.isfinite(x)) for x in jax.tree.leaves(state.params)]
    sound = jnp.all(jnp.stack(leaves)) & jnp.isfinite(last) & ~state.failed
    return jnp.where(sound, last, -jnp.inf)
