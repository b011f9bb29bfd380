"""Whole files or none: what is written appears complete, or not at all."""

import os
import secrets
from pathlib import Path

from jaxrl_suite.core import UsageError

# Ends the names of what :func:`write_atomically` writes in folders that are locked.
TEMPORARY = ".tmp"


def write_atomically(
    path: str | os.PathLike, content: bytes, *, remedy: str = "", locked: bool = False
) -> Path:
    """Writes beside the target, to the disk, then renames over it, which POSIX makes atomic.

    Args:
      path: where; missing folders are made.
      content: all of it.
      remedy: what to do where it cannot be written; the end of the error.
      locked: the folder exists, and nobody else writes there. The file beside the target then has
        one name, so that the next call overwrites what a killed process has left; otherwise every
        call has its own, and it is hidden.

    Returns:
      The path.

    Raises:
      UsageError: if it cannot be written (a full disk, no permission); what was there stays.
    """
    path = Path(path)
    name = path.name + TEMPORARY if locked else f".{path.name}.{secrets.token_hex(4)}"
    beside = path.parent / name
    try:
        if not locked:
            path.parent.mkdir(parents=True, exist_ok=True)
        try:
            write_synced(beside, content)
            os.replace(beside, path)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise
    except OSError as error:
        end = f"; {remedy}" if remedy else ""
        raise UsageError(f"cannot write {path}: {error.strerror or error}{end}") from error
    return path


def write_synced(path: Path, content: bytes) -> None:
    """Writes a file and waits until the disk has it."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
