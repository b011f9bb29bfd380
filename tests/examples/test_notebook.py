import json
import runpy
from pathlib import Path

import pytest

pytest.importorskip("ipykernel")
pytest.importorskip("nbclient")

FOLDER = Path(__file__).parents[2] / "examples"
NOTEBOOK = FOLDER / "impala.ipynb"


def outputs(notebook, kind):
    return [
        output
        for cell in notebook["cells"]
        for output in cell.get("outputs", [])
        if output["output_type"] == kind
    ]


def test_the_notebook_runs_and_its_policies_learn():
    # A cell that fails, the one that asserts learning included, raises here.
    execute = runpy.run_path(str(FOLDER / "execute.py"))["execute"]
    notebook = execute(NOTEBOOK, timeout=900)
    text = "".join(output["text"] for output in outputs(notebook, "stream"))
    assert "before training" in text
    assert "Traceback" not in text
    shown = [kind for output in outputs(notebook, "execute_result") for kind in output["data"]]
    assert shown.count("image/png") == 3
    assert shown.count("image/gif") == 1


def test_the_committed_notebook_is_small_executed_and_tells_of_no_machine():
    assert NOTEBOOK.stat().st_size < 600_000
    notebook = json.loads(NOTEBOOK.read_text())
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    assert all(cell["metadata"] == {} for cell in code)
    assert not outputs(notebook, "error")
    assert all(output["name"] == "stdout" for output in outputs(notebook, "stream"))
