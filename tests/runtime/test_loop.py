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
from jaxrl_suite.runtime import checkpoint, loop, metrics
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
    assert [row["update"] for row in rows(parts_run)] == [5, 10, 15, 20]


def test_where_a_run_is_cut_does_not_matter(tmp_path):
    system = toy.make()
    _, fives = toy.train(tmp_path, "fives", system, num_updates=14)
    _, ones = toy.train(tmp_path, "ones", system, num_updates=14, log_every=1, checkpoint_every=1)
    assert_same(fives, ones)
    # Against the scan of core, which is another program, equal to rounding.
    scanned, _ = jax.jit(train(system, 14))(system.init(jax.random.key(0)))
    np.testing.assert_allclose(
        scanned.learner.params["w"], fives.learner.params["w"], rtol=1e-5, atol=1e-6
    )


def test_a_row_is_the_mean_of_its_updates_without_nan(tmp_path):
    system = toy.make()
    run, _ = toy.train(tmp_path, "a", system, num_updates=7, evaluate_every=5)
    _, each = jax.jit(train(system, 7))(system.init(jax.random.key(0)))
    first, last = metrics.read_metrics(run.metrics)
    assert (first["update"], first["frames"], last["update"]) == (5, 40, 7)
    np.testing.assert_allclose(first["loss"], each["loss"][:5].mean(), rtol=1e-4)
    np.testing.assert_allclose(last["params"], each["params"][5:].mean(0), rtol=1e-4)
    np.testing.assert_allclose(first["sometimes"], np.nanmean(each["sometimes"][:5]), rtol=1e-4)
    assert set(last) >= {"wall_seconds", "frames_per_second", "eval/bias"}


def test_wall_seconds_go_on_after_resuming(tmp_path):
    system = toy.make()
    toy.train(tmp_path, "a", system, num_updates=10)
    run, _ = toy.train(tmp_path, "a", system, num_updates=20)
    walls = [row["wall_seconds"] for row in metrics.read_metrics(run.metrics)]
    assert walls == sorted(walls)
    assert walls[0] > 0


def test_not_finite_stops_and_names_the_last_good(tmp_path):
    with pytest.raises(UsageError, match=r"loss of update 13 is not finite.*checkpoints/10;"):
        toy.train(tmp_path, "a", toy.make(nan_at=12), num_updates=40)
    directory = tmp_path / "toy" / "a" / "checkpoints"
    assert checkpoint.steps(directory) == [0, 10]
    params = checkpoint.restore_raw(directory)["learner"]["params"]
    assert np.isfinite(params["w"]).all()


def test_watched_names():
    watched = ["loss", "loss/value", "value_loss", "grad_norm", "gradient_norm", "policy/loss"]
    assert all(loop._WATCHED.search(name) for name in watched)
    assert not any(loop._WATCHED.search(name) for name in ["return", "glossary", "entropy"])


@pytest.mark.parametrize("option", [{"checkpoint_every": 7}, {"evaluate_every": 3}])
def test_intervals_must_fit(tmp_path, option):
    with pytest.raises(UsageError, match="multiple of log_every = 5"):
        toy.train(tmp_path, "a", toy.make(), num_updates=10, **option)


def test_a_finished_run_is_left_alone(tmp_path):
    system = toy.make()
    run, _ = toy.train(tmp_path, "a", system, num_updates=10)
    before = run.metrics.read_bytes()
    out = Console(file=io.StringIO())
    toy.train(tmp_path, "a", system, num_updates=10, console=out)
    assert "has made its 10 updates" in out.file.getvalue()
    assert run.metrics.read_bytes() == before


def test_sinks_get_every_row_and_are_closed(tmp_path):
    class Sink:
        seen, closed = [], False

        def write(self, row):
            self.seen.append(row["update"])

        def close(self):
            self.closed = True

    sink = Sink()
    toy.train(tmp_path, "a", toy.make(), num_updates=10, sinks=[sink])
    assert (sink.seen, sink.closed) == ([5, 10], True)


@pytest.mark.parametrize("terminal", [False, True])
def test_what_is_printed(tmp_path, terminal):
    out = Console(file=io.StringIO(), force_terminal=terminal, width=200)
    toy.train(tmp_path, "a", toy.make(), num_updates=10, console=out, headline="loss")
    text = out.file.getvalue()
    for part in ("compiling the training program", "compiled in", "toy/a", "80 frames", "loss"):
        assert part in text
    if not terminal:
        assert len(text.splitlines()) == 3  # no line for every row


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
