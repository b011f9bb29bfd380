"""The strategic level: where to head in a game, over the frozen levels that walk there.

Source: Han et al. 2024 and its released code.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrl_suite.envs.quadruped.tag import SIZES, command
from jaxrl_suite.nets.layer_norm_lstm import Carry, blank
from jaxrl_suite.nets.strategic import StrategicPolicy, StrategicValue
from jaxrl_suite.ops.distributions import DiagonalNormal
from jaxrl_suite.systems.lifelike import epmc
from jaxrl_suite.systems.lifelike.config import Config, Hyper
from jaxrl_suite.systems.lifelike.ppo import Acted, Judged, Params, Policy, no_returns

PyTree = Any


class Memory(NamedTuple):
    """Of N players: of policy and value, and of the level that walks."""

    policy: Carry
    value: Carry
    walking: epmc.Memory


class Nets(NamedTuple):
    """Modules."""

    policy: StrategicPolicy
    value: StrategicValue


def nets_of(config: Config) -> Nets:
    """The modules of a configuration."""
    return Nets(StrategicPolicy(config.memory), StrategicValue(config.memory))


def walk(
    config: Config,
    walker: Params,
    observation: dict,
    heading: jax.Array,
    memory: epmc.Memory,
    fresh: jax.Array,
    key: jax.Array,
) -> tuple[epmc.Memory, jax.Array]:
    """The frozen levels follow headings [N] (rad): motions [N, 12]."""
    speed = observation["speed"][:, 0]
    told = observation | {"target": jax.vmap(command)(heading, speed)}
    return epmc.step(config, walker, told, memory, fresh, key)


def _seen(frozen: Params, observation: dict) -> dict:
    """As the networks see it: the body by the skills' own normaliser."""
    return epmc.with_body(frozen.frozen, observation)


def heading_of(
    config: Config, nets: Nets, weights: PyTree, seen: dict, fresh: jax.Array, carry: Carry
) -> tuple[Carry, DiagonalNormal]:
    """The distribution of headings, in sequences: keys [T, N, ·] -> carry, [T, N, 1]."""
    carry, mean = nets.policy.apply({"params": weights["policy"]}, seen, fresh, carry)
    log_std = jnp.broadcast_to(weights["log_std"], (*mean.shape, 1))
    return carry, DiagonalNormal(mean[..., None], log_std)


def policy(config: Config) -> Policy:
    """The strategic level's networks; `frozen` is the environmental level's Params."""
    nets = nets_of(config)

    def init(key: jax.Array, hyper: Hyper, frozen: Params) -> Params:
        keys = jax.random.split(key)
        seen = {name: jnp.zeros((1, 1, size)) for name, size in SIZES.items()}
        given = (seen, jnp.zeros((1, 1), bool), blank(1, config.memory))
        weights = {
            "policy": nets.policy.init(keys[0], *given)["params"],
            "value": nets.value.init(keys[1], *given)["params"],
            # One for all, and 0 at first: headings are drawn from all around.
            "log_std": jnp.zeros(()),
        }
        return Params(weights, {}, no_returns(), (), frozen)

    def memory(n: int) -> Memory:
        walking = epmc.policy(config).memory(n)
        return Memory(blank(n, config.memory), blank(n, config.memory), walking)

    def act(
        params: Params, observation: dict, memory: Memory, fresh: jax.Array, key: jax.Array
    ) -> tuple[Memory, Acted]:
        choosing, walking = jax.random.split(key)
        seen = _seen(params.frozen, observation)
        one = jax.tree.map(lambda x: x[None], (seen, fresh))
        carry, headings = heading_of(config, nets, params.weights, *one, memory.policy)
        of_value, value = nets.value.apply({"params": params.weights["value"]}, *one, memory.value)
        heading = headings.sample(choosing)[0]
        moved, motion = walk(
            config, params.frozen, observation, heading[:, 0], memory.walking, fresh, walking
        )
        log_prob = headings.log_prob(heading[None])[0]
        none = jnp.zeros((*fresh.shape, 0))
        acted = Acted(heading, motion, log_prob, value[0], none, {})
        return Memory(carry, of_value, moved), acted

    def value(params: Params, observation: dict, memory: Memory) -> jax.Array:
        seen = jax.tree.map(lambda x: x[None], _seen(params.frozen, observation))
        fresh = jnp.zeros((1, observation["body"].shape[0]), bool)
        weights = {"params": params.weights["value"]}
        return nets.value.apply(weights, seen, fresh, memory.value)[1][0]

    def judge(
        weights: dict,
        params: Params,
        hyper: Hyper,
        observation: dict,
        fresh: jax.Array,
        memory: Memory,
        action: jax.Array,
        noise: jax.Array,
    ) -> Judged:
        seen = _seen(params.frozen, observation)
        _, headings = heading_of(config, nets, weights, seen, fresh, memory.policy)
        _, value = nets.value.apply({"params": weights["value"]}, seen, fresh, memory.value)
        told = {"heading_std": jnp.exp(weights["log_std"])}
        log_prob, entropy = headings.log_prob(action), headings.entropy()
        return Judged(log_prob, entropy, value, jnp.zeros(()), told)

    def settle(params: Params, *_: object) -> Params:
        return params

    return Policy(init, memory, act, value, judge, settle)
