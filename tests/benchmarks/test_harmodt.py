import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"
pytestmark = pytest.mark.slow


def test_smoke_run_records_nothing():
    pytest.importorskip("torch", reason="needs benchmarks/requirements.txt")
    results = FOLDER / "results" / "harmodt.jsonl"
    before = results.read_bytes() if results.exists() else b""
    run = subprocess.run(
        [sys.executable, str(FOLDER / "harmodt.py"), "--smoke"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.count("nothing is recorded") == 3
    assert "suite, masked recovery" in run.stdout
    assert (results.read_bytes() if results.exists() else b"") == before
