"""What acts: parameters with their normalisers, and how they are asked."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrl_suite.nets.skills import Discriminator, SkillActor, SkillCritic
from jaxrl_suite.ops import running
from jaxrl_suite.ops.latents import Space
from jaxrl_suite.systems.ase.config import Config

PyTree = Any


class Params(NamedTuple):
    """All that acts or judges.

    actor, critic, discriminator: of the networks; the last is () where there is none.
    inputs: normaliser of body and task, joined.
    windows: normaliser of windows.
    values: normaliser of returns; the critic speaks in its units.
    clip: [], of normalised inputs.
    """

    actor: PyTree
    critic: PyTree
    discriminator: PyTree
    inputs: running.Running
    windows: running.Running
    values: running.Running
    clip: jax.Array


class Nets(NamedTuple):
    """Networks of one level."""

    actor: SkillActor
    critic: SkillCritic
    discriminator: Discriminator


def low_nets(config: Config, action_size: int) -> Nets:
    """Of the low level, whichever level learns."""
    own = config.networks
    return Nets(
        SkillActor(action_size, own.hidden, own.style),
        SkillCritic(own.hidden),
        Discriminator(own.discriminator, own.latent, own.latent_space.project),
    )


def high_nets(config: Config) -> Nets:
    """Of the high level, whose actions are latents."""
    return Nets(
        SkillActor(config.networks.latent, config.hidden, bounded=True),
        SkillCritic(config.hidden),
        low_nets(config, 0).discriminator,
    )


def init(
    nets: Nets, key: jax.Array, inputs: int, latent: int, windows: int, clip: jax.Array
) -> Params:
    """Fresh ones.

    Args:
      nets: the networks.
      key: random key.
      inputs: length of an observation, body and task joined.
      latent: length of the latent.
      windows: length of a window; 0 for no discriminator.
      clip: [], of normalised inputs.
    """
    one, two, three = jax.random.split(key, 3)
    seen, told = jnp.zeros(inputs), jnp.zeros(latent)
    judge = nets.discriminator.init(three, jnp.zeros(windows))["params"] if windows else ()
    return Params(
        nets.actor.init(one, seen, told)["params"],
        nets.critic.init(two, seen, told)["params"],
        judge,
        running.start((inputs,)),
        running.start((windows,)),
        running.start(),
        jnp.asarray(clip),
    )


def joined(observation: dict[str, jax.Array]) -> jax.Array:
    """Body, then task, [..., O]."""
    return jnp.concatenate([observation["body"], observation["task"]], axis=-1)


def mean_action(nets: Nets, params: Params, observation: jax.Array, z: jax.Array) -> jax.Array:
    """[..., O] and [..., Z] -> [..., A]."""
    seen = running.normalised(params.inputs, observation, params.clip)
    return nets.actor.apply({"params": params.actor}, seen, z)


def value(nets: Nets, params: Params, observation: jax.Array, z: jax.Array) -> jax.Array:
    """Of a state under a latent, [...], in units of reward."""
    seen = running.normalised(params.inputs, observation, params.clip)
    told = nets.critic.apply({"params": params.critic}, seen, z)
    return params.values.mean + jnp.sqrt(params.values.variance) * told


def judged(nets: Nets, params: Params, window: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Logits [...] and guessed latents [..., Z] of windows [..., W]."""
    seen = running.normalised(params.windows, window, params.clip)
    return nets.discriminator.apply({"params": params.discriminator}, seen)


class Latents(NamedTuple):
    """What environments are told now.

    z: [N, Z].
    left: int32 [N], actions until another one is drawn.
    """

    z: jax.Array
    left: jax.Array


LONGEST = 150  # actions; a latent lasts 1 to 149 of them, uniformly


def drawn(key: jax.Array, space: Space, shape: tuple[int, int]) -> Latents:
    """Fresh latents; `shape` is [N, Z]."""
    which, how_long = jax.random.split(key)
    left = jax.random.randint(how_long, shape[:1], 1, LONGEST)
    return Latents(space.draw(which, shape), left)


def switched(key: jax.Array, space: Space, latents: Latents, ended: jax.Array) -> Latents:
    """After an action: others where an episode has ended or the time of a latent is up."""
    left = latents.left - 1
    over = ended | (left <= 0)
    new = drawn(key, space, latents.z.shape)
    return Latents(jnp.where(over[:, None], new.z, latents.z), jnp.where(over, new.left, left))
