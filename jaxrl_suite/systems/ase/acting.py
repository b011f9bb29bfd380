"""Where experience comes from: a policy in its environments, on both levels.

The low level acts on bodies. The high level acts on a frozen low level: its action is a latent,
which the low level follows for a few actions.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec

from jaxrl_suite.core import DATA_AXIS, Source
from jaxrl_suite.envs.base import TimeStep
from jaxrl_suite.envs.character import Character, Episode, World
from jaxrl_suite.ops.distributions import DiagonalNormal
from jaxrl_suite.systems.ase import params as asking
from jaxrl_suite.systems.ase.config import Config, Hyper
from jaxrl_suite.systems.ase.losses import style_reward
from jaxrl_suite.systems.ase.params import Latents, Nets, Params

PyTree = Any


class Experience(NamedTuple):
    """An update's, [T, N, ...].

    observation: [T, N, O], body and task, before the action.
    latent: [T, N, Z], that the policy was told.
    action, log_prob: of the policy.
    noisy: 1 where noise was added to the mean, else 0.
    value, next_value: of the state before and after the action, both under that latent.
    task, style: rewards; the low level's style is judged by its learner.
    terminated, ended: bool.
    window: [T, N, W], after the action and before any reset; [T, N, 0] without a discriminator.
    total, length: of the episodes that ended, NaN elsewhere.
    diverged, dropped: states that were not finite, and contacts without room in an episode.
    clips: [K, W], windows of demonstrations.
    """

    observation: jax.Array
    latent: jax.Array
    action: jax.Array
    log_prob: jax.Array
    noisy: jax.Array
    value: jax.Array
    next_value: jax.Array
    task: jax.Array
    style: jax.Array
    terminated: jax.Array
    ended: jax.Array
    window: jax.Array
    total: jax.Array
    length: jax.Array
    diverged: jax.Array
    dropped: jax.Array
    clips: jax.Array


class SourceState(NamedTuple):
    """Environments under way.

    world: see :class:`World`.
    episode: of all N.
    observation: of each key [N, ...].
    latents: what they are told.
    skills: parameters of the frozen low level, or ().
    log_std: [], of the policy's noise.
    """

    world: World
    episode: Episode
    observation: dict[str, jax.Array]
    latents: Latents
    skills: Params | tuple
    log_std: jax.Array


SPEC = SourceState(
    PartitionSpec(), *[PartitionSpec(DATA_AXIS)] * 3, PartitionSpec(), PartitionSpec()
)


def noisy_share(num_envs: int) -> np.ndarray:
    """Probability that an environment's action has noise, [N]: 1 - exp(10 (i / (N - 1) - 1))."""
    # NumPy's, so that a system may be made inside a program that is being traced.
    place = np.arange(num_envs, dtype=np.float32) / max(num_envs - 1, 1)
    return 1.0 - np.exp(10.0 * (place - 1.0))


def _acted(
    nets: Nets,
    params: Params,
    log_std: jax.Array,
    share: np.ndarray,
    observation: jax.Array,
    z: jax.Array,
    key: jax.Array,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Actions [N, A], their log-probabilities [N] and whether noise was added [N]."""
    noise, luck = jax.random.split(key)
    mean = asking.mean_action(nets, params, observation, z)
    policy = DiagonalNormal(mean, jnp.broadcast_to(log_std, mean.shape))
    noisy = jax.random.uniform(luck, share.shape) < share
    action = jnp.where(noisy[:, None], policy.sample(noise), mean)
    return action, policy.log_prob(action), noisy.astype(jnp.float32)


def begin(
    env: Character, config: Config, skills: Params | tuple, hyper: Hyper, key: jax.Array
) -> SourceState:
    """Environments at their first reset."""
    one, two, three = jax.random.split(key, 3)
    world = env.world(one)
    reset = jax.vmap(env.reset, in_axes=(0, None))
    episode, observation = reset(jax.random.split(two, config.num_envs), world)
    shape = config.num_envs, config.latent
    latents = asking.drawn(three, config.networks.latent_space, shape)
    return SourceState(world, episode, observation, latents, skills, jnp.asarray(hyper.log_std))


def _many(key: jax.Array, count: int) -> jax.Array:
    return jax.random.split(key, count)


def low_source(env: Character, config: Config) -> Source:
    """The low level in its environments."""
    nets, space = asking.low_nets(config, env.action_size), config.networks.latent_space
    n = config.num_envs
    step = jax.vmap(env.step, in_axes=(0, 0, 0, None))
    restart = jax.vmap(env.restart, in_axes=(0, 0, 0, None))
    share = noisy_share(n) if config.mixed else np.ones(n, np.float32)

    def init(key: jax.Array, hyper: Hyper, params: Params) -> SourceState:
        return begin(env, config, (), hyper, key)

    def sample(
        state: SourceState, params: Params, key: jax.Array
    ) -> tuple[SourceState, Experience]:
        def act(carry: tuple, key: jax.Array) -> tuple[tuple, tuple]:
            episode, observation, latents = carry
            acting, moving, again, told = jax.random.split(key, 4)
            seen, z = asking.joined(observation), latents.z
            action, log_prob, noisy = _acted(nets, params, state.log_std, share, seen, z, acting)
            after, timestep = step(episode, action, _many(moving, n), state.world)
            ended = timestep.terminated | timestep.truncated
            value = asking.value(nets, params, seen, z)
            next_value = asking.value(nets, params, asking.joined(timestep.observation), z)
            window = timestep.observation["window"][:, : None if config.discriminates else 0]
            row = (seen, z, action, log_prob, noisy, value, next_value)
            row += (timestep.reward, jnp.zeros(n), timestep.terminated, ended, window)
            row += _ends(after, ended)
            episode, observation = restart(after, timestep, _many(again, n), state.world)
            latents = asking.switched(told, space, latents, ended)
            return (episode, observation, latents), row

        drawing, playing = jax.random.split(key)
        carry = state.episode, state.observation, state.latents
        carry, rows = jax.lax.scan(act, carry, _many(playing, config.num_steps))
        clips = jnp.zeros((0, 0))
        if config.discriminates:
            # differs: the released code keeps 200,000 windows of clips in a buffer and adds to it;
            # here clips lie on the device, and all that an update needs is drawn afresh.
            drawn = jax.vmap(env.demonstration, in_axes=(0, None))
            clips = drawn(_many(drawing, config.demonstrations), state.world)
        state = state._replace(episode=carry[0], observation=carry[1], latents=carry[2])
        return state, Experience(*rows, clips)

    return Source(init, sample, SPEC)


def _ends(episode: Episode, ended: jax.Array) -> tuple[jax.Array, ...]:
    """Of the episodes [N] that have just ended: sum of rewards and length; what went wrong."""
    nothing = jnp.nan
    return (
        jnp.where(ended, episode.total, nothing),
        jnp.where(ended, (episode.step - episode.since).astype(jnp.float32), nothing),
        (ended & episode.diverged).astype(jnp.float32),
        jnp.where(ended, episode.dropped, 0).astype(jnp.float32),
    )


def follow_latent(
    env: Character,
    nets: Nets,
    skills: Params,
    episode: Episode,
    observation: dict[str, jax.Array],
    z: jax.Array,
    world: World,
    key: jax.Array,
    repeat: int,
    watch: Callable[[Episode], PyTree] = lambda episode: (),
) -> tuple[Episode, TimeStep, jax.Array, PyTree]:
    """The frozen low level follows latents [N, Z] for so many actions, without noise.

    Nothing is reset meanwhile: a body that has fallen lies until the last of them.

    Returns:
      The episodes; the last time step, its reward the mean and its ends any of all; the mean style
      reward [N]; and what was watched of every episode after every action, leaves [repeat, N, ...].
    """
    step = jax.vmap(env.step, in_axes=(0, 0, 0, None))
    n = z.shape[0]

    def act(carry: tuple, key: jax.Array) -> tuple[tuple, tuple]:
        episode, observation = carry
        action = asking.mean_action(nets, skills, observation["body"], z)
        episode, told = step(episode, action, _many(key, n), world)
        logit, _ = asking.judged(nets, skills, told.observation["window"])
        row = (told.reward, style_reward(logit), told.terminated, told.truncated)
        row += (jax.vmap(watch)(episode),)
        return (episode, told.observation), row

    carry, rows = jax.lax.scan(act, (episode, observation), _many(key, repeat))
    reward, style, terminated, truncated, seen = rows
    terminated, truncated = jnp.any(terminated, axis=0), jnp.any(truncated, axis=0)
    told = TimeStep(carry[1], jnp.mean(reward, axis=0), terminated, truncated & ~terminated)
    return carry[0], told, jnp.mean(style, axis=0), seen


def high_source(env: Character, config: Config, skills: Params) -> Source:
    """The high level, which commands skills; they are part of the state, and never change."""
    nets, low = asking.high_nets(config), asking.low_nets(config, env.action_size)
    n, space = config.num_envs, config.networks.latent_space
    restart = jax.vmap(env.restart, in_axes=(0, 0, 0, None))
    none = jnp.zeros((n, 0))

    def init(key: jax.Array, hyper: Hyper, params: Params) -> SourceState:
        return begin(env, config, skills, hyper, key)

    def sample(
        state: SourceState, params: Params, key: jax.Array
    ) -> tuple[SourceState, Experience]:
        world = state.world

        def act(carry: tuple, key: jax.Array) -> tuple[tuple, tuple]:
            episode, observation = carry
            acting, moving, again = jax.random.split(key, 3)
            seen = asking.joined(observation)
            share = jnp.ones(n)
            action, log_prob, noisy = _acted(nets, params, state.log_std, share, seen, none, acting)
            z = space.project(jnp.clip(action, -1.0, 1.0))
            after, told, style, _ = follow_latent(
                env, low, state.skills, episode, observation, z, world, moving, config.repeat
            )
            ended = told.terminated | told.truncated
            value = asking.value(nets, params, seen, none)
            next_value = asking.value(nets, params, asking.joined(told.observation), none)
            row = (seen, none, action, log_prob, noisy, value, next_value)
            row += (told.reward, style, told.terminated, ended, none)
            row += _ends(after, ended)
            return restart(after, told, _many(again, n), world), row

        carry = state.episode, state.observation
        carry, rows = jax.lax.scan(act, carry, _many(key, config.num_steps))
        state = state._replace(episode=carry[0], observation=carry[1])
        return state, Experience(*rows, jnp.zeros((0, 0)))

    return Source(init, sample, SPEC)
