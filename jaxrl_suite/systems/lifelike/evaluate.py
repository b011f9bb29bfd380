"""What has been learned: episodes without noise, and what is measured of them."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrl_suite.core import Metrics, UsageError
from jaxrl_suite.envs.quadruped.machine import PERIOD
from jaxrl_suite.envs.quadruped.tracking import Episode, Tracked
from jaxrl_suite.ops.distributions import Categorical
from jaxrl_suite.systems.lifelike import pmc
from jaxrl_suite.systems.lifelike.config import Config, Hyper
from jaxrl_suite.systems.lifelike.metrics import of_codes
from jaxrl_suite.systems.lifelike.motions import Following
from jaxrl_suite.systems.lifelike.ppo import Params, shown

PyTree = Any
_OF_CODES, _NORMAL = ("learned", "uniform"), ("normal",)
# What may be drawn from, by latent.
_PRIORS = {"vq": _OF_CODES, "fsq": _OF_CODES, "gaussian": _NORMAL, "ar1": _NORMAL, "none": ()}


class Followed(NamedTuple):
    """Episodes that follow clips.

    reward: [T, N], 0 once an episode has ended.
    going: bool [T, N], it had not ended before the step.
    code: int32 [T, N], 0 for latents that are no codes.
    segment: int32 [N], in which it began.
    possible: [N], steps until its clip ends, or the evaluation does.
    seen: what was watched after every step, leaves [T, N, ...].
    """

    reward: jax.Array
    going: jax.Array
    code: jax.Array
    segment: jax.Array
    possible: jax.Array
    seen: PyTree


def follow(
    config: Config,
    world: Following,
    params: Params,
    hyper: Hyper,
    share: jax.Array,
    count: int,
    key: jax.Array,
    watch: Callable[[Episode], PyTree] = lambda episode: (),
) -> Followed:
    """Episodes [N] that begin by shares [S] of the segments, with the mean of every action.

    A latent that is normal is its mean, too.
    """
    networks, env = config.networks, world.env
    nets, steps = pmc.nets_of(networks), round(config.eval_seconds / PERIOD)
    task = Tracked(world.scene, share)
    begin, playing = jax.random.split(key)
    reset = jax.vmap(env.reset, in_axes=(0, None))
    episode, observation = reset(jax.random.split(begin, count), task)
    step = jax.vmap(env.step, in_axes=(0, 0, 0, None))

    def act(carry: tuple, key: jax.Array) -> tuple[tuple, tuple]:
        episode, observation, going = carry
        seen = shown(params.inputs, observation, hyper.input_clip)
        found = pmc.encode(networks, nets, params.weights, seen, jnp.zeros(()))
        action = pmc.decode(nets, params.weights, seen["body"], found.passed).mean
        episode, told = step(episode, action, jax.random.split(key, count), task)
        row = (jnp.where(going, told.reward, 0.0), going, found.code, jax.vmap(watch)(episode))
        return (episode, told.observation, going & ~(told.terminated | told.truncated)), row

    start = (episode, observation, jnp.ones(count, bool))
    _, (reward, going, code, seen) = jax.lax.scan(act, start, jax.random.split(playing, steps))
    possible = jnp.minimum(episode.possible, steps)
    return Followed(reward, going, code, episode.segment, possible, seen)


def scores(followed: Followed) -> tuple[jax.Array, jax.Array]:
    """Normalised returns [N], sums of rewards over the steps there could be; and lengths [N]."""
    total, steps = (jnp.sum(x, axis=0) for x in (followed.reward, followed.going))
    return total / followed.possible, steps / followed.possible


def evaluate(
    config: Config, world: Following, params: Params, hyper: Hyper, key: jax.Array
) -> Metrics:
    """Episodes that begin anywhere in any clip."""
    size = len(world.groups)
    share = jnp.full(size, 1.0 / size)
    told = follow(config, world, params, hyper, share, config.eval_episodes, key)
    score, length = scores(told)
    found = {"score": jnp.mean(score), "length": jnp.mean(length)}
    if config.networks.coded:
        found |= of_codes(told.code, told.going, config.networks.num_codes)
    return found


class Generated(NamedTuple):
    """Motion without a clip to follow, [T, N].

    going: bool, the robot had not fallen before the step.
    code: int32.
    seen: what was watched after every step, leaves [T, N, ...].
    """

    going: jax.Array
    code: jax.Array
    seen: PyTree


def generate(
    config: Config,
    world: Following,
    params: Params,
    hyper: Hyper,
    prior: str,
    count: int,
    steps: int,
    key: jax.Array,
    watch: Callable[[Episode], PyTree],
    fallen: Callable[[Episode], jax.Array],
) -> Generated:
    """Robots that act on latents drawn from a prior, from moments of clips on.

    Args:
      config: of the run.
      world: whose clips episodes begin with.
      params: of the primitive level.
      hyper: its numbers.
      prior: "learned" for codes by p(k | body), "uniform" for codes that are all alike, "normal"
        for latents from the prior of "gaussian" or "ar1".
      count: of robots.
      steps: actions.
      key: random key.
      watch: ``(episode) -> pytree``, what to keep.
      fallen: ``(episode) -> bool []``.

    Raises:
      UsageError: a prior that the latent does not have.
    """
    legal = _PRIORS[config.networks.latent]
    if prior not in legal:
        raise UsageError(
            f"the latent {config.networks.latent!r} has no prior {prior!r}; legal: "
            f"{', '.join(legal) or 'none'}"
        )
    networks, env = config.networks, world.env
    nets, weights = pmc.nets_of(networks), params.weights
    size = len(world.groups)
    task = Tracked(world.scene, jnp.full(size, 1.0 / size))
    begin, playing, drawing = jax.random.split(key, 3)
    episode, observation = jax.vmap(env.reset, in_axes=(0, None))(
        jax.random.split(begin, count), task
    )
    step = jax.vmap(env.step, in_axes=(0, 0, 0, None))
    correlation = hyper.correlation if networks.latent == "ar1" else 0.0

    def latent(body: jax.Array, before: jax.Array, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        if prior == "normal":
            fresh = jax.random.normal(key, before.shape)
            z = correlation * before + jnp.sqrt(1.0 - correlation**2) * fresh
            return jnp.zeros(count, jnp.int32), z
        logits = jnp.zeros((count, networks.num_codes))
        if prior == "learned":
            logits = nets.prior.apply({"params": weights["prior"]}, body)
        code = Categorical(logits).sample(key)
        return code, pmc.codebook_of(networks, weights)[code]

    def act(carry: tuple, key: jax.Array) -> tuple[tuple, Generated]:
        episode, observation, z, going = carry
        choosing, moving = jax.random.split(key)
        body = shown(params.inputs, observation, hyper.input_clip)["body"]
        code, z = latent(body, z, choosing)
        action = pmc.decode(nets, weights, body, z).mean
        episode, told = step(episode, action, jax.random.split(moving, count), task)
        row = Generated(going, code, jax.vmap(watch)(episode))
        return (episode, told.observation, z, going & ~jax.vmap(fallen)(episode)), row

    z = jax.random.normal(drawing, (count, networks.width))
    start = (episode, observation, z, jnp.ones(count, bool))
    return jax.lax.scan(act, start, jax.random.split(playing, steps))[1]
