"""The persistent compilation cache: the second run of a program does not compile it again."""

import os
from pathlib import Path

import jax

SWITCH = "JAXRL_COMPILE_CACHE"


def enable_compile_cache() -> Path | None:
    """Keeps compiled programs on disk; called by entry points, never at import.

    The place is ``JAX_COMPILATION_CACHE_DIR`` if set, else ``~/.cache/jaxrl_suite/xla``. The
    environment variable ``JAXRL_COMPILE_CACHE=0`` switches the cache off. A directory that
    cannot be written costs speed only: JAX warns and compiles.

    Returns:
      The directory in use, or None if the cache is off.
    """
    if os.environ.get(SWITCH, "1").lower() in ("0", "off", "false", "no"):
        jax.config.update("jax_enable_compilation_cache", False)
        return None
    directory = jax.config.jax_compilation_cache_dir  # JAX reads its own variable into this
    if not directory:
        directory = str(Path.home() / ".cache" / "jaxrl_suite" / "xla")
        jax.config.update("jax_compilation_cache_dir", directory)
    # The default of 1 s would leave out the many small programs around the large one.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)
    return Path(directory)
