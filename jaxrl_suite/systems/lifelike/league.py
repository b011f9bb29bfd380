"""Whom a player meets: its own snapshots, those it loses to more often.

Prioritised fictitious self-play, inside the program: a ring of parameters, a table of how often
they are beaten, and games against opponents that are gathered from the ring.

Source: Vinyals et al. 2019, section "Prioritized fictitious self-play"; Han et al. 2024 and its
released code.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec

from jaxrl_suite.core import DATA_AXIS, Source
from jaxrl_suite.envs.quadruped.tag import Tag
from jaxrl_suite.systems.lifelike.acting import choose
from jaxrl_suite.systems.lifelike.config import Config, Hyper
from jaxrl_suite.systems.lifelike.ppo import Params, Played, Policy, where_fresh, worth

PyTree = Any
_KNOWN = 5  # games before which an opponent counts as beaten half of the time


class Ring(NamedTuple):
    """S snapshots of policies; the last place of the table, S, is the newest policy itself.

    weights: leaves [S, ...].
    count: int32 [], snapshots so far; the oldest gives way when there are more than S.
    rate: [S + 1], moving averages of won games against each, a draw being half a one.
    games: [S + 1], that were played against each.
    """

    weights: PyTree
    count: jax.Array
    rate: jax.Array
    games: jax.Array


def start(weights: PyTree, size: int) -> Ring:
    """No snapshot yet; the places hold the weights that are given, out of reach."""
    places = jax.tree.map(lambda x: jnp.stack([x] * size), weights)
    none = jnp.zeros((), jnp.int32)
    return Ring(places, none, jnp.full(size + 1, 0.5), jnp.zeros(size + 1))


def pushed(ring: Ring, weights: PyTree) -> Ring:
    """With one snapshot more, which nobody has met."""
    size = ring.rate.shape[0] - 1
    place = ring.count % size
    return Ring(
        jax.tree.map(lambda all_, x: all_.at[place].set(x), ring.weights, weights),
        ring.count + 1,
        ring.rate.at[place].set(0.5),
        ring.games.at[place].set(0.0),
    )


def shares(ring: Ring, prioritised: bool) -> jax.Array:
    """Probabilities of opponents [S + 1]: (1 - w)^2 of those there are, the newest policy included.

    w is the share of won games, one half until five games are known. Without priorities, as naive
    self-play, the newest policy alone.
    """
    size = ring.rate.shape[0] - 1
    if not prioritised:
        return jnp.zeros(size + 1).at[size].set(1.0)
    there = jnp.append(jnp.arange(size) < ring.count, True)
    rate = jnp.where(ring.games < _KNOWN, 0.5, ring.rate).at[size].set(0.5)
    need = jnp.where(there, (1.0 - rate) ** 2, 0.0)
    return need / jnp.sum(need)


def counted(
    ring: Ring, opponent: jax.Array, won: jax.Array, ended: jax.Array, blend: jax.Array
) -> Ring:
    """After games [B] against opponents int32 [B]; `won` is 1, 0.5 or 0 where `ended`."""
    size = ring.rate.shape[0]
    count = jax.ops.segment_sum(ended.astype(jnp.float32), opponent, size)
    total = jax.ops.segment_sum(jnp.where(ended, won, 0.0), opponent, size)
    mean = total / jnp.maximum(count, 1.0)
    # Many games at once weigh as if they had come one by one.
    weight = 1.0 - (1.0 - blend) ** count
    rate = jnp.where(count > 0, ring.rate + weight * (mean - ring.rate), ring.rate)
    return ring._replace(rate=rate, games=ring.games + count)


class SourceState(NamedTuple):
    """N games under way; the learner is robot 0, roles are drawn by the game.

    game: of all.
    observation: leaves [N, 2, ...].
    fresh: bool [N], a game begins.
    memory, other: of the learner and of its opponent.
    opponent: int32 [N], place of the ring.
    ring: see :class:`Ring`.
    hyper: see :class:`Hyper`.
    updates: int32 [].
    """

    game: PyTree
    observation: dict[str, jax.Array]
    fresh: jax.Array
    memory: PyTree
    other: PyTree
    opponent: jax.Array
    ring: Ring
    hyper: Hyper
    updates: jax.Array


def view(observation: dict, robot: int, speed: jax.Array) -> dict:
    """What one robot knows of games [N], with the speed [N, 1] that it is to go at (m/s)."""
    return {name: x[:, robot] for name, x in observation.items()} | {"speed": speed[:, None]}


def gathered(ring: Ring, newest: PyTree, place: jax.Array) -> PyTree:
    """Weights of opponents by their places [N], leaves [N, ...]."""
    size = ring.rate.shape[0] - 1
    return jax.tree.map(
        lambda old, new: choose(
            place == size,
            jnp.broadcast_to(new, (len(place), *new.shape)),
            old[jnp.minimum(place, size - 1)],
        ),
        ring.weights,
        newest,
    )


def replies(
    policy: Policy,
    weights: PyTree,
    frozen: Params,
    seen: dict,
    memory: PyTree,
    fresh: jax.Array,
    key: jax.Array,
) -> tuple[PyTree, jax.Array]:
    """Motions [N, 12] of opponents with weights of their own, leaves [N, ...]."""

    def one(weights: PyTree, row: tuple, key: jax.Array) -> tuple[PyTree, jax.Array]:
        params = Params(weights, {}, (), (), frozen)
        memory, acted = policy.act(params, *jax.tree.map(lambda x: x[None], row), key)
        return jax.tree.map(lambda x: x[0], (memory, acted.motion))

    keys = jax.random.split(key, fresh.shape[0])
    return jax.vmap(one)(weights, (seen, memory, fresh), keys)


def source(env: Tag, policy: Policy, config: Config) -> Source:
    """Games against opponents that stay until the game is over.

    A game that begins within an update is against the opponent drawn for it when the update began.
    Where a snapshot gives way to the newest policy, its games go on against that, and count so.
    """
    n = config.num_envs
    reset, step = jax.vmap(env.reset), jax.vmap(env.step)
    many = lambda key: jax.random.split(key, n)  # noqa: E731

    def init(key: jax.Array, hyper: Hyper, params: Params) -> SourceState:
        hyper = jax.tree.map(jnp.asarray, hyper)
        game, observation = reset(many(key))
        memory, newest = policy.memory(n), jnp.full(n, config.ring, jnp.int32)
        ring, none = start(params.weights, config.ring), jnp.zeros((), jnp.int32)
        fresh = jnp.ones(n, bool)
        return SourceState(game, observation, fresh, memory, memory, newest, ring, hyper, none)

    def sample(state: SourceState, params: Params, key: jax.Array) -> tuple[SourceState, Played]:
        drawing, playing = jax.random.split(key)
        odds = jnp.log(shares(state.ring, config.prioritised))
        later = jax.random.categorical(drawing, odds, shape=(n,)).astype(jnp.int32)
        now = jnp.where(state.fresh, later, state.opponent)
        teams = [gathered(state.ring, params.weights, place) for place in (now, later)]

        def act(carry: tuple, key: jax.Array) -> tuple[tuple, tuple]:
            game, observation, fresh, memory, other, second = carry
            acting, replying, moving, again = jax.random.split(key, 4)
            own, theirs = (view(observation, robot, game.speed) for robot in (0, 1))
            memory, other = where_fresh(fresh, memory), where_fresh(fresh, other)
            memory, acted = policy.act(params, own, memory, fresh, acting)
            given = (params.frozen, theirs, other, fresh, replying)
            answers = [replies(policy, team, *given) for team in teams]
            other, motion = choose(second, answers[1], answers[0])
            after, told = step(game, jnp.stack([acted.motion, motion], axis=1), many(moving))
            ended = told.terminated | told.truncated
            seen = view(told.observation, 0, after.speed)
            next_value = worth(params.returns, policy.value(params, seen, memory))
            acted = acted._replace(value=worth(params.returns, acted.value))
            outcomes = jax.vmap(env.outcomes)(after)
            outcomes = jax.tree.map(lambda x: jnp.where(ended, x, jnp.nan), outcomes)
            row = (own, fresh, acted, next_value, told._replace(observation=()), outcomes)
            row += (jnp.where(second, later, now),)
            begun = reset(many(again))
            game, observation = choose(ended, begun, (after, told.observation))
            return (game, observation, ended, memory, other, second | ended), row

        no = jnp.zeros(n, bool)
        carry = (state.game, state.observation, state.fresh, state.memory, state.other, no)
        carry, rows = jax.lax.scan(act, carry, jax.random.split(playing, config.num_steps))
        *carry, second = carry
        played, place = _played(state.memory, rows[:-1]), rows[-1]
        flat = [x.reshape(-1) for x in (place, played.outcomes["won"], played.ended)]
        ring = counted(state.ring, *flat, state.hyper.blend)
        updates = state.updates + 1
        opponent = jnp.where(second, later, now)
        pushes = updates % config.snapshot_every == 0
        gone = pushes & (opponent == ring.count % config.ring)
        opponent = jnp.where(gone, config.ring, opponent)
        ring = jax.lax.cond(pushes, lambda: pushed(ring, params.weights), lambda: ring)
        return SourceState(*carry, opponent, ring, state.hyper, updates), played

    along, whole = PartitionSpec(DATA_AXIS), PartitionSpec()
    return Source(init, sample, SourceState(*[along] * 6, *[whole] * 3))


def _played(memory: PyTree, rows: tuple) -> Played:
    """The learner's side of the games."""
    observation, fresh, acted, next_value, told, outcomes = rows
    ended = told.terminated | told.truncated
    return Played(
        observation,
        fresh,
        memory,
        acted.action,
        acted.noise,
        acted.log_prob,
        acted.value,
        next_value,
        told.reward[..., 0],
        told.terminated,
        ended,
        acted.told,
        outcomes,
    )
