import importlib
import subprocess
import sys
from pathlib import Path

import jax
import mujoco
import numpy as np
import pytest

from jaxrl_suite import physics

FOLDER = Path(__file__).parents[2] / "benchmarks"
SIZES = physics.Sizes(11, hinges=2)

# MJX may come to a halt within XLA's thread pool, so it runs where it can be stopped.
FALL = """
import jax
import jax.numpy as jnp
import physics

case = physics.Case("fall", (), 1, 20, 0, False)
at = physics.one_world(case, limbs=2)
at = at._replace(states=at.states._replace(q=at.states.q.at[:, 2].add(10.0)))
fall = lambda simulated: physics.play(simulated, None)(at.scene, at.states, at.controls)[0]
ours, theirs = fall(at.simulated), fall(physics.mjx_simulator(*at.simulated[:2], at.scene))
qpos = physics.physics.layout(at.simulated.sizes, at.scene.model).to_mujoco(ours)[0]
in_c, stopped = physics.of_c(at)()
print("told", jnp.max(jnp.abs(ours.q - theirs.q)), stopped)
print(jnp.max(jnp.abs(qpos - in_c[:, -1, 1 : 1 + qpos.shape[1]])), at.states.q[0, 2] - ours.q[0, 2])
"""


@pytest.fixture
def bodies(monkeypatch):
    """The module, which stands beside the script."""
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module("bodies")


def depth(parent: list[int], link: int) -> int:
    return 0 if link == 0 else 1 + depth(parent, parent[link])


def test_a_population_is_mixed_and_fits(bodies):
    population = bodies.population(36, seed=0)
    trees = [body.model.parent.tolist() for body in population]
    assert len({tuple(tree) for tree in trees}) > 18
    assert all(SIZES.covers(body.sizes) for body in population)
    limbs = [len(tree) - 1 for tree in trees]
    assert min(limbs) == 2
    assert max(limbs) == 10
    assert np.mean(limbs) == pytest.approx(6, abs=1)
    assert max(depth(tree, link) for tree in trees for link in range(len(tree))) <= 5
    for body in population:
        hinges = body.model.dof_mask[6:].reshape(len(body.model.parent) - 1, -1).sum(axis=1)
        assert set(hinges) <= {1, 2}
        assert body.options == population[0].options  # or they could not share a program
    again = bodies.population(36, seed=0)
    assert [body.model.parent.tolist() for body in again] == trees


def test_one_body_has_so_many_limbs_and_stands_free(bodies):
    for limbs in range(2, 11):
        body = bodies.one(limbs, seed=limbs)
        assert len(body.link_names) == limbs + 1
    scenes, sizes = physics.stack([body])
    scene = jax.tree.map(lambda x: x[0], scenes)
    model = mujoco.MjModel.from_xml_string(physics.to_mjcf(sizes, body.options, scene))
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    assert data.ncon == 0
    data.qpos[2] -= 1.1 * bodies.CLEARANCE
    mujoco.mj_forward(model, data)
    assert data.ncon > 0  # it stood just above the ground


def test_engines_agree_on_a_fall():
    for last in (False, True):
        try:
            command = [sys.executable, "-c", FALL]
            told = subprocess.run(
                command, capture_output=True, text=True, check=True, cwd=FOLDER, timeout=120
            ).stdout.split()
            break
        except subprocess.TimeoutExpired:
            if last:
                raise
    # MJX reports on standard output what it could not import.
    to_mjx, stopped, to_c, fallen = (float(word) for word in told[told.index("told") + 1 :])
    assert to_mjx < 1e-3
    assert to_c < 1e-3
    assert stopped == 0
    assert fallen == pytest.approx(0.5 * 9.81 * 0.1**2, rel=0.5)  # it did move


def test_smoke_run_records_nothing():
    results = FOLDER / "results" / "physics.jsonl"
    before = results.read_bytes() if results.exists() else None
    command = [sys.executable, str(FOLDER / "physics.py"), "--smoke", "--only", "population"]
    command += ["--candidates", "mixed"]  # compiling is what the others cost
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "| mixed |" in run.stdout
    assert "diverged 0, programs 1" in run.stdout
    assert "nothing is recorded" in run.stdout
    assert (results.read_bytes() if results.exists() else None) == before
