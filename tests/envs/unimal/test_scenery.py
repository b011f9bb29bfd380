"""Episodes as MuJoCo shows them: body, ground and object where they were."""

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

from jaxrl_suite import physics
from jaxrl_suite.core import UsageError
from jaxrl_suite.envs.unimal import ORIGINAL
from jaxrl_suite.envs.unimal.arena import bounded
from jaxrl_suite.envs.unimal.body import SIZES, scene
from jaxrl_suite.envs.unimal.manipulation import ARENA as PUSHED
from jaxrl_suite.envs.unimal.pushing import PUSHING, place_push
from jaxrl_suite.envs.unimal.scenery import recorded
from jaxrl_suite.envs.unimal.terrain import corridor
from jaxrl_suite.envs.unimal.variable import ARENA
from tests.envs.unimal.bodies import population

pytestmark = pytest.mark.xdist_group("unimal")


def body():
    return jax.tree.map(lambda x: x[0], population())


def path(sizes, boxes=None):
    """Three states of the body, a metre apart along x."""
    flat = scene(ORIGINAL, body())
    flat = physics.make_scene(sizes, flat.model, boxes=boxes)
    at = physics.init(sizes, flat)
    at = jax.tree.map(lambda x: jnp.broadcast_to(x, (3, *x.shape)), at)
    return at._replace(q=at.q.at[:, 0].set(jnp.arange(20.0, 23.0)))


def test_on_level_ground_the_body_is_where_it_was():
    states = path(SIZES)
    mjcf, qpos = recorded(ORIGINAL, body(), (), states)
    model = mujoco.MjModel.from_xml_string(mjcf)
    assert qpos.shape == (3, model.nq)
    np.testing.assert_allclose(qpos[:, :7], states.q[:, :7])
    assert (model.geom_type == mujoco.mjtGeom.mjGEOM_PLANE).sum() == 1


def test_the_ground_is_the_corridors():
    ground = jax.jit(corridor, static_argnums=1)(jax.random.key(1), ARENA)
    mjcf, _ = recorded(ORIGINAL, body(), jax.device_get(ground), path(SIZES))
    model = mujoco.MjModel.from_xml_string(mjcf)
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    field = np.flatnonzero(model.geom_type == mujoco.mjtGeom.mjGEOM_HFIELD)
    assert len(field) == 1
    # Straight down from above, at centres of cells: the first thing met is the ground.
    for x, y in ((17.55, -1.45), (20.05, 0.05), (24.95, 2.35), (27.55, -3.55)):
        start, down = np.array([x, y, 5.0]), np.array([0.0, 0.0, -1.0])
        distance = mujoco.mj_rayHfield(model, data, field[0], start, down, None)
        cell = ground.of_cell(jnp.floor(10 * x).astype(int), jnp.floor(10 * y).astype(int))
        np.testing.assert_allclose(5.0 - distance, cell, atol=1e-4)
    assert np.ptp(model.hfield_data) > 0


@pytest.mark.parametrize("pushed", [True, False])
def test_box_and_goal_are_where_they_were(pushed):
    def draw(key):
        ground = corridor(key, PUSHED)
        return place_push(key, PUSHED, ground, bounded(PUSHED, ground.of_cell))

    drawn = jax.device_get(jax.jit(draw)(jax.random.key(0)))
    states = path(PUSHING, physics.box(drawn.start, (0.2,) * 3, mass=1.0))
    ways = drawn.start + np.arange(3.0)[:, None] * (0.5 if pushed else 0.0)
    states = states._replace(box_q=states.box_q.at[:, 0, :3].set(ways))
    mjcf, qpos = recorded(ORIGINAL, body(), drawn, states)
    model = mujoco.MjModel.from_xml_string(mjcf)
    assert qpos.shape == (3, model.nq)
    box = model.geom("obstacle0").id
    if pushed:
        np.testing.assert_allclose(qpos[:, -7:-4], ways, rtol=1e-6)
    else:
        np.testing.assert_allclose(model.geom_pos[box], drawn.start, rtol=1e-6)
    goal = model.geom("obstacle0" if pushed else "obstacle1").id
    np.testing.assert_allclose(model.geom_pos[goal], drawn.goal, rtol=1e-6)
    field = np.flatnonzero(model.geom_type == mujoco.mjtGeom.mjGEOM_HFIELD)[0]
    reach = model.geom_pos[field, 0] + model.hfield_size[0, 0]
    assert reach > drawn.goal[0] + 5


def test_another_ground_is_refused():
    with pytest.raises(UsageError, match="a ground of type Plane cannot be shown"):
        recorded(ORIGINAL, body(), physics.flat(), path(SIZES))
