"""Reads a directory of motion files of any format that is known for its skeleton."""

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jaxrl_suite.core import UsageError
from jaxrl_suite.data.motion import deepmimic, epmocap, library, measures, retarget
from jaxrl_suite.data.motion.library import Library
from jaxrl_suite.data.motion.skeleton import HUMANOID, Skeleton
from jaxrl_suite.files import write_atomically

FORMATS = {
    ".npz": "clips of this package",
    ".txt": "a motion of DeepMimic",
    ".bin": "EPMOCAP1: motions of dm_control's CMU humanoid, put on ours",
}
CACHE = ".motion-cache.npz"
REPORT = "motion-quality.md"
# Files that say what the others are.
_ABOUT = ("LICENSE", "NOTICE", "README")


class Kind(NamedTuple):
    """How the files of a skeleton become clips.

    skeleton: of the clips.
    formats: what files of an ending are.
    read: clips of a file's path and bytes, checked, and a row about each.
    table: rows in Markdown.
    version: of how files become clips: another one makes caches anew.
    """

    skeleton: Skeleton
    formats: Mapping[str, str]
    read: Callable[[Path, bytes], tuple[Library, list[Any]]]
    table: Callable[[Sequence[Any]], str]
    version: bytes


def read_directory(directory: str | os.PathLike) -> Library:
    """All clips of a directory's files, checked.

    A file's one clip has the name of the file, several have it before their own: "file/clip".
    Clips of an .npz keep their groups; those of any other file are a group, named after it. Hidden
    files are left alone, as are those called LICENSE, NOTICE and README. The result is kept beside
    the files, hidden, until they change; what the clips look like in numbers is written to
    motion-quality.md.

    Args:
      directory: with files of the formats in FORMATS, none of any other.

    Raises:
      UsageError: a file that is unknown or damaged or holds an unsound clip, named with clip and
        frame; or there is no file, or no right to write the two. Nothing was written then.
    """
    return read_as(directory, _humanoid())


def _humanoid() -> Kind:
    def read(path: Path, content: bytes) -> tuple[Library, list[measures.Quality]]:
        found = _read(path, content)
        return found, measures.quality(found)

    return Kind(HUMANOID, FORMATS, read, measures.table, b"1")


def read_as(directory: str | os.PathLike, kind: Kind) -> Library:
    """:func:`read_directory`, of clips of a kind."""
    directory = Path(directory)
    contents = _contents(directory, kind)
    digest = _digest(contents, kind)
    cache = directory / CACHE
    kept = _kept(cache, digest, kind)
    if kept is not None:
        return kept
    joined, table = _joined(contents, kind)
    report = f"# The clips of {directory.name} in numbers\n\n{table}"
    write_atomically(directory / REPORT, report.encode(), remedy=library.REMEDY)
    library.save(joined, cache, digest)
    return joined


def examined(directory: str | os.PathLike, kind: Kind | None = None) -> tuple[Library, str]:
    """All clips of a directory's files, checked, and a table of them; writes nothing.

    Args:
      directory: with files of the kind's formats.
      kind: of clips; the humanoid's if None.

    Raises:
      UsageError: as :func:`read_directory`.
    """
    kind = kind or _humanoid()
    return _joined(_contents(Path(directory), kind), kind)


def _joined(contents: Mapping[Path, bytes], kind: Kind) -> tuple[Library, str]:
    """One library of all files, and a table of what is in them."""
    found = [kind.read(path, content) for path, content in contents.items()]
    rows = [row for _, own in found for row in own]
    return library.join([clips for clips, _ in found]), kind.table(rows)


def _kept(cache: Path, digest: str, kind: Kind) -> Library | None:
    """What an earlier call made of the same files; None if there is none or it is damaged."""
    try:
        return library.load(cache, kind.skeleton) if library.digest_of(cache) == digest else None
    except UsageError:
        return None


def _contents(directory: Path, kind: Kind) -> dict[Path, bytes]:
    """Of the motion files in a directory."""
    return {path: _content(path) for path in _files(directory, kind)}


def _files(directory: Path, kind: Kind) -> list[Path]:
    legal = "; ".join(f"{ending} ({what})" for ending, what in kind.formats.items())
    try:
        paths = sorted(directory.iterdir())
    except OSError as error:
        raise UsageError(
            f"{directory} cannot be read: {error.strerror}; give a directory of motion files: "
            f"{legal}"
        ) from error
    paths = [path for path in paths if path.name[0] != "." and path.name != REPORT]
    paths = [path for path in paths if path.stem not in _ABOUT]
    for path in paths:
        if path.suffix.lower() not in kind.formats:
            raise UsageError(f"{path} is of no known format; a directory of motions has {legal}")
    if not paths:
        raise UsageError(f"{directory} has no motion files; put some there: {legal}")
    return paths


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error


def _digest(contents: Mapping[Path, bytes], kind: Kind) -> str:
    """Of names and contents."""
    found = hashlib.sha256(kind.version)
    for path, content in contents.items():
        found.update(path.name.encode() + b"\0" + hashlib.sha256(content).digest())
    return found.hexdigest()


def _read(path: Path, content: bytes) -> Library:
    name = path.stem
    match path.suffix.lower():
        case ".txt":
            return library.gather([deepmimic.read(content, name, name, path.name, path)])
        case ".bin":
            recordings = epmocap.read(content, path)
            names = named(name, [recording.name for recording in recordings])
            pairs = zip(recordings, names, strict=True)
            return library.gather(
                [retarget.retarget(r, n, name, path.name, path) for r, n in pairs]
            )
        case _:
            found = library.load(path)
            return found._replace(names=tuple(named(name, found.names)))


def named(file: str, clips: Sequence[str]) -> list[str]:
    """Names of a file's clips in a directory of several files."""
    return [file] if len(clips) == 1 else [f"{file}/{clip}" for clip in clips]
