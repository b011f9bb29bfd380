"""Actors on threads: the queue, lag, failures, and the run loop that they feed.

Linear regression again, its data from actors on the host. Run as a script, this file trains it:

  python test_actors.py RUNS NAME --num-updates 40 ...
"""

import argparse
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toy
from jax.sharding import PartitionSpec

from jaxrl_suite.core import DATA_AXIS, HostSystem, QueueConfig, SystemState, UsageError
from jaxrl_suite.runtime import actors, checkpoint, chunk, interrupt, loop, metrics, rundir
from jaxrl_suite.runtime import mesh as meshes
from jaxrl_suite.runtime.actors import ActorError, ActorThreads

BATCH, FEATURES = 8, 3


class FakeActor:
    """Plays an unroll that tells its number; may wait, fail or hang.

    fail_at: the unroll, counted from 0, that raises.
    hang: an event without which no unroll ends.
    """

    def __init__(self, number=0, made=0, *, seconds=0.0, fail_at=-1, hang=None):
        self.number, self.made, self.seconds = number, made, seconds
        self.fail_at, self.hang = fail_at, hang
        self.played, self.versions, self.params, self.closed = 0, [], [], False

    def unroll(self, params, version):
        if self.hang:
            self.hang.wait()
        if self.played == self.fail_at:
            raise ZeroDivisionError(f"emulator {self.number} burns")
        time.sleep(self.seconds)
        self.versions.append(version)
        self.params.append(params)
        rng = np.random.default_rng([self.number, self.made + self.played])
        self.played += 1
        return {
            "x": rng.normal(size=(BATCH, FEATURES)).astype(np.float32),
            "version": np.full(BATCH, version, np.int32),
        }

    def close(self):
        self.closed = True


def host_system(make_actors, queue=QueueConfig()):  # noqa: B008
    """Regression by SGD on what actors send; `make_actors` is HostSystem.actors."""
    learner = toy.make(batch=BATCH, features=FEATURES)

    def init(key, hyper=None):
        state = learner.init(key) if hyper is None else learner.init(key, hyper)
        return SystemState(state.learner, (), state.key, jnp.zeros((), jnp.int32))

    def learn(state, unrolls):
        batch = jax.tree.map(lambda *parts: jnp.concatenate(parts), *unrolls)

        def loss_fn(params):
            error = batch["x"] @ (params["w"] - jnp.arange(1.0, FEATURES + 1))
            return jnp.mean(error**2)

        loss, grad = jax.value_and_grad(loss_fn)(state.learner.params)
        params = jax.tree.map(
            lambda p, g: (p - 0.01 * g).astype(p.dtype), state.learner.params, grad
        )
        lag = (state.num_updates - batch["version"]).astype(jnp.float32)
        state = state._replace(
            learner=state.learner._replace(params=params), num_updates=state.num_updates + 1
        )
        return state, {"loss": loss, "lag_mean": lag.mean(), "lag_max": lag.max()}

    return HostSystem(
        init=init,
        learn=learn,
        actors=make_actors,
        evaluate=lambda state, key: {"bias": state.learner.params["b"].astype(jnp.float32)},
        frames_per_update=BATCH,
        spec=PartitionSpec(),
        batch_spec=PartitionSpec(DATA_AXIS),
        queue=queue,
    )


def deterministic_system(seconds=0.0):
    """One actor whose data depend on the update alone."""
    return host_system(lambda made: [FakeActor(made=made, seconds=seconds)])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("root", type=Path)
    parser.add_argument("name")
    parser.add_argument("--num-updates", type=int)
    parser.add_argument("--seconds", type=float, default=0.0)
    parser.add_argument("--mesh", action="store_true")
    args = parser.parse_args()
    mesh = meshes.make_mesh() if args.mesh else None
    system = deterministic_system(args.seconds)
    try:
        toy.train(args.root, args.name, system, num_updates=args.num_updates, mesh=mesh)
    except interrupt.Interrupted as error:
        interrupt.leave(error)


if __name__ == "__main__":
    main()


def start_process(*arguments, devices=1):
    env = os.environ | {
        "JAX_PLATFORMS": "cpu",
        "PYTHONPATH": str(toy.ROOT),
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}",
    }
    command = [sys.executable, __file__, *map(str, arguments)]
    return subprocess.Popen(
        command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.fixture
def run_threads():
    """Starts actor threads that are ended after the test."""
    running = []

    def run(*fakes, size=2, max_lag=0, **options):
        options = {"place": lambda unroll: unroll} | options
        threads = ActorThreads(fakes, QueueConfig(size, max_lag), **options)
        running.append(threads)
        return threads

    yield run
    for threads in running:
        threads.close()


def wait_until(condition, seconds=10):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def actor_threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("actor-")]


# The threads alone


def test_nobody_plays_before_there_are_parameters(run_threads):
    fake = FakeActor()
    threads = run_threads(fake)
    time.sleep(0.15)
    assert fake.played == 0
    threads.publish("params", 0)
    wait_until(lambda: fake.played)


@pytest.mark.parametrize("size", [1, 3])
def test_a_full_queue_makes_the_actor_wait(run_threads, size):
    fake = FakeActor()
    threads = run_threads(fake, size=size)
    threads.publish("params", 0)
    # What fits, and the one that it holds in its hands.
    for taken in range(3):
        wait_until(lambda taken=taken: fake.played == taken + size + 1)
        time.sleep(0.15)
        assert fake.played == taken + size + 1
        threads.take(0)
    measured = threads.metrics()
    assert measured["queue_length"] == size
    assert measured["actors_waiting"] > 0.5
    assert measured["learner_waiting"] < 0.5


def test_an_empty_queue_makes_the_learner_wait(run_threads):
    threads = run_threads(FakeActor(seconds=0.05))
    threads.publish("params", 0)
    for _ in range(4):
        threads.take(0)
    measured = threads.metrics()
    assert measured["learner_waiting"] > 0.5
    assert measured["actors_waiting"] < 0.5
    assert measured["queue_length"] < 1
    again = threads.metrics()  # counted anew since the last call
    assert (again["queue_length"], again["learner_waiting"]) == (0, 0)


def test_an_unroll_for_every_actor_is_taken_and_placed(run_threads):
    threads = run_threads(FakeActor(0), FakeActor(1), FakeActor(2), place=lambda u: u["x"].shape)
    threads.publish("params", 0)
    assert threads.take(0) == ((BATCH, FEATURES),) * 3


def test_each_sequence_is_played_by_the_newest_parameters_throughout(run_threads):
    fake = FakeActor(seconds=0.01)
    threads = run_threads(fake, size=1)
    threads.publish("params 0", 0)
    taken = []
    for version in range(1, 9):
        (unroll,) = threads.take(version)
        taken.append(unroll["version"][0])
        threads.publish(f"params {version}", version)
    threads.close()
    assert taken == fake.versions[: len(taken)] == sorted(taken)
    assert taken[0] == 0
    assert taken[-1] >= 5  # one waits, one is held, one is being played
    assert fake.params == [f"params {version}" for version in fake.versions]


def test_unrolls_that_are_too_old_are_discarded_and_counted(run_threads):
    fake = FakeActor()
    threads = run_threads(fake, size=3, max_lag=2)
    threads.publish("old", 0)
    wait_until(lambda: fake.played == 4)  # three wait, one is held
    threads.publish("new", 3)
    (unroll,) = threads.take(3)
    assert unroll["version"][0] == 3
    assert threads.metrics()["unrolls_discarded"] == 4
    assert threads.metrics()["unrolls_discarded"] == 0


def test_unrolls_of_just_the_allowed_age_are_kept(run_threads):
    for max_lag in (0, 2):
        threads = run_threads(FakeActor(), max_lag=max_lag)
        threads.publish("params", 0)
        (unroll,) = threads.take(2)
        assert unroll["version"][0] == 0
        assert threads.metrics()["unrolls_discarded"] == 0


def test_a_failed_actor_is_told_with_its_traceback(run_threads):
    threads = run_threads(FakeActor(0), FakeActor(1, fail_at=0))
    threads.publish("params", 0)
    wait_until(lambda: len(actor_threads()) == 1)
    with pytest.raises(ActorError) as error:
        threads.take(0)
    for part in ("Traceback", "in unroll", "ZeroDivisionError: emulator 1 burns"):
        assert part in str(error.value)


def test_stalled_actors_are_given_up(run_threads, monkeypatch):
    monkeypatch.setattr(actors, "PATIENCE", 0.2)
    hang = threading.Event()
    stalled = FakeActor(hang=hang)
    threads = run_threads(stalled, stall=0.5)
    threads.publish("params", 0)
    begin = time.monotonic()
    with pytest.raises(ActorError, match="no actor has sent anything"):
        threads.take(0)
    threads.close()
    assert 0.5 <= time.monotonic() - begin < 5
    assert not stalled.closed  # an emulator in use is not pulled away
    hang.set()
    wait_until(lambda: not actor_threads())


@pytest.mark.parametrize("published", [False, True])
def test_closing_ends_threads_and_actors(published):
    fakes = [FakeActor(0), FakeActor(1)]
    threads = ActorThreads(fakes, QueueConfig(1), place=lambda unroll: unroll)
    if published:
        threads.publish("params", 0)
        wait_until(lambda: all(fake.played for fake in fakes))  # now both wait at a full queue
    assert len(actor_threads()) == 2
    begin = time.monotonic()
    threads.close()
    assert time.monotonic() - begin < 2
    assert not actor_threads()
    assert all(fake.closed for fake in fakes)


@pytest.mark.parametrize(("size", "max_lag"), [(0, 0), (1, -1)])
def test_settings_of_the_queue_outside_their_range(size, max_lag):
    with pytest.raises(UsageError, match="must be at least"):
        QueueConfig(size, max_lag).check()


# In the run loop


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
