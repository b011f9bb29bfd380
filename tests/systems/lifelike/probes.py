"""Tasks and a player without physics: what is above them compiles in seconds."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl_suite.envs.base import ControlEnvironment, TimeStep
from jaxrl_suite.envs.quadruped import playground, tag
from jaxrl_suite.envs.quadruped.tag import Tag
from jaxrl_suite.ops import running
from jaxrl_suite.ops.distributions import DiagonalNormal
from jaxrl_suite.systems.lifelike import Following, epmc, pmc
from jaxrl_suite.systems.lifelike.ppo import Acted, Judged, Params, Policy
from tests.systems.lifelike.small import HYPER


def filled(shapes, seed=0, scale=0.3):
    """Any numbers in the place of shapes, which is faster than what networks begin with."""
    rng = np.random.default_rng(seed)

    def one(x):
        if not jnp.issubdtype(x.dtype, jnp.floating):
            return jnp.zeros(x.shape, x.dtype)
        wide = np.sqrt(np.prod(x.shape[:-1])) if len(x.shape) > 1 else 1.0
        return jnp.asarray(scale * rng.normal(size=x.shape) / wide, x.dtype)

    return jax.tree.map(one, shapes)


def normaliser(size, seed=0):
    """That has seen something."""
    rng = np.random.default_rng(seed)
    numbers = rng.normal(size=size), rng.uniform(0.5, 2.0, size=size), 100.0
    return running.Running(*[jnp.asarray(x, jnp.float32) for x in numbers])


def params_of(policy, hyper, frozen=(), seed=0, scale=0.3):
    """Of a level, with any weights."""
    shapes = jax.eval_shape(lambda key: policy.init(key, hyper, frozen), jax.random.key(0))
    weights, average = filled((shapes.weights, shapes.average), seed, scale)
    sizes = {name: x.mean.shape[0] for name, x in shapes.inputs.items()}
    inputs = {name: normaliser(size, seed) for name, size in sizes.items()}
    return Params(weights, inputs, running.start(), average, frozen)


def skills(config, seed=1):
    """A primitive level whose codes lead to motions that differ, with little noise."""
    params = params_of(pmc.policy(config), HYPER, seed=seed, scale=1.0)
    codebook = 2.0 * jax.random.normal(jax.random.key(seed), params.weights["codebook"].shape)
    quiet = jnp.full(12, -8.0)
    return params._replace(weights=params.weights | {"codebook": codebook, "log_std": quiet})


def walker(config, seed=2):
    """An environmental level over them."""
    return params_of(epmc.policy(config), HYPER, skills(config), seed)


def told(sizes, *lead, seed=0):
    """Observations of these sizes."""
    keys = jax.random.split(jax.random.key(seed), len(sizes))
    return {
        name: jax.random.normal(key, (*lead, size))
        for key, (name, size) in zip(keys, sizes.items(), strict=True)
    }


def _scattered(seed, step, sizes, *lead):
    """Numbers that differ from step to step, by a sine, which compiles faster than drawing them."""
    shape = (*lead, sum(sizes.values()))
    phase = jnp.arange(np.prod(shape)).reshape(shape) % 9.7 + 1.0
    numbers = 1.5 * jnp.sin(phase * (30.0 * seed + step))
    parts = jnp.split(numbers, np.cumsum(list(sizes.values()))[:-1], axis=-1)
    return dict(zip(sizes, parts, strict=True))


class Kind(NamedTuple):
    kind: jax.Array


class Walk(NamedTuple):
    seed: jax.Array
    terrain: Kind
    step: jax.Array
    length: jax.Array
    total: jax.Array


def roaming():
    """Episodes of 2 to 5 steps whose reward is the action's first number.

    Of what is seen the target's first number is the kind of terrain, all else is noise.
    """

    def observe(walk):
        seen = _scattered(walk.seed, walk.step, playground.SIZES)
        return seen | {"target": seen["target"].at[0].set(walk.terrain.kind.astype(float))}

    def reset(key, task):
        u = jax.random.uniform(key, (3,))
        kind = jnp.searchsorted(jnp.cumsum(task.share), u[0])
        length = 2 + (4 * u[1]).astype(jnp.int32)
        walk = Walk(u[2], Kind(kind), jnp.zeros((), jnp.int32), length, jnp.zeros(()))
        return walk, observe(walk)

    def step(walk, action, key, task):
        walk = walk._replace(step=walk.step + 1, total=walk.total + action[0])
        over = walk.step == walk.length
        terminated = over & (walk.length % 2 == 0)
        return walk, TimeStep(observe(walk), action[0], terminated, over & ~terminated)

    def outcomes(walk):
        return {"score": walk.total, "length": walk.step.astype(jnp.float32)}

    return ControlEnvironment(reset, step, playground.SIZES, 12, outcomes)


class Follower(NamedTuple):
    seed: jax.Array
    segment: jax.Array
    step: jax.Array
    length: jax.Array
    possible: jax.Array
    action: jax.Array


def sight(seed, step):
    """What a follower observes."""
    return _scattered(seed, step, {"body": 135, "future": 72})


def clips(groups=("a", "a", "b")):
    """A world of clips without clips: a step in segment i is worth i / 2, there could be 6 of them.

    Episodes are 2 to 5 steps long; an action is to be seen by who watches.
    """

    def reset(key, task):
        u = jax.random.uniform(key, (3,))
        segment = jnp.searchsorted(jnp.cumsum(task.share), u[0])
        length = 2 + (4 * u[1]).astype(jnp.int32)
        zero, possible = jnp.zeros((), jnp.int32), jnp.asarray(6.0)
        episode = Follower(u[2], segment, zero, length, possible, jnp.zeros(12))
        return episode, sight(episode.seed, episode.step)

    def step(episode, action, key, task):
        episode = episode._replace(step=episode.step + 1, action=action)
        over = episode.step == episode.length
        seen = sight(episode.seed, episode.step)
        return episode, TimeStep(seen, 0.5 * episode.segment, over, jnp.zeros((), bool))

    env = ControlEnvironment(reset, step, {"body": 135, "future": 72}, 12, lambda episode: {})
    return Following(env, (), (), groups, ())


class Bout(NamedTuple):
    seed: jax.Array
    speed: jax.Array
    step: jax.Array
    length: jax.Array
    total: jax.Array
    least: jax.Array
    most: jax.Array


def bouts():
    """Games of 2 to 5 steps that the robot wins whose last action's first number is larger.

    Outcomes tell the least and the largest of these that the opponent had.
    """

    def observe(bout):
        return _scattered(bout.seed, bout.step, tag.SIZES, 2)

    def reset(key):
        u = jax.random.uniform(key, (3,))
        length = 2 + (4 * u[0]).astype(jnp.int32)
        zero, far = jnp.zeros((), jnp.int32), jnp.asarray(jnp.inf)
        bout = Bout(u[1], 0.5 + u[2], zero, length, jnp.zeros(2), far, -far)
        return bout, observe(bout)

    def step(bout, actions, key):
        mine, other = actions[:, 0]
        bout = bout._replace(
            step=bout.step + 1,
            least=jnp.minimum(bout.least, other),
            most=jnp.maximum(bout.most, other),
        )
        over = bout.step == bout.length
        sign = jnp.sign(mine - other) * over
        reward = jnp.stack([sign, -sign])
        bout = bout._replace(total=bout.total + reward)
        return bout, TimeStep(observe(bout), reward, over, jnp.zeros((), bool))

    def outcomes(bout):
        score = bout.total[0]
        told = {"score": score, "won": 0.5 + 0.5 * jnp.sign(score)}
        return told | {"least": bout.least, "most": bout.most}

    return Tag(reset, step, tag.SIZES, 12, outcomes)


def strong(noise=0.0):
    """A player whose actions are its one weight, and noise; it remembers how long it has played."""

    def init(key, hyper, frozen):
        return Params({"strength": jnp.zeros(())}, {}, running.start(), (), frozen)

    def memory(n):
        return jnp.zeros(n)

    def act(params, observation, memory, fresh, key):
        n = fresh.shape[0]
        none = jnp.zeros((n, 0))
        value = params.weights["strength"] * memory
        action = params.weights["strength"] + noise * jax.random.normal(key, (n, 1))
        motion = jnp.broadcast_to(action, (n, 12))
        return memory + 1.0, Acted(action, motion, jnp.zeros(n), value, none, {})

    def value(params, observation, memory):
        return params.weights["strength"] * memory

    def judge(weights, params, hyper, observation, fresh, memory, action, noise):
        mean = jnp.broadcast_to(weights["strength"], action.shape)
        chosen = DiagonalNormal(mean, jnp.zeros_like(mean))
        zero = jnp.zeros(fresh.shape)
        return Judged(chosen.log_prob(action), zero, zero, jnp.zeros(()), {})

    return Policy(init, memory, act, value, judge, lambda params, *_: params)
