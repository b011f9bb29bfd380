"""Metrics of a run: ``metrics.jsonl``, one JSON object a log step, and optional sinks."""

import errno
import json
import math
import os
import re
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from jaxrl_suite.core import UsageError
from jaxrl_suite.files import write_atomically

Row = dict[str, Any]

# A metric with one of these words in its name must be finite.
_WATCHED = re.compile(r"(^|[/_])(loss|grad_norm|gradient_norm)($|[/_])")


def is_watched(name: str) -> bool:
    """Whether a run must stop when this metric is not finite."""
    return _WATCHED.search(name) is not None


class Sink(Protocol):
    """Something that takes rows. A resumed run may bring a row twice, with equal values."""

    def write(self, row: Row) -> None:
        """Takes one row."""

    def close(self) -> None:
        """Flushes; no row follows."""


def jsonable(value: Any) -> Any:
    """Numbers and nested lists; NaN and infinities are null, for JSON has neither."""
    if isinstance(value, (list, tuple)):
        return [jsonable(v) for v in value]
    if hasattr(value, "tolist"):
        return jsonable(np.asarray(value, dtype=_plain(value)).tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _plain(value: Any) -> Any:
    """bfloat16 and other small floats have no Python number of their own."""
    return np.float32 if value.dtype.kind == "V" else value.dtype


def read_metrics(path: Path) -> list[Row]:
    """All complete rows; a last line that a killed process has torn is left out."""
    if not path.exists():
        return []
    rows = []
    lines = path.read_text().splitlines()
    for number, line in enumerate(lines, 1):
        try:
            rows.append(json.loads(line))
        except ValueError as e:
            if number < len(lines):
                raise UsageError(f"{path}, line {number} is not JSON; remove that line") from e
    return rows


class MetricsFile:
    """Appends rows to ``metrics.jsonl``, each on disk's way before the next is made."""

    def __init__(self, path: Path, *, after_update: int):
        """Opens the file and cuts rows beyond `after_update`, which will be made again."""
        self._path = path
        self._remedy = f"make room, then go on with: jaxrl resume {path.parent}"
        kept = [row for row in read_metrics(path) if row["update"] <= after_update]
        self.last = kept[-1] if kept else None
        text = "".join(json.dumps(row) + "\n" for row in kept)
        write_atomically(path, text.encode(), remedy=self._remedy, locked=True)
        try:
            # Unbuffered: a buffer that a full disk refuses would be tried again at closing.
            self._file = path.open("ab", buffering=0)
        except OSError as e:
            raise self._error(e) from e

    def write(self, row: Row) -> None:
        """Appends one row, whole or not at all."""
        size = self._path.stat().st_size
        line = json.dumps({k: jsonable(v) for k, v in row.items()}).encode() + b"\n"
        try:
            if self._file.write(line) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as e:
            os.truncate(self._path, size)
            raise self._error(e) from e

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def _error(self, error: OSError) -> UsageError:
        return UsageError(f"cannot write {self._path}: {error.strerror}; {self._remedy}")


class TensorBoardSink:
    """Scalars for TensorBoard; the extra ``tensorboard``."""

    def __init__(self, directory: Path):
        """Writes event files into `directory`."""
        try:
            from tensorboardX import SummaryWriter
        except ImportError as e:
            raise missing_extra("tensorboard") from e
        self._writer = SummaryWriter(str(directory))

    def write(self, row: Row) -> None:
        """Every scalar, over environment frames."""
        for name, value in scalars(row).items():
            self._writer.add_scalar(name, value, global_step=row["frames"])

    def close(self) -> None:
        """Flushes the event file."""
        self._writer.close()


class WandbSink:
    """Scalars for Weights & Biases; the extra ``wandb``."""

    def __init__(self, directory: Path, config: dict[str, Any]):
        """Starts, or goes on with, the W&B run named as the run directory."""
        try:
            import wandb
        except ImportError as e:
            raise missing_extra("wandb") from e
        name = f"{directory.parent.name}-{directory.name}"
        self._run = wandb.init(
            project="jaxrl_suite", id=name, resume="allow", dir=str(directory), config=config
        )

    def write(self, row: Row) -> None:
        """Every scalar; W&B's step is the update."""
        self._run.log(scalars(row), step=row["update"])

    def close(self) -> None:
        """Waits for the upload."""
        self._run.finish()


def scalars(row: Row) -> dict[str, float]:
    """The plain numbers of a row: what a dashboard can draw."""
    numbers = {k: jsonable(v) for k, v in row.items()}
    return {k: v for k, v in numbers.items() if isinstance(v, (int, float))}


def missing_extra(extra: str) -> UsageError:
    """The error of a package that is optional and not installed."""
    return UsageError(f'{extra} is not installed; pip install "jaxrl_suite[{extra}]"')
