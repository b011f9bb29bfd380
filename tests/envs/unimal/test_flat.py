"""Locomotion on flat terrain: sizes, sensors beside MuJoCo C, rewards and ends."""

import functools
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

from jaxrl_suite import physics
from jaxrl_suite.envs import unimal
from jaxrl_suite.envs.unimal import ORIGINAL
from jaxrl_suite.envs.unimal.episode import PHYSICS_STEPS, TIME_LIMIT, Episode, fall_height
from jaxrl_suite.envs.unimal.observation import mask
from tests.envs.unimal.bodies import population

# One process for all: the generator compiles once.
pytestmark = pytest.mark.xdist_group("unimal")
BODIES = 6
ENV = unimal.flat_terrain()


@functools.cache
def bodies() -> unimal.Genotype:
    return jax.tree.map(lambda x: x[:BODIES], population())


@functools.cache
def scenes() -> physics.Scene:
    return jax.vmap(lambda g: unimal.scene(ORIGINAL, g))(bodies())


@functools.cache
def compiled() -> tuple:
    return jax.jit(jax.vmap(ENV.reset)), jax.jit(jax.vmap(ENV.step))


def keys(seed: int) -> jax.Array:
    return jax.random.split(jax.random.key(seed), BODIES)


def test_observations_are_as_long_as_the_originals() -> None:
    """2 nu + 3 L + 16 entries a body, 28 to 86."""
    masks = np.asarray(jax.vmap(mask)(scenes().model))
    hinges = np.asarray(jax.vmap(unimal.num_hinges)(bodies()))
    limbs = np.asarray(jax.vmap(unimal.num_limbs)(bodies()))
    np.testing.assert_array_equal(masks.sum(1), 2 * hinges + 3 * limbs + 16)
    assert masks.shape[1] == 86
    reset, step = compiled()
    state, seen = reset(keys(0), scenes())
    _, timestep = step(state, jnp.ones((BODIES, 20)), keys(1), scenes())
    for x in (seen, timestep.observation):
        assert (np.asarray(x["proprioceptive"])[masks == 0] == 0).all()
        assert np.isfinite(x["proprioceptive"]).all()


def test_observations_and_rewards_follow_mujoco() -> None:
    """Every entry but touch, for 12 actions under the same controls in C."""
    reset, step = compiled()
    state, _ = reset(keys(2), scenes())
    oracles = []
    for i in range(BODIES):
        scene = jax.tree.map(lambda x, i=i: x[i], scenes())
        text = physics.to_mjcf(unimal.SIZES, unimal.OPTIONS, scene)
        model = mujoco.MjModel.from_xml_string(text)
        data = mujoco.MjData(model)
        places = physics.layout(unimal.SIZES, scene.model)
        one = jax.tree.map(lambda x, i=i: x[i], state.physics)
        data.qpos[:], data.qvel[:], _ = (np.asarray(x) for x in places.to_mujoco(one))
        oracles.append((model, data, places))
    generator = np.random.default_rng(0)
    for t in range(12):
        action = generator.uniform(-0.4, 0.4, (BODIES, 20)).astype(np.float32)
        before = np.asarray(state.physics.q[:, 0])
        state, timestep = step(state, jnp.asarray(action), keys(t), scenes())
        used = np.asarray(scenes().model.dof_mask)[:, 6:]
        cost = 1e-3 * ((action * used) ** 2).sum(1)
        speed = (np.asarray(state.physics.q[:, 0]) - before) / 0.02
        np.testing.assert_allclose(timestep.reward, speed - cost, rtol=1e-5, atol=1e-5)
        for i, (model, data, places) in enumerate(oracles):
            control = np.concatenate([np.zeros(6, np.float32), action[i]])
            data.ctrl[:] = control[places.controls]
            for _ in range(PHYSICS_STEPS):
                mujoco.mj_step(model, data)
            seen = np.asarray(timestep.observation["proprioceptive"][i])
            compare(model, data, jax.tree.map(lambda x, i=i: x[i], scenes().model), seen)


def compare(model, data, body: physics.Model, seen: np.ndarray) -> None:
    """The parts of one observation; positions and forces of C lag as the sensors do."""
    used = np.asarray(body.dof_mask)[6:] > 0
    names = [model.body(b).name for b in range(1, model.nbody)]
    links = [int(name.removeprefix("link")) for name in names]
    order = [int(model.jnt_bodyid[j]) for j in range(1, model.njnt)]
    slots, counts = [], {}
    for b in order:
        link = links[b - 1]
        slots.append(2 * (link - 1) + counts.setdefault(link, 0))
        counts[link] += 1
    assert sorted(slots) == np.flatnonzero(used).tolist()
    np.testing.assert_allclose(seen[:20][slots], data.qpos[7:], atol=1e-4)
    np.testing.assert_allclose(seen[20:26], data.qvel[:6], atol=2e-3)
    np.testing.assert_allclose(seen[26:46][slots], data.qvel[6:], atol=2e-3)
    rotation = data.xmat[1].reshape(3, 3)
    np.testing.assert_allclose(
        seen[46:49], rotation.T @ (data.qacc[:3] + np.array([0, 0, 9.81])), rtol=1e-2, atol=5e-2
    )
    for b, link in zip(range(2, model.nbody), links[1:], strict=True):
        end = data.xpos[b] + data.xmat[b].reshape(3, 3) @ np.asarray(body.segment)[link, 0, 0]
        local = rotation.T @ (end - data.xpos[1])
        np.testing.assert_allclose(seen[66 + 2 * (link - 1) :][:2], local[:2], atol=1e-4)


def single(i: int = 0) -> tuple[physics.Scene, Episode]:
    scene = jax.tree.map(lambda x: x[i], scenes())
    return scene, ENV.reset(jax.random.key(0), scene)[0]


@pytest.mark.parametrize(
    ("change", "terminated", "truncated"),
    [
        ({}, False, False),
        ({"z": 0.02}, True, False),
        ({"z": -0.02}, False, False),
        ({"y": 74.5}, True, False),
        ({"y": -74.5}, True, False),
        ({"y": 73.5}, False, False),
        ({"step": TIME_LIMIT - 1}, False, True),
        ({"step": TIME_LIMIT - 1, "y": 74.5}, True, False),
        ({"v": np.nan}, True, False),
        ({"v": 150.0}, True, False),
        ({"v": 60.0}, False, False),
    ],
)
def test_ends(change: dict, terminated: bool, truncated: bool) -> None:
    scene, state = single()
    at = state.physics
    if "z" in change:
        # In the air, and yet too low for a body that should start so much higher.
        higher = scene.model.start.at[2].set(2 * at.q[2] + 0.2 + change["z"])
        scene = scene._replace(model=scene.model._replace(start=higher))
        assert float(fall_height(scene.model) - at.q[2]) == pytest.approx(change["z"] / 2, abs=1e-3)
    if "y" in change:
        at = at._replace(q=at.q.at[1].set(change["y"]))
    if "v" in change:
        at = at._replace(v=at.v.at[8].set(change["v"]))
    state = state._replace(physics=at, step=jnp.asarray(change.get("step", 0), jnp.int32))
    state, timestep = jax.jit(ENV.step)(state, jnp.zeros(20), jax.random.key(0), scene)
    assert (bool(timestep.terminated), bool(timestep.truncated)) == (terminated, truncated)
    assert bool(state.diverged) == np.isnan(change.get("v", 0.0))
    # 0.75 rad a step is more than the integrator stands, 0.3 is not.
    assert bool(state.runaway) == (change.get("v") == 150.0)
    if bool(state.diverged) or bool(state.runaway):
        assert float(state.score) == 0.0
    assert np.isfinite(timestep.observation["proprioceptive"]).all()
    assert np.isfinite(timestep.reward)


def test_scores_add_up_to_the_way() -> None:
    """Fitness is 50 times the metres, without the cost of control."""
    reset, step = compiled()
    state, _ = reset(keys(3), scenes())
    start = np.asarray(state.physics.q[:, 0])
    for t in range(10):
        state, _ = step(state, jnp.full((BODIES, 20), 0.8), keys(t), scenes())
    metres = np.asarray(state.physics.q[:, 0]) - start
    np.testing.assert_allclose(state.score, 50 * metres, rtol=1e-3, atol=1e-3)


def test_work_and_effort_are_summed_up() -> None:
    """Torque is gear times the clipped action; work is torque times rate, physics step by step."""
    reset, step = compiled()
    state, _ = reset(keys(3), scenes())
    model = scenes().model
    control = jnp.concatenate([jnp.zeros((BODIES, 6)), jnp.full((BODIES, 20), -2.0)], axis=1)
    torque = np.asarray(model.gear)  # the action is twice as much as a motor gives
    simulate = jax.jit(jax.vmap(physics.simulator(unimal.SIZES, unimal.OPTIONS).step))
    at, work = state.physics, np.zeros(BODIES)
    for _ in range(2):
        state, _ = step(state, control[:, 6:], keys(0), scenes())
        for _ in range(PHYSICS_STEPS):
            at, _ = simulate(scenes(), at, control * model.dof_mask)
            work += 0.005 * (torque * np.abs(np.asarray(at.v))).sum(1)
    told = ENV.outcomes(state)
    np.testing.assert_allclose(told["effort"], 2 * torque.sum(1), rtol=1e-5)
    np.testing.assert_allclose(told["work"], work / np.asarray(model.mass).sum(1), rtol=1e-3)
    np.testing.assert_array_equal(told["length"], 2)


def test_reset_noise_is_small_and_differs() -> None:
    reset, _ = compiled()
    one, two = (np.asarray(reset(keys(s), scenes())[0].physics.q) for s in (0, 1))
    assert np.abs(one - two).max() > 1e-3
    rest = np.asarray(jax.vmap(lambda s: physics.init(unimal.SIZES, s))(scenes()).q)
    assert np.abs(one - rest).max() <= 5.1e-3


def test_the_pages_code_runs() -> None:
    page = Path(__file__).parents[3] / "docs" / "unimals.md"
    (code,) = re.findall(r"^```python\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    names: dict = {}
    exec(code, names)
    assert np.isfinite(names["timestep"].reward).all()
    assert mujoco.MjModel.from_xml_string(names["mjcf"]).nbody >= 3
