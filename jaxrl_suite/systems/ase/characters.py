"""Who plays: the character that a configuration is about, with its clips."""

import dataclasses
import hashlib

import numpy as np

from jaxrl_suite.core import UsageError
from jaxrl_suite.data import motion
from jaxrl_suite.envs import humanoid, planar
from jaxrl_suite.envs.character import Character, character
from jaxrl_suite.systems.ase.config import Config


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:12]


def _digests(config: Config) -> tuple[str, str]:
    """Of its body and of its clips."""
    if config.body == "planar":
        return (_digest(b"planar"),) * 2
    clips = library_of(config).clips
    frames = b"".join(np.ascontiguousarray(x).tobytes() for x in (*clips.frames[:4], *clips[1:]))
    return _digest(humanoid.mjcf().encode()), _digest(frames)


def settled(config: Config) -> Config:
    """With the digests of its body and its clips, which a run's record is to have."""
    skeleton, frames = _digests(config)
    return dataclasses.replace(
        config, skeleton=config.skeleton or skeleton, motion=config.motion or frames
    )


def _check_same(config: Config) -> None:
    """Raises UsageError where a run's body or clips are no longer what they were."""
    skeleton, frames = _digests(config)
    if config.skeleton not in ("", skeleton):
        raise UsageError(
            f"the run's skeleton is {config.skeleton}, the one of this release {skeleton}: its "
            "parameters mean another body; use the release that made it, or start a new run"
        )
    if config.motion not in ("", frames):
        raise UsageError(
            f"the run's clips have the digest {config.motion}, those of "
            f"{config.motion_dir or 'this release'} {frames}; put the same files there, or start a "
            "new run"
        )


def library_of(config: Config) -> motion.Library:
    """The humanoid's clips that a configuration asks for.

    Raises:
      UsageError: a clip that is not there, or a file that is no clip of this skeleton.
    """
    mine = config.motion_dir
    library = motion.read_directory(mine) if mine else motion.default()
    return motion.subset(library, config.clips) if config.clips else library


def clip_names(config: Config) -> tuple[str, ...]:
    """Of the clips, in their order."""
    if config.body == "planar":
        count = len(planar.directions().length)
        return tuple(f"{360 * i // count} degrees" for i in range(count))
    return library_of(config).names


def make_character(config: Config) -> Character:
    """What a configuration plays.

    Raises:
      UsageError: settings that no program can be made of, or of another skeleton.
    """
    config.check()
    _check_same(config)
    if config.body == "planar":
        task = planar.tasks(config.task)
        return character(planar.point(), planar.directions(), task, config.rules)
    clips = library_of(config).clips
    task = humanoid.follow(clips) if config.task == "follow" else humanoid.make_task(config.task)
    box = humanoid.box() if config.task == "strike" else None
    return character(humanoid.humanoid(config.backend, box), clips, task, config.rules)
