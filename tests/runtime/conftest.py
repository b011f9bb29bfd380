import subprocess
import sys
from pathlib import Path

import pytest

# The toy system is a module beside the tests, and a script.
sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def tiny_disk(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    try:
        options = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
        subprocess.run(options, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as e:
        pytest.skip(f"cannot mount a small file system here: {e}")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)
