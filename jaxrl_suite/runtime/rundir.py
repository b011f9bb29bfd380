"""A run is a directory: ``runs/<system>/<name>/``.

::

  run.json        what was run: config, preset, seed, versions, device, revision
  metrics.jsonl   one row a log step
  checkpoints/    see checkpoint.py
  figures/        and report.html: made by the report
"""

import contextlib
import dataclasses
import datetime
import errno
import fcntl
import importlib.metadata
import json
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax

import jaxrl_suite
from jaxrl_suite.core import PyTree, UsageError
from jaxrl_suite.files import write_atomically, write_synced
from jaxrl_suite.runtime import checkpoint, hosts
from jaxrl_suite.runtime.jsonable import from_jsonable, to_jsonable

ROOT = Path("runs")


@dataclasses.dataclass(frozen=True)
class RunRecord:
    """What run.json says: all that is needed to make the run again."""

    system: str
    preset: str
    config: dict[str, Any]
    hyper: dict[str, Any]
    seed: int
    num_updates: int
    intervals: dict[str, int]  # updates between rows, checkpoints, evaluations; see loop.fit
    versions: dict[str, str]
    device: str
    device_count: int
    platform: str
    revision: str | None  # git revision of the code, "-dirty" if it was changed since
    created: str  # ISO 8601, UTC
    parent: str | None  # the run whose checkpoint this one started from


def make_record(
    system: str,
    preset: str,
    config: PyTree,
    hyper: PyTree,
    *,
    seed: int,
    num_updates: int,
    intervals: dict[str, int] | None = None,
    parent: str | None = None,
) -> RunRecord:
    """A record of this machine, now."""
    versions = {"python": platform.python_version(), "jaxrl_suite": jaxrl_suite.__version__}
    for package in ("jax", "jaxlib", "flax", "optax"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    return RunRecord(
        system=system,
        preset=preset,
        config=to_jsonable(config),
        hyper=to_jsonable(hyper),
        seed=seed,
        num_updates=num_updates,
        intervals=intervals or {},
        versions=versions,
        device=jax.devices()[0].device_kind,
        device_count=jax.device_count(),
        platform=platform.platform(),
        revision=_revision(),
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        parent=parent,
    )


@dataclasses.dataclass(frozen=True)
class Run:
    """A run directory and its record."""

    path: Path
    record: RunRecord

    @property
    def metrics(self) -> Path:
        """One JSON row a log step."""
        return self.path / "metrics.jsonl"

    @property
    def checkpoints(self) -> Path:
        """Directory of the checkpoints."""
        return self.path / "checkpoints"

    @property
    def figures(self) -> Path:
        """Directory of the figures."""
        return self.path / "figures"

    @property
    def report(self) -> Path:
        """The report of this run."""
        return self.path / "report.html"

    @property
    def status(self) -> str:
        """``finished``, ``running`` or ``stopped`` with the updates saved and wanted."""
        done = checkpoint.latest_step(self.checkpoints) or 0
        if done >= self.record.num_updates:
            return f"finished ({done} updates)"
        state = "running" if _is_locked(self.path) else "stopped"
        return f"{state} ({done} of {self.record.num_updates} updates saved)"

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Keeps a second process from writing into this run; a killed one frees it."""
        handle = hosts.on_main(lambda: os.open(self.path, os.O_RDONLY))
        try:
            hosts.on_main(lambda: _lock(self.path, handle))
            yield
        finally:
            if handle is not None:
                os.close(handle)


def create_run(record: RunRecord, name: str, *, root: Path = ROOT) -> Run:
    """Makes the directory of a new run, whole or not at all.

    Raises:
      UsageError: the run exists, its name is illegal or the disk does not take it.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise UsageError(f"illegal run name {name!r}: use letters, digits and . _ -")
    path = root / record.system / name
    hosts.on_main(lambda: _create(path, record))
    return Run(path, record)


def _create(path: Path, record: RunRecord) -> None:
    exists = UsageError(
        f"run {path} exists; go on with `jaxrl resume {path}` or give another --name"
    )
    if path.exists():
        raise exists
    temporary = path.parent / f".{path.name}.{os.getpid()}.tmp"
    try:
        (temporary / "checkpoints").mkdir(parents=True)
        (temporary / "figures").mkdir()
        write_synced(temporary / "run.json", _text(record))
        os.rename(temporary, path)
    except OSError as e:
        shutil.rmtree(temporary, ignore_errors=True)
        if e.errno in (errno.EEXIST, errno.ENOTEMPTY):  # another process was faster
            raise exists from e
        raise UsageError(
            f"cannot create run {path}: {e.strerror}; make room there or give another --root"
        ) from e


def extend_run(run: Run, num_updates: int) -> Run:
    """The same run, which the caller has locked, with another number of updates to reach."""
    record = dataclasses.replace(run.record, num_updates=num_updates)
    path, text = run.path / "run.json", _text(record)
    hosts.on_main(lambda: write_atomically(path, text, locked=True))
    return Run(run.path, record)


def open_run(reference: str | Path, *, root: Path = ROOT) -> Run:
    """Opens a run by its path, or by ``system/name`` or ``name`` under `root`.

    Raises:
      UsageError: there is no such run, or its run.json is unreadable; names those there are.
    """
    paths = [Path(reference), root / reference, *sorted(root.glob(f"*/{reference}"))]
    found = [p for p in dict.fromkeys(paths) if p.is_dir()]
    if not found:
        raise UsageError(f"no run {reference}; {_names(root)}")
    path = next((p for p in found if (p / "run.json").is_file()), found[0])
    try:
        return _read(path)
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as e:
        raise UsageError(f"{path} is no run: it has no readable run.json; {_names(root)}") from e


def list_runs(root: Path = ROOT) -> list[Run]:
    """All readable runs under `root`, oldest first."""
    runs = []
    for file in root.glob("*/*/run.json"):
        if not file.parent.name.startswith("."):
            with contextlib.suppress(OSError, ValueError):  # UsageError is a ValueError
                runs.append(_read(file.parent))
    return sorted(runs, key=lambda run: (run.record.created, str(run.path)))


def _read(path: Path) -> Run:
    data = json.loads((path / "run.json").read_text())
    return Run(path, from_jsonable(RunRecord, data, str(path / "run.json")))


def _names(root: Path) -> str:
    runs = [str(run.path) for run in list_runs(root)]
    return f"runs there are: {', '.join(runs)}" if runs else f"there are no runs in {root}"


def _text(record: RunRecord) -> bytes:
    return (json.dumps(dataclasses.asdict(record), indent=2, allow_nan=False) + "\n").encode()


def _lock(path: Path, handle: int) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as e:
        raise UsageError(
            f"run {path} is being written by another process; wait for it or stop it"
        ) from e


def _is_locked(path: Path) -> bool:
    handle = os.open(path, os.O_RDONLY)
    try:
        _lock(path, handle)
    except UsageError:
        return True
    finally:
        os.close(handle)
    return False


def _revision() -> str | None:
    """Revision of the repository that this package is a tracked part of, if it is."""
    package = Path(jaxrl_suite.__file__).parent
    git = lambda *a: subprocess.run(  # noqa: E731
        ["git", "-C", str(package), *a], capture_output=True, text=True, timeout=10, check=True
    ).stdout.strip()
    try:
        git("ls-files", "--error-unmatch", "__init__.py")
        return git("describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
    except (OSError, subprocess.SubprocessError):
        return None
