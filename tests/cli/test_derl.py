"""DERL from the command line: a whole small evolution, killed and resumed, shown and refused."""

import shutil

import numpy as np
import pytest

from jaxrl_suite.runtime.history import NAME, read_history
from tests.command import assert_same_state, finish, jaxrl, rows, start, tree, wait_for_update

# One process for all: the program compiles once.
pytestmark = pytest.mark.xdist_group("derl-cli")
BODIES, UPDATES = 10, 6
SMALL = (
    *("--config.bodies", BODIES),
    *("--config.population", 4),
    *("--config.slots", 4),
    *("--config.phases", 2),
    *("--config.keep", 2),
    *("--config.eval-episodes", 2),
    *("--config.life.num-envs", 2),
    *("--config.life.num-steps", 8),
    *("--config.life.iterations", 4),
    *("--config.life.minibatches", 2),
    *("--config.life.window", 2),
)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A directory with the finished run derl/a."""
    root = tmp_path_factory.mktemp("derl") / "runs"
    assert jaxrl("train", "derl", *SMALL, "--name", "a", "--root", root) == 0
    return root


def same_lineage(one, other):
    ours, theirs = read_history(one / NAME), read_history(other / NAME)
    assert ours.keys() == theirs.keys()
    for name, values in ours.items():
        assert values.tobytes() == theirs[name].tobytes(), name


def test_a_run_is_as_long_as_its_evolution(runs):
    assert rows(runs / "derl/a")[-1]["update"] == UPDATES
    lineage = read_history(runs / "derl/a" / NAME)
    assert len(lineage["fitness"]) == BODIES
    assert np.isfinite(lineage["fitness"]).all()
    assert (lineage["parent"][4:] >= 0).all()


@pytest.mark.slow
def test_killed_with_9_then_resumed_has_the_same_lineage(runs, tmp_path):
    every = ("--checkpoint-every", 2)
    killed = start("train", "derl", *SMALL, *every, "--name", "a", "--root", tmp_path)
    wait_for_update(tmp_path / "derl/a", 3, killed)
    killed.kill()
    killed.communicate()
    assert 0 < len(read_history(tmp_path / "derl/a" / NAME)["fitness"]) < BODIES
    finish(start("resume", "derl/a", "--root", tmp_path))
    same_lineage(runs / "derl/a", tmp_path / "derl/a")
    assert_same_state(runs / "derl/a", tmp_path / "derl/a")


@pytest.mark.slow
def test_eval_render_and_report(runs, tmp_path, capfd):
    shutil.copytree(runs, tmp_path / "runs")
    root, run = tmp_path / "runs", tmp_path / "runs/derl/a"
    assert jaxrl("eval", "a", "--root", root) == 0
    out = capfd.readouterr().out
    assert "the best 2 of 10 bodies: score" in out
    assert "random actions" in out
    options = ("--seconds", 0.4, "--count", 2, "--root", root)
    assert jaxrl("render", "a", *options) == 0
    assert jaxrl("report", "a", "--root", root) == 0
    page = (run / "report.html").read_text()
    for words in ("bodies trained", "Whose descendants live", "The best bodies"):
        assert words in page
    assert (run / "figures/bodies.gif").is_file()
    assert "body " in (run / "figures/bodies.html").read_text()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--config.terrain", "lava"), "unknown terrain 'lava'; legal: flat"),
        (("--config.population", 4, "--config.tournament", 5), "smaller than its tournaments of 5"),
        (("--config.slots", 4, "--config.phases", 3), "4 slots are no multiple of the 3 phases"),
        (("--num-updates", 7), "num_updates must be at most 6, where the run ends, not 7"),
        (("--init-from", "derl/a"), "derl begins from nothing: leave --init-from out"),
    ],
)
def test_bad_settings_are_refused(runs, capfd, options, message):
    before = tree(runs)
    assert jaxrl("train", "derl", *SMALL, *options, "--name", "b", "--root", runs) == 2
    err = capfd.readouterr().err.splitlines()
    assert len(err) == 1
    assert message in err[0]
    assert tree(runs) == before


def test_a_lineage_of_another_configuration_is_refused(runs, tmp_path, capfd):
    """Someone puts the lineage of another run into this one's directory."""
    shutil.copytree(runs, tmp_path / "runs")
    root = tmp_path / "runs"
    options = ("--num-updates", 2, "--seed", 1, "--name", "b", "--root", root)
    assert jaxrl("train", "derl", *SMALL, *options) == 0
    shutil.copy(root / "derl/a" / NAME, root / "derl/b" / NAME)
    before = (root / "derl/b" / NAME).read_bytes()
    capfd.readouterr()
    assert jaxrl("resume", "derl/b", "--num-updates", UPDATES, "--root", root) == 2
    assert "the history of another configuration or seed" in capfd.readouterr().err
    assert (root / "derl/b" / NAME).read_bytes() == before
