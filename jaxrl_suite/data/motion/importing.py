"""Reads a directory of motion files of any format that is known here."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from jaxrl_suite.core import UsageError
from jaxrl_suite.data.motion import deepmimic, epmocap, library, measures, retarget
from jaxrl_suite.data.motion.library import Library

FORMATS = {
    ".npz": "clips of this package",
    ".txt": "a motion of DeepMimic",
    ".bin": "EPMOCAP1: motions of dm_control's CMU humanoid, put on ours",
}
CACHE = ".motion-cache.npz"
REPORT = "motion-quality.md"
_VERSION = b"1"  # of how files become clips: another one makes caches anew


def read_directory(directory: str | os.PathLike) -> Library:
    """All clips of a directory's files, checked.

    A file's one clip has the name of the file, several have it before their own: "file/clip".
    Clips of an .npz keep their groups; those of any other file are a group, named after it. Hidden
    files are left alone. The result is kept beside the files, hidden, until they change; what the
    clips look like in numbers is written to motion-quality.md.

    Args:
      directory: with files of the formats in FORMATS, none of any other.

    Raises:
      UsageError: a file that is unknown or damaged or holds an unsound clip, named with clip and
        frame; or there is no file, or no right to write the two. Nothing was written then.
    """
    directory = Path(directory)
    contents = {path: _content(path) for path in _files(directory)}
    digest = _digest(contents)
    cache = directory / CACHE
    kept = _kept(cache, digest)
    if kept is not None:
        return kept
    libraries = [_read(path, content) for path, content in contents.items()]
    joined = library.join(libraries)
    report = f"# The clips of {directory.name} in numbers\n\n"
    report += measures.table(measures.quality(joined))
    library.write(directory / REPORT, report.encode())
    library.save(joined, cache, digest)
    return joined


def _kept(cache: Path, digest: str) -> Library | None:
    """What an earlier call made of the same files; None if there is none or it is damaged."""
    try:
        return library.load(cache) if library.digest_of(cache) == digest else None
    except UsageError:
        return None


def _files(directory: Path) -> list[Path]:
    legal = "; ".join(f"{ending} ({what})" for ending, what in FORMATS.items())
    try:
        paths = sorted(directory.iterdir())
    except OSError as error:
        raise UsageError(
            f"{directory} cannot be read: {error.strerror}; give a directory of motion files: "
            f"{legal}"
        ) from error
    paths = [path for path in paths if path.name[0] != "." and path.name != REPORT]
    for path in paths:
        if path.suffix.lower() not in FORMATS:
            raise UsageError(f"{path} is of no known format; a directory of motions has {legal}")
    if not paths:
        raise UsageError(f"{directory} has no motion files; put some there: {legal}")
    return paths


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error


def _digest(contents: dict[Path, bytes]) -> str:
    """Of names and contents."""
    found = hashlib.sha256(_VERSION)
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
            names = _named(name, [recording.name for recording in recordings])
            pairs = zip(recordings, names, strict=True)
            return library.gather(
                [retarget.retarget(r, n, name, path.name, path) for r, n in pairs]
            )
        case _:
            found = library.load(path)
            return found._replace(names=tuple(_named(name, found.names)))


def _named(file: str, clips: Sequence[str]) -> list[str]:
    return [file] if len(clips) == 1 else [f"{file}/{clip}" for clip in clips]
