"""The quadruped from the command line: skills, terrains, many in one, a game; killed, refused."""

import json
import shutil

import numpy as np
import pytest

from tests.command import (
    assert_same_state,
    finish,
    jaxrl,
    rows,
    start,
    state_of,
    tree,
    wait_for_update,
)
from tests.report.test_film import needs_opengl

# One process for all: the programs compile once.
pytestmark = pytest.mark.xdist_group("lifelike-cli")
SMALL = (
    *("--config.num-envs", 4),
    *("--config.num-steps", 4),
    *("--config.epochs", 1),
    *("--config.minibatches", 2),
    *("--config.eval-episodes", 4),
    *("--config.eval-seconds", 0.1),
)
SKILLS = (
    *SMALL,
    *("--config.clips", "stand", "hop", "--config.no-mirrored"),
    *("--config.networks.codes", 8, "--config.networks.width", 4),
    *("--config.networks.hidden", 16),
    *("--config.networks.sensed", 8, "--config.networks.told", 4),
)
UPPER = (*SMALL, "--config.memory", 4)
GAME = (
    *SMALL,
    *("--config.ring", 2, "--config.snapshot-every", 1),
    *("--config.game.time-limit", 6),
)


def train(root, name, *options):
    made = ("--num-updates", 2, "--name", name, "--root", root)
    assert jaxrl("train", "lifelike", *options, *made) == 0


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A directory with the finished runs lifelike/gaits and, over it, lifelike/hurdle."""
    root = tmp_path_factory.mktemp("lifelike") / "runs"
    train(root, "gaits", "quick", *SKILLS)
    skills = ("--config.skills", root / "lifelike/gaits")
    train(root, "hurdle", "terrain", *UPPER, *skills, "--config.terrains", "hurdle")
    return root / "lifelike"


@pytest.fixture(scope="module")
def upper(runs):
    """The same with lifelike/creep, lifelike/both of the two experts and, over it, lifelike/tag."""
    root = runs.parent
    skills = ("--config.skills", runs / "gaits", "--config.terrains", "creep")
    train(root, "creep", "terrain", *UPPER, *skills)
    experts = ("--config.experts", runs / "hurdle", runs / "creep")
    train(root, "both", "distil", *SMALL, *experts, "--config.difficulty", 0.5)
    train(root, "tag", "tag", *GAME, "--config.skills", runs / "both")
    return runs


def config_of(run):
    return json.loads((run / "run.json").read_text())["config"]


def within(run, path):
    """Leaves of a run's checkpoint below a path, by the rest of theirs."""
    found = {name[len(path) :]: x for name, x in state_of(run).items() if name.startswith(path)}
    assert found
    return found


def assert_stands_on(upper, lower):
    """What is frozen is what the run below has come to, bit for bit, normalisers included."""
    ours = within(upper, "['learner']['params']['frozen']")
    theirs = within(lower, "['learner']['params']")
    assert ours.keys() == theirs.keys()
    assert any("inputs" in name for name in ours)
    for name, x in ours.items():
        assert x.tobytes() == theirs[name].tobytes(), name


def test_terrains_are_crossed_by_the_skills_of_the_run_below(runs):
    low, high = config_of(runs / "gaits"), config_of(runs / "hurdle")
    assert high["networks"] == low["networks"]
    assert high["skills"] == str((runs / "gaits").resolve())
    assert np.isfinite(rows(runs / "hurdle")[-1]["surrogate"])
    assert_stands_on(runs / "hurdle", runs / "gaits")


def test_eval_and_report(runs, tmp_path, capfd):
    shutil.copytree(runs.parent, tmp_path / "runs")
    root = tmp_path / "runs"
    assert jaxrl("eval", "gaits", "--episodes", 3, "--root", root) == 0
    out = capfd.readouterr().out
    for words in ("score 0.", "stand: 0.", "hop: 0.", "perplexity", "of 8"):
        assert words in out
    told = json.loads((root / "lifelike/gaits/evaluation.json").read_text())
    assert told["level"] == "pmc"
    assert len(told["kinds"]["hop"]["score"]) == 3
    assert jaxrl("report", "gaits", "hurdle", "--root", root) == 0
    page = (root / "lifelike/gaits/report.html").read_text()
    for words in ("following clips: gaits", "across terrains: hurdle", "By kind", "Codes in use"):
        assert words in page


def refused(place, capfd, *arguments):
    """Runs the command, which must refuse; returns the line that it wrote."""
    before = tree(place)
    capfd.readouterr()
    assert jaxrl(*arguments) == 2
    err = capfd.readouterr().err.splitlines()
    assert len(err) == 1, err
    assert tree(place) == before
    return err[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("quick", "--config.clips", "gallopp"), "no clip or group is called 'gallopp'"),
        (("quick", "--config.eval-seconds", 0.01), "eval_seconds must be at least 0.02"),
        (("quick", "--init-from", "gaits"), "lifelike begins from nothing: leave --init-from out"),
        (("terrain",), "the level epmc stands on another: --config.skills RUN, made for instance"),
        (("terrain", "--config.skills", "nowhere"), "no run nowhere"),
        (("terrain", "--config.skills", "hurdle"), "is of the level epmc; config.skills needs"),
        (("terrain", "--config.skills", "gaits", "--config.terrains", "sea"), "legal: joystick"),
        (("terrain", "--config.skills", "gaits", "--config.command.top", 9), "lie in 0 .. 8"),
        (("distil",), "there is nobody to learn from: --config.experts RUN RUN"),
        (("distil", "--config.experts", "gaits"), "config.experts needs one of epmc"),
        (("distil", "--config.experts", "hurdle"), "no expert has learned 'creep'; legal: hurdle"),
        (("distil", "--config.experts", "hurdle", "--config.skills", "hurdle"), "leave config"),
        (("tag", "--config.skills", "gaits"), "config.skills needs one of epmc, distil"),
        (("tag", "--config.skills", "hurdle", "--config.game.side", 1), "rules.side must be at"),
    ],
)
def test_bad_settings_are_refused(runs, capfd, arguments, message):
    known = ("gaits", "hurdle")
    arguments = [runs / x if x in known else x for x in arguments]
    told = ("train", "lifelike", *arguments, "--name", "b", "--root", runs.parent)
    assert message in refused(runs, capfd, *told)


@pytest.fixture
def copied(runs, tmp_path):
    """A copy whose runs stand on each other."""
    shutil.copytree(runs.parent, tmp_path / "runs")
    place = tmp_path / "runs/lifelike"
    edit(place / "hurdle", skills=str((place / "gaits").resolve()))
    return place


def edit(run, networks=None, **changes):
    told = json.loads((run / "run.json").read_text())
    told["config"] |= changes
    told["config"]["networks"] |= networks or {}
    (run / "run.json").write_text(json.dumps(told))


@pytest.mark.parametrize("command", ["eval", "resume", "render"])
def test_another_codebook_than_the_checkpoint_s_is_refused(copied, capfd, command):
    edit(copied / "gaits", networks={"codes": 16})
    root = ("--root", copied.parent)
    assert "is of another config" in refused(copied, capfd, command, "gaits", *root)
    assert "is of another config" in refused(copied, capfd, command, "hurdle", *root)
    edit(copied / "gaits", networks={"codes": 8})
    edit(copied / "hurdle", networks={"codes": 16})
    line = refused(copied, capfd, command, "hurdle", *root)
    assert "networks of the level below and of the configuration differ" in line


def test_other_clips_than_the_run_s_are_refused(copied, capfd):
    edit(copied / "gaits", motion="0123456789ab")
    line = refused(copied, capfd, "eval", "gaits", "--root", copied.parent)
    assert "the run's clips have the digest 0123456789ab" in line


def test_experts_of_other_skills_cannot_be_distilled(copied, capfd):
    """Their codes mean something else, whatever their networks."""
    for name in ("gaits", "hurdle"):
        shutil.copytree(copied / name, copied / f"{name}-2")
    experts = ("--config.experts", copied / "hurdle", copied / "hurdle-2")
    told = ("train", "lifelike", "distil", *SMALL, *experts, "--name", "b", "--root", copied.parent)
    edit(copied / "hurdle-2", skills=str((copied / "gaits-2").resolve()))
    assert "skills of" in refused(copied, capfd, *told)
    edit(copied / "hurdle-2", skills=str((copied / "gaits").resolve()), memory=8)
    assert "memory of" in refused(copied, capfd, *told)


def test_a_directory_of_broken_clips_is_refused_before_anything_is_written(tmp_path, capfd):
    motions = tmp_path / "motions"
    motions.mkdir()
    frames = [[0.0, 0.0, 0.3, 0.0, 0.0, 0.0, 1.0] + [float("nan")] * 12] * 200
    clip = {"FrameDuration": 1 / 60, "LegOrder": ["FR", "FL", "HR", "HL"], "Frames": frames}
    (motions / "dog_walk_001.txt").write_text(json.dumps(clip))
    options = ("--config.motion-dir", motions, "--name", "b", "--root", tmp_path / "runs")
    line = refused(tmp_path, capfd, "train", "lifelike", "quick", *options)
    assert "dog_walk_001" in line


@pytest.mark.slow
def test_levels_stand_on_each_other(upper):
    gaits, both, tag = (config_of(upper / name) for name in ("gaits", "both", "tag"))
    assert both["networks"] == tag["networks"] == gaits["networks"]
    assert both["memory"] == tag["memory"] == 4
    assert both["skills"] == str((upper / "gaits").resolve())
    assert_stands_on(upper / "both", upper / "gaits")
    assert_stands_on(upper / "tag", upper / "both")
    assert np.isfinite(rows(upper / "both")[-1]["kl"])
    assert int(state_of(upper / "tag")["['source']['ring']['count']"]) == 2


@pytest.mark.slow
def test_a_game_killed_with_9_then_resumed_ends_in_the_same_state(upper, tmp_path):
    every = ("--checkpoint-every", 1, "--log-every", 1, "--num-updates", 2)
    skills = ("--config.skills", upper / "both")
    killed = start(
        *("train", "lifelike", "tag", *GAME, *skills, *every, "--name", "tag", "--root", tmp_path)
    )
    wait_for_update(tmp_path / "lifelike/tag", 1, killed)
    killed.kill()
    killed.communicate()
    finish(start("resume", "lifelike/tag", "--root", tmp_path))
    assert_same_state(upper / "tag", tmp_path / "lifelike/tag")


@pytest.mark.slow
def test_eval_and_report_of_the_upper_levels(upper, tmp_path, capfd):
    root = tmp_path / "runs"
    shutil.copytree(upper.parent, root)
    assert jaxrl("eval", "both", "--root", root) == 0
    out = capfd.readouterr().out
    assert "on terrains of level 0.50; of level 1, by kind:" in out
    assert "creep: 0." in out
    assert jaxrl("eval", "hurdle", "--root", root) == 0
    assert "on terrains of level 0.00; of level 1, by kind:" in capfd.readouterr().out
    for name, level, difficulty in (("both", "distil", 0.5), ("hurdle", "epmc", 0.0)):
        told = json.loads((root / "lifelike" / name / "evaluation.json").read_text())
        assert (told["level"], told["difficulty"]) == (level, difficulty)
    assert jaxrl("eval", "tag", "--episodes", 3, "--root", root) == 0
    assert "of 3 games against 2 snapshots" in capfd.readouterr().out
    told = json.loads((root / "lifelike/tag/evaluation.json").read_text())
    assert 0 <= told["won"] <= 1
    assert told["episodes"] == 3
    assert jaxrl("report", "both", "tag", "--root", root) == 0
    page = (root / "lifelike/both/report.html").read_text()
    for words in ("many experts in one policy: both", "chase tag: tag", "of games won"):
        assert words in page


@needs_opengl
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "words"),
    [("gaits", "return 0."), ("hurdle", "score 0."), ("both", "score 0."), ("tag", "flags")],
)
def test_all_levels_are_filmed(upper, tmp_path, name, words):
    root = tmp_path / "runs"
    shutil.copytree(upper.parent, root)
    options = ("--seconds", 0.001, "--count", 2, "--root", root)
    assert jaxrl("render", name, *options) == 0
    assert (root / "lifelike" / name / "figures/episodes.gif").is_file()
    assert words in (root / "lifelike" / name / "figures/episodes.html").read_text()
