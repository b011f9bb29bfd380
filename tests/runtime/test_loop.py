import functools
import io
import os
import signal

import jax
import numpy as np
import pytest
import toy
from rich.console import Console
from test_checkpoint import assert_same

from jaxrl_suite.core import UsageError, train
from jaxrl_suite.runtime import checkpoint, chunk, metrics
from jaxrl_suite.runtime.interrupt import Interrupted, Signals


def rows(run):
    """The rows without what a clock says."""
    clock = ("wall_seconds", "frames_per_second")
    return [
        {k: v for k, v in row.items() if k not in clock}
        for row in metrics.read_metrics(run.metrics)
    ]


def test_100_and_100_are_200(tmp_path):
    system = toy.make()
    whole_run, whole = toy.train(tmp_path, "whole", system, num_updates=20)
    toy.train(tmp_path, "parts", system, num_updates=10)
    parts_run, parts = toy.train(tmp_path, "parts", system, num_updates=20)
    assert_same(whole, parts)
    assert rows(whole_run) == rows(parts_run)
    made = metrics.read_metrics(parts_run.metrics)
    assert [row["update"] for row in made] == [5, 10, 15, 20]
    walls = [row["wall_seconds"] for row in made]  # the clock goes on after resuming
    assert walls[0] > 0
    assert walls == sorted(walls)


def test_where_a_run_is_cut_does_not_matter(tmp_path):
    system = toy.make()
    fives_run, fives = toy.train(tmp_path, "fives", system, num_updates=7, evaluate_every=5)
    every = {"log_every": 1, "checkpoint_every": 1}
    _, ones = toy.train(tmp_path, "ones", system, num_updates=7, **every)
    assert_same(fives, ones)

    # The scan of core is another program: equal to rounding. A row is the mean of its updates,
    # without those that are NaN.
    scanned, each = jax.jit(train(system, 7))(system.init(jax.random.key(0)))
    close = functools.partial(np.testing.assert_allclose, rtol=1e-4)
    close(scanned.learner.params["w"], fives.learner.params["w"])
    first, last = metrics.read_metrics(fives_run.metrics)
    assert (first["update"], first["frames"], last["update"]) == (5, 40, 7)
    close(first["loss"], each["loss"][:5].mean())
    close(last["params"], each["params"][5:].mean(0))
    close(first["sometimes"], np.nanmean(each["sometimes"][:5]))
    assert set(last) >= {"wall_seconds", "frames_per_second", "eval/bias"}


def test_not_finite_stops_and_names_the_last_good(tmp_path):
    with pytest.raises(UsageError, match=r"loss of update 13 is not finite.*checkpoints/10;"):
        toy.train(tmp_path, "a", toy.make(nan_at=12), num_updates=40)
    directory = tmp_path / "toy" / "a" / "checkpoints"
    assert checkpoint.steps(directory) == [0, 10]
    params = checkpoint.restore_raw(directory)["learner"]["params"]
    assert np.isfinite(params["w"]).all()


def test_update_is_traced_once(tmp_path):
    system, traces = toy.make(), []
    counted = system._replace(update=lambda state: traces.append(1) or system.update(state))
    jax.jit(chunk.make_chunk(counted)).lower(system.init(jax.random.key(0)), np.int32(3))
    assert len(traces) == 1


def test_watched_names():
    watched = ["loss", "loss/value", "value_loss", "grad_norm", "gradient_norm", "policy/loss"]
    assert all(metrics.is_watched(name) for name in watched)
    assert not any(metrics.is_watched(name) for name in ["return", "glossary", "entropy"])


@pytest.mark.parametrize("option", [{"checkpoint_every": 7}, {"evaluate_every": 3}])
def test_intervals_must_fit(tmp_path, option):
    with pytest.raises(UsageError, match="multiple of log_every = 5"):
        toy.train(tmp_path, "a", toy.make(), num_updates=10, **option)


class ListSink:
    def __init__(self):
        self.updates, self.closed = [], False

    def write(self, row):
        self.updates.append(row["update"])

    def close(self):
        self.closed = True


@pytest.mark.parametrize("terminal", [False, True])
def test_what_is_printed_and_handed_on(tmp_path, terminal):
    system, sink = toy.make(), ListSink()
    out = Console(file=io.StringIO(), force_terminal=terminal, width=200)
    options = {"num_updates": 10, "console": out, "headline": "params", "sinks": [sink]}
    run, _ = toy.train(tmp_path, "a", system, **options)
    text = out.file.getvalue()
    for part in ("compiling the training program", "compiled in", "toy/a", "80 frames", "params"):
        assert part in text
    if not terminal:
        assert len(text.splitlines()) == 3  # no line for every row
    assert (sink.updates, sink.closed) == ([5, 10], True)

    # A finished run is left alone.
    before = run.metrics.read_bytes()
    toy.train(tmp_path, "a", system, **options)
    assert "has made its 10 updates" in out.file.getvalue()
    assert run.metrics.read_bytes() == before


def test_second_signal_stops_at_once():
    before = signal.getsignal(signal.SIGINT)
    with Signals("why") as signals:
        signals.patient = True
        os.kill(os.getpid(), signal.SIGTERM)
        assert signals.code == 143
        with pytest.raises(Interrupted, match="why") as error:
            os.kill(os.getpid(), signal.SIGINT)
    assert error.value.code == 130
    assert signal.getsignal(signal.SIGINT) is before
