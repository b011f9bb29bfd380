"""Committed results: a JSON-lines file whose first row tells where the others were made."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks.harness import machine


class ResultsFile:
    """Rows of an experiment, written one by one so that a stopped sweep goes on where it was.

    path: of the file; its folder is made.
    keys: the fields that identify a row.
    settings: what all rows share; a file with other settings is not continued but refused.
    """

    def __init__(self, path: Path, *, keys: tuple[str, ...], settings: dict[str, Any]):
        self._path, self._keys = path, keys
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            path.write_text(_line({"settings": settings, "machine": machine()}))
        found = read_header(path)["settings"]
        if found != json.loads(json.dumps(settings)):
            raise SystemExit(f"{path} was made with other settings; move it away: {found}")

    def has(self, **wanted: Any) -> bool:
        """Whether a row with these values exists."""
        return any(all(row[k] == v for k, v in wanted.items()) for row in read_rows(self._path))

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


def _line(row: dict[str, Any]) -> str:
    return json.dumps(row) + "\n"
