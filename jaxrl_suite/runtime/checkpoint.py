"""Checkpoints: the only file that knows orbax.

A checkpoint is a directory named by its update::

  checkpoints/200/arrays/         written by orbax, one entry a leaf
  checkpoints/200/manifest.json   path, shape, dtype, key type and CRC-32 of every leaf

It is written as ``200.tmp`` and renamed when complete, so what bears a number is whole. On
several hosts process 0 gathers, writes and reads alone; hosts need not share a file system.
"""

import errno
import json
import logging
import math
import os
import shutil
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl_suite.core import PyTree, UsageError
from jaxrl_suite.files import write_synced
from jaxrl_suite.runtime import hosts
from jaxrl_suite.runtime.mesh import is_key, place

_TMP = ".tmp"
_MANIFEST = "manifest.json"
_ARRAYS = "arrays"


def steps(directory: Path) -> list[int]:
    """Updates of the complete checkpoints in `directory`, oldest first."""
    if not directory.is_dir():
        return []
    return sorted(int(p.name) for p in directory.iterdir() if p.name.isdigit())


def latest_step(directory: Path) -> int | None:
    """Update of the newest complete checkpoint, None if there is none."""
    return max(steps(directory), default=None)


def save(directory: Path, step: int, state: PyTree, *, keep: int = 2) -> None:
    """Writes a checkpoint whole or not at all, then removes all but the newest `keep`.

    Args:
      directory: the run's ``checkpoints/``.
      step: updates made so far.
      state: any pytree of arrays, typed keys among them. All processes must call.
      keep: checkpoints to keep, >= 1.

    Raises:
      UsageError: the disk is full or read-only; earlier checkpoints are untouched.
    """
    leaves = jax.tree_util.tree_leaves_with_path(state)
    described = [(path, str(x.dtype), _impl(x)) for path, x in leaves]
    arrays = hosts.to_numpy([jax.random.key_data(x) if is_key(x) else x for _, x in leaves])
    hosts.on_main(lambda: _write(directory, step, described, arrays, keep))


def _write(directory: Path, step: int, described: list, arrays: list, keep: int) -> None:
    manifest, data = [], {}
    for (path, dtype, impl), array in zip(described, arrays, strict=True):
        entry = {"path": [_part(k) for k in path], "shape": list(array.shape), "dtype": dtype}
        manifest.append(entry | {"key_impl": impl, "crc32": _crc(array)})
        if array.size:  # orbax refuses empty arrays; their shape in the manifest says it all
            data[_name(entry)] = array
    try:
        _write_whole(directory, step, data, {"step": step, "leaves": manifest})
    except Exception as e:  # tensorstore wraps a full disk in ValueError and others
        error = _save_error(e, directory, step, sum(a.nbytes for a in arrays))
        if error is None:
            raise
        raise error from e
    _remove(directory, steps(directory)[:-keep])


def _write_whole(directory: Path, step: int, data: dict, manifest: dict) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    for leftover in directory.glob(f"*{_TMP}"):  # of a killed save
        shutil.rmtree(leftover, ignore_errors=True)
    temporary = directory / f"{step}{_TMP}"
    try:
        temporary.mkdir()
        _orbax_save(temporary / _ARRAYS, data)
        write_synced(temporary / _MANIFEST, json.dumps(manifest).encode())
    except BaseException:
        _remove_for_good(temporary)
        raise
    # A run that went back to an earlier checkpoint has left these behind.
    _remove(directory, [s for s in steps(directory) if s >= step])
    os.rename(temporary, directory / str(step))


def _remove_for_good(path: Path) -> None:
    """Removes a directory that others may still be writing to, until it stays away.

    When one of orbax's writers fails the others go on for a while, and make their directories
    anew; half a second of quiet says that they are done.
    """
    quiet = 0
    for _ in range(100):
        if path.exists():
            shutil.rmtree(path, ignore_errors=True)
            quiet = 0
        elif (quiet := quiet + 1) > 10:
            return
        time.sleep(0.05)


def _remove(directory: Path, which: list[int]) -> None:
    """Takes the number away first, so that a kill in between leaves no half checkpoint."""
    for step in which:
        doomed = directory / f"{step}.old{_TMP}"
        os.rename(directory / str(step), doomed)
        shutil.rmtree(doomed, ignore_errors=True)


def _save_error(error: Exception, directory: Path, step: int, needed: int) -> UsageError | None:
    """One line with the remedy for what a user can mend; None for anything else."""
    text = str(error)
    code = error.errno if isinstance(error, OSError) else None
    newest = latest_step(directory)
    kept = "no earlier checkpoint" if newest is None else f"checkpoint {newest} is intact"
    resume = f"then go on with: jaxrl resume {directory.parent}"
    if code in (errno.ENOSPC, errno.EDQUOT) or "No space left" in text or "quota exceeded" in text:
        free = shutil.disk_usage(_existing(directory)).free
        return UsageError(
            f"disk full: checkpoint {step} needs about {needed:,} bytes in {directory}, "
            f"{free:,} are free; {kept}; make room, {resume}"
        )
    if code in (errno.EROFS, errno.EACCES, errno.EPERM) or "Permission denied" in text:
        return UsageError(
            f"cannot write checkpoint {step} in {directory}: {error.__class__.__name__} "
            f"({os.strerror(code or errno.EACCES)}); {kept}; make it writable, {resume}"
        )
    return None


def restore(
    directory: Path, template: PyTree, step: int | None = None, *, shardings: PyTree = None
) -> PyTree:
    """Reads a checkpoint into the structure of `template`.

    Args:
      directory: the run's ``checkpoints/``.
      template: pytree of arrays or of their shapes (``jax.eval_shape(system.init, key)``).
      step: which checkpoint, None for the newest.
      shardings: tree of NamedSharding like `template`; None for the default device.

    Returns:
      A tree like `template`, bit for bit what was saved.

    Raises:
      UsageError: no such checkpoint, one of another config, or a damaged one.
    """
    leaves, structure = jax.tree.flatten(template)
    read = hosts.on_main(lambda: _read_matching(directory, template, step))
    if jax.process_count() > 1:
        read = _broadcast(leaves, read)
    places = [None] * len(leaves) if shardings is None else jax.tree.leaves(shardings)
    out = [place(value, where, impl) for (value, impl), where in zip(read, places, strict=True)]
    return jax.tree.unflatten(structure, out)


def restore_raw(directory: Path, step: int | None = None) -> dict[str, Any]:
    """A checkpoint without a template: nested dicts of NumPy arrays, typed keys as their data.

    Fields of NamedTuples, keys of dicts and positions of tuples all become string keys:
    ``restore_raw(d)["learner"]["params"]``. For one process, or process 0.
    """
    tree: dict[str, Any] = {}
    for entry, array in _read(directory, step):
        *parents, last = entry["path"]
        node = tree
        for part in parents:
            node = node.setdefault(part, {})
        node[last] = array
    return tree


def _read_matching(directory: Path, template: PyTree, step: int | None) -> list:
    """The leaves of a checkpoint in the order of `template`, after comparing every shape."""
    step = _existing_step(directory, step)
    manifest = _manifest(directory, step)
    saved = {tuple(entry["path"]): entry for entry in manifest}
    wanted = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(template):
        wanted[tuple(_part(k) for k in path)] = (tuple(_data_shape(leaf)), str(leaf.dtype))
    for path in [*wanted, *(p for p in saved if p not in wanted)]:
        entry = saved.get(path)
        there = (tuple(entry["shape"]), entry["dtype"]) if entry else None
        if there != wanted.get(path):
            say = lambda x: "nothing" if x is None else f"{x[1]}{list(x[0])}"  # noqa: E731
            raise UsageError(
                f"checkpoint {directory / str(step)} is of another config: {'/'.join(path)} is "
                f"{say(there)} in the checkpoint and {say(wanted.get(path))} in this config; "
                f"use the preset and settings in {directory.parent / 'run.json'}"
            )
    arrays = {tuple(entry["path"]): (a, entry["key_impl"]) for entry, a in _read(directory, step)}
    return [arrays[path] for path in wanted]


def _read(directory: Path, step: int | None) -> Iterator[tuple[dict, np.ndarray]]:
    """Manifest entries with their arrays, each checked against its CRC."""
    step = _existing_step(directory, step)
    manifest = _manifest(directory, step)
    try:
        data = _orbax_restore(directory / str(step) / _ARRAYS)
        for entry in manifest:
            if 0 in entry["shape"]:
                entry["array"] = np.zeros(entry["shape"], jnp.dtype(entry["dtype"]))
            else:
                entry["array"] = data[_name(entry)]
            if _crc(entry["array"]) != entry["crc32"]:
                raise ValueError(f"wrong checksum of {'/'.join(entry['path'])}")
    except Exception as e:  # a truncated file surfaces as any of a dozen types
        raise _damaged(directory, step, e) from e
    return iter([(entry, entry.pop("array")) for entry in manifest])


def _manifest(directory: Path, step: int) -> list[dict]:
    try:
        return json.loads((directory / str(step) / _MANIFEST).read_text())["leaves"]
    except (OSError, ValueError, KeyError) as e:
        raise _damaged(directory, step, e) from e


def _damaged(directory: Path, step: int, error: Exception) -> UsageError:
    earlier = [s for s in steps(directory) if s < step]
    remedy = (
        f"remove it to go on from checkpoint {earlier[-1]}"
        if earlier
        else "there is no earlier one: remove it to start again from update 0"
    )
    reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
    return UsageError(f"checkpoint {directory / str(step)} is damaged ({reason}); {remedy}")


def _existing_step(directory: Path, step: int | None) -> int:
    there = steps(directory)
    if not there:
        raise UsageError(f"no checkpoint in {directory}; the run has not saved one yet")
    if step is not None and step not in there:
        raise UsageError(
            f"no checkpoint {step} in {directory}; there are {', '.join(map(str, there))}"
        )
    return there[-1] if step is None else step


def _broadcast(leaves: list, read: list | None) -> list:
    """What process 0 has read, on every process, bit for bit."""
    impls = hosts.on_all(lambda: [impl for _, impl in read])
    whole = b"" if read is None else b"".join(value.tobytes() for value, _ in read)
    buffer, out = hosts.broadcast_bytes(whole), []
    for leaf, impl in zip(leaves, impls, strict=True):
        shape, dtype = _data_shape(leaf), jnp.dtype(jnp.uint32 if is_key(leaf) else leaf.dtype)
        size = math.prod(shape) * dtype.itemsize
        out.append((np.frombuffer(buffer[:size], dtype).reshape(shape), impl))
        buffer = buffer[size:]
    return out


def _orbax() -> tuple[Any, Any]:
    """The module and a checkpointer; imported here because that takes seconds."""
    import orbax.checkpoint as ocp

    # Process 0 works alone, hence no barrier with the others.
    alone = ocp.options.MultiprocessingOptions(
        primary_host=0, active_processes={0}, barrier_sync_key_prefix="jaxrl"
    )
    handler = ocp.PyTreeCheckpointHandler(use_ocdbt=False, multiprocessing_options=alone)
    return ocp, ocp.Checkpointer(handler, multiprocessing_options=alone)


def _orbax_save(path: Path, data: dict[str, np.ndarray]) -> None:
    with _quiet():
        ocp, checkpointer = _orbax()
        checkpointer.save(path.absolute(), args=ocp.args.PyTreeSave(data))


def _orbax_restore(path: Path) -> dict[str, np.ndarray]:
    with _quiet():
        ocp, checkpointer = _orbax()
        names = checkpointer.metadata(path.absolute()).item_metadata.tree
        as_numpy = dict.fromkeys(names, ocp.RestoreArgs(restore_type=np.ndarray))
        return checkpointer.restore(
            path.absolute(), args=ocp.args.PyTreeRestore(restore_args=as_numpy)
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """Orbax logs the traceback of each of its threads before it raises; the raise is enough."""
    logger = logging.getLogger("absl")
    before = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(before)


def _existing(path: Path) -> Path:
    """The nearest directory above that exists."""
    return path if path.exists() else _existing(path.absolute().parent)


def _part(key: Any) -> str:
    return jax.tree_util.keystr((key,), simple=True)


def _name(entry: dict) -> str:
    """Name of a leaf in orbax's directory."""
    return ".".join(entry["path"]).replace("/", "_")


def _crc(array: np.ndarray) -> int:
    return zlib.crc32(np.ascontiguousarray(array).view(np.uint8).reshape(-1).data)


def _impl(x: Any) -> str | None:
    return str(jax.random.key_impl(x)) if is_key(x) else None


def _data_shape(leaf: Any) -> tuple[int, ...]:
    """Shape of what is written: a key is written as its words."""
    return jax.eval_shape(jax.random.key_data, leaf).shape if is_key(leaf) else leaf.shape
