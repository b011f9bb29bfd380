import os

import pytest

from jaxrl_suite import files
from jaxrl_suite.core import UsageError


def test_folders_are_made_and_others_may_read_it(tmp_path):
    before = os.umask(0o022)
    try:
        path = files.write_atomically(tmp_path / "new" / "folder" / "a.txt", b"content")
    finally:
        os.umask(before)
    assert path.read_bytes() == b"content"
    assert path.stat().st_mode & 0o777 == 0o644
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("locked", [False, True])
@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_what_was_there_stays_if_it_cannot_be_written(tmp_path, monkeypatch, call, locked):
    path = files.write_atomically(tmp_path / "a.txt", b"before", locked=locked)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, call, full)
    with pytest.raises(UsageError) as error:
        files.write_atomically(path, b"after", remedy="make room", locked=locked)
    assert str(error.value) == f"cannot write {path}: No space left on device; make room"
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_an_interrupt_after_the_renaming_is_itself(tmp_path, monkeypatch):
    rename = os.replace

    def interrupted(*paths):
        rename(*paths)
        raise KeyboardInterrupt

    monkeypatch.setattr(files.os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        files.write_atomically(tmp_path / "a.txt", b"content")
    assert (tmp_path / "a.txt").read_bytes() == b"content"


def test_in_a_locked_folder_nothing_piles_up(tmp_path):
    (tmp_path / f"a.txt{files.TEMPORARY}").write_bytes(b"left by a killed process")
    path = files.write_atomically(tmp_path / "a.txt", b"content", locked=True)
    assert path.read_bytes() == b"content"
    assert list(tmp_path.iterdir()) == [path]


def test_a_locked_folder_that_has_gone_is_not_made_anew(tmp_path):
    with pytest.raises(UsageError, match=r"a\.txt: No such file or directory$"):
        files.write_atomically(tmp_path / "gone" / "a.txt", b"content", locked=True)
    assert not list(tmp_path.iterdir())
