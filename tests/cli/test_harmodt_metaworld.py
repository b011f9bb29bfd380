"""HarmoDT on trajectories of a directory; Meta-World's pools are played by a script."""

import json
import shutil
import sys

import numpy as np
import pytest

from jaxrl_suite.cli import harmodt as commands
from jaxrl_suite.data import digest
from jaxrl_suite.data.episodes import Episodes
from jaxrl_suite.data.trajectories import Store
from jaxrl_suite.envs import metaworld
from tests.command import jaxrl, rows, tree
from tests.systems.harmodt.toy import Points, episodes

# One process for all: the programs compile once.
pytestmark = pytest.mark.xdist_group("harmodt")
TASKS = ("reach", "push")
SMALL = (
    *("--config.data.held-out", 2),
    *("--config.data.context", 4),
    *("--config.network.layers", 1),
    *("--config.network.width", 16),
    *("--config.network.heads", 2),
    *("--config.interval", 2),
    *("--config.updates", 2),
    *("--config.eval-episodes", 3),
)


def widened(x: np.ndarray, size: int) -> np.ndarray:
    """With zeros to the size of Meta-World's."""
    return np.pad(x, ((0, 0), (0, size - x.shape[1])))


class Scripted:
    """A point that goes to its task's corner, in the clothes of a pool."""

    def __init__(self, task: str, num_envs: int, seed: object = 0):
        self._points = Points(TASKS.index(task), num_envs)

    def reset(self) -> np.ndarray:
        return widened(self._points.reset(), metaworld.STATE_SIZE)

    def step(self, action: np.ndarray) -> metaworld.Step:
        at, reward, solved, cut = self._points.step(action[:, :2])
        return metaworld.Step(widened(at, metaworld.STATE_SIZE), reward, solved, cut)

    def close(self) -> None:
        pass


@pytest.fixture
def scripted(monkeypatch):
    monkeypatch.setattr(metaworld, "Pool", Scripted)
    monkeypatch.setattr(commands, "require_envpool", lambda: None)


def collected(directory, seed=0):
    with Store.open(directory, {"seed": seed}, 1) as store:
        for i, task in enumerate(TASKS):
            store.begin(task, {"tier": "near"})
            made = episodes(i, seed=seed)
            state = widened(made.state, metaworld.STATE_SIZE)
            action = widened(made.action, metaworld.ACTION_SIZE)
            store.add(task, 0, Episodes(made.length, state, action, made.reward, made.success))
    return directory


def train(directory, root, *options):
    where = ("--config.data.directory", directory, "--root", root)
    return jaxrl("train", "harmodt", "quick", *SMALL, *where, "--name", "a", *options)


def test_train_eval_render_and_report(tmp_path, capfd, scripted):
    data, root = collected(tmp_path / "data"), tmp_path / "runs"
    assert train(data, root, "--log-every", 1, "--evaluate-every", 2) == 0
    run = root / "harmodt/a"
    last = rows(run)[-1]
    assert {"eval/solved", "eval/solved_last", "eval/return"} <= last.keys()
    record = json.loads((run / "run.json").read_text())
    assert record["config"]["data"]["digest"] == digest(data)
    capfd.readouterr()
    assert jaxrl("eval", "a", "--root", root) == 0
    out = capfd.readouterr().out
    assert "reach: solved in" in out
    assert "all 2 tasks: solved" in out
    row = json.loads((run / "evaluation.json").read_text())
    assert np.array(row["any"]).shape == (2, 3)
    assert jaxrl("render", "a", "--steps", 6, "--root", root) == 0
    assert (run / "figures/tasks.gif").is_file()
    assert jaxrl("report", "a", "--root", root) == 0
    assert "Success by task" in (run / "report.html").read_text()
    # Other data in the same place are not those that the run is of.
    shutil.rmtree(data)
    collected(data, seed=1)
    before = tree(root)
    for command in ("eval", "render", "resume"):
        assert jaxrl(command, "a", "--root", root) == 2
        assert "does not hold the data that were learned from" in capfd.readouterr().err
    assert tree(root) == before


def test_evaluating_while_training_needs_the_extra_at_once(tmp_path, capfd, monkeypatch):
    monkeypatch.setitem(sys.modules, "envpool", None)
    data = collected(tmp_path / "data")
    assert train(data, tmp_path / "runs", "--log-every", 1, "--evaluate-every", 2) == 2
    assert 'pip install "jaxrl_suite[metaworld]"' in capfd.readouterr().err
    assert not (tmp_path / "runs").exists()
