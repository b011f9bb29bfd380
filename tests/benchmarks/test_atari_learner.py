import argparse
import importlib
from pathlib import Path

import jax
import pytest

from jaxrl_suite.core import UsageError

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def benchmark_module():
    """The script, which imports the harness beside it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER))
        return importlib.import_module("atari_learner")


@pytest.fixture(scope="module")
def shared(benchmark_module):
    args = argparse.Namespace(smoke=True, batch=2, unroll=3, actions=4, bfloat16=False)
    return benchmark_module.problem(args)


def test_candidates_do_the_same_work(benchmark_module, shared):
    gaps = benchmark_module.agreement(shared)
    assert set(gaps) == {"suite", "plainly folded"}
    for gap in gaps.values():
        assert gap.loss < 1e-5
        assert gap.gradient < 1e-4


def test_another_loss_is_noticed(benchmark_module, shared, monkeypatch):
    found = {"suite bfloat16": benchmark_module.Agreement(2e-2, 0.1)}
    monkeypatch.setattr(benchmark_module, "agreement", lambda shared: found)
    assert benchmark_module.checked(shared) == {"suite bfloat16 off by": "2e-02 (gradient 1e-01)"}
    found["suite"] = benchmark_module.Agreement(1e-3, 1e-5)
    with pytest.raises(UsageError, match=r"loss of 'suite' is 1\.0e-03"):
        benchmark_module.checked(shared)


def test_every_candidate_traces_and_counts_its_frames(benchmark_module, shared):
    groups = benchmark_module.candidates(shared)
    assert set(groups) == {"update", "loss alone"}
    for group in groups.values():
        for candidate in group.values():
            assert candidate.work == 2 * 3
            jax.eval_shape(candidate.fn, *candidate.args)
