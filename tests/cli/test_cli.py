"""The command line from end to end, as users type it."""

import json
import signal
from importlib.util import find_spec

import numpy as np
import pytest
from PIL import Image

from jaxrl_suite.cli import options
from jaxrl_suite.runtime import checkpoint, metrics, rundir
from tests.command import (
    SMALL,
    assert_same_state,
    finish,
    jaxrl,
    rows,
    start,
    state_of,
    tree,
    wait_for_update,
)

TRAIN = ("train", "impala", "quick", *SMALL, "--num-updates", 4)


@pytest.fixture
def runs(trained, monkeypatch):
    """The directory of the run impala/a, as runs/ of the working directory."""
    monkeypatch.chdir(trained)
    return trained / "runs" / "impala"


def params_of(run, step=None):
    return {k: v for k, v in state_of(run, step).items() if k.startswith("['learner']['params']")}


def test_list(runs, capfd):
    assert jaxrl("list") == 0
    out = capfd.readouterr().out
    for part in ("impala: V-trace", "presets: quick, gpu, paper", "freeway: 32 variants"):
        assert part in out
    assert "runs/impala/a  quick, seed 0, finished (4 updates)" in out
    assert jaxrl("list", "--root", "elsewhere") == 0
    assert "0 runs under elsewhere" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        ("--help", "jaxrl COMMAND"),
        ("train --help", "train SYSTEM [PRESET]"),
        ("train impala --help", "--config.network.torso {resnet,shallow,grid}"),
        ("train impala paper --help", "--config.unroll-length INT"),
        ("resume a --help", "--num-updates INT"),
        ("eval a --help", "--episodes INT"),
        ("eval a --help", "--root PATH"),
        ("render --help", "render RUN"),
        ("render a --help", "--fps INT"),
        ("report --help", "--output STR"),
        ("demo --help", "--short"),
        ("list --help", "--root PATH"),
    ],
)
def test_help_goes_to_stdout_and_makes_nothing(runs, capfd, command, shown):
    before = tree(runs)
    assert jaxrl(*command.split()) == 0
    out, err = capfd.readouterr()
    assert shown in out
    assert err == ""
    assert tree(runs) == before


def test_reader_that_leaves_early():
    process = start("train", "impala", "--help")
    process.stdout.close()  # as `head` does
    error = process.stderr.read()
    assert (process.wait(), error) == (141, "")


def test_every_option_of_train_has_a_line_of_help(capfd):
    assert jaxrl("train", "impala", "--help") == 0
    out = capfd.readouterr().out
    text = " ".join(out.replace("│", " ").split())
    assert "--config.game STR name of a game of that suite. (default: breakout)" in text
    assert "--hyper.gamma FLOAT discount per step. (default: 0.99)" in text
    assert "--log-every INT updates in one row of metrics; 0 for a fortieth of the run." in text
    assert "--seed INT of everything random. (default: 0)" in text


def test_what_a_run_is(runs):
    run = rundir.open_run(runs / "a")
    assert run.record.num_updates == 4
    assert run.record.preset == "quick"
    assert run.record.parent is None
    made = metrics.read_metrics(run.metrics)
    assert [row["update"] for row in made] == [1, 2, 3, 4]
    assert [row["frames"] for row in made] == [16, 32, 48, 64]
    assert all(np.isfinite(row["loss"]) for row in made)
    assert checkpoint.steps(run.checkpoints) == [3, 4]


def test_eval(runs, capfd):
    assert jaxrl("eval", "a", "--variants", "m00d0,m09d1,m00d1") == 0
    out = capfd.readouterr().out
    assert "breakout, 2 variants trained on: return" in out
    assert "breakout, 1 variants never seen: return" in out
    row = json.loads((runs / "a" / "evaluation.json").read_text())
    assert row["update"] == 4
    assert row["sides"] == ["trained on"] * 2 + ["never seen"]
    assert np.shape(row["trained"]) == np.shape(row["random"]) == (3, 3)
    # By --root, with fewer episodes: the same run, and no interval of a single episode.
    again = ["--root", runs.parent, "--episodes", 1, "--variants", "m00d0"]
    assert jaxrl("eval", "impala/a", *again) == 0
    assert "nan" not in capfd.readouterr().out
    assert np.shape(json.loads((runs / "a" / "evaluation.json").read_text())["trained"]) == (1, 1)


def test_render_and_report(runs, capfd):
    options = ["--steps", 5, "--count", 2, "--variants", "train", "--fps", 10, "--seed", 3]
    assert jaxrl("render", "a", *options) == 0
    with Image.open(runs / "a" / "figures" / "episodes.gif") as gif:
        assert gif.n_frames == 5
        assert gif.info["duration"] == 100
    assert jaxrl("eval", "a", "--variants", "m00d0,m00d1") == 0
    assert jaxrl("report", "a", "impala/a", "--output", "page.html") == 0
    page = (runs.parents[1] / "page.html").read_text()
    assert "Learning breakout" in page
    assert "never seen" in page
    assert "data:image/gif;base64" in page
    assert "http://" not in page.replace("http://www.w3.org", "")  # it works offline
    assert jaxrl("report", "a") == 0
    assert "written: runs/impala/a/report.html" in capfd.readouterr().out


def test_fine_tuning(runs, tmp_path):
    # Another side of another split, another directory, dots in the name, evaluation on the way.
    child = [*TRAIN, "--config.subset", "unseen", "--config.split", "value", "--seed", 7]
    child += ["--num-updates", 2, "--log-every", 2, "--evaluate-every", 1, "--root", tmp_path]
    child += ["--init-from", runs / "a"]
    assert jaxrl(*child, "--name", "v1.5_b") == 0
    run = rundir.open_run("v1.5_b", root=tmp_path)
    assert run.record.parent == str(runs / "a")
    assert run.record.config["split"] == "value"
    assert [row["update"] for row in metrics.read_metrics(run.metrics)] == [2]
    assert "eval/return" in metrics.read_metrics(run.metrics)[0]
    parent, first, last = params_of(runs / "a"), params_of(run.path, 0), params_of(run.path, 2)
    assert len(parent) == 8
    for name, leaf in parent.items():
        np.testing.assert_array_equal(first[name], leaf)
        assert not np.array_equal(last[name], leaf)

    assert jaxrl(*child, "--name", "reset", "--reset-heads") == 0
    reset = params_of(tmp_path / "impala" / "reset", 0)
    for name, leaf in parent.items():
        is_bias = name.endswith("['bias']")  # zero in every fresh head
        is_head = "['policy']" in name or "['value']" in name
        assert np.array_equal(reset[name], leaf) == (not is_head)
        if is_head and is_bias:
            np.testing.assert_array_equal(reset[name], 0)


def test_resume_of_a_finished_run_changes_nothing_and_extends_it(runs, tmp_path, capfd):
    assert jaxrl(*TRAIN, "--name", "whole", "--root", tmp_path, "--num-updates", 6) == 0
    assert jaxrl(*TRAIN, "--name", "parts", "--root", tmp_path, "--num-updates", 3) == 0
    before = tree(tmp_path)
    assert jaxrl("resume", "parts", "--root", tmp_path) == 0
    assert "has made its 3 updates already" in capfd.readouterr().out
    assert tree(tmp_path) == before
    assert jaxrl("resume", "parts", "--root", tmp_path, "--num-updates", 6) == 0
    whole, parts = tmp_path / "impala" / "whole", tmp_path / "impala" / "parts"
    assert_same_state(whole, parts)
    assert rows(whole) == rows(parts)
    assert rundir.open_run(parts).record.num_updates == 6


def test_resume_before_the_first_checkpoint(runs, tmp_path):
    # What a kill leaves between the run's directory and its checkpoint 0.
    assert jaxrl(*TRAIN, "--name", "b", "--root", tmp_path) == 0
    run = tmp_path / "impala" / "b"
    for path in sorted((run / "checkpoints").rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    (run / "metrics.jsonl").unlink()
    assert jaxrl("resume", run) == 0
    assert_same_state(run, runs / "a")
    assert rows(run) == rows(runs / "a")


def test_resume_keeps_the_intervals_of_the_run(tmp_path):
    every = ["--log-every", 2, "--checkpoint-every", 3, "--evaluate-every", 3]
    assert jaxrl(*TRAIN, *every, "--name", "b", "--root", tmp_path) == 0
    run = tmp_path / "impala" / "b"
    assert checkpoint.steps(run / "checkpoints") == [0, 4]  # 3 rounded up to whole rows
    assert jaxrl("resume", run, "--num-updates", 8) == 0
    assert [row["update"] for row in rows(run)] == [2, 4, 6, 8]
    assert [row["update"] for row in rows(run) if "eval/return" in row] == [4, 8]
    assert jaxrl("resume", run, "--num-updates", 9, "--log-every", 1) == 0
    assert [row["update"] for row in rows(run)] == [2, 4, 6, 8, 9]


LONG = (*TRAIN, "--num-updates", 3000, "--log-every", 50, "--checkpoint-every", 250)


def test_stopped_three_ways_ends_as_one_that_was_never_stopped(tmp_path):
    assert jaxrl(*LONG, "--name", "whole", "--root", tmp_path) == 0
    whole, run = tmp_path / "impala" / "whole", tmp_path / "impala" / "stopped"

    for number, code, update in [(signal.SIGINT, 130, 100), (signal.SIGTERM, 143, 600)]:
        first = number == signal.SIGINT
        command = [*LONG, "--name", "stopped"] if first else ["resume", "stopped"]
        process = start(*command, "--root", tmp_path)
        wait_for_update(run, update, process)
        process.send_signal(number)
        (error,) = finish(process, code=code)
        made = rows(run)[-1]["update"]
        assert checkpoint.latest_step(run / "checkpoints") == made < 3000
        hint = f"saved update {made}; go on with: jaxrl resume {run}"
        assert error.strip().splitlines()[-1] == hint

    process = start("resume", "stopped", "--root", tmp_path)
    wait_for_update(run, 1200, process)
    process.kill()
    process.communicate()
    made, saved = rows(run)[-1]["update"], checkpoint.latest_step(run / "checkpoints")
    assert 0 <= made - saved <= 250  # a kill -9 loses at most one interval
    assert saved < 3000

    assert jaxrl("resume", run) == 0
    assert_same_state(run, whole)
    assert rows(run) == rows(whole)


def test_demo_and_again(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    assert jaxrl("demo", "--short") == 0
    place = tmp_path / "runs" / "demo-short"
    assert "return" in capfd.readouterr().out
    page = (place / "report.html").read_text()
    assert "Learning breakout" in page
    assert "data:image/gif;base64" in page
    expected = {"breakout"} | ({"atari-breakout"} if find_spec("envpool") else set())
    assert {p.name for p in (place / "impala").iterdir()} == expected
    # An interrupted demo goes on; a finished one trains nothing.
    state = state_of(place / "impala" / "breakout")
    assert jaxrl("demo", "--short") == 0
    assert "has made its 40 updates already" in capfd.readouterr().out
    for name, leaf in state_of(place / "impala" / "breakout").items():
        np.testing.assert_array_equal(leaf, state[name])


RESNET = ("--config.network.torso", "resnet", "--config.network.sections", 4, 1, 4, 1)
OTHERS = ("--config.sticky", 0.25, "--config.popart", "--config.measure-harmony")


@pytest.mark.parametrize(
    "choice",
    [
        [*RESNET, "--hyper.max-grad-norm", "inf", "--config.num-variants", 1],
        [*OTHERS, "--config.split", "value", "--config.game", "freeway"],
    ],
    ids=["resnet", "others"],
)
def test_unusual_but_legal(tmp_path, choice):
    assert jaxrl(*TRAIN, *choice, "--num-updates", 1, "--name", "b", "--root", tmp_path) == 0
    # What run.json says is enough to load it again, infinities and nested tuples included.
    assert jaxrl("eval", tmp_path / "impala" / "b", "--variants", "m00d0") == 0


def test_one_line_of_a_tyro_box_without_its_hints():
    drawn = "╭─ Oops ─╮\n│ a b    │\n│ c      │\n│ ────── │\n│ hint   │\n╰────────╯\n"
    assert options._first_line(drawn) == "a b c"
    assert options._first_line("") == "illegal options"
