"""Which terrains are met next, and how hard they are."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrl_suite.envs.quadruped.playground import Course, Episode
from jaxrl_suite.systems.lifelike.acting import Schedule
from jaxrl_suite.systems.lifelike.config import Hyper


class Level(NamedTuple):
    """What episodes are drawn from, and how hard, [], it is by now."""

    course: Course
    level: jax.Array


def climbing(course: Course) -> Schedule:
    """A course whose level rises where episodes score above a goal, and falls where they do not."""

    def seen(table: Level, hyper: Hyper, kept: tuple, ended: jax.Array, outcomes: dict) -> Level:
        count = jnp.sum(ended)
        score = jnp.nansum(outcomes["score"]) / jnp.maximum(count, 1)
        step = jnp.where(count > 0, hyper.progress * (score - hyper.goal), 0.0)
        return table._replace(level=jnp.clip(table.level + step, 0.0, 1.0))

    def keep(episode: Episode) -> tuple:
        return ()

    return Schedule(
        lambda hyper: Level(course, jnp.asarray(hyper.level)),
        lambda table, hyper: table.course._replace(level=table.level),
        seen,
        keep,
    )
