"""The command `jaxrl` for tests: in this process, or in one of its own."""

import os
import socket
import subprocess
import sys
import time
import zlib
from pathlib import Path

import jax
import numpy as np
import pytest

from jaxrl_suite.cli import main
from jaxrl_suite.runtime import checkpoint, metrics

ROOT = Path(__file__).parents[1]

# The smallest run that has every part of a large one; half a minute of compiling is the price of
# a larger one.
SMALL = (
    *("--config.num-envs", 4),
    *("--config.num-variants", 2),
    *("--config.unroll-length", 4),
    *("--config.time-limit", 20),
    *("--config.network.grid-channels", 4),
    *("--config.network.hidden", 16),
    *("--config.eval-episodes", 3),
)


def jaxrl(*arguments):
    """Runs the command in this process; returns its exit code."""
    try:
        return main([str(a) for a in arguments])
    except SystemExit as leaving:  # of --help and of signals
        return leaving.code


def start(*arguments, devices=1, code="raise SystemExit(main())", **popen):
    """Starts the command in a process of its own, with `devices` virtual CPU devices."""
    env = os.environ | {
        "JAX_PLATFORMS": "cpu",
        "PYTHONPATH": str(ROOT),
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}",
    }
    if jax.config.jax_compilation_cache_dir:
        env["JAX_COMPILATION_CACHE_DIR"] = jax.config.jax_compilation_cache_dir
    command = [sys.executable, "-c", f"from jaxrl_suite.cli import main; {code}"]
    return subprocess.Popen(
        [*command, *map(str, arguments)],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **popen,
    )


def finish(*processes, code=0, seconds=400):
    """Waits for processes that must end with `code`; returns what they wrote on stderr."""
    errors = []
    for process in processes:
        _, error = process.communicate(timeout=seconds)
        assert process.returncode == code, error
        errors.append(error)
    return errors


def wait_for_update(run, update, process, seconds=400):
    """Until the metrics of the run hold the row of `update`."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if process.poll() is not None:
            pytest.fail(f"the run ended early: {process.communicate()}")
        done = metrics.read_metrics(run / "metrics.jsonl")
        if done and done[-1]["update"] >= update:
            return
        time.sleep(0.01)
    pytest.fail(f"no row of update {update} after {seconds} s")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def rows(run):
    """The rows of a run without what a clock says."""
    clock = ("wall_seconds", "frames_per_second")
    found = metrics.read_metrics(run / "metrics.jsonl")
    return [{k: v for k, v in row.items() if k not in clock} for row in found]


def state_of(run, step=None):
    """The leaves of a run's checkpoint by their path."""
    flat = jax.tree_util.tree_leaves_with_path(checkpoint.restore_raw(run / "checkpoints", step))
    return {jax.tree_util.keystr(path): leaf for path, leaf in flat}


def assert_same_state(one, other):
    """Two runs end in the same state, bit for bit."""
    ours, theirs = state_of(one), state_of(other)
    assert ours.keys() == theirs.keys()
    for name, leaf in ours.items():
        assert leaf.tobytes() == theirs[name].tobytes(), name


def assert_close_state(one, other, tolerance):
    """Two runs end in the same state but for rounding."""
    ours, theirs = state_of(one), state_of(other)
    assert ours.keys() == theirs.keys()
    for name, leaf in ours.items():
        a, b = leaf.astype(np.float64), theirs[name].astype(np.float64)
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance, err_msg=name)


def tree(root):
    """Every path under `root` with a checksum of its content: what a command must not change."""
    return {
        str(path.relative_to(root)): zlib.crc32(path.read_bytes()) if path.is_file() else None
        for path in sorted(root.rglob("*"))
    }
