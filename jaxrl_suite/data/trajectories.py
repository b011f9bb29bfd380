"""Offline trajectories on disk: a directory of shards and a manifest with their checksums.

::

  manifest.json     settings, versions; of every task what is in it, and its shards
  reach-000.npz     one shard: the arrays of :class:`episodes.Episodes`

A shard is written beside its place and renamed, then the manifest in the same way. A shard that the
manifest does not list does not count, so that a killed collection loses one shard at most and has
none twice. Nothing here knows how shards are made; who makes shard i of a task the same way
whenever it is asked for gets, after any interruption, the same bytes.
"""

import errno
import fcntl
import io
import json
import os
import platform
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import jaxrl_suite
from jaxrl_suite.core import UsageError
from jaxrl_suite.data.episodes import Episodes, checked, join
from jaxrl_suite.files import TEMPORARY, write_atomically

FORMAT = 1
MANIFEST = "manifest.json"
_AGAIN = "collect again with the command that made it"
_REMEDY = "make room there or give another directory, then collect again: what is finished is kept"
_QUANTILES = (0.0, 0.25, 0.5, 0.75, 1.0)


class Store:
    """A directory that shards are added to, by one process at a time.

    As a context manager it lets go of the directory at the end.
    """

    def __init__(self, directory: Path, handle: int, manifest: dict[str, Any]):
        """For :meth:`open`."""
        self._directory, self._handle, self._manifest = directory, handle, manifest
        self._parts: dict[str, dict[int, Episodes]] = {}  # of the tasks that are being added to

    @classmethod
    def open(
        cls, directory: str | os.PathLike, settings: Mapping[str, Any], num_shards: int
    ) -> "Store":
        """Makes a store, or goes on with one.

        Args:
          directory: of the store; made if need be.
          settings: what all shards share, as JSON can hold it.
          num_shards: of every task.

        Raises:
          UsageError: the directory holds a store of other settings or something else, or another
            process writes into it; nothing was changed. Or it cannot be written.
        """
        directory = Path(directory)
        wanted = {"settings": json.loads(json.dumps(settings)), "num_shards": num_shards}
        found = (directory / MANIFEST).exists()
        if not found and directory.exists():
            _refuse_others(directory)
        try:
            directory.mkdir(parents=True, exist_ok=True)
            handle = os.open(directory, os.O_RDONLY)
        except OSError as error:
            reason = error.strerror or error
            raise UsageError(f"cannot write {directory}: {reason}; {_REMEDY}") from error
        try:
            _lock(directory, handle)
            if found:
                manifest = _read_manifest(directory)
                _refuse_other_settings(directory, manifest, wanted)
            else:
                manifest = {"format": FORMAT, **wanted, "versions": _versions(), "tasks": {}}
                _write(directory / MANIFEST, _text(manifest))
        except BaseException:
            os.close(handle)
            raise
        return cls(directory, handle, manifest)

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Lets another process write."""
        os.close(self._handle)

    def facts(self, task: str) -> dict[str, Any] | None:
        """What :meth:`begin` was told about a task; None if it has not begun."""
        entry = self._manifest["tasks"].get(task)
        return None if entry is None else dict(entry["facts"])

    def begin(self, task: str, facts: Mapping[str, Any]) -> None:
        """Enters a task without shards.

        Args:
          task: its name, part of file names.
          facts: about how its shards are made, as JSON can hold it.
        """
        self._manifest["tasks"][task] = {"facts": dict(facts), "shards": []}
        _write(self._directory / MANIFEST, _text(self._manifest))

    def missing(self, task: str) -> list[int]:
        """Numbers of the shards that are yet to be made: never added, or their file is gone."""
        entry = self._manifest["tasks"].get(task, {"shards": []})
        there = {s["index"] for s in entry["shards"] if (self._directory / s["file"]).exists()}
        return [i for i in range(self._manifest["num_shards"]) if i not in there]

    def add(self, task: str, index: int, episodes: Episodes) -> None:
        """Adds a shard, whole or not at all; one of the same number is replaced.

        Args:
          task: one that has begun.
          index: number of the shard.
          episodes: what it holds.

        Raises:
          UsageError: the episodes are unsound, an earlier shard is damaged, or the disk is full.
        """
        entry = self._manifest["tasks"][task]
        episodes = checked(episodes, f"{task}, shard {index}")
        content = _packed(episodes)
        shard = {
            "index": index,
            "file": f"{task}-{index:03d}.npz",
            "crc32": zlib.crc32(content),
            "episodes": len(episodes.length),
            "steps": len(episodes.reward),
        }
        others = [s for s in entry["shards"] if s["index"] != index]
        parts = self._parts.setdefault(task, {})
        for other in others:
            if other["index"] not in parts and (self._directory / other["file"]).exists():
                parts[other["index"]] = _read_shard(self._directory, other)
        parts[index] = episodes
        _write(self._directory / shard["file"], content)
        entry["shards"] = sorted([*others, shard], key=lambda s: s["index"])
        entry |= _described(parts.values())
        _write(self._directory / MANIFEST, _text(self._manifest))
        if len(parts) == self._manifest["num_shards"]:
            del self._parts[task]


class TaskSummary(NamedTuple):
    """What the manifest says of a task.

    facts: about how its shards are made.
    episodes: number of them.
    steps: of all episodes together.
    success_any: share of the episodes that succeed at any step.
    success_final: share of the episodes whose last step is a success.
    returns: the 0, 25, 50, 75 and 100% quantiles of their returns.
    missing: shards yet to be made.
    """

    facts: dict[str, Any]
    episodes: int
    steps: int
    success_any: float
    success_final: float
    returns: tuple[float, ...]
    missing: int


def summary(directory: str | os.PathLike) -> dict[str, TaskSummary]:
    """Every task of a store with at least one shard; reads the manifest alone.

    Raises:
      UsageError: there is no store.
    """
    manifest = _read_manifest(Path(directory))
    return {
        task: TaskSummary(
            facts=entry["facts"],
            returns=tuple(entry["returns"]),
            missing=manifest["num_shards"] - len(entry["shards"]),
            **{k: entry[k] for k in ("episodes", "steps", "success_any", "success_final")},
        )
        for task, entry in manifest["tasks"].items()
        if entry["shards"]
    }


def load(
    directory: str | os.PathLike, tasks: Iterable[str] | None = None, *, partial: bool = False
) -> dict[str, Episodes]:
    """The episodes of tasks, in the order of their shards; every checksum is verified.

    Args:
      directory: of a store.
      tasks: names; all that the store holds if None.
      partial: take what there is of a task whose collection has not come to its end.

    Raises:
      UsageError: no store, an unknown or unfinished task, a file that is missing or damaged, or
        unsound episodes; it names the file, or task and episode.
    """
    directory = Path(directory)
    manifest = _read_manifest(directory)
    legal = [task for task, entry in manifest["tasks"].items() if entry["shards"]]
    loaded = {}
    for task in legal if tasks is None else tasks:
        if task not in legal:
            raise _unknown(directory, task, legal)
        shards = manifest["tasks"][task]["shards"]
        if len(shards) < manifest["num_shards"] and not partial:
            raise UsageError(
                f"{directory}: of {task} there are {len(shards)} of {manifest['num_shards']} "
                "shards; go on with the command that collects it"
            )
        episodes = join([_read_shard(directory, shard) for shard in shards])
        loaded[task] = checked(episodes, f"{directory}: {task}")
    return loaded


def digest(directory: str | os.PathLike, tasks: Iterable[str] | None = None) -> str:
    """What tells the episodes of tasks from any others: 8 hexadecimal digits.

    CRC-32 of the names of the tasks and the checksums of their shards; reads the manifest alone.

    Args:
      directory: of a store.
      tasks: names; all that the store holds if None.

    Raises:
      UsageError: there is no store, or an unknown task.
    """
    manifest = _read_manifest(Path(directory))
    legal = [task for task, entry in manifest["tasks"].items() if entry["shards"]]
    tasks = legal if tasks is None else list(tasks)
    for task in tasks:
        if task not in legal:
            raise _unknown(directory, task, legal)
    shards = [[task, *(s["crc32"] for s in manifest["tasks"][task]["shards"])] for task in tasks]
    return f"{zlib.crc32(json.dumps(shards).encode()):08x}"


def _unknown(directory: str | os.PathLike, task: str, legal: list[str]) -> UsageError:
    return UsageError(f"{directory} has no task {task!r}; it has {', '.join(legal) or '-'}")


def _described(parts: Iterable[Episodes]) -> dict[str, Any]:
    """What the manifest says of the episodes of a task."""
    episodes = join(list(parts))
    return {
        "episodes": len(episodes.length),
        "steps": len(episodes.reward),
        "success_any": round(float(episodes.success_any.mean()), 4),
        "success_final": round(float(episodes.success_final.mean()), 4),
        "returns": np.quantile(episodes.returns, _QUANTILES).round(2).tolist(),
    }


def _packed(episodes: Episodes) -> bytes:
    # Compressed: less than half the size, for a hundredth of the time that playing takes.
    file = io.BytesIO()
    np.savez_compressed(file, **episodes._asdict())
    return file.getvalue()


def _read_shard(directory: Path, shard: Mapping[str, Any]) -> Episodes:
    path = directory / shard["file"]
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror}); {_remedy(error)}") from error
    if zlib.crc32(content) != shard["crc32"]:
        raise UsageError(
            f"{path} is damaged, its checksum is not the manifest's; delete it and {_AGAIN}"
        )
    with np.load(io.BytesIO(content)) as file:
        return Episodes(**{name: file[name] for name in Episodes._fields})


def _remedy(error: OSError) -> str:
    return _AGAIN if error.errno == errno.ENOENT else "make it readable"


def _read_manifest(directory: Path) -> dict[str, Any]:
    path = directory / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UsageError(
            f"{directory} is no data set: it has no {MANIFEST}; make one: "
            f"jaxrl data collect {directory}"
        ) from error
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{path} cannot be read ({error}); delete {directory} and {_AGAIN}"
        ) from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise UsageError(f"{path} is not of format {FORMAT}; delete {directory} and {_AGAIN}")
    return manifest


def _refuse_others(directory: Path) -> None:
    if not directory.is_dir():
        raise UsageError(f"{directory} is a file; give a directory")
    # A collection that was killed while it wrote its first manifest has left a temporary one.
    if any(path.name != MANIFEST + TEMPORARY for path in directory.iterdir()):
        raise UsageError(
            f"{directory} holds something else than a data set; nothing was changed: give an "
            "empty or a new directory"
        )


def _refuse_other_settings(directory: Path, found: Mapping, wanted: Mapping[str, Any]) -> None:
    """Unless the manifest `found` has the settings that are `wanted`."""
    old, new = (x["settings"] | {"num_shards": x["num_shards"]} for x in (found, wanted))
    different = [
        f"{name} {old.get(name)}, not {new.get(name)}"
        for name in dict.fromkeys([*old, *new])
        if old.get(name) != new.get(name)
    ]
    if different:
        raise UsageError(
            f"{directory} was collected with other settings ({'; '.join(different)}); nothing was "
            "changed: give the same settings or another directory"
        )


def _lock(directory: Path, handle: int) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise UsageError(
            f"{directory} is being written by another process; wait for it or stop it"
        ) from error


def _versions() -> dict[str, str]:
    return {
        "jaxrl_suite": jaxrl_suite.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }


def _text(manifest: Mapping[str, Any]) -> bytes:
    return (json.dumps(manifest, indent=1, allow_nan=False) + "\n").encode()


def _write(path: Path, content: bytes) -> None:
    write_atomically(path, content, remedy=_REMEDY, locked=True)
