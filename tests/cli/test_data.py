"""``jaxrl data``: what it prints, what it refuses, and how it is stopped."""

import json
import os
import signal
import time

import pytest

from jaxrl_suite.data import load
from jaxrl_suite.envs import metaworld
from tests.command import finish, jaxrl, start, tree
from tests.data.gaits import made as dogs
from tests.data.made import content
from tests.data.motion import made as humanoids
from tests.data.test_collecting import scripted  # noqa: F401


@pytest.fixture
def place(scripted, tmp_path, monkeypatch):  # noqa: F811
    """An empty working directory; environments are scripted."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


COLLECT = ("data", "collect", "set", "--tasks", "reach", "push", "--episodes", 30)


def test_collecting_shows_how_far_it_is_and_what_came_of_it(place, capfd):
    assert jaxrl(*COLLECT) == 0
    lines = capfd.readouterr().out.splitlines()
    assert lines[0] == "reach: 0/60 episodes"
    assert "push: 60/60 episodes" in lines[-4]
    assert "episodes/s, 0 s left" in lines[-4]
    assert lines[-3].split() == (
        ["task", "tier", "quality", "episodes", "steps", "any", "final", "returns", "0/50/100%"]
    )
    assert lines[-2].split()[:4] == ["reach", "near", "1.000", "30"]
    # One episode of the shards of 25 and of 5 never succeeds.
    assert lines[-2].split()[5:7] == ["0.933", "0.000"]
    before = content(place / "set")
    assert jaxrl(*COLLECT) == 0
    assert capfd.readouterr().out.splitlines() == lines[-3:]
    assert content(place / "set") == before


def test_options_reach_the_data_set(place):
    assert jaxrl(*COLLECT, "--tier", "sub", "--full-episodes", "--seed", 7) == 0
    manifest = json.loads((place / "set" / "manifest.json").read_text())
    assert manifest["settings"] == {
        "tier": "sub", "episodes": 30, "seed": 7, "keep_after_success": None,
        "target_success": 0.5, "shard_episodes": 25, "envpool": "1", "metaworld": "2",
    }  # fmt: skip
    assert set(load("set")["push"].length) == {500}


def test_check_verifies_and_prints(place, capfd):
    assert jaxrl(*COLLECT) == 0
    table = capfd.readouterr().out.splitlines()[-3:]
    assert jaxrl("data", "check", "set") == 0
    assert capfd.readouterr().out.splitlines() == [*table, "every checksum is right"]
    path = place / "set" / "push-001.npz"
    path.write_bytes(path.read_bytes()[:-1])
    before = tree(place)
    assert jaxrl("data", "check", "set") == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("jaxrl: set/push-001.npz is damaged")
    assert tree(place) == before


def test_check_recognises_motion_clips_and_prints_them(place, capfd):
    (place / "dogs").mkdir()
    (place / "dogs" / "dog_sway_001.txt").write_bytes(dogs.released(dogs.clip()))
    (place / "dogs" / "LICENSE").write_text("free")
    (place / "people").mkdir()
    (place / "people" / "sway.txt").write_bytes(humanoids.deepmimic(humanoids.clip()))
    before = tree(place)
    assert jaxrl("data", "check", "dogs") == 0
    head, row, last = capfd.readouterr().out.splitlines()
    assert head.startswith("clip          group  frames  s     speed, mean m/s  95 %  base, least")
    assert row.split()[:6] == ["dog_sway_001", "sway", "361", "3.00", "0.41", "0.41"]
    assert last == "1 clips of the quadruped, 3.0 s; episodes may start in 65% of the frames"
    assert jaxrl("data", "check", "people") == 0
    _, row, last = capfd.readouterr().out.splitlines()
    assert row.split()[:4] == ["sway", "sway", "20", "0.63"]
    assert last.startswith("1 clips of the humanoid, 0.6 s; episodes may start in 100% of")
    assert tree(place) == before


def test_check_names_the_clip_that_is_bad(place, capfd):
    (place / "dogs").mkdir()
    (place / "dogs" / "dog_sway_001.txt").write_bytes(dogs.released(dogs.clip()))
    (place / "dogs" / "dog_sway_002.txt").write_bytes(dogs.changed(3, 8, float("nan")))
    before = tree(place)
    assert jaxrl("data", "check", "dogs") == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("jaxrl: dogs/dog_sway_002.txt: clip dog_sway_002, frame 3: a number is")
    assert tree(place) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("data", "say what to do: jaxrl data collect or check DIR"),
        ("data colect set", "jaxrl data collect or check DIR, not 'colect'"),
        ("data collect", "say where: jaxrl data collect DIR"),
        ("data check", "say where: jaxrl data check DIR"),
        ("data check nowhere", "nowhere is no data set: it has no manifest.json; make one: jaxrl"),
        ("data collect set --tasks raech", "no Meta-World task 'raech'; perhaps you meant reach"),
        ("data collect set --tasks", "name at least one task"),
        ("data collect set --tier far", "'near', 'sub'"),
        ("data collect set --episodes 0", "episodes must be at least 1"),
        ("data collect set --keep-after-success -1", "keep_after_success must be at least 0"),
        ("data collect set --tier sub --target-success 2", "target_success must lie between"),
        ("data collect set --epsodes 3", "perhaps you meant --episodes"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(place, capfd, arguments, message):
    assert jaxrl(*arguments.split()) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("jaxrl: ")
    assert message in line
    assert not list(place.iterdir())


@pytest.mark.parametrize("words", ["data --help", "data collect --help", "data check -h", "--help"])
def test_help(place, capfd, words):
    assert jaxrl(*words.split()) == 0
    assert "usage: jaxrl" in capfd.readouterr().out


def test_a_signal_ends_it_after_the_shard_and_says_how_to_go_on(place, capfd, monkeypatch):
    assert jaxrl("data", "collect", "whole", *COLLECT[3:]) == 0
    play = metaworld.play

    def interrupted(*arguments):
        os.kill(os.getpid(), signal.SIGINT)
        return play(*arguments)

    monkeypatch.setattr(metaworld, "play", interrupted)
    capfd.readouterr()
    assert jaxrl(*COLLECT) == 130
    assert capfd.readouterr().err.splitlines() == [
        "25 of 60 episodes are in set; go on with: "
        "jaxrl data collect set --tasks reach push --episodes 30"
    ]
    assert jaxrl("data", "check", "set") == 0
    assert "25 (unfinished)" in capfd.readouterr().out
    monkeypatch.setattr(metaworld, "play", play)
    assert jaxrl(*COLLECT) == 0
    assert content(place / "set") == content(place / "whole")


@pytest.mark.envpool
def test_a_real_collection_is_stopped_by_sigterm(tmp_path):
    pytest.importorskip("envpool", reason="needs the extra metaworld")
    pytest.importorskip("metaworld", reason="needs the extra metaworld")
    options = ("--tasks", "reach", "--episodes", 400)
    process = start("data", "collect", tmp_path / "set", *options)
    end = time.monotonic() + 60
    while not (tmp_path / "set" / "reach-000.npz").exists():
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    (error,) = finish(process, code=143)
    assert "of 400 episodes are in" in error
    assert "go on with: jaxrl data collect" in error
    found = load(tmp_path / "set", partial=True)["reach"]
    assert 25 <= len(found.length) < 400
