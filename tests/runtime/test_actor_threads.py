"""Actors on threads by themselves: the queue, lag, failures, the end."""

import threading
import time

import pytest
from fake_actors import BATCH, FEATURES, FakeActor, actor_threads, wait_until

from jaxrl_suite.core import QueueConfig, UsageError
from jaxrl_suite.runtime import actors
from jaxrl_suite.runtime.actors import ActorError, ActorThreads


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
