"""Runs in processes of their own: killed, interrupted, on several devices, on two hosts."""

import signal
import socket
import time

import jax
import numpy as np
import pytest
import toy
from test_checkpoint import assert_same
from test_loop import rows

from jaxrl_suite.core import DATA_AXIS, UsageError
from jaxrl_suite.runtime import checkpoint, metrics, rundir
from jaxrl_suite.runtime import mesh as meshes

UPDATES = 60


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The same run in one process, one device, one go."""
    return toy.train(
        tmp_path_factory.mktemp("runs"), "a", toy.make(), num_updates=UPDATES, evaluate_every=10
    )


def wait_for_rows(path, update, process, seconds=60):
    """Until metrics.jsonl holds the row of `update`."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if process.poll() is not None:
            pytest.fail(f"the run ended early: {process.communicate()}")
        done = metrics.read_metrics(path)
        if done and done[-1]["update"] >= update:
            return
        time.sleep(0.01)
    pytest.fail(f"no row of update {update} after {seconds} s")


def slow_run(root, name):
    """A run of some seconds, caught after 15 updates."""
    process = toy.start(root, name, "--num-updates", UPDATES, "--slow", 500)
    wait_for_rows(root / "toy" / name / "metrics.jsonl", 15, process)
    return process


def resume(root, name):
    # The fast system: `slow` changes the time of an update and no number.
    return toy.train(root, name, toy.make(), num_updates=UPDATES, evaluate_every=10)


def test_killed_with_9_then_resumed_equals_undisturbed(tmp_path, undisturbed):
    process = slow_run(tmp_path, "a")
    process.kill()
    process.communicate()
    path = tmp_path / "toy" / "a"
    saved = checkpoint.latest_step(path / "checkpoints")
    made = metrics.read_metrics(path / "metrics.jsonl")[-1]["update"]
    assert 10 <= saved <= made < UPDATES
    assert made - saved <= 10  # at most one checkpoint interval is lost
    # As if the kill had hit a row and a save.
    with (path / "metrics.jsonl").open("a") as file:
        file.write('{"update": 2')
    (path / "checkpoints" / "20.tmp").mkdir()
    run, state = resume(tmp_path, "a")
    assert_same(state, undisturbed[1])
    assert rows(run) == rows(undisturbed[0])


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_signal_saves_and_says_how_to_resume(tmp_path, undisturbed, number, code):
    process = slow_run(tmp_path, "a")
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    assert process.returncode == code, err
    path = tmp_path / "toy" / "a"
    made = metrics.read_metrics(path / "metrics.jsonl")[-1]["update"]
    assert checkpoint.latest_step(path / "checkpoints") == made < UPDATES
    assert err.strip().splitlines()[-1] == f"saved update {made}; go on with: jaxrl resume {path}"
    assert "stopped" in rundir.open_run(path).status
    run, state = resume(tmp_path, "a")
    assert_same(state, undisturbed[1])
    assert rows(run) == rows(undisturbed[0])


def test_second_ctrl_c_stops_within_the_chunk(tmp_path):
    options = ["--slow", 500_000, "--log-every", 1, "--checkpoint-every", 1, "--num-updates", 9]
    process = toy.start(tmp_path, "a", *options)
    for line in process.stdout:
        if "compiled" in line:
            break
    time.sleep(2)  # also the evaluation is compiled: the first chunk runs, for minutes
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 130, err
    assert "stopped at once; go on from the newest checkpoint with: jaxrl resume" in err
    assert checkpoint.steps(tmp_path / "toy" / "a" / "checkpoints") == [0]


def assert_close(path, reference):
    """Final state and rows equal to rounding those of the run on one device."""
    run, state = reference
    template = jax.eval_shape(toy.make().init, jax.random.key(0))
    other = checkpoint.restore(path / "checkpoints", template)
    data = lambda x: jax.random.key_data(x) if meshes.is_key(x) else x  # noqa: E731
    for a, b in zip(jax.tree.leaves(other), jax.tree.leaves(state), strict=True):
        a, b = (np.asarray(data(x)).astype(np.float64) for x in (a, b))
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)
    both = zip(metrics.read_metrics(path / "metrics.jsonl"), rows(run), strict=True)
    for a, b in both:
        np.testing.assert_allclose(a["loss"], b["loss"], rtol=1e-5)
        assert a["frames"] == b["frames"]


def finish(*processes):
    for process in processes:
        _, err = process.communicate(timeout=60)
        assert process.returncode == 0, err


def test_four_devices_give_the_result_of_one(tmp_path, undisturbed):
    finish(toy.start(tmp_path, "a", "--num-updates", UPDATES, "--mesh", devices=4))
    assert_close(tmp_path / "toy" / "a", undisturbed)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def two_hosts(roots, *options):
    where = f"127.0.0.1:{free_port()}"
    return [
        toy.start(root, "a", "--mesh", "--coordinator", where, "--process", i, *options)
        for i, root in enumerate(roots)
    ]


def test_two_processes_give_the_result_of_one(tmp_path, undisturbed):
    # They share no file system: process 1 looks at a directory that stays empty.
    roots = [tmp_path / "host0", tmp_path / "host1"]
    finish(*two_hosts(roots, "--num-updates", UPDATES // 2, UPDATES))  # the second resumes
    assert_close(roots[0] / "toy" / "a", undisturbed)
    assert not roots[1].exists()


def test_error_of_process_0_ends_both(tmp_path):
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "a").symlink_to(tmp_path / "nowhere")
    processes = two_hosts([tmp_path, tmp_path], "--num-updates", 10)
    for process in processes:
        _, err = process.communicate(timeout=60)
        assert process.returncode == 2, err
        assert "cannot create run" in err


def test_too_many_devices():
    with pytest.raises(UsageError, match="give a number from 1 to"):
        meshes.make_mesh(10_000)


def test_batch_not_divisible_names_the_legal_counts():
    system = toy.make(batch=8)
    mesh = jax.sharding.AbstractMesh((3,), (DATA_AXIS,))
    message = r"batch of 8 \(state.source.phase\) cannot be split over 3 devices; .*: 1, 2;"
    with pytest.raises(UsageError, match=message):
        meshes.shardings(system, mesh, jax.eval_shape(system.init, jax.random.key(0)))
