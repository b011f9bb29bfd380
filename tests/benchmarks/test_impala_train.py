import dataclasses
import importlib
import subprocess
import sys
from pathlib import Path

import jax
import pytest

from jaxrl_suite.nets.actor_critic import NetworkConfig
from jaxrl_suite.systems.impala import Config, Hyper

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def benchmark_module(monkeypatch):
    """The script, which imports the harness beside it."""
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module("impala_train")


@pytest.fixture
def config():
    network = NetworkConfig(torso="grid", grid_channels=4, hidden=16)
    return Config(num_variants=2, num_envs=4, unroll_length=5, network=network)


def test_both_trainers_make_the_same_parameters(benchmark_module, config):
    # With a memory, so that the carry between the programs counts as well.
    config = dataclasses.replace(config, network=dataclasses.replace(config.network, lstm=8))
    assert benchmark_module.difference(config, num_updates=4) < 1e-3


def test_every_candidate_traces_and_counts_its_frames(benchmark_module, config):
    preset = benchmark_module.Preset(config, Hyper(), 3)
    for candidate in benchmark_module.parts(preset).values():
        assert candidate.work == 3 * 4 * 5
        jax.eval_shape(candidate.fn, *candidate.args)
    for candidate in benchmark_module.seeds(preset, 2).values():
        assert candidate.work == 2 * 3 * 4 * 5
        jax.eval_shape(candidate.fn, *candidate.args)


def test_smoke_run_records_nothing():
    results = FOLDER / "results" / "impala_train.jsonl"
    before = results.read_bytes() if results.exists() else None
    # One comparison of the three: the others are traced above, and compiling is what costs.
    command = [sys.executable, str(FOLDER / "impala_train.py"), "--smoke", "--only", "loop"]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    for name in ("compiled loop", "Python loop"):
        assert f"| {name} |" in run.stdout
    assert "nothing is recorded" in run.stdout
    assert (results.read_bytes() if results.exists() else None) == before
