"""HarmoDT from the command line, on directions of the four-legged body: no extra is needed."""

import json
import shutil

import numpy as np
import pytest

from tests.command import assert_same_state, finish, jaxrl, rows, start, tree, wait_for_update

# One process for all: the programs compile once.
pytestmark = pytest.mark.xdist_group("ant")
UPDATES = 6
SMALL = (
    *("--config.data.episodes", 6),
    *("--config.data.held-out", 2),
    *("--config.data.tasks", "ant-000", "ant-180"),
    *("--config.network.layers", 1),
    *("--config.network.width", 16),
    *("--config.network.heads", 2),
    *("--config.interval", 3),
    *("--config.updates", UPDATES),
    *("--config.eval-episodes", 2),
)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A directory with the finished run harmodt/a."""
    root = tmp_path_factory.mktemp("harmodt") / "runs"
    assert jaxrl("train", "harmodt", "directions", *SMALL, "--name", "a", "--root", root) == 0
    return root


def test_a_run_is_as_long_as_its_schedule(runs):
    found = rows(runs / "harmodt/a")
    assert found[-1]["update"] == UPDATES
    assert found[-1]["frames"] == UPDATES * 3 * 32
    assert all(np.isfinite(row["loss"]) for row in found)
    assert {"harmony", "harmony_counted", "swapped", "ones"} <= found[-1].keys()


@pytest.mark.slow
def test_killed_with_9_then_resumed_ends_the_same(runs, tmp_path):
    every = ("--checkpoint-every", 2, "--log-every", 1)
    train = ("train", "harmodt", "directions", *SMALL, "--name", "a", "--root", tmp_path)
    killed = start(*train, *every)
    wait_for_update(tmp_path / "harmodt/a", 3, killed)
    killed.kill()
    killed.communicate()
    finish(start("resume", "harmodt/a", "--root", tmp_path))
    assert_same_state(runs / "harmodt/a", tmp_path / "harmodt/a")


@pytest.mark.slow
def test_eval_render_and_report(runs, tmp_path, capfd):
    shutil.copytree(runs, tmp_path / "runs")
    root, run = tmp_path / "runs", tmp_path / "runs/harmodt/a"
    assert jaxrl("eval", "a", "--root", root) == 0
    out = capfd.readouterr().out
    assert "2 directions: return" in out
    assert "3 unseen directions: return" in out
    row = json.loads((run / "evaluation.json").read_text())
    assert np.array(row["returns"]).shape == (2, 2)
    assert np.array(row["unseen_returns"]).shape == (3, 2)
    assert jaxrl("eval", "a", "--target", 1e6, "--root", root) == 0
    assert (
        "warning: ant-000 is asked for a return of 1000000; those of its data are"
        in capfd.readouterr().out
    )
    assert jaxrl("render", "a", "--steps", 6, "--count", 2, "--root", root) == 0
    assert (run / "figures/tasks.gif").is_file()
    assert jaxrl("report", "a", "--root", root) == 0
    page = (run / "report.html").read_text()
    for words in ("Return by direction", "Agreement of the tasks", "never seen"):
        assert words in page


def test_evaluations_while_training_are_rows(tmp_path):
    options = ("--evaluate-every", UPDATES, "--name", "e", "--root", tmp_path)
    assert jaxrl("train", "harmodt", "directions", *SMALL, *options) == 0
    assert np.isfinite(rows(tmp_path / "harmodt/e")[-1]["eval/return"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--config.data.suite", "metaworld"), "say what to learn from: --config.data.directory"),
        (("--config.data.tasks", "ant-001"), "no direction 'ant-001'; legal: ant-000"),
        (("--config.data.prompt", 1000), "a prompt of 1000 steps is longer than an episode"),
        (("--config.masks.density", 0), "density must lie in (0, 1], not 0"),
        (("--num-updates", 7), "num_updates must be at most 6, where the run ends, not 7"),
    ],
)
def test_bad_settings_are_refused(runs, capfd, options, message):
    before = tree(runs)
    command = ("train", "harmodt", "directions", *SMALL, *options, "--name", "b", "--root", runs)
    assert jaxrl(*command) == 2
    err = capfd.readouterr().err.splitlines()
    assert len(err) == 1
    assert message in err[0]
    assert tree(runs) == before


def test_a_directory_without_data_is_named(runs, tmp_path, capfd):
    options = ("--config.data.directory", tmp_path / "none", "--root", tmp_path / "runs")
    assert jaxrl("train", "harmodt", "quick", *options) == 2
    assert str(tmp_path / "none") in capfd.readouterr().err
    assert not (tmp_path / "runs").exists()
