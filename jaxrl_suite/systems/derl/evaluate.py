"""What bodies do once they have learned: whole episodes, and their motion to be looked at."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrl_suite.core import Metrics, PyTree
from jaxrl_suite.envs.base import ControlEnvironment
from jaxrl_suite.envs.unimal.episode import TIME_LIMIT
from jaxrl_suite.nets.mlp import GaussianActor
from jaxrl_suite.ops import running
from jaxrl_suite.systems.derl.config import Config, Hyper
from jaxrl_suite.systems.derl.ppo import Body, shown


class Policy(NamedTuple):
    """How a body acts.

    params: of actor and critic.
    inputs: normaliser of its proprioception.
    scale: [], 1 for the mean action it has learned; 0 for none, see `noise`.
    noise: [], standard deviation of what is added: 1 with a scale of 0 is the random policy.
    """

    params: PyTree
    inputs: running.Running
    scale: jax.Array | float = 1.0
    noise: jax.Array | float = 0.0


def episode(
    env: ControlEnvironment,
    config: Config,
    hyper: Hyper,
    body: Body,
    policy: Policy,
    key: jax.Array,
    num_steps: int = TIME_LIMIT,
    watch: Callable[[PyTree], PyTree] = lambda state: (),
) -> tuple[dict[str, jax.Array], PyTree, jax.Array]:
    """One episode of at most so many actions, from a reset.

    Args:
      env: what it plays.
      config: of the evolution.
      hyper: the same.
      body: who plays.
      policy: how.
      key: random key.
      num_steps: actions at most, T.
      watch: ``(state) -> pytree``, what to keep of every state.

    Returns:
      Its outcomes, float32 []; what `watch` saw before every action, leaves [T, ...]; and bool [T],
      whether the episode was still going on then.
    """
    actor = GaussianActor(env.action_size, config.life.hidden)
    begin, play = jax.random.split(key)
    state, seen = env.reset(begin, body.task)
    none = jax.tree.map(jnp.zeros_like, env.outcomes(state))

    def step(carry: tuple, key: jax.Array) -> tuple[tuple, tuple]:
        state, seen, going, told = carry
        draw, moving = jax.random.split(key)
        inputs = jax.tree.map(lambda x: x[None], seen)
        mean, _ = actor.apply(
            {"params": policy.params["actor"]}, shown(hyper, body, policy.inputs, inputs)
        )
        noise = policy.noise * jax.random.normal(draw, mean.shape)
        action = (policy.scale * mean + noise)[0] * body.action
        after, timestep = env.step(state, action, moving, body.task)
        told = jax.tree.map(lambda a, b: jnp.where(going, a, b), env.outcomes(after), told)
        ended = timestep.terminated | timestep.truncated
        return (after, timestep.observation, going & ~ended, told), (watch(state), going)

    start = (state, seen, jnp.ones((), bool), none)
    (_, _, _, told), (seen, going) = jax.lax.scan(step, start, jax.random.split(play, num_steps))
    return told, seen, going


def passive_stability(
    env: ControlEnvironment, body: Body, key: jax.Array, num_steps: int = 400
) -> jax.Array:
    """Actions of nothing that a body stands, from a reset, before its episode ends.

    What a body is worth that no controller holds up; Gupta et al. 2021 find that evolution raises
    it. differs: their protocol is not published; here a body is down where the environment's rule
    for a fall says so.

    Args:
      env: where it stands.
      body: who stands.
      key: random key.
      num_steps: actions watched.

    Returns:
      float32 []; `num_steps` for one that stands to the end.
    """
    begin, play = jax.random.split(key)
    state, _ = env.reset(begin, body.task)

    def step(carry: tuple, key: jax.Array) -> tuple[tuple, None]:
        state, standing, count = carry
        state, told = env.step(state, jnp.zeros(env.action_size), key, body.task)
        standing &= ~(told.terminated | told.truncated)
        return (state, standing, count + standing), None

    start = (state, jnp.ones((), bool), jnp.zeros(()))
    (_, _, count), _ = jax.lax.scan(step, start, jax.random.split(play, num_steps))
    return count


def evaluate(
    env: ControlEnvironment,
    config: Config,
    hyper: Hyper,
    body: Body,
    policy: Policy,
    key: jax.Array,
    count: int,
) -> Metrics:
    """Outcomes of so many episodes [count], played as learned, and as ``random_...`` at random."""

    keys = jax.random.split(key, count)

    def several(scale: jax.Array) -> Metrics:
        plays = policy._replace(scale=scale, noise=1.0 - scale)
        return jax.vmap(lambda k: episode(env, config, hyper, body, plays, k)[0])(keys)

    both = jax.vmap(several)(jnp.array([1.0, 0.0]))  # one program for both
    names = [(i, f"{prefix}{name}") for i, prefix in enumerate(("", "random_")) for name in both]
    return {name: both[name.removeprefix("random_")][i] for i, name in names}
