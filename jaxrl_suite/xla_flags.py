"""Compiler flags that have to be set before JAX compiles anything."""

import os

_SCHEDULER = "--xla_cpu_enable_concurrency_optimized_scheduler"


def set_xla_flags() -> None:
    """Turns off one of XLA's schedulers for CPUs, unless XLA_FLAGS says something about it.

    Under it programs that step bodies come to a halt now and then, every worker of the thread pool
    waiting for the others (seen with jax 0.10.2, this engine and MJX). Without it nothing here is
    slower. A process that has compiled something before it imports this package keeps the flag it
    had.
    """
    flags = os.environ.get("XLA_FLAGS", "")
    if _SCHEDULER not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} {_SCHEDULER}=false".strip()
