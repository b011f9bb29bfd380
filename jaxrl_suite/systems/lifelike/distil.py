"""Many experts into one policy: the student acts, the expert of the terrain says what it would do.

Source: Han et al. 2024; Ross et al. 2011 (DAgger).
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec

from jaxrl_suite.core import DATA_AXIS, Learner, Metrics, Source
from jaxrl_suite.envs.base import ControlEnvironment
from jaxrl_suite.envs.quadruped.playground import Course
from jaxrl_suite.envs.quadruped.terrain import KINDS
from jaxrl_suite.nets.layer_norm_lstm import blank
from jaxrl_suite.ops.distributions import Categorical
from jaxrl_suite.systems.lifelike import epmc
from jaxrl_suite.systems.lifelike.acting import choose
from jaxrl_suite.systems.lifelike.config import Config, Hyper
from jaxrl_suite.systems.lifelike.ppo import ADAM, LearnerState, Params, epochs

PyTree = Any


class Experts(NamedTuple):
    """E policies of terrains.

    weights: of their policies, leaves [E, ...].
    of_kind: int32 [7], whose terrain each of KINDS is.
    """

    weights: PyTree
    of_kind: jax.Array


def experts_of(policies: list[tuple[tuple[str, ...], PyTree]]) -> Experts:
    """From (terrains, weights of its policy) of each; of two for one terrain the first counts."""
    of_kind = [
        next((i for i, (terrains, _) in enumerate(policies) if kind in terrains), 0)
        for kind in KINDS
    ]
    stacked = jax.tree.map(lambda *x: jnp.stack(x), *[weights for _, weights in policies])
    return Experts(stacked, jnp.asarray(of_kind, jnp.int32))


class Taught(NamedTuple):
    """An update's experience, [T, N, ...]; memory is of the student, [N, ...], before it.

    A code is chosen where `asks` says so, and kept until it does again.
    """

    observation: dict[str, jax.Array]
    fresh: jax.Array
    memory: tuple
    logits: jax.Array
    asks: jax.Array
    reward: jax.Array
    ended: jax.Array
    outcomes: dict[str, jax.Array]


class SourceState(NamedTuple):
    """Environments under way.

    episode, observation, fresh: of all N.
    memory: of the student.
    advice: memories of the experts, leaves [E, N, ...].
    led: bool [N], the expert acts in this episode.
    code, age: int32 [N], the code that is kept, and the steps since it was chosen.
    experts: see :class:`Experts`.
    hyper: see :class:`Hyper`.
    updates: int32 [].
    """

    episode: PyTree
    observation: dict[str, jax.Array]
    fresh: jax.Array
    memory: tuple
    advice: tuple
    led: jax.Array
    code: jax.Array
    age: jax.Array
    experts: Experts
    hyper: Hyper
    updates: jax.Array


_ALONG = PartitionSpec(DATA_AXIS)
_ADVICE, _WHOLE = PartitionSpec(None, DATA_AXIS), PartitionSpec()
SPEC = SourceState(*[_ALONG] * 4, _ADVICE, *[_ALONG] * 3, *[_WHOLE] * 3)


def source(env: ControlEnvironment, config: Config, experts: Experts, course: Course) -> Source:
    """Episodes that the expert acts in with a probability that falls from update to update."""
    n, nets = config.num_envs, epmc.nets_of(config)
    reset = jax.vmap(env.reset, in_axes=(0, None))
    step = jax.vmap(env.step, in_axes=(0, 0, 0, None))
    many = lambda key: jax.random.split(key, n)  # noqa: E731

    def init(key: jax.Array, hyper: Hyper, params: Params) -> SourceState:
        hyper = jax.tree.map(jnp.asarray, hyper)
        episode, observation = reset(many(key), course)
        count = jax.tree.leaves(experts.weights)[0].shape[0]
        advice = jax.tree.map(lambda x: jnp.stack([x] * count), blank(n, config.memory))
        none = jnp.zeros((), jnp.int32)
        led, still = jnp.ones(n, bool), jnp.zeros(n, jnp.int32)
        memory = blank(n, config.memory)
        along = (episode, observation, led, memory, advice, led, still, still)
        return SourceState(*along, experts, hyper, none)

    def sample(state: SourceState, params: Params, key: jax.Array) -> tuple[SourceState, Taught]:
        frozen, hyper = params.frozen, state.hyper
        ratio = hyper.teacher * hyper.fading**state.updates
        apply = lambda weights, *given: nets.policy.apply({"params": weights}, *given)  # noqa: E731
        ask = jax.vmap(apply, in_axes=(0, None, None, 0))

        def act(carry: tuple, key: jax.Array) -> tuple[tuple, tuple]:
            episode, observation, fresh, memory, advice, led, code, age = carry
            leading, choosing, moving, stepping, again = jax.random.split(key, 5)
            led = jnp.where(fresh, jax.random.uniform(leading, (n,)) < ratio, led)
            seen = epmc.with_body(frozen, observation)
            one = jax.tree.map(lambda x: x[None], (seen, fresh))
            memory, own = apply(params.weights["policy"], *one, memory)
            advice, told = ask(state.experts.weights, *one, advice)
            expert = state.experts.of_kind[episode.terrain.kind]
            logits = told[expert, 0, jnp.arange(n)]
            logits, own = (
                epmc.code_logits(config, nets, frozen, x, seen["body"]) for x in (logits, own[0])
            )
            asks = fresh | (age == 0)
            new = Categorical(jnp.where(led[:, None], logits, own)).sample(choosing)
            code, age = epmc.held(config.command, asks, new, code, age)
            motions = epmc.motion_of(config, nets, params.weights, frozen, seen["body"], code)
            after, result = step(episode, motions.sample(moving), many(stepping), course)
            ended = result.terminated | result.truncated
            outcomes = jax.tree.map(
                lambda x: jnp.where(ended, x, jnp.nan), jax.vmap(env.outcomes)(after)
            )
            row = (observation, fresh, logits, asks, result.reward, ended, outcomes)
            begun = reset(many(again), course)
            episode, observation = choose(ended, begun, (after, result.observation))
            return (episode, observation, ended, memory, advice, led, code, age), row

        carry = tuple(state[:8])
        carry, rows = jax.lax.scan(act, carry, jax.random.split(key, config.num_steps))
        observation, fresh, logits, asks, reward, ended, outcomes = rows
        taught = Taught(observation, fresh, state.memory, logits, asks, reward, ended, outcomes)
        return SourceState(*carry, state.experts, hyper, state.updates + 1), taught

    return Source(init, sample, SPEC)


def learner(config: Config, frozen: Params) -> Learner:
    """The student of experts: KL(student || expert) over the codes where one is chosen."""
    nets, policy = epmc.nets_of(config), epmc.policy(config)

    def init(key: jax.Array, hyper: Hyper) -> LearnerState:
        key, fresh = jax.random.split(key)
        hyper = jax.tree.map(jnp.asarray, hyper)
        params = policy.init(fresh, hyper, frozen)
        params = params._replace(weights={"policy": params.weights["policy"]})
        zero = jnp.zeros((), jnp.int32)
        return LearnerState(params, ADAM.init(params.weights), hyper, key, zero)

    def loss(weights: dict, params: Params, part: Taught) -> tuple[jax.Array, Metrics]:
        seen = epmc.with_body(params.frozen, part.observation)
        _, out = nets.policy.apply({"params": weights["policy"]}, seen, part.fresh, part.memory)
        own = Categorical(epmc.code_logits(config, nets, params.frozen, out, seen["body"]))
        # What an expert would choose where nothing is chosen it has never learned.
        count = jnp.maximum(jnp.sum(part.asks), 1)
        asked = lambda x: jnp.sum(jnp.where(part.asks, x, 0.0)) / count  # noqa: E731
        apart = asked(own.kl(Categorical(part.logits)))
        alike = jnp.argmax(own.logits, axis=-1) == jnp.argmax(part.logits, axis=-1)
        return apart, {"kl": apart, "agreement": asked(alike)}

    def update(state: LearnerState, taught: Taught) -> tuple[LearnerState, Metrics]:
        hyper, params = state.hyper, state.params
        key, drawing = jax.random.split(state.key)
        apart = lambda weights, part: loss(weights, params, part)  # noqa: E731
        rows = taught._replace(outcomes=())
        weights, optimiser, told = epochs(config, state, rows, apart, drawing)
        ended = jnp.sum(taught.ended)
        mean = lambda x: jnp.nansum(x) / jnp.where(ended > 0, ended, jnp.nan)  # noqa: E731
        metrics = told | {name: mean(x) for name, x in taught.outcomes.items()}
        params = params._replace(weights=weights)
        after = LearnerState(params, optimiser, hyper, key, state.updates + 1)
        metrics |= {"reward": jnp.mean(taught.reward), "episodes": ended.astype(jnp.float32)}
        return after, metrics

    return Learner(init, update)
