"""The environmental level: a policy that sees where it goes, over frozen primitive skills.

It chooses a code in every step; the frozen decoder makes an action of it. What else it may do, for
comparison, is :class:`Command`.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrl_suite.envs.quadruped.observation import ACTION_SIZE
from jaxrl_suite.envs.quadruped.playground import SIZES
from jaxrl_suite.nets.layer_norm_lstm import blank
from jaxrl_suite.nets.perceptive import PerceptivePolicy, PerceptiveValue
from jaxrl_suite.ops import running
from jaxrl_suite.ops.distributions import Categorical, DiagonalNormal
from jaxrl_suite.systems.lifelike import pmc
from jaxrl_suite.systems.lifelike.config import INPUT_CLIP, Command, Config, Hyper
from jaxrl_suite.systems.lifelike.ppo import Acted, Judged, Params, Policy, no_returns

_UNLIKELY = -1e9  # logit of a code that may not be chosen


class Memory(NamedTuple):
    """Of N environments.

    policy, value: of the networks.
    code: int32 [N], that is held.
    age: int32 [N], steps since it was chosen, from 0 to hold - 1; 0 asks for a new one.
    """

    policy: tuple
    value: tuple
    code: jax.Array
    age: jax.Array


class Chosen(NamedTuple):
    """An action: the code (or latent, or nothing) and the motion [12] it led to."""

    code: jax.Array
    motion: jax.Array


class Nets(NamedTuple):
    """Modules."""

    policy: PerceptivePolicy
    value: PerceptiveValue
    skills: pmc.Nets


def nets_of(config: Config) -> Nets:
    """The modules of a configuration."""
    networks, by = config.networks, config.command.by
    outputs = {"codes": networks.num_codes, "latent": networks.width, "actions": ACTION_SIZE}[by]
    units = config.memory
    policy, value = PerceptivePolicy(outputs, units), PerceptiveValue(units)
    return Nets(policy, value, pmc.nets_of(networks))


def with_body(frozen: Params, observation: dict) -> dict:
    """An observation whose body is as the frozen skills see it: their normaliser is theirs."""
    body = running.normalised(frozen.inputs["body"], observation["body"], INPUT_CLIP)
    return observation | {"body": body}


def decoding(weights: dict, frozen: Params) -> dict:
    """Weights of the decoder: one's own where it is not frozen."""
    own = {name: weights[name] for name in ("decoder", "codebook", "log_std") if name in weights}
    return jax.lax.stop_gradient(frozen.weights) | own


def code_logits(
    config: Config, nets: Nets, frozen: Params, logits: jax.Array, body: jax.Array
) -> jax.Array:
    """Logits [..., K] as the skills' prior has a say in them, if so configured."""
    command = config.command
    if not (command.top or command.prior):
        return logits
    likely = nets.skills.prior.apply({"params": frozen.weights["prior"]}, body)
    if command.prior:
        logits = logits + likely
    if command.top:
        least = jax.lax.top_k(likely, command.top)[0][..., -1:]
        logits = jnp.where(likely >= least, logits, _UNLIKELY)
    return logits


def motion_of(
    config: Config, nets: Nets, weights: dict, frozen: Params, body: jax.Array, code: jax.Array
) -> DiagonalNormal:
    """Actions for codes [...] or latents [..., D], or for outputs that are actions [..., 12]."""
    if config.command.by == "actions":
        return DiagonalNormal(code, jnp.broadcast_to(weights["log_std"], code.shape))
    own = decoding(weights, frozen)
    latent = code
    if config.command.by == "codes":
        latent = pmc.codebook_of(config.networks, own)[code]
    return pmc.decode(nets.skills, own, body, latent)


def held(
    command: Command, asks: jax.Array, new: jax.Array, code: jax.Array, age: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Codes and ages [N] after a step: new ones where asked for, the others a step older."""
    return jnp.where(asks, new, code), (jnp.where(asks, 0, age) + 1) % command.hold


def _fresh_weights(
    config: Config, nets: Nets, hyper: Hyper, frozen: Params, key: jax.Array
) -> dict:
    command, keys = config.command, jax.random.split(key, 3)
    seen = {name: jnp.zeros((1, 1, size)) for name, size in SIZES.items()}
    given = (seen, jnp.zeros((1, 1), bool), blank(1, config.memory))
    weights = {
        "policy": nets.policy.init(keys[0], *given)["params"],
        "value": nets.value.init(keys[1], *given)["params"],
    }
    if command.by == "actions":
        weights["log_std"] = jnp.full(ACTION_SIZE, hyper.log_std)
    elif not command.frozen:
        weights |= {
            name: frozen.weights[name]
            for name in ("decoder", "codebook", "log_std")
            if name in frozen.weights
        }
    if command.by == "latent":
        weights["latent_log_std"] = jnp.full(config.networks.width, hyper.log_std)
    return weights


def choices(
    config: Config, nets: Nets, weights: dict, frozen: Params, out: jax.Array, body: jax.Array
) -> Categorical | DiagonalNormal:
    """The distribution that the policy's outputs are, [..., ·]."""
    if config.command.by == "codes":
        return Categorical(code_logits(config, nets, frozen, out, body))
    name = "latent_log_std" if config.command.by == "latent" else "log_std"
    return DiagonalNormal(out, jnp.broadcast_to(weights[name], out.shape))


def step(
    config: Config,
    params: Params,
    observation: dict,
    memory: Memory,
    fresh: jax.Array,
    key: jax.Array | None,
) -> tuple[Memory, jax.Array]:
    """What it does in environments [N], and no more: memories, and motions [N, 12].

    Without a key it is what it finds likeliest, and motions are means.
    """
    nets, weights, frozen = nets_of(config), params.weights, params.frozen
    seen = with_body(frozen, observation)
    one = jax.tree.map(lambda x: x[None], (seen, fresh))
    carry, out = nets.policy.apply({"params": weights["policy"]}, *one, memory.policy)
    choosing, moving = (None, None) if key is None else jax.random.split(key)
    told, code, age = out[0], memory.code, memory.age
    if config.command.by != "actions":
        choice = choices(config, nets, weights, frozen, out[0], seen["body"])
        if config.command.by == "codes":
            likely = jnp.argmax(choice.logits, axis=-1).astype(jnp.int32)
            new = likely if choosing is None else choice.sample(choosing)
            code, age = held(config.command, age == 0, new, code, age)
            told = code
        elif choosing is not None:
            told = choice.sample(choosing)
    motions = motion_of(config, nets, weights, frozen, seen["body"], told)
    motion = motions.mean if moving is None else motions.sample(moving)
    return memory._replace(policy=carry, code=code, age=age), motion


def policy(config: Config) -> Policy:
    """The environmental level's networks; `frozen` is the primitive level's Params."""
    nets, command = nets_of(config), config.command
    by_code, own_motion = command.by == "codes", command.by == "actions" or not command.frozen

    def init(key: jax.Array, hyper: Hyper, frozen: Params) -> Params:
        weights = _fresh_weights(config, nets, hyper, frozen, key)
        return Params(weights, {}, no_returns(), (), frozen)

    def memory(n: int) -> Memory:
        zero = jnp.zeros(n, jnp.int32)
        return Memory(blank(n, config.memory), blank(n, config.memory), zero, zero)

    def act(
        params: Params, observation: dict, memory: Memory, fresh: jax.Array, key: jax.Array
    ) -> tuple[Memory, Acted]:
        weights, frozen = params.weights, params.frozen
        choosing, moving = jax.random.split(key)
        seen = with_body(frozen, observation)
        one = jax.tree.map(lambda x: x[None], (seen, fresh))
        of_policy, out = nets.policy.apply({"params": weights["policy"]}, *one, memory.policy)
        of_value, value = nets.value.apply({"params": weights["value"]}, *one, memory.value)
        choice = choices(config, nets, weights, frozen, out[0], seen["body"])
        code, age, log_prob = memory.code, memory.age, jnp.zeros(fresh.shape)
        asks = age == 0
        if by_code:
            code, age = held(command, asks, choice.sample(choosing), code, age)
            log_prob = jnp.where(asks, choice.log_prob(code), 0.0)
            told = code
        elif command.by == "latent":
            told = choice.sample(choosing)
            log_prob = choice.log_prob(told)
        else:
            told = out[0]
        motions = motion_of(config, nets, weights, frozen, seen["body"], told)
        motion = motions.sample(moving)
        if own_motion:
            log_prob = log_prob + motions.log_prob(motion)
        told_of = {"code": code} if by_code else {}
        chosen = Chosen(told if command.by != "actions" else jnp.zeros((*fresh.shape, 0)), motion)
        acted = Acted(chosen, motion, log_prob, value[0], asks[:, None], told_of)
        return Memory(of_policy, of_value, code, age), acted

    def value(params: Params, observation: dict, memory: Memory) -> jax.Array:
        seen = with_body(params.frozen, observation)
        one = jax.tree.map(lambda x: x[None], seen)
        fresh = jnp.zeros((1, memory.age.shape[0]), bool)
        weights = {"params": params.weights["value"]}
        return nets.value.apply(weights, one, fresh, memory.value)[1][0]

    def judge(
        weights: dict,
        params: Params,
        hyper: Hyper,
        observation: dict,
        fresh: jax.Array,
        memory: Memory,
        action: Chosen,
        asks: jax.Array,
    ) -> Judged:
        frozen = params.frozen
        seen = with_body(frozen, observation)
        _, out = nets.policy.apply({"params": weights["policy"]}, seen, fresh, memory.policy)
        _, value = nets.value.apply({"params": weights["value"]}, seen, fresh, memory.value)
        choice = choices(config, nets, weights, frozen, out, seen["body"])
        log_prob, entropy = jnp.zeros(fresh.shape), choice.entropy()
        if by_code:
            chose = asks[..., 0]
            log_prob = jnp.where(chose, choice.log_prob(action.code), 0.0)
            entropy = jnp.where(chose, entropy, 0.0)
        elif command.by == "latent":
            log_prob = choice.log_prob(action.code)
        if own_motion:
            told = out if command.by == "actions" else action.code
            motions = motion_of(config, nets, weights, frozen, seen["body"], told)
            log_prob = log_prob + motions.log_prob(action.motion)
        return Judged(log_prob, entropy, value, jnp.zeros(()), {})

    def settle(params: Params, *_: object) -> Params:
        return params

    return Policy(init, memory, act, value, judge, settle)
