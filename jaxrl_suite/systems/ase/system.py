"""The closed loops of both levels."""

import hashlib
from typing import NamedTuple

import jax

from jaxrl_suite.core import Metrics, System, SystemState, UsageError, fuse
from jaxrl_suite.data import motion
from jaxrl_suite.envs import humanoid, planar
from jaxrl_suite.envs.character import Character, character
from jaxrl_suite.envs.clips import Clips
from jaxrl_suite.systems.ase import evaluate as evaluating
from jaxrl_suite.systems.ase import params as asking
from jaxrl_suite.systems.ase.acting import high_source, low_source
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


def skeleton_digest(config: Config) -> str:
    """Of the body that a configuration is about, twelve digits."""
    text = humanoid.mjcf() if config.body == "humanoid" else config.body
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def library_of(config: Config) -> motion.Library:
    """The humanoid's clips that a configuration asks for.

    Raises:
      UsageError: a clip that is not there, or a file that is no clip of this skeleton.
    """
    if config.motion_dir:
        library = motion.read_directory(config.motion_dir)
    else:
        library = motion.default()
    return motion.subset(library, config.clips) if config.clips else library


def make_character(config: Config) -> Character:
    """What a configuration plays.

    Raises:
      UsageError: settings that no program can be made of, or of another skeleton.
    """
    config.check()
    if config.skeleton not in ("", skeleton_digest(config)):
        raise UsageError(
            f"the run's skeleton {config.skeleton} is not this one, {skeleton_digest(config)}: its "
            "parameters mean other bodies; go on with the release that made it, or start a new run"
        )
    if config.body == "planar":
        return character(planar.point(), planar.directions(), planar.tasks(config.task), config.rules)
    clips: Clips = library_of(config).clips
    task = humanoid.follow(clips) if config.task == "follow" else humanoid.make_task(config.task)
    box = humanoid.box() if config.task == "strike" else None
    return character(humanoid.humanoid(config.backend, box), clips, task, config.rules)


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
