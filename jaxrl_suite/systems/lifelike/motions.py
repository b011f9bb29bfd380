"""Which clips are followed, and the task of following them."""

import dataclasses
import hashlib
from typing import NamedTuple

import numpy as np

from jaxrl_suite import physics
from jaxrl_suite.core import UsageError
from jaxrl_suite.data import gaits
from jaxrl_suite.data.motion import Library
from jaxrl_suite.envs.base import ControlEnvironment
from jaxrl_suite.envs.quadruped import machine, tracking
from jaxrl_suite.envs.quadruped.tracking import Starts
from jaxrl_suite.systems.lifelike.config import Config


class Following(NamedTuple):
    """The primitive level's world.

    env: its `task` is a :class:`tracking.Tracked`.
    scene: what the robot stands on.
    starts: where episodes begin.
    groups: [S], what kind of motion each segment of `starts` is of.
    library: the clips.
    """

    env: ControlEnvironment
    scene: physics.Scene
    starts: Starts
    groups: tuple[str, ...]
    library: Library


def library_of(config: Config) -> Library:
    """The clips that a configuration asks for.

    Raises:
      UsageError: a clip that is not there, or a file that is no clip of the robot.
    """
    mine = config.motion_dir
    library = gaits.read_directory(mine) if mine else gaits.default()
    library = gaits.subset(library, config.clips) if config.clips else library
    return gaits.with_mirrors(library) if config.mirrored else library


def _digest(config: Config) -> str:
    library = library_of(config)
    clips = library.clips
    # Without their weights, which no start goes by.
    arrays = (*clips.frames[:4], clips.start, clips.length, clips.fps, clips.loop, library.valid)
    content = b"".join(np.ascontiguousarray(x).tobytes() for x in arrays)
    return hashlib.sha256(content).hexdigest()[:12]


def settled(config: Config) -> Config:
    """With the digest of its clips, which a run's record is to have."""
    return dataclasses.replace(config, motion=config.motion or _digest(config))


def following(config: Config) -> Following:
    """The clips and the task of following them.

    Raises:
      UsageError: settings that no program can be made of, or clips that are not the run's.
    """
    config.check()
    library = library_of(config)
    if config.motion not in ("", digest := _digest(config)):
        raise UsageError(
            f"the run's clips have the digest {config.motion}, those of "
            f"{config.motion_dir or 'this release'} {digest}; put the same files there, or start a "
            "new run"
        )
    starts = tracking.starts_of(library.clips, library.valid, config.rules.segment)
    env = tracking.follow(config.mechanics, library.clips, starts, config.rules)
    sizes = machine.simulation(config.mechanics).sizes
    scene = machine.scene_of(config.mechanics, sizes)
    groups = tuple(library.groups[i] for i in starts.clip)
    return Following(env, scene, starts, groups, library)
