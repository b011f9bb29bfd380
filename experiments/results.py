"""Committed results: a JSON-lines file whose first row tells where the others were made."""

import contextlib
import dataclasses
import fcntl
import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from benchmarks.harness import machine
from jaxrl_suite.core import Preset


class ResultsFile:
    """Rows of an experiment, written one by one so that a stopped sweep goes on where it was.

    Several processes may work on one sweep, for instance one on each core.

    path: of the file; its folder is made.
    keys: the fields that identify a row.
    settings: what all rows share; a file with other settings is not continued but refused.
    """

    def __init__(self, path: Path, *, keys: tuple[str, ...], settings: dict[str, Any]):
        self._path, self._keys = path, keys
        self._claims = path.parent / ".claims"
        self._claims.mkdir(parents=True, exist_ok=True)
        self._held: list[Any] = []  # open files; the end of the process, any end, gives them back
        if not path.exists():
            begun = self._claims / f"{path.name}.{os.getpid()}"
            begun.write_text(_line({"settings": settings, "machine": machine()}))
            with contextlib.suppress(FileExistsError):  # another process was first
                os.link(begun, path)
            begun.unlink()
        found = read_header(path)["settings"]
        if found != json.loads(json.dumps(settings)):
            raise SystemExit(f"{path} was made with other settings; move it away: {found}")

    def has(self, **wanted: Any) -> bool:
        """Whether a row with these values exists."""
        return any(all(row[k] == v for k, v in wanted.items()) for row in read_rows(self._path))

    def lacks(self, **wanted: Any) -> bool:
        """Whether there is no such row yet, and no other process is at it: then it is this one's.

        Args:
          wanted: values by which rows are told apart, always the same fields in a sweep.
        """
        if self.has(**wanted):
            return False
        name = hashlib.sha256(json.dumps([self._path.name, wanted]).encode()).hexdigest()[:16]
        file = (self._claims / name).open("w")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return False
        self._held.append(file)
        return not self.has(**wanted)  # it may have been finished just now

    def add(self, rows: Iterable[dict[str, Any]]) -> None:
        """Appends rows, all of them in one write."""
        rows = list(rows)
        for row in rows:
            missing = [key for key in self._keys if key not in row]
            if missing:
                raise ValueError(f"row lacks {missing}")
        with self._path.open("a") as file:
            file.write("".join(_line(row) for row in rows))


def read_header(path: Path) -> dict[str, Any]:
    """Settings and machine of a results file."""
    with path.open() as file:
        return json.loads(file.readline())


def read_rows(path: Path) -> list[dict[str, Any]]:
    """All rows but the header."""
    lines = path.read_text().splitlines()
    return [json.loads(line) for line in lines[1:]]


def settings_of(preset: Preset, **more: Any) -> dict[str, Any]:
    """What all rows of a results file over a preset share."""
    return {
        "config": dataclasses.asdict(preset.config),
        "hyper": {name: float(x) for name, x in preset.hyper._asdict().items()},
        **more,
        "jax": jax.__version__,
        "numpy": np.__version__,
    }


def _line(row: dict[str, Any]) -> str:
    return json.dumps(row) + "\n"
