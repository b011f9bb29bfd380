"""Runs a notebook as its reader would, and keeps nothing of it that changes from run to run.

python examples/execute.py examples/impala.ipynb    # writes the outputs into the file
"""

import sys
from pathlib import Path

import nbclient
import nbformat


def execute(path: Path, *, timeout: float = 600) -> nbformat.NotebookNode:
    """The notebook with fresh outputs; raises nbclient's CellExecutionError for a failing cell.

    Args:
      path: of the notebook, which is not written.
      timeout: seconds for a cell.
    """
    notebook = nbformat.read(path, as_version=4)
    client = nbclient.NotebookClient(
        notebook,
        timeout=timeout,
        kernel_name="python3",
        resources={"metadata": {"path": str(path.parent)}},
        record_timing=False,
    )
    client.execute()
    # Versions and display names of whoever ran it last would be a change in every commit.
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    return notebook


if __name__ == "__main__":
    for name in sys.argv[1:]:
        nbformat.write(execute(Path(name)), name)
