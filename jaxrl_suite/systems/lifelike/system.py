"""The closed loops of the three levels."""

import dataclasses
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxrl_suite.core import Metrics, System, SystemState, UsageError, fuse
from jaxrl_suite.envs.quadruped import playground, tag
from jaxrl_suite.systems.lifelike import (
    curriculum,
    distil,
    epmc,
    league,
    motions,
    pmc,
    priority,
    roaming,
    sepmc,
    tournament,
)
from jaxrl_suite.systems.lifelike import evaluate as evaluating
from jaxrl_suite.systems.lifelike.acting import source
from jaxrl_suite.systems.lifelike.config import INPUT_CLIP, Config, Hyper
from jaxrl_suite.systems.lifelike.ppo import Params, learner

PyTree = Any


# What two must have in common for codes to mean the same to both, and memories to fit.
_OF_WALKERS = ("networks", "command", "memory")
# Of a level: those that it may stand on, and the settings that it has in common with them.
STANDS_ON: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "epmc": (("pmc",), ("networks",)),
    "distil": (("pmc",), ("networks",)),
    "sepmc": (("epmc", "distil"), _OF_WALKERS),
}


class Below(NamedTuple):
    """A frozen level: its settings, and its parameters, which hold those of the levels below it."""

    config: Config
    params: Params


class Expert(NamedTuple):
    """An environmental level that is distilled: its settings, and its policy's weights."""

    config: Config
    weights: PyTree


def below_of(config: Config, state: SystemState) -> Below:
    """What a level has come to, for the next one to stand on.

    Raises:
      UsageError: skills with an `input_clip` that upper levels do not have.
    """
    clip = state.learner.hyper.input_clip
    if config.level == "pmc" and np.any(np.asarray(clip) != INPUT_CLIP):
        raise UsageError(
            f"the skills' inputs are clipped at {clip}; others can stand on skills with "
            f"input_clip={INPUT_CLIP:g} alone"
        )
    return Below(config, state.learner.params)


def below_in(config: Config, state: SystemState) -> Below:
    """What an upper level stands on, as its own state has it."""
    level = STANDS_ON[config.level][0][0]
    return Below(dataclasses.replace(config, level=level), state.learner.params.frozen)


def expert_of(config: Config, state: SystemState) -> Expert:
    """What an environmental level has come to, to be distilled.

    Raises:
      UsageError: a state of another level.
    """
    if config.level != "epmc":
        raise UsageError(f"a state of the level {config.level} is no expert; legal: epmc")
    return Expert(config, state.learner.params.weights["policy"])


def _check_alike(config: Config, other: Config, names: tuple[str, ...], what: str) -> None:
    for name in names:
        if (theirs := getattr(other, name)) != (ours := getattr(config, name)):
            raise UsageError(
                f"{name} of the {what} and of the configuration differ, {theirs} and {ours}; give "
                f"the configuration that of the {what}"
            )


def make(
    config: Config, hyper: Hyper, below: Below | None = None, experts: tuple[Expert, ...] = ()
) -> System:
    """The closed loop of the level that a configuration is about.

    Args:
      config: static settings.
      hyper: numbers.
      below: of all levels but the lowest; the strategic one stands on an environmental one, the
        others on a primitive one. None makes one of random parameters, which is good for nothing
        but a state to restore a checkpoint into, or for training without skills.
      experts: of distillation; without any a stand-in that knows nothing.

    Raises:
      UsageError: settings that no program can be made of, or a level below or experts that do not
        fit them.
    """
    config.check()
    if config.level == "pmc":
        return _primitive(config, hyper)
    if below is not None:
        levels, alike = STANDS_ON[config.level]
        if below.config.level not in levels:
            raise UsageError(
                f"the level {config.level} does not stand on {below.config.level}; legal: "
                f"{', '.join(levels)}"
            )
        _check_alike(config, below.config, alike, "level below")
    frozen = below.params if below else _untrained(config, hyper)
    match config.level:
        case "epmc":
            return _environmental(config, hyper, frozen)
        case "distil":
            return _distilling(config, hyper, frozen, experts)
        case _:
            return _strategic(config, hyper, frozen)


def _untrained(config: Config, hyper: Hyper) -> Params:
    """A level below that knows nothing."""
    skills = pmc.policy(config).init(jax.random.key(0), hyper, ())
    if config.level != "sepmc":
        return skills
    return epmc.policy(config).init(jax.random.key(0), hyper, skills)


def _primitive(config: Config, hyper: Hyper) -> System:
    world = motions.following(config)
    policy = pmc.policy(config)
    schedule = priority.prioritised(world.scene, len(world.groups))

    def evaluate(state: SystemState, key: jax.Array) -> Metrics:
        params, hyper = state.learner.params, state.learner.hyper
        return evaluating.evaluate(config, world, params, hyper, key)

    return fuse(
        learner(config, policy),
        source(world.env, policy, config, schedule),
        hyper=hyper,
        evaluate=evaluate,
        frames_per_update=config.frames_per_update,
    )


def _environmental(config: Config, hyper: Hyper, frozen: Params) -> System:
    env = playground.playground(config.mechanics, config.playground)
    policy = epmc.policy(config)
    course = playground.course(dict.fromkeys(config.terrains, 1.0), speed=config.speed)

    def evaluate(state: SystemState, key: jax.Array) -> Metrics:
        level = state.source.table.level
        return roaming.evaluate(config, env, state.learner.params, level, key)

    return fuse(
        learner(config, policy, frozen),
        source(env, policy, config, curriculum.climbing(course)),
        hyper=hyper,
        evaluate=evaluate,
        frames_per_update=config.frames_per_update,
    )


def _distilling(
    config: Config, hyper: Hyper, frozen: Params, experts: tuple[Expert, ...]
) -> System:
    if not experts:
        blank = epmc.policy(config).init(jax.random.key(0), hyper, frozen)
        count = max(1, len(config.experts))
        experts = (Expert(config, blank.weights["policy"]),) * count
    for expert in experts:
        _check_alike(config, expert.config, _OF_WALKERS, "expert")
    known = {kind for expert in experts for kind in expert.config.terrains}
    if unknown := [kind for kind in config.terrains if kind not in known]:
        raise UsageError(f"no expert has learned {unknown[0]!r}; legal: {', '.join(sorted(known))}")
    stacked = distil.experts_of([(x.config.terrains, x.weights) for x in experts])
    env = playground.playground(config.mechanics, config.playground)
    course = playground.course(
        dict.fromkeys(config.terrains, 1.0), level=config.difficulty, speed=config.speed
    )

    def evaluate(state: SystemState, key: jax.Array) -> Metrics:
        return roaming.evaluate(config, env, state.learner.params, course.level, key)

    return fuse(
        distil.learner(config, frozen),
        distil.source(env, config, stacked, course),
        hyper=hyper,
        evaluate=evaluate,
        frames_per_update=config.frames_per_update,
    )


def _strategic(config: Config, hyper: Hyper, frozen: Params) -> System:
    env = tag.tag(config.mechanics, config.game)
    policy = sepmc.policy(config)

    def evaluate(state: SystemState, key: jax.Array) -> Metrics:
        params, ring = state.learner.params, state.source.ring
        return tournament.evaluate(config, env, policy, params, ring, key)

    return fuse(
        learner(config, policy, frozen),
        league.source(env, policy, config),
        hyper=hyper,
        evaluate=evaluate,
        frames_per_update=config.frames_per_update,
    )
