"""The parts that training and evaluation share: environment, network and acting policy."""

import jax
import jax.numpy as jnp

from jaxrl_suite.core import Source
from jaxrl_suite.envs import arcade, rollout
from jaxrl_suite.envs.base import Environment, episodic
from jaxrl_suite.nets.actor_critic import ActorCritic, Carry
from jaxrl_suite.ops.distributions import Categorical
from jaxrl_suite.systems.impala.config import Config


def environment(config: Config) -> Environment:
    """The arcade game with its time limit, sticky actions and automatic reset."""
    game = arcade.make(config.game)
    return episodic(game.environment, time_limit=config.time_limit, sticky=config.sticky)


def network(config: Config) -> ActorCritic:
    """The actor-critic of a configuration; with PopArt a value head per variant."""
    heads = len(config.variants) if config.popart else 1
    frames_first = config.suite == "atari"
    return ActorCritic(config.network, config.num_actions, heads, frames_first)


def policy(network: ActorCritic) -> rollout.Policy:
    """Acts by sampling from the network's policy."""

    def act(
        params: dict, inputs: rollout.PolicyInputs, carry: Carry, key: jax.Array
    ) -> tuple[jax.Array, jax.Array, Carry]:
        outputs, carry = network.apply(params, *jax.tree.map(lambda x: x[None], inputs), carry)
        distribution = Categorical(outputs.logits[0])
        action = distribution.sample(key)
        return action, distribution.log_prob(action), carry

    return act


def random_policy(num_actions: int) -> rollout.Policy:
    """Acts uniformly at random; takes no parameters."""

    def act(
        params: dict, inputs: rollout.PolicyInputs, carry: Carry, key: jax.Array
    ) -> tuple[jax.Array, jax.Array, Carry]:
        del params
        shape = inputs.first.shape
        action = jax.random.randint(key, shape, 0, num_actions)
        return action, jnp.full(shape, -jnp.log(num_actions)), carry

    return act


def lagged(config: Config, source: Source) -> Source:
    """The source with the configured policy lag and replay."""
    source = rollout.hold_actor(source)
    if config.replay_fraction:
        source = rollout.replay(source, fraction=config.replay_fraction, slots=config.replay_slots)
    return source
