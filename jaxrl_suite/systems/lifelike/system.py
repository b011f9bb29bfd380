"""The closed loops of the three levels."""

from typing import NamedTuple

import jax

from jaxrl_suite.core import Metrics, System, SystemState, UsageError, fuse
from jaxrl_suite.envs.quadruped import playground
from jaxrl_suite.systems.lifelike import curriculum, epmc, motions, pmc, priority, roaming
from jaxrl_suite.systems.lifelike import evaluate as evaluating
from jaxrl_suite.systems.lifelike.acting import source
from jaxrl_suite.systems.lifelike.config import Config, Hyper, Networks
from jaxrl_suite.systems.lifelike.ppo import Params, learner


class Skills(NamedTuple):
    """A frozen primitive level: its networks' sizes, and its parameters."""

    networks: Networks
    params: Params


def skills_of(config: Config, state: SystemState) -> Skills:
    """The skills that a primitive level has come to."""
    return Skills(config.networks, state.learner.params)


def make(config: Config, hyper: Hyper, skills: Skills | None = None) -> System:
    """The closed loop of the level that a configuration is about.

    Args:
      config: static settings.
      hyper: numbers.
      skills: of the levels above the primitive one. None makes some of random parameters, which
        are good for nothing but a state to restore a checkpoint into, or for training without any.

    Raises:
      UsageError: settings that no program can be made of, or skills of other networks.
    """
    config.check()
    if config.level == "pmc":
        return _primitive(config, hyper)
    if skills is not None and skills.networks != config.networks:
        raise UsageError(
            f"the skills' networks are {skills.networks}, the configuration's {config.networks}; "
            "give the upper level networks=skills.networks"
        )
    frozen = skills.params if skills else _untrained(config, hyper)
    return _environmental(config, hyper, frozen)


def _untrained(config: Config, hyper: Hyper) -> Params:
    """Skills that know nothing."""
    return pmc.policy(config).init(jax.random.key(0), hyper, ())


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
    course = playground.course(dict.fromkeys(config.terrains, 1.0))

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
