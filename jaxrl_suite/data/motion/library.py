"""Motion clips of the humanoid with their names: made, joined, chosen from, and kept in one file.

The file is an .npz of float32 frames; velocities are worked out when it is read. Joints are those
of :data:`jaxrl_suite.envs.humanoid.skeleton.JOINTS`, whose names go with the file, so that clips of
another skeleton are refused.
"""

import functools
import io
import os
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxrl_suite.core import UsageError
from jaxrl_suite.data.motion import checking
from jaxrl_suite.data.motion.clip import Clip
from jaxrl_suite.envs import clips as envs_clips
from jaxrl_suite.envs.humanoid import skeleton

SHIPPED = Path(__file__).with_name("mix51.npz")
NAMES = tuple(joint.name for joint in skeleton.JOINTS)
_POSE = slice(3, 7)  # places in a Clip of what its frames hold
_FRAMES = ("root_pos", "root_quat", "ball_quat", "hinge")
_OF_CLIPS = ("clip_start", "clip_len", "clip_fps", "clip_weight", "clip_loop", "clip_name")
_OF_CLIPS += ("clip_group", "clip_source")


class Library(NamedTuple):
    """C clips.

    clips: frames and rates, arrays of NumPy.
    names: [C], each once.
    groups: [C], the skill that a clip shows.
    sources: [C], where a clip comes from.
    """

    clips: envs_clips.Clips
    names: tuple[str, ...]
    groups: tuple[str, ...]
    sources: tuple[str, ...]

    def clip(self, index: int) -> Clip:
        """One clip by its number."""
        clips = self.clips
        frames = slice(clips.start[index], clips.start[index] + clips.length[index])
        return Clip(
            self.names[index],
            self.groups[index],
            self.sources[index],
            *(x[frames] for x in clips.frames[:4]),
            float(clips.fps[index]),
            bool(clips.loop[index]),
        )


def weights_by_group(groups: Sequence[str]) -> np.ndarray:
    """Shares of draws [C] that are equal for all groups, and within a group for all its clips.

    By duration instead, walks would be four fifths of the shipped clips.
    """
    names, which, count = np.unique(np.array(groups), return_inverse=True, return_counts=True)
    return (1.0 / (len(names) * count[which])).astype(np.float32)


def gather(clips: Sequence[Clip], weights: np.ndarray | None = None) -> Library:
    """A library of clips, at least one, in their order.

    Args:
      clips: with names that differ.
      weights: [C], any scale; by group if None.
    """
    names = [clip.name for clip in clips]
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if twice:
        raise UsageError(f"two clips are called {twice[0]!r}; give them different names")
    groups = tuple(clip.group for clip in clips)
    weights = weights_by_group(groups) if weights is None else np.asarray(weights, np.float64)
    length = np.array([len(clip.position) for clip in clips], np.int32)
    fps = np.array([clip.fps for clip in clips], np.float32)
    rated = [envs_clips.rates(*clip[_POSE], clip.fps) for clip in clips]
    return Library(
        envs_clips.Clips(
            frames=envs_clips.Pose(*map(np.concatenate, zip(*rated, strict=True))),
            start=(np.cumsum(length) - length).astype(np.int32),
            length=length,
            fps=fps,
            weight=(weights / weights.sum()).astype(np.float32),
            loop=np.array([clip.loop for clip in clips], bool),
        ),
        tuple(names),
        groups,
        tuple(clip.source for clip in clips),
    )


def join(libraries: Sequence[Library]) -> Library:
    """One library of several; each has a share of draws by its number of groups.

    Raises:
      UsageError: two of them have a clip of the same name.
    """
    whole = sum(len(set(library.groups)) for library in libraries)
    weights = [lib.clips.weight * (len(set(lib.groups)) / whole) for lib in libraries]
    clips = [lib.clip(i) for lib in libraries for i in range(len(lib.names))]
    return gather(clips, np.concatenate(weights))


def subset(library: Library, names: Iterable[str]) -> Library:
    """The clips of these names or groups; their shares of draws keep their proportions.

    Raises:
      UsageError: a name that is neither, or none at all.
    """
    names = list(names)
    legal = dict.fromkeys((*library.groups, *library.names))
    for name in names:
        if name not in legal:
            raise UsageError(f"no clip or group is called {name!r}; there are {', '.join(legal)}")
    chosen = [
        i
        for i, labels in enumerate(zip(library.names, library.groups, strict=True))
        if set(labels) & set(names)
    ]
    weights = library.clips.weight[chosen]
    if not weights.sum() > 0:
        raise UsageError(
            f"of the clips {', '.join(names) or '(none)'} none has a weight above 0; "
            f"choose from {', '.join(legal)}"
        )
    return gather([library.clip(i) for i in chosen], weights)


def save(library: Library, path: str | os.PathLike, digest: str = "") -> None:
    """Writes a library, whole or not at all.

    Args:
      library: what to write.
      path: of the .npz file.
      digest: kept with it, for :func:`digest_of`.

    Raises:
      UsageError: it cannot be written.
    """
    clips, file = library.clips, io.BytesIO()
    # Compressed: 2 of 3 bytes. The archive holds no dates, hence the same bytes every time.
    np.savez_compressed(
        file,
        **dict(zip(_FRAMES, clips.frames[:4], strict=True)),
        **dict(zip(_OF_CLIPS, (*clips[1:], *library[1:]), strict=True)),
        skeleton=np.array(NAMES),
        digest=np.array(digest),
    )
    write(path, file.getvalue())


def load(path: str | os.PathLike) -> Library:
    """Reads and checks what :func:`save` wrote.

    Raises:
      UsageError: no such file, damaged, of another skeleton, or an unsound clip, which it names
        with the frame.
    """
    path = Path(path)
    arrays = _arrays(path)
    absent = [name for name in (*_FRAMES, *_OF_CLIPS, "skeleton") if name not in arrays]
    if absent:
        raise UsageError(
            f"{path}: lacks {', '.join(absent)}; a clip file has "
            f"{', '.join((*_FRAMES, *_OF_CLIPS, 'skeleton'))}"
        )
    checking.check_table(arrays, NAMES, path)
    frames = [np.asarray(arrays[name], np.float32) for name in _FRAMES]
    clips = []
    for i, first in enumerate(arrays["clip_start"]):
        own = slice(first, first + arrays["clip_len"][i])
        labels = (str(arrays[f"clip_{x}"][i]) for x in ("name", "group", "source"))
        rate, loop = float(arrays["clip_fps"][i]), bool(arrays["clip_loop"][i])
        clips.append(Clip(*labels, *(x[own] for x in frames), rate, loop))
        checking.check(clips[-1], path)
    return gather(clips, arrays["clip_weight"])


def digest_of(path: str | os.PathLike) -> str | None:
    """What :func:`save` was given as `digest`; None if there is no such file."""
    path = Path(path)
    return str(_arrays(path).get("digest", "")) if path.exists() else None


@functools.cache
def default() -> Library:
    """The shipped clips: 15 of DeepMimic and 36 walks of the CMU database."""
    return load(SHIPPED)


def _arrays(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return dict(file)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}") from error
    except (ValueError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise UsageError(
            f"{path} is damaged or no .npz file of plain arrays; make or copy it again"
        ) from error


def write(path: str | os.PathLike, content: bytes) -> None:
    """Writes beside the target, then renames over it: a file appears whole or not at all.

    Raises:
      UsageError: it cannot be written; what was there stays.
    """
    path = Path(path)
    try:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
            umask = os.umask(0)  # mkstemp makes files private
            os.umask(umask)
            os.chmod(name, 0o666 & ~umask)
            os.replace(name, path)
        except BaseException:
            os.unlink(name)
            raise
    except OSError as error:
        raise UsageError(
            f"cannot write {path}: {error.strerror or error}; make room there or give a "
            "directory that can be written"
        ) from error
