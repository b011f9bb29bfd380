import functools
import importlib.util
import json
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from jaxrl_suite.core import UsageError

PATH = Path(__file__).parents[2] / "benchmarks" / "harness.py"


@pytest.fixture
def harness(tmp_path, monkeypatch):
    """The module, which is no part of the package, writing to a temporary folder."""
    spec = importlib.util.spec_from_file_location("harness", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "ROOT", tmp_path)
    return module


def test_candidates_take_turns_after_warming_up(harness):
    calls = []
    candidates = {
        name: harness.Candidate(functools.partial(calls.append, name), (), 1) for name in "ab"
    }
    results = harness.compare(candidates, unit="calls", repeats=5)
    assert "".join(calls) == "ab" + "ab" * 5
    assert [result.name for result in results] == ["a", "b"]
    assert all(len(result.wall_s) == len(result.cpu_s) == 5 for result in results)
    assert results[0].compile_s is None


def test_rates_and_ratios_round_by_round(harness):
    one = harness.Result("a", "steps", 10.0, None, 0.0, (1.0, 2.0, 4.0), (2.0, 2.0, 2.0))
    two = harness.Result("b", "steps", 20.0, None, 0.0, (1.0, 1.0, 1.0), (1.0, 2.0, 8.0))
    assert one.rate("wall") == (5.0, 2.5, 10.0)
    assert two.ratio(one, "wall") == (4.0, 2.0, 8.0)
    assert two.ratio(one, "cpu") == (2.0, 0.5, 4.0)


def test_compilation_is_timed_apart_and_work_is_counted_in_the_output(harness):
    traces = []

    @jax.jit
    def fn(x):
        traces.append(x)
        return jnp.sum(x)

    result = harness.measure(fn, jnp.ones(3), work=float, unit="steps", name="sum")
    assert len(traces) == 1
    assert result.compile_s > 0
    assert result.work == 3.0


def test_sleep_costs_wall_time_and_no_cpu_time(harness):
    result = harness.measure(time.sleep, 0.02, work=1, unit="naps")
    assert min(result.wall_s) >= 0.02
    assert result.rate("cpu").median > result.rate("wall").median


def test_rows_say_how_they_were_made(harness, capsys):
    candidates = {name: harness.Candidate(lambda: 0, (), 5) for name in ("ours", "peer")}
    results = harness.compare(candidates, unit="steps")
    told = {"settings": {"N": 4}, "facts": harness.machine(), "baseline": "peer"}
    harness.report("demo", results, **told, smoke=True)
    assert not (harness.ROOT / "results").exists()
    harness.report("demo", results, **told)
    text = (harness.ROOT / "results" / "demo.jsonl").read_text()
    ours, peer = map(json.loads, text.splitlines())
    assert ours["ratio_cpu"]["to"] == "peer"
    assert "ratio_cpu" not in peer
    assert ours["settings"] == {"N": 4}
    assert len(ours["wall_s"]) == 5
    assert {"cpu", "cores", "ram_gib", "device", "jax", "revision", "load_1min"} <= set(
        ours["machine"]
    )
    assert "| N 4 | ours |" in capsys.readouterr().out


def test_too_few_repeats_are_refused(harness):
    with pytest.raises(UsageError, match="at least 5 repeats, not 3"):
        harness.compare({}, unit="steps", repeats=3)


def test_a_peer_that_never_finishes_is_stopped(harness):
    start = time.monotonic()
    assert not harness.bounded(time.sleep, 60, seconds=0.5)
    assert harness.bounded(time.sleep, 0, seconds=30)
    assert time.monotonic() - start < 30
