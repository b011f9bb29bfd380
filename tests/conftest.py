"""Settings that hold for every test. No XLA flags but the package's: users run what is tested."""

import time
from pathlib import Path

import hypothesis
import jax
import pytest

# [T, B] against [B] would broadcast in silence and be wrong in silence.
jax.config.update("jax_numpy_rank_promotion", "raise")

# The same examples on every run and machine; compiling makes any deadline meaningless.
hypothesis.settings.register_profile(
    "suite", derandomize=True, database=None, deadline=None, max_examples=25
)
hypothesis.settings.load_profile("suite")

# What was compiled before, by any process, is not compiled again. A week later it is, so that the
# folder does not grow for ever; `make clean` empties it.
_PROGRAMS, _WEEK = Path.home() / ".cache" / "jaxrl_suite" / "tests", 7 * 24 * 3600
if not jax.config.jax_compilation_cache_dir:  # JAX has its own variable for it
    jax.config.update("jax_compilation_cache_dir", str(_PROGRAMS))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)

# Linux lets a process map 65,530 regions of memory, and each compiled program is some; past that
# a compiler ends with a segmentation fault.
_MAPS, _MANY = Path("/proc/self/maps"), 30_000


def pytest_sessionstart(session):
    """Removes programs of long ago, once for all processes."""
    if not hasattr(session.config, "workerinput"):
        for path in _PROGRAMS.glob("*"):
            if path.stat().st_mtime < time.time() - _WEEK:
                path.unlink(missing_ok=True)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Tests of a module stay in one process, so that what they share is compiled once."""
    for item in items:
        if not item.get_closest_marker("xdist_group"):
            item.add_marker(pytest.mark.xdist_group(item.nodeid.split("::")[0]))


@pytest.fixture(scope="module", autouse=True)
def freed_programs():
    """Gives compiled programs back before there are too many."""
    yield
    if _MAPS.exists() and len(_MAPS.read_bytes().splitlines()) > _MANY:
        jax.clear_caches()
