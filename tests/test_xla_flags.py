"""The package sets its compiler flag, and leaves those of the user alone."""

import os
import subprocess
import sys

import pytest

FLAG = "--xla_cpu_enable_concurrency_optimized_scheduler"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, f"{FLAG}=false"),
        ("--xla_force_host_platform_device_count=2",
         f"--xla_force_host_platform_device_count=2 {FLAG}=false"),
        (f"{FLAG}=true", f"{FLAG}=true"),
    ],
)  # fmt: skip
def test_importing_the_package_sets_the_flag(before: str | None, after: str) -> None:
    environment = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"}
    if before is not None:
        environment["XLA_FLAGS"] = before
    code = "import os, jaxrl_suite, jax; jax.numpy.ones(1); print(os.environ['XLA_FLAGS'])"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == after
