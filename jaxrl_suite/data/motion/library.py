"""Motion clips with their names: made, joined, chosen from, and kept in one file.

The file is an .npz of float32 frames; velocities are worked out when it is read. The names of the
skeleton's joints go with the file, so that clips of another skeleton are refused.
"""

import collections
import functools
import io
import os
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxrl_suite.core import UsageError
from jaxrl_suite.data.motion import checking
from jaxrl_suite.data.motion.clip import Clip
from jaxrl_suite.data.motion.skeleton import HUMANOID, Skeleton
from jaxrl_suite.envs import clips as envs_clips
from jaxrl_suite.files import write_atomically

REMEDY = "make room there or give a directory that can be written"
SHIPPED = Path(__file__).with_name("mix51.npz")
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
    valid: bool [F], an episode may start at a frame.
    skeleton: that they are of.
    """

    clips: envs_clips.Clips
    names: tuple[str, ...]
    groups: tuple[str, ...]
    sources: tuple[str, ...]
    valid: np.ndarray
    skeleton: Skeleton

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
            self.valid[frames],
        )


def weights_by_group(groups: Sequence[str]) -> np.ndarray:
    """Shares of draws [C] that are equal for all groups, and within a group for all its clips.

    By duration instead, walks would be four fifths of the shipped clips.
    """
    names, which, count = np.unique(np.array(groups), return_inverse=True, return_counts=True)
    return (1.0 / (len(names) * count[which])).astype(np.float32)


def gather(
    clips: Sequence[Clip], weights: np.ndarray | None = None, skeleton: Skeleton = HUMANOID
) -> Library:
    """A library of clips, at least one, in their order.

    Args:
      clips: with names that differ.
      weights: [C], any scale; by group if None.
      skeleton: that they are of.
    """
    names = [clip.name for clip in clips]
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if twice:
        raise UsageError(f"two clips are called {twice[0]!r}; give them different names")
    groups = tuple(clip.group for clip in clips)
    weights = weights_by_group(groups) if weights is None else np.asarray(weights, np.float64)
    length = np.array([len(clip.position) for clip in clips], np.int32)
    fps = np.array([clip.fps for clip in clips], np.float32)
    rated = [skeleton.rates(*clip[_POSE], clip.fps) for clip in clips]
    valid = [np.ones(n, bool) if c.valid is None else c.valid for c, n in zip(clips, length)]  # noqa: B905
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
        np.concatenate(valid),
        skeleton,
    )


def join(libraries: Sequence[Library]) -> Library:
    """One library of several of a skeleton; each has a share of draws by its number of groups.

    A group that several have counts once, and in each as the part that it has of them.

    Raises:
      UsageError: two of them have a clip of the same name.
    """
    having = collections.Counter(group for lib in libraries for group in set(lib.groups))
    shares = [sum(1.0 / having[group] for group in set(lib.groups)) for lib in libraries]
    weights = [lib.clips.weight * s / len(having) for lib, s in zip(libraries, shares, strict=True)]
    clips = [lib.clip(i) for lib in libraries for i in range(len(lib.names))]
    return gather(clips, np.concatenate(weights), libraries[0].skeleton)


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
    return gather([library.clip(i) for i in chosen], weights, library.skeleton)


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
    arrays = dict(zip(_FRAMES, clips.frames[:4], strict=True))
    arrays |= zip(_OF_CLIPS, (*clips[1:], *library[1:4]), strict=True)
    if not library.valid.all():
        arrays["valid"] = library.valid
    # Compressed: 2 of 3 bytes. The archive holds no dates, hence the same bytes every time.
    np.savez_compressed(
        file,
        **arrays,
        skeleton=np.array(library.skeleton.joints),
        digest=np.array(digest),
    )
    write_atomically(path, file.getvalue(), remedy=REMEDY)


def load(path: str | os.PathLike, skeleton: Skeleton = HUMANOID) -> Library:
    """Reads and checks what :func:`save` wrote.

    Args:
      path: of the .npz file.
      skeleton: that the clips must be of.

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
    checking.check_table(arrays, skeleton, path)
    frames = [np.asarray(arrays[name], np.float32) for name in _FRAMES]
    valid = arrays.get("valid", np.ones(len(frames[0]), bool))
    clips = []
    for i, first in enumerate(arrays["clip_start"]):
        own = slice(first, first + arrays["clip_len"][i])
        labels = (str(arrays[f"clip_{x}"][i]) for x in ("name", "group", "source"))
        rate, loop = float(arrays["clip_fps"][i]), bool(arrays["clip_loop"][i])
        clips.append(Clip(*labels, *(x[own] for x in frames), rate, loop, valid[own]))
        checking.check(clips[-1], path, skeleton)
    return gather(clips, arrays["clip_weight"], skeleton)


def digest_of(path: str | os.PathLike) -> str | None:
    """What :func:`save` was given as `digest`; None if there is no such file."""
    path = Path(path)
    return str(_arrays(path).get("digest", "")) if path.exists() else None


def joints_of(path: str | os.PathLike) -> tuple[str, ...]:
    """Names of the joints that a file's clips have; none if it is no file of clips."""
    try:
        return tuple(map(str, np.atleast_1d(_arrays(Path(path)).get("skeleton", ()))))
    except UsageError:
        return ()


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
