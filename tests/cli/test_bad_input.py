"""Bad input: one line on stderr, exit code 2, nothing changed on disk."""

import json
import shutil
import subprocess

import jax
import pytest

from tests.command import SMALL, jaxrl, tree

TRAIN = ("train", "impala", "quick", *SMALL, "--num-updates", 4)


@pytest.fixture
def place(trained, tmp_path, monkeypatch):
    """A directory of the test's own, and the working one, with the finished run impala/a."""
    shutil.copytree(trained / "runs", tmp_path / "runs")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused(place, capfd, *arguments):
    """Runs the command, which must refuse; returns the line that it wrote."""
    before = tree(place)
    capfd.readouterr()
    assert jaxrl(*arguments) == 2
    out, err = capfd.readouterr()
    lines = err.splitlines()
    assert len(lines) == 1, err
    assert lines[0].startswith("jaxrl: ")
    assert "Traceback" not in out
    assert tree(place) == before
    return lines[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("trian impala", "unknown command 'trian'; legal: list, train, resume"),
        ("list --rot x", "Unrecognized options: --rot"),
        ("list --root", "--root"),
        ("view", "say which body: jaxrl view FILE.xml"),
        ("view nowhere.xml", "there is no file nowhere.xml"),
        ("view nowhere.xml --output film.avi", "must end in .html, .gif, .mp4, .png, not '.avi'"),
        ("view nowhere.xml --seconds 0", "seconds must be above 0"),
        ("view nowhere.xml --controls wild", "'random', 'zero'"),
        ("train", "say which system"),
        ("train dqn", "unknown system 'dqn'; legal: impala"),
        ("train impala huge", "no preset 'huge'; legal: quick, gpu, paper"),
        ("train impala quick extra", "Unrecognized options: extra; see jaxrl train impala quick"),
        ("train impala --config.gme x", "perhaps you meant --config.game"),
        ("train impala --hyper.learning-rate abc", "--hyper.learning-rate: could not convert"),
        ("train impala --num-updates", "Missing value for argument '--num-updates'"),
        ("train impala --config.network.torso mlp", "'resnet', 'shallow', 'grid'"),
        ("train impala --config.game pong", "legal are breakout, freeway"),
        ("train impala --config.split mine", "no split 'mine'; legal are combination, value"),
        ("train impala --config.split none.json", "split file none.json cannot be read"),
        ("train impala --config.subset test", "'train', 'unseen'"),
        ("train impala --config.correction retrace", "'none', 'epsilon', 'one_step_is', 'ppo'"),
        ("train impala --config.num-variants 99", "num_variants 99 is out of range"),
        ("train impala --config.num-variants -1", "num_variants -1 is out of range"),
        ("train impala --config.num-envs 5 --config.num-variants 2", "choose a multiple of 2"),
        ("train impala --config.num-envs 0", "num_envs 0"),
        ("train impala --config.num-envs -16", "num_envs -16"),
        ("train impala --config.unroll-length 0", "unroll_length must be at least 1"),
        ("train impala --config.time-limit 0", "time_limit must be at least 1"),
        ("train impala --config.sticky -0.1", "sticky must lie in [0, 1)"),
        ("train impala --config.sticky nan", "sticky must lie in [0, 1)"),
        ("train impala --config.replay-fraction 0.4", "legal: 0 (no replay), 0.5"),
        ("train impala --config.replay-fraction -0.5", "legal: 0 (no replay), 0.5"),
        ("train impala --config.replay-fraction 1", "legal: 0 (no replay), 0.5"),
        ("train impala --config.replay-fraction 0.5 --config.replay-slots 0", "slots must be"),
        ("train impala --config.network.lstm -1", "lstm must be at least 0"),
        ("train impala --config.network.hidden -4", "hidden must be at least 1"),
        ("train impala --config.network.depth -1", "depth must be at least 0"),
        ("train impala --config.network.width nan", "width must be"),
        ("train impala --config.network.width 0", "width must be"),
        ("train impala --hyper.actor-hold -1", "actor_hold must be at least 0"),
        ("train impala --hyper.learning-rate -1", "learning_rate must be at least 0"),
        ("train impala --hyper.gamma 1.5", "gamma must lie in [0, 1]"),
        ("train impala --hyper.entropy-cost nan", "entropy_cost must be at least 0"),
        ("train impala --num-updates 0", "num_updates must be at least 1"),
        ("train impala --seed -1", "seed must lie in 0 .. 4294967295"),
        ("train impala --seed 4294967296", "seed must lie in 0 .. 4294967295"),
        ("train impala --log-every -1", "log_every must be at least 0"),
        ("train impala --checkpoint-every -1", "checkpoint_every must be at least 0"),
        ("train impala --evaluate-every -1", "evaluate_every must be at least 0"),
        ("train impala --devices 99", "cannot use 99 devices"),
        ("train impala --devices -1", "cannot use -1 devices"),
        ("train impala --num-processes 2", "--coordinator"),
        ("train impala --coordinator here --num-processes 2", "host:port"),
        ("train impala --coordinator h:1 --num-processes 2 --process-id 2", "from 0 to 1"),
        ("train impala --init-from none", "no run none; runs there are: runs/impala/a"),
        ("resume", "say which run"),
        ("resume none", "no run none; runs there are: runs/impala/a"),
        ("resume impala", "no readable run.json"),
        ("resume a --num-updates 3", "runs/impala/a has made 4 updates"),
        ("resume a --num-updates -3", "num_updates must be at least 0"),
        ("resume a --log-every -3", "log_every must be at least 0"),
        ("resume a --config.game freeway", "Unrecognized options: --config.game"),
        ("eval", "say which run"),
        ("eval --episodes 3", "say which run"),
        ("eval none", "no run none"),
        ("eval a --root elsewhere", "there are no runs in elsewhere"),
        ("eval a --root", "--root"),
        ("eval a --variants m99d9", "breakout has no variant 'm99d9'; legal are the 24"),
        ("eval a --variants m00d0,", "breakout has no variant ''"),
        ("eval a --split mine", "no split 'mine'"),
        ("eval a --episodes -1", "episodes must be at least 0"),
        ("eval a --seed -1", "seed must lie in"),
        ("eval a --devices 2", "Unrecognized options: --devices"),
        ("render none", "no run none"),
        ("render a --variants nothing", "no variant 'nothing'"),
        ("render a --count 0", "count must be at least 1"),
        ("render a --steps 0", "steps must be at least 1"),
        ("render a --fps 0", "fps must be at least 1"),
        ("report", "say which run"),
        ("report none", "no run none"),
        ("report a none", "no run none"),
        ("demo --shrot", "--short"),
    ],
)
def test_refused(place, capfd, arguments, message):
    assert message in refused(place, capfd, *arguments.split())


def test_no_command_shows_the_help(capfd):
    assert jaxrl() == 2
    assert "jaxrl COMMAND" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("split", "message"),
    [
        ({"train": ["m00d0", "m01d0"], "unseen": ["m01d0"]}, "m01d0 both in 'train' and in"),
        ({"train": ["m00d0", "m00d0"], "unseen": []}, "m00d0 more than once in 'train'"),
        ({"train": [], "unseen": ["m00d0"]}, "needs at least one training variant"),
        ({"train": ["m77d0"], "unseen": []}, "no variant 'm77d0'"),
        ({"train": ["m00d0"]}, "keys train, unseen"),
        ({"train": "m00d0", "unseen": []}, "'train' must be a list"),
        ([], "keys train, unseen"),
    ],
)
def test_split_file(place, capfd, split, message):
    (place / "mine.json").write_text(json.dumps(split))
    assert message in refused(place, capfd, *TRAIN, "--config.split", "mine.json")


def test_run_that_exists(place, capfd):
    line = refused(place, capfd, *TRAIN, "--name", "a")
    assert "jaxrl resume runs/impala/a` or give another --name" in line


@pytest.mark.parametrize("name", ["../b", ".b", "b/c", "b c"])
def test_illegal_name(place, capfd, name):
    assert "illegal run name" in refused(place, capfd, *TRAIN, f"--name={name}")


def edit(place, change):
    path = place / "runs" / "impala" / "a" / "run.json"
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record))


@pytest.mark.parametrize("command", ["resume", "eval", "render"])
def test_checkpoint_of_another_config(place, capfd, command):
    edit(place, lambda record: record["config"]["network"].update(hidden=24))
    line = refused(place, capfd, command, "a")
    assert "checkpoint runs/impala/a/checkpoints/4 is of another config" in line
    assert "float32[16] in the checkpoint and float32[24] in this config" in line


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda record: record["config"].update(num_envs=5), "choose a multiple of 2"),
        (lambda record: record["config"].update(num_envs="4"), "config.num_envs is '4'"),
        (lambda record: record["config"].pop("game"), "lacks the field 'game'"),
        (lambda record: record["hyper"].update(gamma=None), "hyper.gamma is None"),
        (lambda record: record.update(system="dqn"), "unknown system 'dqn'"),
        (lambda record: record.update(seed=1.5), "seed is 1.5"),
        (lambda record: record.clear(), "lacks the field"),
    ],
)
@pytest.mark.parametrize("command", ["resume", "eval"])
def test_edited_record(place, capfd, command, change, message):
    edit(place, change)
    assert message in refused(place, capfd, command, "a")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b"null"])
@pytest.mark.parametrize("command", ["resume", "report"])
def test_damaged_record(place, capfd, command, content):
    (place / "runs" / "impala" / "a" / "run.json").write_bytes(content)
    assert "run.json" in refused(place, capfd, command, "a")
    assert jaxrl("list") == 0  # the others can still be listed
    assert "0 runs" in capfd.readouterr().out


@pytest.mark.parametrize("command", ["eval", "render"])
def test_run_without_checkpoint(place, capfd, command):
    shutil.rmtree(place / "runs" / "impala" / "a" / "checkpoints")
    line = refused(place, capfd, command, "a")
    assert "before its first checkpoint; train it: jaxrl resume runs/impala/a" in line


def test_damaged_checkpoint(place, capfd):
    folder = place / "runs" / "impala" / "a" / "checkpoints" / "4"
    (folder / "manifest.json").write_text("{")
    for command in ("resume", "eval"):
        assert "remove it to go on from checkpoint 3" in refused(place, capfd, command, "a")
    shutil.rmtree(folder)
    assert jaxrl("resume", "a") == 0


@pytest.mark.parametrize("name", ["metrics.jsonl", "evaluation.json"])
def test_damaged_results(place, capfd, name):
    (place / "runs" / "impala" / "a" / name).write_text('{"update": 1\n{"update": 2}\n')
    assert name in refused(place, capfd, "report", "a")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--config.network.hidden", 24], "dense/bias has shape (16,) there and (24,) here"),
        (["--config.game", "freeway"], "another network: torso"),
        (["--config.game", "freeway", "--reset-heads"], "another network: torso"),
    ],
)
def test_fine_tuning_from_another_network_or_game(place, capfd, options, message):
    line = refused(place, capfd, *TRAIN, *options, "--init-from", "a", "--name", "b")
    assert message in line


def test_reset_heads_without_a_run_to_start_from(place, capfd):
    assert "--init-from" in refused(place, capfd, *TRAIN, "--reset-heads")


@pytest.mark.skipif(jax.device_count() > 1, reason="needs a machine with one device")
def test_more_devices_than_there_are(place, capfd):
    line = refused(place, capfd, *TRAIN, "--devices", 2)
    assert "cannot use 2 devices: this machine has 1" in line


def test_missing_extra(place, capfd, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert 'jaxrl_suite[wandb]"' in refused(place, capfd, *TRAIN, "--wandb", "--name", "b")


def test_page_that_cannot_be_written(place, capfd):
    assert jaxrl("report", "a", "--output", "runs/impala/a/run.json/page.html") == 2
    err = capfd.readouterr().err
    assert err == "jaxrl: cannot write runs/impala/a/run.json/page.html: File exists\n"


def test_root_that_cannot_be_written(place, capfd):
    (place / "file").write_text("")
    line = refused(place, capfd, *TRAIN, "--root", "file")
    assert "cannot create run file/impala/quick-" in line
    assert "give another --root" in line


def grow(disk, mebibytes):
    subprocess.run(["mount", "-o", f"remount,size={mebibytes}m", str(disk)], check=True)


def test_disk_that_is_full_while_saving(tiny_disk, capfd):
    # The first checkpoint holds half a MiB of parameters twice, the later ones three times
    # (RMSProp's moments are zero at first, and zeros compress): only the first finds room.
    grow(tiny_disk, 2)
    options = ["--config.network.hidden", 512, "--root", tiny_disk, "--name", "b"]
    assert jaxrl(*TRAIN, *options) == 2
    lines = capfd.readouterr().err.splitlines()
    run = tiny_disk / "impala" / "b"
    assert len(lines) == 1, lines
    assert "disk full: checkpoint 1 needs about" in lines[0]
    assert f"checkpoint 0 is intact; make room, then go on with: jaxrl resume {run}" in lines[0]
    assert [path.name for path in (run / "checkpoints").iterdir()] == ["0"]
    assert not [name for name in tree(tiny_disk) if "tmp" in name]
    # As it says: with room, the run goes on.
    grow(tiny_disk, 16)
    assert jaxrl("resume", run) == 0


def test_disk_that_is_full_at_once(tiny_disk, capfd):
    (tiny_disk / "ballast").write_bytes(bytes(2**20))
    before = tree(tiny_disk)
    assert jaxrl(*TRAIN, "--root", tiny_disk) == 2
    assert len(capfd.readouterr().err.splitlines()) == 1
    assert {name for name in tree(tiny_disk) if "/" in name} == set()
    assert before.items() <= tree(tiny_disk).items()
