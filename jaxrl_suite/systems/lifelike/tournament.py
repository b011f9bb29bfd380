"""How good players are: everybody against everybody, and ratings from that."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl_suite.core import Metrics
from jaxrl_suite.envs.quadruped.game import Game
from jaxrl_suite.envs.quadruped.tag import Tag
from jaxrl_suite.systems.lifelike.config import Config
from jaxrl_suite.systems.lifelike.league import Ring, gathered, replies, view
from jaxrl_suite.systems.lifelike.ppo import Params, Policy

PyTree = Any


class Match(NamedTuple):
    """N games.

    going: bool [T, N], a game had not ended before the step.
    outcomes: [N], at its end, from robot 0's view.
    seen: what was watched after every step, leaves [T, N, ...].
    """

    going: jax.Array
    outcomes: dict[str, jax.Array]
    seen: PyTree


def match(
    config: Config,
    env: Tag,
    policy: Policy,
    frozen: Params,
    one: PyTree,
    two: PyTree,
    key: jax.Array,
    watch: Callable[[Game], PyTree] = lambda game: (),
) -> Match:
    """Games of robots 0 with weights `one` and robots 1 with `two`, leaves [N, ...]; with noise."""
    count = jax.tree.leaves(one)[0].shape[0]
    begin, playing = jax.random.split(key)
    game, observation = jax.vmap(env.reset)(jax.random.split(begin, count))
    step = jax.vmap(env.step)

    def act(carry: tuple, key: jax.Array) -> tuple[tuple, tuple]:
        game, observation, memories, going, last = carry
        *replying, moving = jax.random.split(key, 3)
        fresh = jnp.zeros(count, bool)
        told = [
            replies(policy, weights, frozen, view(observation, i, game.speed), memory, fresh, k)
            for i, (weights, memory, k) in enumerate(
                zip((one, two), memories, replying, strict=True)
            )
        ]
        memories, motions = zip(*told, strict=True)
        game, result = step(game, jnp.stack(motions, axis=1), jax.random.split(moving, count))
        now = jax.vmap(env.outcomes)(game)
        last = jax.tree.map(lambda new, old: jnp.where(going, new, old), now, last)
        row = (going, jax.vmap(watch)(game))
        going = going & ~(result.terminated | result.truncated)
        return (game, result.observation, memories, going, last), row

    blank = policy.memory(count)
    start = (game, observation, (blank, blank), jnp.ones(count, bool))
    start += (jax.vmap(env.outcomes)(game),)
    keys = jax.random.split(playing, config.game.time_limit)
    (*_, last), (going, seen) = jax.lax.scan(act, start, keys)
    return Match(going, last, seen)


def evaluate(
    config: Config, env: Tag, policy: Policy, params: Params, ring: Ring, key: jax.Array
) -> Metrics:
    """The newest policy against snapshots drawn alike, or against itself where there is none."""
    drawing, playing = jax.random.split(key)
    count = config.eval_episodes
    known = jnp.minimum(ring.count, config.ring)
    place = jax.random.randint(drawing, (count,), 0, jnp.maximum(known, 1))
    place = jnp.where(known > 0, place, config.ring)
    newest = jax.tree.map(lambda x: jnp.broadcast_to(x, (count, *x.shape)), params.weights)
    other = gathered(ring, params.weights, place)
    told = match(config, env, policy, params.frozen, newest, other, playing)
    return {name: jnp.mean(x) for name, x in told.outcomes.items()} | {"snapshots": known}


def elo(won: np.ndarray, games: np.ndarray, prior: float = 1.0) -> np.ndarray:
    r"""Ratings [S] of mean 0 that fit :math:`p_{ij} = 1 / (1 + 10^{(r_j - r_i) / 400})` best.

    The likelihood of Bradley and Terry 1952 is maximised by their fixed-point iteration; each pair
    has `prior` drawn games besides, so that who has won all games has a finite rating.

    Args:
      won: [S, S], games that i won against j, a draw being half a one.
      games: [S, S], symmetric, with 0 on the diagonal.
      prior: drawn games of each pair.
    """
    apart = 1.0 - np.eye(len(won))
    won, games = won + 0.5 * prior * apart, games + prior * apart
    strength = np.ones(len(won))
    for _ in range(2000):
        strength = won.sum(1) / (games / (strength[:, None] + strength[None])).sum(1)
        strength /= np.exp(np.log(strength).mean())
    return 400.0 * np.log10(strength)
