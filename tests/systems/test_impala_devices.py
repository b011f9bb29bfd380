"""`jaxrl train` on four devices and on two hosts ends as on one device, but for rounding."""

import pytest

from tests.command import (
    SMALL,
    assert_close_state,
    finish,
    free_port,
    jaxrl,
    rows,
    start,
)

REPLAY = ("--config.replay-fraction", 0.5, "--config.replay-slots", 4)
TRAIN = ("train", "impala", "quick", *SMALL, "--config.num-envs", 8, "--num-updates", 6)
SETTINGS = {"plain": (), "replay": REPLAY}


def command(name, root):
    return [*TRAIN, *SETTINGS[name], "--name", name, "--root", root]


@pytest.fixture(scope="module")
def one_device(tmp_path_factory):
    """Both settings, trained in this process on one device."""
    root = tmp_path_factory.mktemp("one")
    for name in SETTINGS:
        assert jaxrl(*command(name, root)) == 0
    return root / "impala"


def assert_equal_runs(run, reference):
    # Sums over the batch are added in another order; six updates amplify that little.
    assert_close_state(run, reference, 1e-5)
    ours, theirs = rows(run), rows(reference)
    assert [row["update"] for row in ours] == [row["update"] for row in theirs]
    assert ours[-1]["loss"] == pytest.approx(theirs[-1]["loss"], rel=1e-4)


def test_four_devices(one_device, tmp_path):
    # Both settings one after the other in one process: starting one costs seconds.
    both = [[str(a) for a in (*command(name, tmp_path), "--devices", 4)] for name in SETTINGS]
    finish(start(devices=4, code=f"raise SystemExit(max(main(a) for a in {both}))"))
    for name in SETTINGS:
        assert_equal_runs(tmp_path / "impala" / name, one_device / name)


@pytest.mark.parametrize("name", SETTINGS)
def test_two_hosts(one_device, tmp_path, name):
    where = f"127.0.0.1:{free_port()}"
    hosts = ["--coordinator", where, "--num-processes", 2, "--process-id"]
    finish(*[start(*command(name, tmp_path), *hosts, index) for index in range(2)])
    assert_equal_runs(tmp_path / "impala" / name, one_device / name)


def test_batch_not_divisible_by_devices(tmp_path):
    options = ["--config.num-envs", 6, "--devices", 4, "--root", tmp_path / "runs"]
    (error,) = finish(start(*TRAIN, *options, devices=4), code=2)
    assert len(error.splitlines()) == 1
    assert "batch of 6" in error
    assert "legal device counts here: 1, 2, 3" in error
    assert not (tmp_path / "runs").exists()
