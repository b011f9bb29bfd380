"""What an environmental level can do: episodes across terrains, without noise and pushes."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrl_suite.core import Metrics
from jaxrl_suite.envs.base import ControlEnvironment
from jaxrl_suite.envs.quadruped import playground
from jaxrl_suite.envs.quadruped.machine import PERIOD
from jaxrl_suite.envs.quadruped.playground import Course, Episode
from jaxrl_suite.systems.lifelike import epmc
from jaxrl_suite.systems.lifelike.config import Config
from jaxrl_suite.systems.lifelike.ppo import Params

PyTree = Any


class Roamed(NamedTuple):
    """Episodes across terrains.

    reward: [T, N], 0 once an episode has ended.
    going: bool [T, N], it had not ended before the step.
    outcomes: [N], at its end, or at the evaluation's.
    kind: int32 [N], of the terrain.
    seen: what was watched after every step, leaves [T, N, ...].
    """

    reward: jax.Array
    going: jax.Array
    outcomes: dict[str, jax.Array]
    kind: jax.Array
    seen: PyTree


def calm_course(config: Config, level: float | jax.Array = 1.0) -> Course:
    """A configuration's, on the test's ground and without pushes."""
    course = playground.course(
        dict.fromkeys(config.terrains, 1.0),
        speed=config.speed,
        friction=playground.TEST_FRICTION,
        push=(0.0, 0.0),
    )
    return course._replace(level=jnp.asarray(level, jnp.float32))


def roam(
    config: Config,
    env: ControlEnvironment,
    params: Params,
    course: Course,
    count: int,
    key: jax.Array,
    watch: Callable[[Episode], PyTree] = lambda episode: (),
) -> Roamed:
    """Episodes [N] by the policy's likeliest codes, or its means, and the decoder's mean."""
    begin, playing = jax.random.split(key)
    reset = jax.vmap(env.reset, in_axes=(0, None))
    episode, observation = reset(jax.random.split(begin, count), course)
    step = jax.vmap(env.step, in_axes=(0, 0, 0, None))
    memory, steady = epmc.policy(config).memory(count), jnp.zeros(count, bool)

    def act(carry: tuple, key: jax.Array) -> tuple[tuple, tuple]:
        episode, observation, memory, going, last = carry
        memory, motion = epmc.step(config, params, observation, memory, steady, None)
        episode, told = step(episode, motion, jax.random.split(key, count), course)
        now = jax.vmap(env.outcomes)(episode)
        last = jax.tree.map(lambda new, old: jnp.where(going, new, old), now, last)
        row = (jnp.where(going, told.reward, 0.0), going, jax.vmap(watch)(episode))
        going = going & ~(told.terminated | told.truncated)
        return (episode, told.observation, memory, going, last), row

    kind = episode.terrain.kind
    start = (episode, observation, memory, jnp.ones(count, bool), jax.vmap(env.outcomes)(episode))
    keys = jax.random.split(playing, round(config.eval_seconds / PERIOD))
    (*_, last), (reward, going, seen) = jax.lax.scan(act, start, keys)
    return Roamed(reward, going, last, kind, seen)


def evaluate(
    config: Config, env: ControlEnvironment, params: Params, level: jax.Array, key: jax.Array
) -> Metrics:
    """Means of episodes at a level, and the level."""
    course = calm_course(config, level)
    told = roam(config, env, params, course, config.eval_episodes, key)
    means = {name: jnp.mean(x) for name, x in told.outcomes.items()}
    return means | {"level": level}
