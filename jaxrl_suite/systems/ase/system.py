"""The closed loops of both levels."""

from typing import NamedTuple

import jax

from jaxrl_suite.core import Metrics, System, SystemState, UsageError, fuse
from jaxrl_suite.envs.character import Character
from jaxrl_suite.systems.ase import evaluate as evaluating
from jaxrl_suite.systems.ase import params as asking
from jaxrl_suite.systems.ase.acting import high_source, low_source
from jaxrl_suite.systems.ase.characters import make_character
from jaxrl_suite.systems.ase.config import Config, Hyper, Networks
from jaxrl_suite.systems.ase.learner import Sizes, learner
from jaxrl_suite.systems.ase.params import Params


class Skills(NamedTuple):
    """A frozen low-level controller: its networks' sizes, and its parameters."""

    networks: Networks
    params: Params


def skills_of(config: Config, state: SystemState) -> Skills:
    """The controller that a low level has come to."""
    return Skills(config.networks, state.learner.params)


def make(config: Config, hyper: Hyper, skills: Skills | None = None) -> System:
    """The closed loop of the level that a configuration is about.

    Args:
      config: static settings.
      hyper: numbers.
      skills: of the high level, the controller to command. None makes one of random parameters,
        which is good for nothing but a state to restore a checkpoint into.

    Raises:
      UsageError: settings that no program can be made of, or skills of other networks.
    """
    env = make_character(config)
    seen = env.observation_sizes
    inputs = seen["body"] + seen["task"]
    if config.level == "low":
        nets, source = asking.low_nets(config, env.action_size), low_source(env, config)
        window = seen["window"] if config.discriminates else 0
        sizes = Sizes(inputs, config.networks.latent, window)
    else:
        if skills is not None and skills.networks != config.networks:
            raise UsageError(
                f"the skills' networks are {skills.networks}, the configuration's "
                f"{config.networks}; give the high level networks=skills.networks"
            )
        frozen = skills.params if skills else _untrained(config, env, hyper)
        nets, source = asking.high_nets(config), high_source(env, config, frozen)
        sizes = Sizes(inputs, 0, 0)

    def evaluate(state: SystemState, key: jax.Array) -> Metrics:
        return evaluating.evaluate(env, config, state.learner.params, state.source, key)

    return fuse(
        learner(config, nets, sizes),
        source,
        hyper=hyper,
        evaluate=evaluate,
        frames_per_update=config.frames_per_update,
    )


def _untrained(config: Config, env: Character, hyper: Hyper) -> Params:
    """A controller that knows nothing."""
    seen, nets = env.observation_sizes, asking.low_nets(config, env.action_size)
    sizes = (seen["body"], config.networks.latent, seen["window"])
    return asking.init(nets, jax.random.key(0), *sizes, hyper.input_clip)
