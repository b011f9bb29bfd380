"""Reads a directory of the quadruped's motion files, and makes clips of them that can be followed.

Whatever the format, frames come to be at 60 Hz, quaternions of unit length and without flips of
their sign, and the feet on the ground: a clip is lifted by the median height of its lowest foot.
Frames that are no good to start from are marked, see :mod:`jaxrl_suite.data.gaits.starts`.
"""

import os
from pathlib import Path

import numpy as np

from jaxrl_suite.core import UsageError
from jaxrl_suite.data.gaits import dog, measures, starts, text
from jaxrl_suite.data.gaits.dog import DOG
from jaxrl_suite.data.gaits.measures import Quality
from jaxrl_suite.data.motion import Clip, Library, check, gather, importing, library, load
from jaxrl_suite.data.motion.clip import resampled
from jaxrl_suite.envs import turns

FPS = 60.0
FORMATS = {
    ".npz": "clips of this package",
    ".txt": "a motion of the release of Han et al. 2024, or one of motion_imitation for Laikago",
}
_UP = 0.5  # cosine of the largest tilt of a base that stands
_FLIPPED = 0.1  # share of frames by which another order of the quaternions must be the better one


def read_directory(directory: str | os.PathLike, mirrored: bool = False) -> Library:
    """All clips of a directory's files, checked and made fit to be followed.

    Names, what is kept beside the files, and what is refused are as of
    :func:`jaxrl_suite.data.motion.read_directory`. A text file's group is its name without the
    numbers: fast_run of dog_fast_run_02_004.txt.

    Args:
      directory: with files of the formats in FORMATS, none of any other.
      mirrored: with every clip's mirror image, which is not kept.

    Raises:
      UsageError: a file that is unknown or damaged or holds an unsound clip.
    """
    found = importing.read_as(directory, KIND)
    return dog.with_mirrors(found) if mirrored else found


def examined(directory: str | os.PathLike) -> tuple[Library, str]:
    """The same clips and a table of what the files hold; writes nothing."""
    return importing.examined(directory, KIND)


def recognised(path: Path) -> bool:
    """Whether a file is of the quadruped, sound or not."""
    if path.suffix.lower() == ".txt":
        return text.is_of_dogs(path.read_bytes())
    if path.suffix.lower() == ".npz":
        return library.joints_of(path) == DOG.joints
    return False


def cleaned(clip: Clip, where: object) -> tuple[Clip, Quality]:
    """A clip made fit to be followed, and a row about what it was.

    Args:
      clip: a file's numbers.
      where: what a message calls the file.

    Raises:
      UsageError: an unsound clip, named with the frame.
    """
    clip = clip._replace(
        position=np.asarray(clip.position, np.float64),
        quaternion=turns.normalise(np.asarray(clip.quaternion, np.float64)),
        hinges=np.asarray(clip.hinges, np.float64),
    )
    check(clip, where, DOG)
    _check_upright(clip, f"{where}: clip {clip.name}")
    raw, even = clip, _even(clip)
    rise = np.array([0.0, 0.0, -np.median(dog.lowest_foot(even))])
    clip = even._replace(position=even.position + rise, quaternion=continuous(even.quaternion))
    clip = starts.marked(clip, where)
    return clip, measures.row(raw, even, clip.valid)


def _read(path: Path, content: bytes) -> tuple[Library, list[Quality]]:
    if path.suffix.lower() == ".txt":
        made = cleaned(text.read(content, path.stem, path.name, path), path)
        return gather([made[0]], skeleton=DOG), [made[1]]
    found = load(path, DOG)
    names = importing.named(path.stem, found.names)
    clips = [found.clip(i)._replace(name=name) for i, name in enumerate(names)]
    made = [cleaned(clip, path) for clip in clips]
    return gather([clip for clip, _ in made], found.clips.weight, DOG), [row for _, row in made]


KIND = importing.Kind(DOG, FORMATS, _read, measures.table, b"dog 1")


def _even(clip: Clip) -> Clip:
    """At 60 Hz."""
    times = np.arange(len(clip.position)) / clip.fps
    wanted = np.arange(int(times[-1] * FPS + 1e-6) + 1) / FPS
    if len(wanted) == len(times) and abs(wanted[-1] - times[-1]) < 1e-6:
        return clip
    return resampled(clip, times, wanted)._replace(fps=FPS)


def continuous(quaternion: np.ndarray) -> np.ndarray:
    """The same rotations [F, 4], each of the sign that is nearer to the one before."""
    flips = np.sum(quaternion[1:] * quaternion[:-1], axis=1) < 0
    return quaternion * np.where(np.cumsum([False, *flips]) % 2, -1.0, 1.0)[:, None]


def _check_upright(clip: Clip, about: str) -> None:
    """Raises UsageError for a base that lies more often than it stands.

    So it is with quaternions of another order, (x, y, z, w) for (w, x, y, z) and the other way
    round, since then a heading becomes a roll. Only a dog that heads for 180 degrees all along
    would stand in both.
    """
    q = clip.quaternion
    stands = [float(np.mean(turns.to_matrix(x)[:, 2, 2] > _UP)) for x in (q, *_other_orders(q))]
    if stands[0] < max(0.5, max(stands[1:]) - _FLIPPED):
        raise UsageError(
            f"{about}: the base lies on its side or its back in {1 - stands[0]:.0%} of the frames; "
            "if that is not so, the quaternions are in another order than the format has them "
            "(.txt: x, y, z, w; .npz: w, x, y, z), or z does not point up"
        )


def _other_orders(q: np.ndarray) -> list[np.ndarray]:
    """Quaternions [F, 4], were the scalar the first number and not the last, and vice versa."""
    return [np.roll(q, shift, axis=1) for shift in (1, -1)]
