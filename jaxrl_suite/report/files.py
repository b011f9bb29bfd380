"""Whole files or none: what a report writes appears complete, or not at all."""

import os
import tempfile
from pathlib import Path

from jaxrl_suite.core import UsageError


def write_atomically(path: str | os.PathLike, content: bytes) -> Path:
    """Writes beside the target, then renames over it, which POSIX makes atomic.

    Args:
      path: where; missing folders are made.
      content: all of it.

    Returns:
      The path.

    Raises:
      UsageError: if it cannot be written (a full disk, no permission); what was there stays.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
            # mkstemp makes files private; give what an ordinary open would have given.
            umask = os.umask(0)
            os.umask(umask)
            os.chmod(name, 0o666 & ~umask)
            os.replace(name, path)
        except BaseException:
            os.unlink(name)
            raise
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror or error}") from error
    return path
