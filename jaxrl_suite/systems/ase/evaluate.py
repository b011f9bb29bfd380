"""What has been learned: episodes without noise, on either level, and what is measured of them."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrl_suite.core import Metrics
from jaxrl_suite.envs.character import Character, Episode, World
from jaxrl_suite.ops import running
from jaxrl_suite.systems.ase import losses, metrics
from jaxrl_suite.systems.ase import params as asking
from jaxrl_suite.systems.ase.acting import SourceState, follow_latent
from jaxrl_suite.systems.ase.characters import make_character
from jaxrl_suite.systems.ase.config import Config, Networks
from jaxrl_suite.systems.ase.params import Params

PyTree = Any


class Trace(NamedTuple):
    """What happened, [T, N]; on the high level a step is one of its own.

    reward: the task's; 0 once an episode has ended.
    style, skill: the discriminator's and the encoder's reward.
    going: bool, the episode had not ended before this step.
    z: [T, N, Z], what the low level was told.
    seen: what was watched of every episode after the step, leaves [T, N, ...]; on the high level
      after every action of the step, [T, repeat, N, ...].
    """

    reward: jax.Array
    style: jax.Array
    skill: jax.Array
    going: jax.Array
    z: jax.Array
    seen: PyTree


def windows(episode: Episode) -> jax.Array:
    """What to watch for metrics of motion, [W D]."""
    return episode.window.reshape(-1)


def starts(
    env: Character, world: World, key: jax.Array, count: int
) -> tuple[Episode, dict[str, jax.Array]]:
    """So many episodes at their reset."""
    return jax.vmap(env.reset, in_axes=(0, None))(jax.random.split(key, count), world)


def play_low(
    env: Character,
    config: Config,
    params: Params,
    world: World,
    start: tuple[Episode, dict[str, jax.Array]],
    latents: jax.Array,
    key: jax.Array,
    watch: Callable[[Episode], PyTree] = lambda episode: (),
) -> Trace:
    """The low level told latents [T, N, Z]; an episode that has ended goes on unwatched.

    Args:
      env: what it plays.
      config: of the run.
      params: of the low level.
      world: of the episodes.
      start: episodes [N] and their observations.
      latents: of every step.
      key: random key.
      watch: ``(Episode) -> pytree``, what to keep of every episode.
    """
    nets = asking.low_nets(config, env.action_size)
    step = jax.vmap(env.step, in_axes=(0, 0, 0, None))
    count = latents.shape[1]

    def act(carry: tuple, given: tuple) -> tuple[tuple, Trace]:
        episode, observation, going = carry
        z, key = given
        action = asking.mean_action(nets, params, asking.joined(observation), z)
        episode, told = step(episode, action, jax.random.split(key, count), world)
        style = skill = jnp.zeros(count)
        if config.networks.discriminator:
            logit, guess = asking.judged(nets, params, told.observation["window"])
            style = losses.style_reward(logit)
            skill = losses.skill_reward(config.networks.latent_space, guess, z)
        reward = jnp.where(going, told.reward, 0.0)
        row = Trace(reward, style, skill, going, z, jax.vmap(watch)(episode))
        going = going & ~(told.terminated | told.truncated)
        return (episode, told.observation, going), row

    keys = jax.random.split(key, latents.shape[0])
    return jax.lax.scan(act, (*start, jnp.ones(count, bool)), (latents, keys))[1]


def play_high(
    env: Character,
    config: Config,
    params: Params,
    skills: Params,
    world: World,
    start: tuple[Episode, dict[str, jax.Array]],
    num_steps: int,
    key: jax.Array,
    watch: Callable[[Episode], PyTree] = lambda episode: (),
) -> Trace:
    """The high level, by its mean; see :func:`play_low`."""
    nets, low = asking.high_nets(config), asking.low_nets(config, env.action_size)
    count = start[0].step.shape[0]

    def act(carry: tuple, key: jax.Array) -> tuple[tuple, Trace]:
        episode, observation, going = carry
        none = jnp.zeros((count, 0))
        mean = asking.mean_action(nets, params, asking.joined(observation), none)
        z = config.networks.latent_space.project(mean)
        episode, told, style, seen = follow_latent(
            env, low, skills, episode, observation, z, world, key, config.repeat, watch
        )
        reward = jnp.where(going, told.reward, 0.0)
        row = Trace(reward, style, jnp.zeros(count), going, z, seen)
        going = going & ~(told.terminated | told.truncated)
        return (episode, told.observation, going), row

    keys = jax.random.split(key, num_steps)
    return jax.lax.scan(act, (*start, jnp.ones(count, bool)), keys)[1]


def held(key: jax.Array, networks: Networks, num_steps: int, count: int) -> jax.Array:
    """Latents [T, N, Z] that environments are told, switched at random as in training."""
    first, then = jax.random.split(key)
    space = networks.latent_space

    def step(latents: asking.Latents, key: jax.Array) -> tuple[asking.Latents, jax.Array]:
        no = jnp.zeros(count, bool)
        return asking.switched(key, space, latents, no), latents.z

    begin = asking.drawn(first, space, (count, networks.latent))
    return jax.lax.scan(step, begin, jax.random.split(then, num_steps))[1]


def summary(trace: Trace, horizon: int) -> Metrics:
    """Of episodes: the task's reward a step of a whole episode, 0 to 1; how long; how it looked.

    normalised_return: sum of rewards over the steps of an episode that does not end early.
    length: share of such an episode.
    style_reward, skill_reward: means over steps under way.
    """
    going = trace.going.astype(jnp.float32)
    mean = lambda x: jnp.sum(x * going) / jnp.sum(going)  # noqa: E731
    return {
        "normalised_return": jnp.mean(jnp.sum(trace.reward, axis=0)) / horizon,
        "length": jnp.mean(jnp.sum(going, axis=0)) / horizon,
        "style_reward": mean(trace.style),
        "skill_reward": mean(trace.skill),
    }


def evaluate(
    env: Character, config: Config, params: Params, source: SourceState, key: jax.Array
) -> Metrics:
    """Whole episodes of the learning level; see :func:`summary`."""
    count = config.eval_episodes
    begin, telling, playing = jax.random.split(key, 3)
    start = starts(env, source.world, begin, count)
    horizon = config.rules.horizon
    if config.level == "low":
        latents = held(telling, config.networks, horizon, count)
        trace = play_low(env, config, params, source.world, start, latents, playing)
        return summary(trace, horizon)
    steps = -(-horizon // config.repeat)
    trace = play_high(env, config, params, source.skills, source.world, start, steps, playing)
    return summary(trace, steps)


HELD = 60  # actions (2 s) that a latent is held where skills are measured
_EVERY = 5  # actions between two windows that are compared with the clips


class Measured(NamedTuple):
    """Of a low-level controller; see :mod:`jaxrl_suite.systems.ase.metrics`.

    histogram: [M], share of each clip among the windows of episodes under way.
    transitions: [M, M], pairs of clips before and after a switch of the latent.
    metrics: scalars.
    """

    histogram: jax.Array
    transitions: jax.Array
    metrics: Metrics


def measure_skills(
    config: Config, params: Params, world: World, key: jax.Array, count: int
) -> Measured:
    """What latents do: every one of `count` is held for 2 s, from the default pose, then another.

    Windows and pairs count until a character has fallen, distances of motions do always.
    Recoveries start from bodies that lie, and last as long as both latents.
    """
    rules = dataclasses.replace(config.rules, horizon=10**6, reference=0.0, recovery=0.0)
    stands, lies = (
        make_character(dataclasses.replace(config, rules=dataclasses.replace(rules, fallen=share)))
        for share in (0.0, 1.0)
    )
    one, two, three, four, five, six = jax.random.split(key, 6)
    shape = (count, config.networks.latent)
    z = jnp.stack([config.networks.latent_space.draw(k, shape) for k in (one, two)])
    z = jnp.repeat(z, HELD, axis=0)
    start = starts(stands, world, three, count)
    trace = play_low(stands, config, params, world, start, z, four, windows)
    known = metrics.references(stands, world)
    label = lambda x: metrics.nearest(x, known, params.windows, params.clip)  # noqa: E731
    labels, num_clips = label(trace.seen[_EVERY - 1 :: _EVERY]), len(stands.clips.length)
    shares = metrics.histogram(labels, trace.going[_EVERY - 1 :: _EVERY], num_clips)
    at = HELD // _EVERY
    pairs = metrics.transitions(labels[at - 1], labels[-1], trace.going[-1], num_clips)
    size = stands.figure.frame_size
    frames = running.normalised(params.windows, trace.seen, params.clip)[:HELD, :, :size]
    upright = lambda episode: stands.figure.upright(world.scene, episode.state)  # noqa: E731
    up = play_low(lies, config, params, world, starts(lies, world, five, count), z, six, upright)
    found = summary(trace, 2 * HELD) | metrics.coverage(shares)
    found |= {
        "transition_coverage": metrics.transition_coverage(pairs),
        "pairwise_distance": metrics.pairwise_distance(frames),
    }
    found |= metrics.recovery(up.seen, stands.figure.period)
    return Measured(shares, pairs, found)
