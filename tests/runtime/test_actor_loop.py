"""The run loop fed by actors on threads: rows, resuming, failures, signals, devices."""

import signal
import time

import jax
import numpy as np
import pytest
import toy
from fake_actors import (
    FakeActor,
    actor_threads,
    deterministic_system,
    host_system,
    start_process,
    wait_until,
)

from jaxrl_suite.core import QueueConfig, UsageError
from jaxrl_suite.runtime import checkpoint, chunk, loop, metrics, rundir
from jaxrl_suite.runtime import mesh as meshes
from jaxrl_suite.runtime.actors import ActorError


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """20 updates in one go on one device."""
    root = tmp_path_factory.mktemp("whole")
    return toy.train(root, "a", deterministic_system(), num_updates=20, evaluate_every=10)


def leaves(state):
    data = lambda x: jax.random.key_data(x) if meshes.is_key(x) else x  # noqa: E731
    return [np.asarray(data(leaf)) for leaf in jax.tree.leaves(state)]


def test_rows_tell_of_queue_waiting_and_lag(whole):
    run, state = whole
    rows = metrics.read_metrics(run.metrics)
    assert [row["update"] for row in rows] == [5, 10, 15, 20]
    assert [row["frames"] for row in rows] == [40, 80, 120, 160]
    assert state.num_updates == 20
    for row in rows:
        assert 0 <= row["queue_length"] <= 2
        assert 0 <= row["learner_waiting"] <= 1
        assert 0 <= row["actors_waiting"] <= 1
        assert row["unrolls_discarded"] == 0
        assert 0 <= row["lag_mean"] <= row["lag_max"] <= 4  # queue, hands, next and the update
    assert rows[-1]["lag_max"] >= 1
    assert rows[-1]["loss"] < rows[0]["loss"]
    assert "eval/bias" in rows[-1]


def test_a_resumed_run_goes_on_exactly(tmp_path, whole):
    system = deterministic_system()
    toy.train(tmp_path, "a", system, num_updates=10)
    run, state = toy.train(tmp_path, "a", system, num_updates=20)
    for one, other in zip(leaves(state), leaves(whole[1]), strict=True):
        np.testing.assert_array_equal(one, other)
    losses = [[row["loss"] for row in metrics.read_metrics(r.metrics)] for r in (run, whole[0])]
    assert losses[0] == losses[1]


def test_the_learner_donates_what_actors_do_not_hold(tmp_path):
    made = []
    system = host_system(lambda _: made.append(FakeActor()) or made)
    toy.train(tmp_path, "a", system, num_updates=10)
    (fake,) = made
    assert fake.closed
    assert not actor_threads()
    held = [np.asarray(params["w"]) for params in fake.params]  # raises if deleted
    for before, after, old, new in zip(
        held, held[1:], fake.versions, fake.versions[1:], strict=False
    ):
        assert np.array_equal(before, after) == (old == new)


def test_a_failing_actor_ends_the_run_and_what_there_is_is_saved(tmp_path, whole):
    fakes = lambda fail_at: lambda made: [FakeActor(made=made, fail_at=fail_at)]  # noqa: E731
    with pytest.raises(ActorError) as error:
        toy.train(tmp_path, "a", host_system(fakes(8)), num_updates=20)
    path = tmp_path / "toy" / "a"
    saved = checkpoint.latest_step(path / "checkpoints")
    assert 1 <= saved <= 8
    for part in ("Traceback", "ZeroDivisionError: emulator 0 burns"):
        assert part in str(error.value)
    assert f"update {saved} is saved; go on with: jaxrl resume {path}" in str(error.value)
    assert not actor_threads()
    # With an actor in good health it goes on as if nothing had been.
    _, state = toy.train(tmp_path, "a", host_system(fakes(-1)), num_updates=20)
    for one, other in zip(leaves(state), leaves(whole[1]), strict=True):
        np.testing.assert_array_equal(one, other)


def test_an_actor_that_fails_at_once(tmp_path):
    # Both: one in good health might bring an update in before the other's failure is seen.
    system = host_system(lambda made: [FakeActor(fail_at=0), FakeActor(1, fail_at=0)])
    with pytest.raises(ActorError, match=r"emulator \d burns") as error:
        toy.train(tmp_path, "a", system, num_updates=20)
    assert "update 0 is saved" in str(error.value)
    assert checkpoint.steps(tmp_path / "toy" / "a" / "checkpoints") == [0]
    assert not actor_threads()


def test_max_lag_holds_in_the_loop(tmp_path):
    queue = QueueConfig(size=4, max_lag=1)
    system = host_system(lambda made: [FakeActor(0, made), FakeActor(1, made)], queue)
    run, _ = toy.train(tmp_path, "a", system, num_updates=20, log_every=20, checkpoint_every=20)
    (row,) = metrics.read_metrics(run.metrics)
    assert row["unrolls_discarded"] > 0
    assert row["lag_max"] <= 2  # the age at taking, and the update meanwhile


def test_several_processes_are_refused(monkeypatch):
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    fed = chunk.Fed(deterministic_system(), None, None)
    with pytest.raises(UsageError, match="feed one process; leave out --coordinator"):
        fed.start(None)


def test_sigterm_saves_and_says_how_to_go_on(tmp_path):
    process = start_process(tmp_path, "a", "--num-updates", 2000, "--seconds", 0.02)
    path = tmp_path / "toy" / "a"
    rows = lambda: metrics.read_metrics(path / "metrics.jsonl")  # noqa: E731
    wait_until(lambda: process.poll() is not None or (rows() and rows()[-1]["update"] >= 10), 60)
    process.send_signal(signal.SIGTERM)
    begin = time.monotonic()
    _, err = process.communicate(timeout=30)
    assert process.returncode == 143, err
    assert time.monotonic() - begin < 10
    saved = checkpoint.latest_step(path / "checkpoints")
    assert saved == rows()[-1]["update"] < 2000
    assert f"saved update {saved}; go on with: jaxrl resume {path}" in err


def test_four_devices_are_one(tmp_path, whole):
    process = start_process(tmp_path, "a", "--num-updates", 20, "--mesh", devices=4)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    state = loop.init_or_restore(
        deterministic_system(), rundir.Run(tmp_path / "toy" / "a", whole[0].record)
    )
    for one, other in zip(leaves(state), leaves(whole[1]), strict=True):
        np.testing.assert_allclose(
            one.astype(np.float64), other.astype(np.float64), rtol=1e-5, atol=1e-5
        )
