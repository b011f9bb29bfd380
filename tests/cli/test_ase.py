"""ASE from the command line: skills of the point and a task by them, killed, resumed, refused."""

import json
import shutil

import numpy as np
import pytest

from tests.command import assert_same_state, finish, jaxrl, rows, start, tree, wait_for_update

# One process for all: the programs compile once.
pytestmark = pytest.mark.xdist_group("ase-cli")
SMALL = (
    *("--config.num-envs", 8),
    *("--config.num-steps", 4),
    *("--config.minibatch", 16),
    *("--config.eval-episodes", 4),
)
LOW = (
    *SMALL,
    *("--config.discriminated", 8),
    *("--config.demonstrations", 16),
    *("--config.replay", 64),
    *("--config.kept", 4),
)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A directory with the finished runs ase/low and, by its skills, ase/high."""
    root = tmp_path_factory.mktemp("ase") / "runs"
    options = ("--num-updates", 4, "--name", "low", "--root", root)
    assert jaxrl("train", "ase", "planar", *LOW, *options) == 0
    options = ("--num-updates", 4, "--name", "high", "--root", root)
    skills = ("--config.skills", root / "ase/low")
    assert jaxrl("train", "ase", "task", *SMALL, *skills, *options) == 0
    return root


def config_of(run):
    return json.loads((run / "run.json").read_text())["config"]


def test_the_high_level_takes_networks_and_body_from_its_skills(runs):
    low, high = config_of(runs / "ase/low"), config_of(runs / "ase/high")
    assert high["networks"] == low["networks"]
    assert high["body"] == "planar"
    assert high["skeleton"] == low["skeleton"]
    assert np.isfinite(rows(runs / "ase/high")[-1]["task_reward"])


def test_killed_with_9_then_resumed_ends_in_the_same_state(runs, tmp_path):
    every = ("--checkpoint-every", 2, "--log-every", 2, "--num-updates", 4)
    low = ("train", "ase", "planar", *LOW, *every, "--name", "low", "--root", tmp_path)
    killed = start(*low)
    wait_for_update(tmp_path / "ase/low", 2, killed)
    killed.kill()
    killed.communicate()
    finish(start("resume", "ase/low", "--root", tmp_path))
    assert_same_state(runs / "ase/low", tmp_path / "ase/low")


def test_eval_and_report_of_both_levels(runs, tmp_path, capfd):
    shutil.copytree(runs, tmp_path / "runs")
    root = tmp_path / "runs"
    assert jaxrl("eval", "low", "--root", root) == 0
    out = capfd.readouterr().out
    assert "style reward" in out
    assert "4 latents" in out
    assert "of 8 clips covered" in out
    assert jaxrl("eval", "high", "--root", root) == 0
    assert "location: return 0." in capfd.readouterr().out
    told = json.loads((root / "ase/low/evaluation.json").read_text())
    assert np.isclose(sum(told["histogram"]), 1, atol=1e-3)
    assert len(told["clips"]) == 8
    assert jaxrl("report", "low", "high", "--root", root) == 0
    page = (root / "ase/low/report.html").read_text()
    for words in ("of the clips covered", "Which clips the skills are like", "a task by skills"):
        assert words in page


def test_a_point_is_not_filmed(runs, capfd):
    assert jaxrl("render", "low", "--root", runs) == 2
    assert "only the humanoid can be filmed" in capfd.readouterr().err


@pytest.mark.slow
def test_the_humanoid_is_trained_and_filmed(tmp_path, capfd):
    networks = (
        *("--config.networks.latent", 4),
        *("--config.networks.hidden", 16),
        *("--config.networks.style", 8),
        *("--config.networks.discriminator", 16),
    )
    fast = ("--config.rules.falls", 4, "--config.clips", "walk", "run", "--num-updates", 2)
    options = ("--name", "a", "--root", tmp_path)
    assert jaxrl("train", "ase", "quick", *LOW, *networks, *fast, *options) == 0
    options = ("--seconds", 0.3, "--count", 2, "--root", tmp_path)
    assert jaxrl("render", "a", *options) == 0
    assert (tmp_path / "ase/a/figures/episodes.gif").is_file()
    assert "latent 1" in (tmp_path / "ase/a/figures/episodes.html").read_text()
    task = ("--config.task", "reach", "--config.skills", tmp_path / "ase/a")
    made = ("--num-updates", 1, "--name", "b", "--root", tmp_path)
    assert jaxrl("train", "ase", "task", *SMALL, *task, *made) == 0
    assert jaxrl("render", "b", *options) == 0
    page = (tmp_path / "ase/b/figures/episodes.html").read_text()
    assert "mean reward" in page


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--config.task", "fly"), "unknown task 'fly'; legal: none, follow, steering"),
        (("--config.minibatch", 7), "minibatch 7 does not divide the 32 rows"),
        (("--config.replay", 3), "replay must hold the 32 windows of an update, not 3"),
        (("--config.rules.spared", 90), "rules.spared must lie in 0 .. 89, not 90"),
        (("--config.task", "follow"), "the point has no task 'follow'; legal: none, location"),
        (("--init-from", "ase/low"), "ase begins from nothing: leave --init-from out"),
    ],
)
def test_bad_settings_are_refused(runs, capfd, options, message):
    before = tree(runs)
    assert jaxrl("train", "ase", "planar", *LOW, *options, "--name", "b", "--root", runs) == 2
    err = capfd.readouterr().err.splitlines()
    assert len(err) == 1
    assert message in err[0]
    assert tree(runs) == before


@pytest.mark.parametrize(
    ("skills", "message"),
    [
        ((), "the high level commands a controller: --config.skills RUN"),
        (("--config.skills", "nowhere"), "nowhere"),
        (("--config.skills", "HIGH"), "has no skills to command"),
    ],
)
def test_skills_that_are_none_are_refused(runs, capfd, skills, message):
    skills = tuple(runs / "ase/high" if x == "HIGH" else x for x in skills)
    before = tree(runs)
    assert jaxrl("train", "ase", "task", *SMALL, *skills, "--name", "b", "--root", runs) == 2
    err = capfd.readouterr().err.splitlines()
    assert len(err) == 1
    assert message in err[0]
    assert tree(runs) == before


@pytest.mark.parametrize(
    ("name", "message"),
    [("skeleton", "the run's skeleton is 0123456789ab"), ("motion", "the run's clips have the")],
)
def test_a_run_of_another_body_or_other_clips_is_refused(runs, tmp_path, capfd, name, message):
    shutil.copytree(runs, tmp_path / "runs")
    record = tmp_path / "runs/ase/low/run.json"
    told = json.loads(record.read_text())
    told["config"][name] = "0123456789ab"
    record.write_text(json.dumps(told))
    before = tree(tmp_path)
    for command in ("eval", "resume"):
        assert jaxrl(command, "low", "--root", tmp_path / "runs") == 2
        assert message in capfd.readouterr().err
    assert tree(tmp_path) == before


def test_a_directory_of_broken_clips_is_refused_before_anything_is_written(tmp_path, capfd):
    motions = tmp_path / "motions"
    motions.mkdir()
    (motions / "walk.txt").write_text('{"Loop": "wrap", "Frames": [[0.03, 1, 2]]}')
    options = ("--config.motion-dir", motions, "--name", "b", "--root", tmp_path / "runs")
    before = tree(tmp_path)
    assert jaxrl("train", "ase", "quick", *options) == 2
    err = capfd.readouterr().err.splitlines()
    assert len(err) == 1
    assert "walk.txt" in err[0]
    assert tree(tmp_path) == before
