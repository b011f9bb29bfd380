"""The closed loops of the three levels."""

from typing import Any, NamedTuple

import jax

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
from jaxrl_suite.systems.lifelike.config import Config, Hyper, Networks
from jaxrl_suite.systems.lifelike.ppo import Params, learner

PyTree = Any


class Below(NamedTuple):
    """A frozen level: the networks of its skills, and its parameters, which hold those below it."""

    networks: Networks
    params: Params


class Expert(NamedTuple):
    """An environmental level that is distilled: its terrains, and its policy's weights."""

    terrains: tuple[str, ...]
    weights: PyTree


def below_of(config: Config, state: SystemState) -> Below:
    """What a level has come to, for the next one to stand on."""
    return Below(config.networks, state.learner.params)


def expert_of(config: Config, state: SystemState) -> Expert:
    """What an environmental level has come to, to be distilled."""
    return Expert(config.terrains, state.learner.params.weights["policy"])


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
      UsageError: settings that no program can be made of, or a level below of other networks.
    """
    config.check()
    if config.level == "pmc":
        return _primitive(config, hyper)
    if below is not None and below.networks != config.networks:
        raise UsageError(
            f"the networks of the level below are {below.networks}, the configuration's "
            f"{config.networks}; give the upper level networks=below.networks"
        )
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
        experts = (Expert(config.terrains, blank.weights["policy"]),) * count
    known = {kind for expert in experts for kind in expert.terrains}
    if unknown := [kind for kind in config.terrains if kind not in known]:
        raise UsageError(f"no expert has learned {unknown[0]!r}; legal: {', '.join(sorted(known))}")
    stacked = distil.experts_of([tuple(expert) for expert in experts])
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
