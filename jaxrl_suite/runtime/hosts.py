"""Several processes, one run: what process 0 does alone and what all must agree on.

Every function here is the identity, or a plain call, when there is one process.
"""

import json
import re
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from jaxrl_suite.core import PyTree, UsageError


def initialize_distributed(coordinator: str, num_processes: int, process_id: int) -> None:
    """Joins this process to a run over several hosts; call it before anything touches a device.

    Args:
      coordinator: ``host:port`` of process 0.
      num_processes: processes of the run.
      process_id: 0 <= process_id < num_processes.
    """
    if not 0 <= process_id < num_processes:
        raise UsageError(
            f"process id {process_id} is not one of {num_processes} processes; "
            f"give a number from 0 to {num_processes - 1}"
        )
    if not re.fullmatch(r".+:\d+", coordinator):
        raise UsageError(f"coordinator {coordinator!r} is not of the form host:port")
    # Only CPU devices ask for it; accelerators bring their own collectives.
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    try:
        jax.distributed.initialize(coordinator, num_processes, process_id)
    except (RuntimeError, OSError) as e:  # nobody there, or not all of them in time
        reason = str(e).splitlines()[0] if str(e) else type(e).__name__
        raise UsageError(
            f"process {process_id} of {num_processes} could not meet the others at {coordinator}: "
            f"{reason}; start all of them, with the same --coordinator and --num-processes"
        ) from e


def is_main() -> bool:
    """Whether this is the one process that writes files and prints."""
    return jax.process_index() == 0


def broadcast_bytes(data: bytes) -> bytes:
    """Process 0's bytes, on every process.

    Bytes and not numbers: the collective beneath adds zeros, which would turn -0.0 into 0.0.
    """
    if jax.process_count() == 1:
        return data
    size = int(multihost_utils.broadcast_one_to_all(np.uint32(len(data))))
    # Few distinct sizes, for every size is a program to compile.
    buffer = np.zeros(-(-size // 1024) * 1024, np.uint8)
    if is_main():
        buffer[:size] = np.frombuffer(data, np.uint8)
    return np.asarray(multihost_utils.broadcast_one_to_all(buffer))[:size].tobytes()


def on_main(function: Callable[[], Any]) -> Any:
    """Calls `function` on process 0 alone; its UsageError is raised on every process.

    Without this, an error of process 0 would leave the others waiting in the next collective.

    Returns:
      What `function` returned, on process 0; None elsewhere.
    """
    if jax.process_count() == 1:
        return function()
    result, error = None, None
    if is_main():
        try:
            result = function()
        except UsageError as e:
            error = str(e)
    error = json.loads(broadcast_bytes(json.dumps(error).encode()))
    if error is not None:
        raise UsageError(error)
    return result


def on_all(function: Callable[[], Any]) -> Any:
    """What `function` returns on process 0 (something JSON can say), on every process."""
    if jax.process_count() == 1:
        return function()
    return json.loads(broadcast_bytes(json.dumps(on_main(function)).encode()))


def any_process(code: int) -> int:
    """The largest `code` of all processes: one interrupted process interrupts all."""
    if jax.process_count() == 1:
        return code
    return int(np.max(multihost_utils.process_allgather(np.int32(code))))


def to_numpy(tree: PyTree) -> PyTree:
    """Whole arrays in host memory, wherever their shards are; all processes must call it."""

    def gather(x: Any) -> np.ndarray:
        if isinstance(x, jax.Array) and not x.is_fully_addressable:
            if x.is_fully_replicated:
                return np.asarray(x.addressable_data(0))
            return np.asarray(multihost_utils.process_allgather(x, tiled=True))
        return np.asarray(x)

    return jax.tree.map(gather, tree)
