import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.mark.envpool
@pytest.mark.slow
def test_smoke_run_records_nothing():
    pytest.importorskip("envpool", reason="needs the extra envpool")
    results = FOLDER / "results" / "atari.jsonl"
    before = results.read_bytes() if results.exists() else None
    command = [sys.executable, str(FOLDER / "atari.py"), "--smoke"]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    for name in ("pools alone", "jitted scan", "actor threads", "threads, learning"):
        assert f"| {name} |" in run.stdout
    for metric in ("lag_mean", "queue_length"):
        assert metric in run.stdout
    assert "nothing is recorded" in run.stdout
    assert (results.read_bytes() if results.exists() else None) == before
