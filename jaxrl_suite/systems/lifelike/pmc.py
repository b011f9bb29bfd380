"""The primitive level: a policy that follows clips through a bottleneck.

The encoder sees the robot and what is to come, and makes a latent; the decoder sees the robot and
the latent, and acts. What the latent may be is :class:`Networks`' `latent`.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrl_suite.core import Metrics
from jaxrl_suite.envs.quadruped.observation import (
    ACTION_SIZE,
    FUTURE_SIZE,
    PROPRIOCEPTION_SIZE,
)
from jaxrl_suite.nets.codes import CodePrior, Decoder, Encoder, Value, uniform_codebook
from jaxrl_suite.ops import running, vq
from jaxrl_suite.ops.distributions import Categorical, DiagonalNormal
from jaxrl_suite.systems.lifelike.config import Config, Hyper, Networks
from jaxrl_suite.systems.lifelike.ppo import Acted, Judged, Params, Policy

_LEAST_LOG_STD, _MOST_LOG_STD = -5.0, 2.0  # of a normal latent


class Nets(NamedTuple):
    """Modules; the prior is None for latents that are no codes."""

    encoder: Encoder
    decoder: Decoder
    value: Value
    prior: CodePrior | None


class Latent(NamedTuple):
    """What comes out of the encoder, [..., D] but for `code`.

    z: the encoder's output, or the sample of a normal.
    passed: what the decoder is told, with the gradient it is to have.
    vector: of the code.
    code: int32 [...], 0 where there are none.
    normal: the posterior, where the latent is normal.
    """

    z: jax.Array
    passed: jax.Array
    vector: jax.Array
    code: jax.Array
    normal: DiagonalNormal | None


def nets_of(networks: Networks) -> Nets:
    """The modules of a configuration."""
    normal = networks.latent in ("gaussian", "ar1")
    width, hidden = networks.width, networks.hidden
    prior = CodePrior(networks.num_codes, hidden) if networks.coded else None
    decoder = Decoder(ACTION_SIZE, networks.sensed, networks.told, hidden)
    return Nets(Encoder(width * (1 + normal), hidden), decoder, Value(hidden), prior)


def grid_codebook(networks: Networks) -> jax.Array:
    """Vectors of all codes of "fsq", [K, D]."""
    base = networks.grid ** jnp.arange(networks.width)
    digits = jnp.arange(networks.num_codes)[:, None] // base[None]
    return 2.0 * (digits % networks.grid) / (networks.grid - 1) - 1.0


def codebook_of(networks: Networks, weights: dict) -> jax.Array:
    """Vectors of all codes, [K, D]."""
    return weights["codebook"] if networks.latent == "vq" else grid_codebook(networks)


def encode(
    networks: Networks, nets: Nets, weights: dict, observation: dict, noise: jax.Array
) -> Latent:
    """The latent of what is seen [..., ·], with `noise` [..., D] if it is normal."""
    told = observation["future"]
    if networks.conditional:
        told = jnp.concatenate([observation["body"], told], axis=-1)
    out = nets.encoder.apply({"params": weights["encoder"]}, told)
    none = jnp.zeros(out.shape[:-1], jnp.int32)
    match networks.latent:
        case "vq":
            found = vq.quantise(weights["codebook"], out)
            return Latent(out, found.passed, found.vector, found.code, None)
        case "fsq":
            code, passed = vq.fsq(out, networks.grid)
            return Latent(out, passed, passed, code, None)
        case "none":
            return Latent(out, out, out, none, None)
    mean, log_std = jnp.split(out, 2, axis=-1)
    normal = DiagonalNormal(mean, jnp.clip(log_std, _LEAST_LOG_STD, _MOST_LOG_STD))
    z = mean + jnp.exp(normal.log_std) * noise
    return Latent(z, z, z, none, normal)


def decode(nets: Nets, weights: dict, body: jax.Array, latent: jax.Array) -> DiagonalNormal:
    """Actions, given what the robot senses [..., 135], normalised, and a latent [..., D]."""
    mean = nets.decoder.apply({"params": weights["decoder"]}, body, latent)
    return DiagonalNormal(mean, jnp.broadcast_to(weights["log_std"], mean.shape))


def value_of(nets: Nets, weights: dict, observation: dict) -> jax.Array:
    """[...]."""
    seen = jnp.concatenate([observation["body"], observation["future"]], axis=-1)
    return nets.value.apply({"params": weights["value"]}, seen)


def divergence(
    normal: DiagonalNormal, before: jax.Array, fresh: jax.Array, correlation: jax.Array
) -> jax.Array:
    r"""KL of a latent's posterior from its prior, [...].

    The prior is N(0, 1) at the start of an episode and :math:`N(\alpha z_{t-1}, 1 - \alpha^2)`
    afterwards; with a correlation of 0 it is N(0, 1) throughout.

    Args:
      normal: posterior, [..., D].
      before: z_{t-1} [..., D].
      fresh: bool [...], t begins an episode.
      correlation: alpha, [].
    """
    follows = jnp.where(fresh[..., None], 0.0, correlation)
    prior = DiagonalNormal(follows * before, 0.5 * jnp.log(1.0 - follows**2))
    return normal.kl(prior)


def _judged_latent(
    networks: Networks, hyper: Hyper, found: Latent, memory: jax.Array, fresh: jax.Array
) -> tuple[jax.Array, Metrics]:
    """The bottleneck's loss, [], over sequences [T, n]."""
    if networks.latent == "vq":
        codebook = vq.codebook_loss(found.z, found.vector)
        commitment = vq.commitment_loss(found.z, found.vector)
        # A moving average needs no gradient, and must not have two masters.
        weight = 0.0 if networks.averaged else hyper.codebook
        told = {"codebook_loss": codebook, "commitment_loss": commitment}
        return weight * codebook + hyper.commitment * commitment, told
    if found.normal is None:
        return jnp.zeros(()), {}
    before = jax.lax.stop_gradient(jnp.concatenate([memory[None], found.z[:-1]]))
    correlation = hyper.correlation if networks.latent == "ar1" else 0.0
    kl = jnp.mean(divergence(found.normal, before, fresh, correlation))
    return hyper.kl * kl, {"latent_kl": kl}


def policy(config: Config) -> Policy:
    """The primitive level's networks."""
    networks = config.networks
    nets = nets_of(networks)
    noisy = networks.width if networks.latent in ("gaussian", "ar1") else 0

    def init(key: jax.Array, hyper: Hyper, frozen: tuple) -> Params:
        keys = jax.random.split(key, 5)
        body, future = jnp.zeros(PROPRIOCEPTION_SIZE), jnp.zeros(FUTURE_SIZE)
        both, latent = jnp.concatenate([body, future]), jnp.zeros(networks.width)
        told = both if networks.conditional else future
        weights = {
            "encoder": nets.encoder.init(keys[0], told)["params"],
            "decoder": nets.decoder.init(keys[1], body, latent)["params"],
            "value": nets.value.init(keys[2], both)["params"],
            "log_std": jnp.full(ACTION_SIZE, hyper.log_std),
        }
        average: vq.Average | tuple = ()
        if networks.latent == "vq":
            codebook = uniform_codebook(keys[3], networks.codes, networks.width)
            weights["codebook"] = codebook
            average = vq.Average(jnp.ones(networks.codes), codebook)
        if nets.prior is not None:
            weights["prior"] = nets.prior.init(keys[4], body)["params"]
        inputs = {
            "body": running.start((PROPRIOCEPTION_SIZE,)),
            "future": running.start((FUTURE_SIZE,)),
        }
        return Params(weights, inputs, running.start(), average, frozen)

    def act(
        params: Params, observation: dict, memory: jax.Array, fresh: jax.Array, key: jax.Array
    ) -> tuple[jax.Array, Acted]:
        drawing, acting = jax.random.split(key)
        weights = params.weights
        noise = jax.random.normal(drawing, (*fresh.shape, noisy))
        found = encode(networks, nets, weights, observation, noise)
        chosen = decode(nets, weights, observation["body"], found.passed)
        action = chosen.sample(acting)
        acted = Acted(
            action,
            action,
            chosen.log_prob(action),
            value_of(nets, weights, observation),
            noise,
            {"code": found.code} if networks.coded else {},
        )
        return (found.z if noisy else memory), acted

    def value(params: Params, observation: dict, memory: jax.Array) -> jax.Array:
        return value_of(nets, params.weights, observation)

    def judge(
        weights: dict,
        params: Params,
        hyper: Hyper,
        observation: dict,
        fresh: jax.Array,
        memory: jax.Array,
        action: jax.Array,
        noise: jax.Array,
    ) -> Judged:
        found = encode(networks, nets, weights, observation, noise)
        chosen = decode(nets, weights, observation["body"], found.passed)
        bottleneck, told = _judged_latent(networks, hyper, found, memory, fresh)
        told["std"] = jnp.exp(jnp.mean(weights["log_std"]))
        if nets.prior is not None:
            # Its gradient reaches nothing else: codes and normalised inputs are constants.
            logits = nets.prior.apply({"params": weights["prior"]}, observation["body"])
            told["prior_nats"] = -jnp.mean(Categorical(logits).log_prob(found.code))
            bottleneck = bottleneck + told["prior_nats"]
        return Judged(
            chosen.log_prob(action),
            chosen.entropy(),
            value_of(nets, weights, observation),
            bottleneck,
            told,
        )

    def settle(
        params: Params, hyper: Hyper, observation: dict, first: jax.Array, key: jax.Array
    ) -> Params:
        if networks.latent != "vq":
            return params
        return _settled(networks, nets, params, hyper, observation, first, key)

    memory = lambda n: jnp.zeros((n, noisy))  # noqa: E731
    return Policy(init, memory, act, value, judge, settle)


def _settled(
    networks: Networks,
    nets: Nets,
    params: Params,
    hyper: Hyper,
    observation: dict,
    first: jax.Array,
    key: jax.Array,
) -> Params:
    """With a codebook that begins with clusters, is a moving average, or has no dead codes."""
    starting, choosing = jax.random.split(key)
    weights, average = params.weights, params.average
    z = encode(networks, nets, weights, observation, jnp.zeros(())).z
    z = z.reshape(-1, networks.width)
    codebook = weights["codebook"]
    if networks.k_means:
        codebook = jax.lax.cond(
            first, lambda: vq.k_means(z, starting, networks.codes), lambda: codebook
        )
        begun = vq.Average(jnp.ones(networks.codes), codebook)
        average = jax.tree.map(lambda new, old: jnp.where(first, new, old), begun, average)
    average, mean = vq.averaged(average, z, vq.nearest(codebook, z), hyper.decay)
    if networks.averaged:
        codebook = mean
    codebook, average = vq.revived(codebook, average, z, choosing, hyper.least)
    return params._replace(weights=weights | {"codebook": codebook}, average=average)
