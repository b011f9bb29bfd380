"""One update: rewards, advantages, then epochs of minibatches for policy, critic, discriminator.

The low level learns all three. The high level, a tracker of clips and a policy from scratch learn
the first two, by the same lines.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxrl_suite.core import Learner, Metrics
from jaxrl_suite.ops import running
from jaxrl_suite.ops.distributions import DiagonalNormal
from jaxrl_suite.ops.gae import gae_bootstrapped
from jaxrl_suite.systems.ase import losses, replay
from jaxrl_suite.systems.ase import params as asking
from jaxrl_suite.systems.ase.acting import Experience
from jaxrl_suite.systems.ase.config import Config, Hyper
from jaxrl_suite.systems.ase.params import Nets, Params

PyTree = Any
_ADAM = optax.scale_by_adam()
# Weights of losses that nobody sweeps; Adam divides a common factor of all losses out again.
_CRITIC, _DISCRIMINATOR = 5.0, 5.0


class LearnerState(NamedTuple):
    """All that learns.

    params: see :class:`Params`.
    optimiser: Adam's moments, of actor, critic and discriminator.
    replay: windows of before.
    hyper: see :class:`Hyper`.
    key: random key.
    """

    params: Params
    optimiser: PyTree
    replay: replay.Ring
    hyper: Hyper
    key: jax.Array


class Rows(NamedTuple):
    """What a minibatch is taken from, [B, ...]; inputs and targets are normalised, windows not."""

    observation: jax.Array
    latent: jax.Array
    action: jax.Array
    log_prob: jax.Array
    noisy: jax.Array
    advantage: jax.Array
    target: jax.Array
    window: jax.Array


class Sizes(NamedTuple):
    """observation, latent, window: lengths of what the learner is shown."""

    observation: int
    latent: int
    window: int


def _weights(params: Params) -> dict[str, PyTree]:
    """What Adam moves."""
    return {name: getattr(params, name) for name in ("actor", "critic", "discriminator")}


def rewards(
    nets: Nets, config: Config, params: Params, hyper: Hyper, played: Experience
) -> tuple[jax.Array, Metrics]:
    """Of every row [T, N], with what it is made of."""
    style, skill = played.style, jnp.zeros_like(played.style)
    if config.discriminates:
        logit, guess = asking.judged(nets, params, played.window)
        style = losses.style_reward(logit)
        skill = losses.skill_reward(config.networks.latent_space, guess, played.latent)
    total = hyper.task * played.task + hyper.style * style + hyper.skill * skill
    parts = {"task_reward": played.task, "style_reward": style, "skill_reward": skill}
    return total, {name: jnp.mean(x) for name, x in parts.items()}


def advantages(hyper: Hyper, played: Experience, reward: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Advantages and returns, [T, N]."""
    discounts = hyper.discount * (1.0 - played.terminated)
    columns = jax.vmap(gae_bootstrapped, in_axes=(1, 1, 1, 1, 1, None), out_axes=1)
    advantage = columns(
        played.value, played.next_value, reward, discounts, played.ended, hyper.lambda_
    )
    return advantage, advantage + played.value


def loss(
    nets: Nets,
    config: Config,
    hyper: Hyper,
    weights: dict[str, PyTree],
    rows: Rows,
    windows: tuple[jax.Array, jax.Array, jax.Array] | None,
    key: jax.Array,
) -> tuple[jax.Array, Metrics]:
    """Of a minibatch.

    Args:
      nets: the networks.
      config: static settings.
      hyper: numbers.
      weights: of the networks.
      rows: [B, ...].
      windows: the policy's, old ones and the clips', [D, W] each, normalised, the first those of
        the first D rows; None without a discriminator.
      key: of the other latents.
    """
    space = config.networks.latent_space
    mean = nets.actor.apply({"params": weights["actor"]}, rows.observation, rows.latent)
    policy = DiagonalNormal(mean, jnp.broadcast_to(hyper.log_std, mean.shape))
    log_prob = policy.log_prob(rows.action)
    surrogate = losses.policy_loss(log_prob, rows.log_prob, rows.advantage, rows.noisy, hyper.clip)
    value = nets.critic.apply({"params": weights["critic"]}, rows.observation, rows.latent)
    value_error = jnp.mean((value - rows.target) ** 2)
    bound = losses.bound_loss(mean, rows.noisy)
    total = surrogate + _CRITIC * value_error + hyper.bound * bound
    metrics = {
        "surrogate": surrogate,
        "value_error": value_error,
        "bound": bound,
        "kl": losses.masked_mean(rows.log_prob - log_prob, rows.noisy),
    }
    if config.latent:
        other = space.draw(key, rows.latent.shape)
        acts = nets.actor.apply({"params": weights["actor"]}, rows.observation, other)
        diversity = losses.diversity_loss(space, mean, acts, rows.latent, other, rows.noisy)
        total = total + hyper.diversity * diversity
        metrics["diversity"] = diversity
    if windows is not None:
        apply = lambda p, x: nets.discriminator.apply({"params": p}, x)  # noqa: E731
        penalties = (hyper.gradient_penalty, hyper.logit_weight, hyper.decay)
        judge, guess, told = losses.discriminator_loss(
            apply, weights["discriminator"], *windows, penalties
        )
        total = total + _DISCRIMINATOR * judge
        metrics |= told
        if config.latent:
            encoder = losses.encoder_loss(space, guess, rows.latent[: config.discriminated])
            total = total + _DISCRIMINATOR * hyper.encoder * encoder
            metrics["encoder_loss"] = encoder
    return total, metrics | {"loss": total}


def learner(config: Config, nets: Nets, sizes: Sizes) -> Learner:
    """The learner of either level."""

    def init(key: jax.Array, hyper: Hyper) -> LearnerState:
        key, fresh = jax.random.split(key)
        hyper = jax.tree.map(jnp.asarray, hyper)
        params = asking.init(nets, fresh, *sizes, hyper.input_clip)
        places = config.replay if config.discriminates else 0
        ring = replay.empty(places, sizes.window)
        return LearnerState(params, _ADAM.init(_weights(params)), ring, hyper, key)

    def update(state: LearnerState, played: Experience) -> tuple[LearnerState, Metrics]:
        hyper, params = state.hyper, state.params
        reward, metrics = rewards(nets, config, params, hyper, played)
        advantage, target = advantages(hyper, played, reward)
        flat = jax.tree.map(
            lambda x: x.reshape(config.batch, *x.shape[2:]), played._replace(clips=())
        )
        advantage, target = advantage.reshape(-1), target.reshape(-1)
        params = _seen(params, played, target)
        clip = hyper.input_clip
        normal = running.normalised
        rows = Rows(
            # By the normaliser that acted: the first ratio of probabilities is 1.
            normal(state.params.inputs, flat.observation, clip),
            flat.latent,
            flat.action,
            flat.log_prob,
            flat.noisy,
            _standardised(advantage, flat.noisy),
            (target - params.values.mean) / jnp.sqrt(params.values.variance),
            flat.window,
        )
        params, optimiser, key, told = _epochs(nets, config, state, params, rows, played.clips)
        if config.discriminates:
            key, keeping = jax.random.split(key)
            ring = replay.pushed(state.replay, flat.window, config.kept, keeping)
        else:
            ring = state.replay
        return LearnerState(params, optimiser, ring, hyper, key), metrics | told | _told(played)

    return Learner(init, update)


def _standardised(advantage: jax.Array, noisy: jax.Array) -> jax.Array:
    """Of mean 0 and variance 1 over the rows that acted with noise."""
    mean = losses.masked_mean(advantage, noisy)
    variance = losses.masked_mean((advantage - mean) ** 2, noisy)
    return (advantage - mean) / jnp.sqrt(variance + 1e-8)


def _seen(params: Params, played: Experience, target: jax.Array) -> Params:
    """With normalisers that know this update's experience.

    differs: the released code updates them in every minibatch, so that the policy moves without
    learning; here once an update. There the normaliser of windows sees as many of the policy as of
    before and of clips; here as many of the policy as of clips, and old ones were seen when they
    were new.
    """
    rows = lambda x: x.reshape(-1, x.shape[-1])  # noqa: E731
    values = running.seen(running.seen(params.values, played.value.reshape(-1)), target)
    windows = params.windows
    if played.window.shape[-1]:
        own = rows(played.window)[: played.clips.shape[0]]
        windows = running.seen(running.seen(windows, own), played.clips)
    inputs = running.seen(params.inputs, rows(played.observation))
    return params._replace(values=values, windows=windows, inputs=inputs)


def _epochs(
    nets: Nets, config: Config, state: LearnerState, params: Params, rows: Rows, clips: jax.Array
) -> tuple[Params, PyTree, jax.Array, Metrics]:
    """Passes over the rows, in minibatches."""
    hyper = state.hyper
    rates = {
        "actor": hyper.learning_rate,
        "critic": hyper.critic_rate,
        "discriminator": hyper.discriminator_rate,
    }
    normal = lambda x: running.normalised(params.windows, x, hyper.input_clip)  # noqa: E731

    def windows_of(part: Rows, key: jax.Array) -> tuple | None:
        if not config.discriminates:
            return None
        before, which = jax.random.split(key)
        own = part.window
        old = replay.drawn(state.replay, own, before)
        some = jax.random.randint(which, (config.discriminated,), 0, config.demonstrations)
        return tuple(normal(x) for x in (own, old, clips[some]))

    def update(carry: tuple, given: tuple) -> tuple[tuple, Metrics]:
        weights, optimiser = carry
        order, key = given
        # Windows are large, and only the first are looked at.
        some = order[: config.discriminated] if config.discriminates else order
        part = jax.tree.map(lambda x: x[order], rows._replace(window=()))
        part = part._replace(window=rows.window[some])
        drawing, other = jax.random.split(key)
        windows = windows_of(part, drawing)
        gradient, told = jax.grad(loss, argnums=3, has_aux=True)(
            nets, config, hyper, weights, part, windows, other
        )
        change, optimiser = _ADAM.update(gradient, optimiser)
        moved = {
            name: jax.tree.map(lambda p, c, rate=rate: p - rate * c, weights[name], change[name])
            for name, rate in rates.items()
        }
        return (moved, optimiser), told

    key, drawing, *orders = jax.random.split(state.key, 2 + config.epochs)
    order = jnp.concatenate([jax.random.permutation(k, config.batch) for k in orders])
    order = order.reshape(-1, config.minibatch)
    begin = _weights(params), state.optimiser
    keys = jax.random.split(drawing, order.shape[0])
    (weights, optimiser), told = jax.lax.scan(update, begin, (order, keys))
    return params._replace(**weights), optimiser, key, jax.tree.map(jnp.mean, told)


def _told(played: Experience) -> Metrics:
    """Of the episodes that ended; NaN if none did."""
    ended = jnp.sum(played.ended)
    mean = lambda x: jnp.nansum(x) / jnp.where(ended > 0, ended, jnp.nan)  # noqa: E731
    return {
        "return": mean(played.total),
        "length": mean(played.length),
        "episodes": ended.astype(jnp.float32),
        "terminated": jnp.sum(played.terminated).astype(jnp.float32),
        "diverged": jnp.sum(played.diverged),
        "dropped_contacts": jnp.sum(played.dropped),
    }
