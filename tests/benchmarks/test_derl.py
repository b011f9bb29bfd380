import importlib
import subprocess
import sys
from pathlib import Path

import jax
import mujoco
import numpy as np
import pytest

from jaxrl_suite import physics
from jaxrl_suite.envs import unimal
from jaxrl_suite.envs.unimal.observation import at_reset, proprioception
from jaxrl_suite.systems import derl

FOLDER = Path(__file__).parents[2] / "benchmarks"
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("unimal")]


def test_the_peer_in_c_sees_what_the_environment_shows(monkeypatch):
    """In the air and moving; but for acceleration and touch, 0 in a first observation."""
    monkeypatch.syspath_prepend(str(FOLDER))
    module = importlib.import_module("derl")
    genotype = jax.tree.map(lambda x: x[1], module.first_bodies(4))
    scene = jax.jit(lambda g: unimal.scene(derl.Config().design, g))(genotype)
    model = mujoco.MjModel.from_xml_string(physics.to_mjcf(unimal.SIZES, unimal.OPTIONS, scene))
    state = physics.init(unimal.SIZES, scene)
    generator, used = np.random.default_rng(0), np.asarray(scene.model.dof_mask)
    q = np.array(state.q)
    q[2] += 2.0
    q[7:] += generator.uniform(-0.2, 0.2, q[7:].shape) * used[6:]
    q[3:7] = np.array([0.8, 0.0, 0.6, 0.0])
    state = state._replace(q=q, v=generator.normal(size=used.shape) * used)
    ours = jax.jit(lambda s: proprioception(scene, s, at_reset(scene, s)))(state)
    host = module.HostEnvironment(model, scene, 0)
    qpos, qvel, _ = physics.layout(unimal.SIZES, scene.model).to_mujoco(state)
    host._data.qpos[:], host._data.qvel[:] = qpos, qvel
    mujoco.mj_forward(model, host._data)
    seen = host._see()
    for forces in (slice(46, 49), slice(55, 66)):
        seen[forces] = ours[forces]
    assert (np.abs(seen) > 0.01).sum() > 12
    np.testing.assert_allclose(seen, ours, atol=1e-4)


def test_smoke_run_records_nothing():
    results = FOLDER / "results" / "derl.jsonl"
    before = results.read_bytes()
    command = [sys.executable, str(FOLDER / "derl.py"), "--smoke", "--candidates"]
    run = subprocess.run(
        [*command, "one body", "MuJoCo C"], capture_output=True, text=True, check=True
    )
    assert "MuJoCo C: " in run.stdout
    assert "bodies an hour" in run.stdout
    assert results.read_bytes() == before
