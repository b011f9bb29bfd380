import json
import os

import numpy as np
import pytest
import toy

from jaxrl_suite.core import UsageError
from jaxrl_suite.runtime import checkpoint, rundir


def test_create_open_list(tmp_path):
    made = rundir.create_run(toy.record(parent="runs/toy/old"), "a", root=tmp_path)
    for reference in (made.path, "toy/a", "a"):
        assert rundir.open_run(reference, root=tmp_path) == made
    assert [run.path.name for run in rundir.list_runs(tmp_path)] == ["a"]
    assert sorted(os.listdir(made.path)) == ["checkpoints", "figures", "run.json"]
    data = json.loads((made.path / "run.json").read_text())
    assert {"python", "jax", "jaxlib", "flax", "optax", "jaxrl_suite"} == set(data["versions"])
    assert data["parent"] == "runs/toy/old"


def test_status(tmp_path):
    run = rundir.create_run(toy.record(num_updates=20), "a", root=tmp_path)
    assert run.status == "stopped (0 of 20 updates saved)"
    checkpoint.save(run.checkpoints, 10, {"a": np.zeros(1)})
    with run.lock():
        assert run.status == "running (10 of 20 updates saved)"
        with pytest.raises(UsageError, match="another process"), run.lock():
            pass
    checkpoint.save(run.checkpoints, 20, {"a": np.zeros(1)})
    assert run.status == "finished (20 updates)"
    longer = rundir.extend_run(run, 30)
    assert rundir.open_run(run.path) == longer
    assert longer.status == "stopped (20 of 30 updates saved)"


def test_existing_run_names_the_remedy(tmp_path):
    run = rundir.create_run(toy.record(), "a", root=tmp_path)
    before = (run.path / "run.json").read_bytes()
    with pytest.raises(UsageError, match=r"jaxrl resume .*toy/a` or give another --name"):
        rundir.create_run(toy.record(seed=1), "a", root=tmp_path)
    assert (run.path / "run.json").read_bytes() == before


@pytest.mark.parametrize("name", ["", "../a", "a/b", ".a", "a b"])
def test_illegal_name(tmp_path, name):
    with pytest.raises(UsageError, match="illegal run name"):
        rundir.create_run(toy.record(), name, root=tmp_path)
    assert not list(tmp_path.iterdir())


def test_missing_run_lists_those_there_are(tmp_path):
    with pytest.raises(UsageError, match="there are no runs in"):
        rundir.open_run("b", root=tmp_path)
    run = rundir.create_run(toy.record(), "a", root=tmp_path)
    with pytest.raises(UsageError, match=f"no run b; runs there are: {run.path}"):
        rundir.open_run("b", root=tmp_path)


@pytest.mark.parametrize("text", [None, "", '{"system": "toy"', '{"system": "toy"}'])
def test_half_written_run(tmp_path, text):
    path = tmp_path / "toy" / "a"
    path.mkdir(parents=True)
    if text is not None:
        (path / "run.json").write_text(text)
    with pytest.raises(UsageError, match=r"run\.json"):
        rundir.open_run("a", root=tmp_path)
    assert rundir.list_runs(tmp_path) == []


def test_failed_creation_leaves_nothing(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UsageError, match="No space left"):
        rundir.create_run(toy.record(), "a", root=tmp_path)
    assert not list((tmp_path / "toy").iterdir())
