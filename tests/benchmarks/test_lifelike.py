import importlib
import re
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from jaxrl_suite.core import UsageError, fuse
from jaxrl_suite.systems import lifelike

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def modules(monkeypatch):
    """The script and its two comparisons, which stand beside it."""
    monkeypatch.syspath_prepend(str(FOLDER))
    monkeypatch.delitem(sys.modules, "lifelike", raising=False)
    names = ("lifelike", "lifelike_simulation", "lifelike_iteration")
    return tuple(map(importlib.import_module, names))


def test_the_peer_takes_its_own_path_again_and_it_is_ours(modules):
    _, simulation, _ = modules
    machine, mechanics = simulation.machine, simulation.MECHANICS
    scene = machine.scene_of(mechanics, machine.simulation(mechanics).sizes)
    states, actions = simulation.moving(4), simulation.actions_of(12, 4)
    assert np.linalg.norm(states.v[:, :3], axis=1).max() > 0.5  # in motion
    peer = simulation.Peer(scene, states, np.asarray(actions, float))
    np.testing.assert_array_equal(peer.replay()(), peer.height)
    _, height, lost = simulation.play(mechanics)(scene, states, actions)
    assert int(lost) == 0
    simulation.off_by("articulated", np.asarray(height), peer.height)
    # They do move, and not as they would under other actions.
    other = simulation.Peer(scene, states, -np.asarray(actions, float))
    assert np.abs(other.height - peer.height).max() > simulation.HEIGHT


def test_who_leaves_mujoco_s_path_is_not_timed(modules):
    _, simulation, _ = modules
    wanted = np.zeros((12, 3))
    late, one = wanted.copy(), wanted.copy()
    late[simulation.CHECKED :], one[2, 0] = 1.0, 1.0
    assert simulation.off_by("late", late, wanted) == "0e+00 m (0 above 0.001 m)"
    assert simulation.off_by("one", one, wanted) == "0e+00 m (1 above 0.001 m)"
    for gap in (0.002, np.nan):
        with pytest.raises(UsageError, match=r"median base of mjx .* is not timed"):
            simulation.off_by("mjx", wanted + gap, wanted)


@pytest.mark.parametrize("level", ["pmc", "epmc", pytest.param("sepmc", marks=pytest.mark.slow)])
def test_the_halves_are_those_of_the_update(modules, level):
    """Joined they are the same program, line by line, and of the same constants."""
    script, _, iteration = modules
    config, hyper, _ = script.preset_of(script.Case("iteration", level=level, smoke=True))
    system, (source, learner) = lifelike.make(config, hyper), iteration.halves(config)
    joined = fuse(learner, source, hyper=hyper, evaluate=None, frames_per_update=1)
    state = jax.eval_shape(system.init, jax.random.key(0))
    programs = [jax.make_jaxpr(x.update)(state) for x in (system, joined)]
    own, other = (re.sub(r" at 0x[0-9a-f]+", "", str(program)) for program in programs)
    assert own == other
    for one, two in zip(*(program.consts for program in programs), strict=True):
        np.testing.assert_array_equal(one, two)


def test_sizes_are_the_presets_unless_others_are_given(modules):
    script, *_ = modules
    for level, name in (("pmc", "quick"), ("epmc", "terrain"), ("sepmc", "tag")):
        preset = lifelike.PRESETS[name]
        config, hyper, _ = script.preset_of(script.Case("iteration", level=level, envs=256))
        assert (config.level, config.num_envs, hyper) == (level, 256, preset.hyper)
        config.check()
        if jax.default_backend() == "cpu":
            config, *_ = script.preset_of(script.Case("iteration", level=level))
            assert config == preset.config


@pytest.mark.slow
@pytest.mark.parametrize(
    ("choice", "told"),
    [
        (("simulation", "--backends", "articulated"), "articulated off by"),
        (("iteration", "--levels", "pmc"), "of the time of an update of pmc"),
    ],
)
def test_smoke_run_records_nothing(choice, told):
    results = FOLDER / "results" / "lifelike.jsonl"
    before = results.read_bytes() if results.exists() else b""
    command = [sys.executable, str(FOLDER / "lifelike.py"), "--smoke", "--comparisons", *choice]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert told in run.stdout
    assert "nothing is recorded" in run.stdout
    assert (results.read_bytes() if results.exists() else b"") == before
