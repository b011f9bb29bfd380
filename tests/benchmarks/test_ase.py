import dataclasses
import importlib
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from jaxrl_suite.core import UsageError
from jaxrl_suite.systems import ase

FOLDER = Path(__file__).parents[2] / "benchmarks"
SIZES = {"observation": 5, "action": 3, "window": 8}
HYPER = ase.PRESETS["planar"].hyper


@pytest.fixture
def modules(monkeypatch):
    """The script, its comparison of learners, and their peer, which stand beside it."""
    pytest.importorskip("torch", reason="needs benchmarks/requirements.txt")
    monkeypatch.syspath_prepend(str(FOLDER))
    monkeypatch.delitem(sys.modules, "ase", raising=False)
    return tuple(map(importlib.import_module, ("ase", "ase_learning", "ase_peer")))


def config_of(script) -> ase.Config:
    return script.config_of(script.Case("learning", smoke=True))


def test_both_learners_are_timed_once_they_agree(modules):
    script, *_ = modules
    found, baseline, settings = script.learning(script.Case("learning", smoke=True))
    assert list(found) == ["suite", "pytorch"]
    assert found[baseline].fn() is None
    assert found["suite"].work == found["pytorch"].work == config_of(script).batch
    loss, gradient = settings["off by"].rstrip(")").split(" (gradients ")
    assert float(loss) < 1e-5
    assert float(gradient) < 1e-3


def test_a_peer_that_does_something_else_is_not_timed(modules):
    script, comparison, peer = modules
    config = config_of(script)
    shared = comparison.make_update(config, HYPER, **SIZES)
    other = HYPER._replace(gradient_penalty=1.1 * HYPER.gradient_penalty)
    with pytest.raises(UsageError, match="not timed"):
        comparison.checked(shared, peer.Learner(config, other, shared.state))


def test_a_whole_update_is_the_same(modules):
    """With nothing left to chance: one minibatch, one clip, no replay yet, no other latents."""
    script, comparison, peer = modules
    config = config_of(script)
    config = dataclasses.replace(
        config, epochs=1, minibatch=config.batch, discriminated=config.batch
    )
    hyper = HYPER._replace(diversity=0.0, task=0.3)
    shared = comparison.make_update(config, hyper, **SIZES)
    played, ring = shared.played, shared.state.replay
    played = played._replace(clips=0 * played.clips + played.clips[:1], task=played.value**2)
    state = shared.state._replace(replay=ring._replace(count=0 * ring.count))
    learner = peer.Learner(config, hyper, state)
    after, _ = jax.jit(shared.learner.update)(state, played)
    learner.update(peer.experience(played))

    names = [name for name, _ in learner.nets.named_parameters()]
    moments = dict(zip(names, learner.optimiser.state.values(), strict=True))
    for network, tree in after.optimiser.mu.items():
        for path, ours in jax.tree_util.tree_leaves_with_path(tree):
            layer, leaf = (part.key for part in path)
            kind = {"kernel": "weight", "bias": "bias"}[leaf]
            theirs = moments[f"{network}.{layer}.{kind}"]["exp_avg"].numpy()
            theirs = theirs.T if leaf == "kernel" else theirs
            scale = float(np.abs(ours).max())
            np.testing.assert_allclose(theirs, ours, atol=1e-4 * scale, err_msg=str(path))
    moved = jax.tree.map(lambda a, b: float(np.abs(a - b).max()), after.params, state.params)
    rates = {
        "actor": hyper.learning_rate,
        "critic": hyper.critic_rate,
        "discriminator": hyper.discriminator_rate,
    }
    for group, (network, rate) in zip(learner.optimiser.param_groups, rates.items(), strict=True):
        assert group["lr"] == rate
        assert max(jax.tree.leaves(getattr(moved, network))) == pytest.approx(rate, rel=1e-2)
    for ours, theirs in zip(
        (after.params.inputs, after.params.windows, after.params.values),
        (learner.inputs, learner.windows, learner.values),
        strict=True,
    ):
        np.testing.assert_allclose(theirs.mean.numpy(), ours.mean, atol=1e-5)
        np.testing.assert_allclose(theirs.variance.numpy(), ours.variance, rtol=1e-4)
        assert float(theirs.count) == pytest.approx(float(ours.count))
    kept = lambda x: np.sort(np.asarray(x)[: config.batch], axis=0)  # noqa: E731
    np.testing.assert_array_equal(kept(learner.ring), kept(after.replay.windows))
    assert learner.count == int(after.replay.count) == config.batch


def test_sizes_grow_with_the_environments(modules):
    script, *_ = modules
    config = script.scaled(ase.PRESETS["quick"].config, 2048)
    config.check()
    assert config.batch // config.minibatch == 4
    assert script.scaled(config, 64) == ase.PRESETS["quick"].config


@pytest.mark.slow
@pytest.mark.parametrize(
    ("comparison", "told"),
    [("simulation", "articulated off by"), ("iteration", "of the time of update, articulated")],
)
def test_smoke_run_records_nothing(comparison, told):
    results = FOLDER / "results" / "ase.jsonl"
    before = results.read_bytes() if results.exists() else b""
    command = [sys.executable, str(FOLDER / "ase.py"), "--smoke", "--backends", "articulated"]
    run = subprocess.run(
        [*command, "--comparisons", comparison], capture_output=True, text=True, check=True
    )
    assert told in run.stdout
    assert "nothing is recorded" in run.stdout
    assert (results.read_bytes() if results.exists() else b"") == before
