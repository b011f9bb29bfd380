"""What robots of a run do, to be looked at: clips followed, terrains crossed, games played."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl_suite.core import SystemState
from jaxrl_suite.envs import quadruped
from jaxrl_suite.envs.quadruped import PERIOD, playground, tag
from jaxrl_suite.report import film, video
from jaxrl_suite.report.viewer import Recording
from jaxrl_suite.systems import lifelike


def record(
    config: lifelike.Config, state: SystemState, count: int, seconds: float, key: jax.Array
) -> list[Recording]:
    """An episode of each of `count` robots, or so many games, cut off after some seconds."""
    # A film of one picture is none.
    config = dataclasses.replace(config, eval_seconds=max(seconds, 2 * PERIOD))
    match config.level:
        case "pmc":
            return _following(config, state, count, key)
        case "sepmc":
            return _games(config, state, count, seconds, key)
        case _:
            return _crossing(config, state, count, key)


def filmed(
    recordings: list[Recording], fps: float, columns: int | None = None, **shot: Any
) -> np.ndarray:
    """All side by side, uint8 [T, height, width, 3]; one that is over stands still until all are.

    Args:
      recordings: of the same length of time a step, or not.
      fps: pictures a second.
      columns: of tiles; as many as rows, if none are said.
      shot: what :func:`film.film` is told of the camera and the size.
    """
    films = [film.film(x.mjcf, x.qpos, timestep=x.timestep, fps=fps, **shot) for x in recordings]
    longest = max(map(len, films))
    films = [np.concatenate([x, np.repeat(x[-1:], longest - len(x), axis=0)]) for x in films]
    labels = [one.title for one in recordings]
    return video.tile(np.stack(films), columns=columns, labels=labels)


def _own(seen: Any, going: Any, i: int) -> tuple[int, Any]:
    """What was watched of one episode until it ended, and for how many steps."""
    steps = max(2, int(going[:, i].sum()))
    return steps, jax.tree.map(lambda x: x[:steps, i], seen)


def _following(config: lifelike.Config, state: Any, count: int, key: jax.Array) -> list[Recording]:
    world = lifelike.following(config)
    size = len(world.groups)

    @jax.jit
    def play(state: Any, key: jax.Array) -> lifelike.Followed:
        params, hyper = state.learner.params, state.learner.hyper
        even = jnp.full(size, 1.0 / size)
        watch = lambda episode: episode.state  # noqa: E731
        return lifelike.follow(config, world, params, hyper, even, count, key, watch)

    told = jax.device_get(play(state, key))
    score, _ = lifelike.scores(told)
    found = []
    for i in range(count):
        steps, own = _own(told.seen, told.going, i)
        clip = world.library.names[world.starts.clip[told.segment[i]]]
        caption = f"{steps * PERIOD:.1f} s, return {score[i]:.2f} of 1"
        found.append(Recording(clip, caption, *quadruped.recorded(own), PERIOD))
    return found


def _crossing(config: lifelike.Config, state: Any, count: int, key: jax.Array) -> list[Recording]:
    env = playground.playground(config.mechanics, config.playground)
    # As hard as what it has learned from last, where evaluations are, too.
    level = config.difficulty if config.level == "distil" else state.source.table.level
    course = lifelike.calm_course(config, level)

    @jax.jit
    def play(state: Any, key: jax.Array) -> lifelike.Roamed:
        watch = lambda episode: (episode.state, episode.terrain)  # noqa: E731
        return lifelike.roam(config, env, state.learner.params, course, count, key, watch)

    told = jax.device_get(play(state, key))
    found = []
    for i in range(count):
        steps, (own, terrains) = _own(told.seen, told.going, i)
        terrain = jax.tree.map(lambda x: x[0], terrains)
        caption = f"{steps * PERIOD:.1f} s, score {told.outcomes['score'][i]:.2f} of 1"
        model = quadruped.recorded(own, terrain)
        found.append(Recording(quadruped.KINDS[int(terrain.kind)], caption, *model, PERIOD))
    return found


def _games(
    config: lifelike.Config, state: Any, count: int, seconds: float, key: jax.Array
) -> list[Recording]:
    limit = max(2, min(config.game.time_limit, round(seconds / PERIOD)))
    rules = dataclasses.replace(config.game, time_limit=limit)
    config = dataclasses.replace(config, game=rules)
    env, policy = tag.tag(config.mechanics, rules), lifelike.strategic(config)

    @jax.jit
    def play(state: Any, key: jax.Array) -> lifelike.Match:
        params = state.learner.params
        both = jax.tree.map(lambda x: jnp.broadcast_to(x, (count, *x.shape)), params.weights)
        watch = lambda game: game  # noqa: E731
        return lifelike.match(config, env, policy, params.frozen, both, both, key, watch)

    told = jax.device_get(play(state, key))
    found = []
    for i in range(count):
        steps, own = _own(told.seen, told.going, i)
        caption = f"{steps * PERIOD:.1f} s, {int(told.outcomes['switches'][i])} flags"
        found.append(Recording(f"game {i}", caption, *quadruped.played(own, rules), PERIOD))
    return found
