"""Obstacles and free boxes: their geometry, and what they do in MuJoCo's C engine."""

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxrl_suite import physics
from jaxrl_suite.core import UsageError
from jaxrl_suite.physics.box_contact import nearest_on_segment, sphere_box
from tests.physics import reference
from tests.physics.oracle import Oracle, relative_error

coordinate = st.floats(-2, 2, width=32)
point = st.tuples(coordinate, coordinate, coordinate)
HALF = np.array([0.5, 0.3, 0.8], np.float32)


def distance_to_box(points):
    return np.linalg.norm(points - np.clip(points, -HALF, HALF), axis=-1)


@given(point, point)
def test_the_nearest_point_of_a_segment_beats_all_others(start, along):
    start, along = np.array(start, np.float32), np.array(along, np.float32)
    t = float(jax.jit(nearest_on_segment)(start, along, HALF))
    assert 0 <= t <= 1
    others = start + np.linspace(0, 1, 1001)[:, None] * along
    assert distance_to_box(start + t * along) <= distance_to_box(others).min() + 1e-5


def test_a_segment_through_a_box_touches_with_the_middle_of_its_stay():
    t = nearest_on_segment(jnp.array([-2.0, 0, 0]), jnp.array([4.0, 0, 0]), jnp.asarray(HALF))
    assert float(t) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("centre", "distance", "normal"),
    [
        ((0.9, 0, 0), 0.3, (-1, 0, 0)),  # before a face
        ((0.5, 0.4, 0), 0.0, (0, -1, 0)),  # touching another
        ((0.45, 0, 0), -0.15, (-1, 0, 0)),  # inside: out through the nearest face
        ((0, -0.25, 0.1), -0.15, (0, 1, 0)),
        ((0.8, 0.7, 0.8), 0.4, (-0.6, -0.8, 0)),  # before an edge
    ],
)
def test_sphere_and_box(centre, distance, normal):
    found, direction = sphere_box(jnp.array(centre), jnp.asarray(0.1), jnp.asarray(HALF))
    assert float(found) == pytest.approx(distance, abs=1e-6)
    np.testing.assert_allclose(direction, normal, atol=1e-6)


def follow(text, steps, speed=0.0, scale=0.0, seed=0):
    """Both engines from one start; errors of accelerations at C's states, and the final states."""
    both = Oracle([text], {"newton_steps": 20, "line_search_steps": 20}, contacts=16)
    (item,) = both.references
    generator = np.random.default_rng(seed)
    item.data.qvel[0] = speed
    state = both.initial()
    state = state._replace(v=state.v.at[0, 0].set(speed))
    errors, positions = [], {}
    for t in range(1, max(steps) + 1):
        item.data.ctrl[:] = scale * generator.uniform(-1, 1, item.model.nu).astype(np.float32)
        ours, theirs = both.forward()
        mine = ours.acceleration[0][item.slots]
        errors.append(relative_error(mine, theirs[0]["acceleration"]))
        state, _ = both.step(state)
        mujoco.mj_step(item.model, item.data)
        if t in steps:
            positions[t] = float(both.position_errors(state)[0])
    return np.array(errors), positions, item.data, state


def test_a_pushed_box_goes_where_it_goes_in_c():
    errors, positions, data, state = follow(reference.pushed_box_mjcf(), (50, 100, 200), speed=2.5)
    assert float(state.box_q[0, 0, 0]) > 0.57 + 0.1  # it was pushed
    assert np.quantile(errors, 0.9) <= 1e-4
    assert positions[100] <= 1e-3
    assert float(state.box_q[0, 0, 0]) == pytest.approx(data.qpos[-7], abs=5e-3)


TUMBLING = """<mujoco><option timestep="0.005" iterations="100" ls_iterations="100"
  tolerance="1e-12"/><worldbody><geom type="plane" size="0 0 1"/>
  <body name="root" pos="3 0 .1"><freejoint/><geom type="sphere" size=".1" mass="1"/></body>
  <body name="crate" pos="0 0 .6" euler="30 20 10"><freejoint/>
  <geom type="box" size=".1 .2 .15" mass="2" contype="4"/></body></worldbody></mujoco>"""


def test_a_tumbling_box_is_c_s():
    errors, positions, _, state = follow(TUMBLING, (100, 200))
    assert np.quantile(errors, 0.99) <= 1e-4
    assert positions[100] <= 1e-4
    assert float(state.box_q[0, 0, 2]) < 0.25  # it did fall


def test_a_robot_on_hurdles_stands_as_in_c():
    """Up to the first edge to rounding; then as C does within centimetres."""
    errors, positions, data, state = follow(reference.hurdles_mjcf(), (100, 200), scale=0.3)
    touching = {data.contact[i].geom1 for i in range(data.ncon)}
    touching |= {data.contact[i].geom2 for i in range(data.ncon)}
    boxes = {g for g in range(3) if touching and g in touching}
    assert boxes & {1, 2}  # the hurdle is touched
    assert positions[100] <= 1e-4
    assert np.median(errors) <= 1e-5
    assert np.quantile(errors, 0.9) <= 2e-2
    assert float(state.q[0, 2]) == pytest.approx(float(data.qpos[2]), abs=0.02)


def test_rest_heights_on_a_height_field_are_c_s():
    """A ball in the same valley; cells are bilinear here and triangles there."""
    _, _, data, state = follow(reference.hills_mjcf(), (60,))
    assert float(state.q[0, 2]) == pytest.approx(float(data.qpos[2]), abs=0.02)
    body = physics.from_mjcf(reference.hills_mjcf())
    model = mujoco.MjModel.from_xml_string(reference.hills_mjcf())
    fresh = mujoco.MjData(model)
    mujoco.mj_forward(model, fresh)
    down, hit = np.array([0.0, 0, -1]), np.zeros(1, np.int32)
    group = np.ones(6, np.uint8)
    corners = body.ground.corner + body.ground.cell * np.array([[1, 1], [4, 2], [5, 3], [2, 3]])
    for corner in corners:
        above = np.array([*(corner + 1e-4), 2.0])
        ray = mujoco.mj_ray(model, fresh, above, down, group, 1, 1, hit)
        distance, _ = jax.tree.map(jnp.asarray, body.ground)(jnp.asarray(above))
        # The distance is along the normal; at the nodes compare heights instead.
        i, j = np.round((corner - body.ground.corner) / body.ground.cell).astype(int)
        assert 2.0 - ray == pytest.approx(body.ground.heights[i, j], abs=2e-3)
        assert float(distance) <= ray + 1e-5


def test_boxes_that_are_none():
    with pytest.raises(UsageError, match="half_size must be above 0"):
        physics.box((0, 0, 0), (1, 0, 1))
    with pytest.raises(UsageError, match="mass must be 0"):
        physics.box((0, 0, 0), (1, 1, 1), mass=float("nan"))
    sizes = physics.Sizes(1)
    model = physics.from_mjcf(reference.hills_mjcf()).model
    with pytest.raises(UsageError, match="1 boxes do not fit 0 slots"):
        physics.make_scene(sizes, model, obstacles=physics.box((0, 0, 0), (1, 1, 1)))
