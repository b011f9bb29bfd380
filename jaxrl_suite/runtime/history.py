"""The history of a run in an SQLite file: rows that are only ever added, each batch whole or not.

A table ``rows`` with a column for every array; numbers and truth values as they are, longer entries
as blobs whose type and shape the table ``columns`` tells. :func:`read_history` reads it back.
"""

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from jaxrl_suite.core import History, UsageError

NAME = "lineage.sqlite"


class HistoryFile:
    """Mirrors a :class:`~jaxrl_suite.core.History` into a file, after every chunk of updates."""

    def __init__(self, path: Path, identity: Any, history: History):
        """Opens or makes the file, and cuts rows that will be made again.

        Args:
          path: of the file.
          identity: what the rows belong to, as JSON can hold it: the run's configuration and seed.
          history: as it is now, in host memory.

        Raises:
          UsageError: the file is damaged or belongs to something else; it is left as it is.
        """
        self._path = path
        told = json.dumps(identity, sort_keys=True)
        columns = history.columns
        kinds = {name: (x.dtype.str, list(x.shape[1:])) for name, x in columns.items()}
        try:
            # A reader may hold the file for a while; transactions are opened by hand, since Python
            # would leave the making of tables out of them.
            self._file = sqlite3.connect(path, timeout=60.0, isolation_level=None)
            with self._transaction():
                made = "SELECT COUNT(*) FROM sqlite_master WHERE name = 'identity'"
                if not self._file.execute(made).fetchone()[0]:
                    self._create(told, kinds)
                self._check(told, kinds)
                self._file.execute("DELETE FROM rows WHERE number >= ?", (int(history.count),))
        except sqlite3.Error as e:
            raise self._error(e) from e
        self.write(history)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """All or nothing."""
        self._file.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._file.execute("ROLLBACK")
            raise
        self._file.execute("COMMIT")

    def _create(self, identity: str, kinds: dict) -> None:
        self._file.execute("CREATE TABLE identity (json TEXT)")
        self._file.execute("INSERT INTO identity VALUES (?)", (identity,))
        self._file.execute("CREATE TABLE columns (name TEXT PRIMARY KEY, dtype TEXT, shape TEXT)")
        for name, (dtype, shape) in kinds.items():
            self._file.execute("INSERT INTO columns VALUES (?, ?, ?)", (name, dtype, str(shape)))
        names = ", ".join(f'"{name}"' for name in kinds)
        self._file.execute(f"CREATE TABLE rows (number INTEGER PRIMARY KEY, {names})")

    def _check(self, identity: str, kinds: dict) -> None:
        (found,) = self._file.execute("SELECT json FROM identity").fetchone()
        names = dict(_kinds(self._file))
        if found != identity or names != {k: (d, tuple(s)) for k, (d, s) in kinds.items()}:
            raise UsageError(
                f"{self._path} is the history of another configuration or seed; nothing was "
                "written: move it away, or give the run another name"
            )

    def write(self, history: History) -> None:
        """Adds the rows that have been completed since the last call, all or none."""
        count = int(history.count)
        try:
            (done,) = self._file.execute("SELECT COUNT(*) FROM rows").fetchone()
            if done >= count:
                return
            places = ", ".join("?" * (len(history.columns) + 1))
            rows = [
                (i, *(_entry(x[i]) for x in history.columns.values())) for i in range(done, count)
            ]
            with self._transaction():
                self._file.executemany(f"INSERT INTO rows VALUES ({places})", rows)
        except sqlite3.Error as e:
            raise self._error(e) from e

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def _error(self, error: sqlite3.Error) -> UsageError:
        return UsageError(
            f"cannot write {self._path}: {error}; make room, or move the file away if it is "
            f"damaged, then go on with: jaxrl resume {self._path.parent}"
        )


def _entry(value: np.ndarray) -> Any:
    """A number as it is, NaN as NULL; anything longer as little-endian bytes."""
    if value.ndim:
        return np.ascontiguousarray(value).tobytes()
    return value.item()


def _kinds(file: sqlite3.Connection) -> list[tuple[str, tuple[str, tuple[int, ...]]]]:
    found = file.execute("SELECT name, dtype, shape FROM columns").fetchall()
    return [(name, (dtype, tuple(json.loads(shape)))) for name, dtype, shape in found]


def read_history(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """All rows of a history file, a column each.

    Args:
      path: of the file.

    Returns:
      name -> array with a leading axis of rows, in order.

    Raises:
      UsageError: there is no such file, or it is no history.
    """
    if not Path(path).is_file():
        raise UsageError(f"there is no history {path}")
    try:
        # Not read-only: a process that was killed while writing leaves a journal to roll back.
        with closing(sqlite3.connect(f"file:{path}?mode=rw", uri=True)) as file:
            kinds = _kinds(file)
            found = file.execute("SELECT * FROM rows ORDER BY number")
            places = {name: i for i, (name, *_) in enumerate(found.description)}
            rows = found.fetchall()
    except sqlite3.Error as e:
        raise UsageError(f"{path} is no history: {e}") from e
    columns = {}
    for name, (dtype, shape) in kinds:
        entries = [row[places[name]] for row in rows]
        if shape:
            flat = np.frombuffer(b"".join(entries), dtype)
        else:
            flat = np.array([np.nan if e is None else e for e in entries], dtype)
        columns[name] = flat.reshape(len(rows), *shape)
    return columns
