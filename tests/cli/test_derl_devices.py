"""An evolution on two devices and on two hosts is that of one device, but for rounding."""

import numpy as np
import pytest

from jaxrl_suite.runtime.history import NAME, read_history
from tests.cli.test_derl import SMALL
from tests.command import finish, free_port, jaxrl, rows, start

# Three programs to compile; in the process that has compiled the first of them.
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("derl-cli")]
TRAIN = ("train", "derl", *SMALL, "--name", "a")


@pytest.fixture(scope="module")
def one_device(tmp_path_factory):
    root = tmp_path_factory.mktemp("one")
    assert jaxrl(*TRAIN, "--root", root) == 0
    return root / "derl/a"


def assert_same_evolution(run, reference):
    ours, theirs = read_history(run / NAME), read_history(reference / NAME)
    assert ours.keys() == theirs.keys()
    for name, values in theirs.items():
        if values.dtype.kind == "f":
            # Sums are made in another order; a life this short amplifies that little.
            np.testing.assert_allclose(ours[name], values, rtol=1e-3, atol=1e-3, err_msg=name)
        else:
            np.testing.assert_array_equal(ours[name], values, err_msg=name)
    assert [row["bodies"] for row in rows(run)] == [row["bodies"] for row in rows(reference)]


def test_two_devices(one_device, tmp_path):
    finish(start(*TRAIN, "--root", tmp_path, "--devices", 2, devices=2))
    assert_same_evolution(tmp_path / "derl/a", one_device)


def test_two_hosts(one_device, tmp_path):
    where = f"127.0.0.1:{free_port()}"
    hosts = ["--coordinator", where, "--num-processes", 2, "--process-id"]
    finish(*[start(*TRAIN, "--root", tmp_path, *hosts, i) for i in range(2)])
    assert_same_evolution(tmp_path / "derl/a", one_device)


def test_slots_that_cannot_be_split(tmp_path):
    (error,) = finish(start(*TRAIN, "--root", tmp_path / "r", "--devices", 3, devices=3), code=2)
    assert "legal device counts here: 1, 2" in error
    assert not (tmp_path / "r").exists()
