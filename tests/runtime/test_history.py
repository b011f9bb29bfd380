"""The history file: what is written is read back, and nothing else is touched."""

import sqlite3
import subprocess
import sys

import numpy as np
import pytest

from jaxrl_suite.core import History, UsageError
from jaxrl_suite.runtime.history import HistoryFile, read_history

COLUMNS = {
    "score": np.array([1.5, -np.inf, np.nan, 4.0, 5.0], np.float32),
    "parent": np.array([-1, -1, 0, 1, 3], np.int32),
    "alive": np.array([[True, False]] * 5),
    "curve": np.arange(15.0, dtype=np.float32).reshape(5, 3),
    "truth": np.array([True, False, True, False, True]),
}
IDENTITY = {"config": {"bodies": 5}, "seed": 0}


def history(count):
    return History(COLUMNS, np.int32(count))


def same(path, count):
    found = read_history(path)
    assert sorted(found) == sorted(COLUMNS)
    for name, values in COLUMNS.items():
        assert found[name].dtype == values.dtype
        np.testing.assert_array_equal(found[name], values[:count])


def test_rows_are_added_and_read_back(tmp_path):
    path = tmp_path / "h.sqlite"
    file = HistoryFile(path, IDENTITY, history(0))
    same(path, 0)
    for count in (2, 2, 3, 5):
        file.write(history(count))
        same(path, count)
    file.close()
    # Opened again at an earlier state, later rows are cut and made again.
    file = HistoryFile(path, IDENTITY, history(2))
    same(path, 2)
    file.write(history(4))
    file.close()
    same(path, 4)


def test_rows_that_a_run_has_already_are_written_at_once(tmp_path):
    HistoryFile(tmp_path / "h.sqlite", IDENTITY, history(3)).close()
    same(tmp_path / "h.sqlite", 3)


@pytest.mark.parametrize("change", ["seed", "columns"])
def test_a_file_of_another_run_is_refused_and_left_alone(tmp_path, change):
    path = tmp_path / "h.sqlite"
    HistoryFile(path, IDENTITY, history(5)).close()
    before = path.read_bytes()
    other = history(1)
    identity = IDENTITY
    if change == "seed":
        identity = IDENTITY | {"seed": 1}
    else:
        other = other._replace(columns={"score": COLUMNS["score"]})
    with pytest.raises(UsageError, match="another configuration or seed; nothing was written"):
        HistoryFile(path, identity, other)
    assert path.read_bytes() == before
    same(path, 5)


def test_damaged_and_missing_files_are_named(tmp_path):
    path = tmp_path / "h.sqlite"
    with pytest.raises(UsageError, match="there is no history"):
        read_history(path)
    path.write_bytes(b"no database" * 100)
    with pytest.raises(UsageError, match=r"h\.sqlite is no history: file is not a database"):
        read_history(path)
    with pytest.raises(UsageError, match=r"cannot write .*h\.sqlite: file is not a database"):
        HistoryFile(path, IDENTITY, history(0))
    assert path.read_bytes() == b"no database" * 100


def test_a_writer_killed_in_its_transaction_leaves_the_rows_before(tmp_path):
    path = tmp_path / "h.sqlite"
    HistoryFile(path, IDENTITY, history(2)).close()
    code = (
        "import os, sqlite3, sys\n"
        "file = sqlite3.connect(sys.argv[1])\n"
        "file.execute('PRAGMA cache_size = 1')\n"  # so that pages reach the disk early
        "file.execute('CREATE TABLE more (x)')\n"
        "file.executemany('INSERT INTO more VALUES (?)', [('x' * 1000,)] * 1000)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=False)
    assert path.with_name(path.name + "-journal").exists()
    same(path, 2)
    file = HistoryFile(path, IDENTITY, history(2))
    file.write(history(4))
    file.close()
    same(path, 4)


def test_a_phase_is_whole_or_not_there(tmp_path):
    """A write that fails in its middle leaves the rows before it."""
    path = tmp_path / "h.sqlite"
    file = HistoryFile(path, IDENTITY, history(2))
    with sqlite3.connect(path) as other:
        other.execute("CREATE TRIGGER stop BEFORE INSERT ON rows WHEN NEW.number = 3 "
                      "BEGIN SELECT RAISE(ABORT, 'disk full'); END")  # fmt: skip
    with pytest.raises(UsageError, match="disk full; make room"):
        file.write(history(5))
    file.close()
    same(path, 2)
