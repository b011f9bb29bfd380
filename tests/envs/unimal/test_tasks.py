"""The eight test tasks: rewards and metrics by slow loops, what is drawn, what ends an episode."""

import functools

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest
from scipy import ndimage

from jaxrl_suite.envs.unimal import TASKS, ball, bowl, goals, obstacles
from jaxrl_suite.envs.unimal.arena import join, nearest, walls
from jaxrl_suite.envs.unimal.episode import Episode
from tests.envs.unimal.episodes import (
    BODIES,
    compiled,
    ghosts,
    moved,
    play,
    rotation,
    scenes,
    start,
    still,
)

# One process for all tests of UNIMALs.
pytestmark = [pytest.mark.xdist_group("unimal"), pytest.mark.slow]
HIGH = 30.0  # m, where nothing is touched
COS = np.cos(np.radians(10))


def head(state: Episode) -> np.ndarray:
    """[4, 3]"""
    return np.asarray(state.physics.q[:, :3], float)


def gained(timestep, action: np.ndarray) -> np.ndarray:
    """[4], rewards without the cost of control."""
    return np.asarray(timestep.reward) + 1e-3 * (action**2).sum(1)


def metric(make, state: Episode) -> np.ndarray:
    return np.asarray(compiled(make)[0].outcomes(state)["metric"])


def test_what_the_tasks_show() -> None:
    extra = {
        "patrol": {"goal": 3},
        "point_nav": {"goal": 3},
        "obstacle": {"hfield": 1410},
        "exploration": {},
        "escape": {"hfield": 1410},
        "push_box_incline": {"obj": 12},
        "manipulate_ball": {"obj": 12},
        "incline": {},
    }
    assert list(TASKS) == list(extra)
    for name, sizes in extra.items():
        assert TASKS[name]().observation_sizes == {"proprioceptive": 86} | sizes


def test_patrol() -> None:
    make = TASKS["patrol"]
    begun = start(make)
    np.testing.assert_allclose(head(begun)[:, :2], [[-5, 0]] * BODIES, atol=0.006)
    # Half of them near the first goal.
    x = jnp.where(jnp.arange(BODIES) < 2, 4.8, begun.physics.q[:, 0])
    begun = begun._replace(physics=begun.physics._replace(q=begun.physics.q.at[:, 0].set(x)))
    goal, toggles, before = np.full(BODIES, 5.0), np.zeros(BODIES), head(begun)
    for state, action, told in play(make, begun, 20):
        at = head(state)
        for i in range(BODIES):
            was, now = (np.hypot(goal[i] - p[i, 0], p[i, 1]) for p in (before, at))
            expected = 100 * (was - now) + 10 * (now <= 0.5)
            np.testing.assert_allclose(gained(told, action)[i], expected, rtol=1e-3, atol=5e-3)
            np.testing.assert_allclose(metric(make, state)[i], toggles[i] + 1 - now / 10, atol=1e-4)
            if now <= 0.5:
                goal[i], toggles[i] = -goal[i], toggles[i] + 1
            turn = rotation(np.asarray(state.physics.q[i, 3:7])).T
            seen = turn @ (np.array([goal[i], 0, 0.1]) - at[i])
            np.testing.assert_allclose(told.observation["goal"][i], seen, atol=1e-3)
        before = at
    assert (toggles[:2] >= 1).all()
    assert (toggles[2:] == 0).all()


def test_point_nav() -> None:
    make = TASKS["point_nav"]
    places = np.asarray(jax.vmap(goals._anywhere)(jax.random.split(jax.random.key(0), 3000)).goal)
    np.testing.assert_allclose(places[:, 2], 0.11)
    for x, low, high in ((places[:, 0], -43.5, 43.4), (places[:, 1], -39.5, 39.4)):
        assert low - 1e-3 <= x.min() < low + 0.4
        assert high - 0.4 < x.max() <= high + 1e-3
        assert abs(x.mean()) < 5 * high / np.sqrt(3 * 3000)
    begun = start(make)
    # The goal of half of them is near.
    close = jnp.arange(BODIES)[:, None] < 2
    drawn = begun.task.drawn
    goal = jnp.where(close, jnp.array([[0.3, 0.1, 0.11]]), drawn.goal)
    begun = begun._replace(task=begun.task._replace(drawn=drawn._replace(goal=goal)))
    goal, inside, before = np.asarray(goal), np.zeros(BODIES), head(begun)
    for state, action, told in play(make, begun, 20):
        at = head(state)
        was, now = (np.linalg.norm(goal[:, :2] - p[:, :2], axis=1) for p in (before, at))
        expected = 100 * (was - now) + 10 * (now <= 0.5)
        np.testing.assert_allclose(gained(told, action), expected, rtol=1e-3, atol=5e-3)
        first = np.linalg.norm(goal[:, :2], axis=1)
        np.testing.assert_allclose(metric(make, state), 1 - now / first + inside / 1000, atol=1e-4)
        inside += now <= 0.5
        before = at
    assert (inside[:2] >= 5).all()
    assert (inside[2:] == 0).all()


@functools.cache
def scattered() -> obstacles.Blocks:
    return jax.jit(jax.vmap(obstacles.blocks))(jax.random.split(jax.random.key(0), 60))


def test_obstacles_do_not_overlap_and_fill_the_arena() -> None:
    b = jax.tree.map(np.asarray, scattered())
    assert set(np.unique(b.half)) == {5, 10, 15, 20, 25, 30}
    assert b.there[:, 0].all()
    # About 7 % of the arena is covered, so that ten tries hardly ever fail.
    assert b.there.mean() > 0.99
    low, high = b.place - b.half, b.place + b.half
    assert low[b.there].min(0).tolist() >= [-30 + 100, -300]
    assert (high[b.there].max(0) <= [1470 - 100, 300]).all()
    assert (low[b.there].min(0) < [-30 + 103, -297]).all()
    for k in range(60):
        grid = np.zeros((1500, 600), int)
        for i in np.flatnonzero(b.there[k]):
            (x0, y0), (x1, y1) = low[k, i] + [30, 300], high[k, i] + [30, 300]
            grid[x0:x1, y0:y1] += 1
        assert grid.max() == 1


def test_obstacle() -> None:
    make = TASKS["obstacle"]
    begun = start(make)
    before = head(begun)
    for state, action, told in play(make, begun, 20):
        at = head(state)
        speed = (at - before)[:, 0] / 0.02
        np.testing.assert_allclose(gained(told, action), speed, rtol=1e-3, atol=1e-3)
        np.testing.assert_allclose(metric(make, state), at[:, 0], atol=1e-5)
        before = at
    # Before a box it looks 2 m high and stops a body.
    drawn = jax.tree.map(lambda x: x[0], begun.task.drawn)
    boxes = obstacles.as_boxes(drawn)
    np.testing.assert_allclose(boxes.position[:, 2] + boxes.half_size[:, 2], 4.1, atol=1e-6)
    front = np.asarray(boxes.position[0] - boxes.half_size[0])
    y = float(boxes.position[0, 1])
    state = moved(begun, {0: front[0] - 0.45, 1: y})
    state = state._replace(
        task=state.task._replace(
            drawn=jax.tree.map(lambda x: x[:1].repeat(BODIES, 0), state.task.drawn)
        )
    )
    up = moved(state, {2: HIGH})
    _, told = still(make, up)
    ahead = np.asarray(told.observation["hfield"]).reshape(BODIES, 47, 30)[0, 23, 6:]
    assert set(np.round(ahead[:4], 3)) == {0.0}
    np.testing.assert_allclose(ahead[6], 2.0)
    chosen = nearest(join(walls(obstacles.ARENA), boxes), state.physics.q[0, :2], 4)
    assert np.allclose(chosen.position[0], boxes.position[0])
    for i in range(25):
        v = state.physics.v.at[:, 0].set(6.0) if i == 0 else state.physics.v
        state = state._replace(physics=state.physics._replace(v=v))
        state, _ = still(make, state)
        assert not np.asarray(state.diverged).any()
    # 3 m without the box.
    assert (head(state)[:, 0] < front[0] + 0.6).all()
    _, told = still(make, moved(begun, {1: 29.1}))
    assert np.asarray(told.terminated).all()


def test_exploration() -> None:
    make = TASKS["exploration"]
    begun = start(make)
    assert begun.task.drawn.cells[0].nbytes == 1600
    play(make, begun, 10)
    seen = [set() for _ in range(BODIES)]
    state = start(make)
    generator = np.random.default_rng(0)
    for _ in range(40):
        x, y = generator.uniform(-50.5, 50.5, 2) if generator.random() < 0.5 else (49.5, -49.5)
        x, y = (x, y) if generator.random() < 0.7 else np.round([x, y]) + 0.5
        state, told = still(make, moved(state, {0: x, 1: y, 2: HIGH}))
        at = head(state)
        for i in range(BODIES):
            cell = tuple(np.floor(at[i, :2]).astype(int))
            inside = all(-50 <= c < 50 for c in cell)
            new = inside and cell not in seen[i]
            assert float(told.reward[i]) == new
            if inside:
                seen[i].add(cell)
    np.testing.assert_array_equal(metric(make, state), [len(s) for s in seen])
    assert 10 < len(seen[0]) < 40


def test_the_bowl_is_scipys_zoom_of_its_bumps() -> None:
    key = jax.random.key(3)
    made = bowl.bowl(key)
    bumps = np.asarray(jax.random.uniform(key, (50, 50), minval=0.15, maxval=1.0), float)
    smooth = ndimage.zoom(bumps, 20)
    axis = np.linspace(-1, 1, 1000)
    radius = np.clip(np.hypot(axis[:, None], axis[None]), 0.04, 1)
    expected = smooth * (0.5 - np.cos(2 * np.pi * radius) / 2) * 1.3
    generator = np.random.default_rng(0)
    i, j = generator.integers(0, 1000, (2, 500))
    place = jnp.asarray(np.stack([axis[i], axis[j]], axis=1) * 50)
    found = jax.jit(jax.vmap(made.height))(place)
    np.testing.assert_allclose(found, expected[i, j], atol=2e-4)
    assert expected.max() > 1.0
    # Its normals are those of its heights.
    distance, up = jax.jit(jax.vmap(lambda p: made(jnp.append(p, 3.0))))(place)
    step = np.float32(0.01)
    heights = jax.jit(jax.vmap(made.height))
    for axis_index in range(2):
        shift = jnp.zeros((1, 2)).at[0, axis_index].set(step)
        slope = (heights(place + shift) - heights(place - shift)) / (2 * step)
        away = np.asarray(jnp.abs(place).max(1) < 49.9)
        np.testing.assert_allclose(
            -up[:, axis_index][away] / up[:, 2][away], slope[away], atol=5e-3
        )
    np.testing.assert_allclose(distance, (3.0 - found) * up[:, 2], rtol=1e-5)
    assert np.isfinite(made(jnp.array([0.0, 0.0, 1.0]))[1]).all()


def test_escape() -> None:
    make = TASKS["escape"]
    begun = start(make)
    before = np.linalg.norm(head(begun)[:, :2], axis=1)
    for state, action, told in play(make, begun, 20):
        now = np.linalg.norm(head(state)[:, :2], axis=1)
        np.testing.assert_allclose(gained(told, action), now - before, atol=1e-4)
        np.testing.assert_allclose(metric(make, state), now, atol=1e-5)
        before = now
    away = moved(begun, {0: 30.0, 1: 29.0, 2: HIGH})
    v = away.physics.v.at[:, :2].set(jnp.array([[3.0, 0.0]] * 2 + [[50.0, 0.0]] * 2))
    state, told = still(make, away._replace(physics=away.physics._replace(v=v)))
    moved_by = np.linalg.norm(head(state)[:, :2], axis=1) - np.hypot(30, 29)
    np.testing.assert_array_equal(told.terminated, [False, False, True, True])
    np.testing.assert_allclose(told.reward, moved_by + 100 * np.array([0, 0, 1, 1]), atol=1e-3)
    np.testing.assert_allclose(state.score, told.reward, atol=1e-4)


def upright(state: Episode) -> np.ndarray:
    """[4], pitch of the head (degrees), upwards positive."""
    q = np.asarray(state.physics.q[:, 3:7])
    return np.degrees([np.arcsin(rotation(x)[2, 0]) for x in q])


def test_incline() -> None:
    make = TASKS["incline"]
    begun = start(make)
    np.testing.assert_allclose(upright(begun), 10, atol=1.2)
    rest = np.asarray(scenes().model.start[:, 2])
    x, _, z = head(begun).T
    np.testing.assert_allclose(x, -73 * COS, atol=0.006)
    # Height above the slope along its normal, as above the level floor but for the slab.
    np.testing.assert_allclose(
        (z - x * np.tan(np.radians(10))) * COS, rest * COS - 0.015, atol=0.02
    )
    before = head(begun)
    for state, action, told in play(make, begun, 20):
        at = head(state)
        speed = (at - before)[:, 0] / 0.02 / COS
        np.testing.assert_allclose(gained(told, action), speed, rtol=1e-3, atol=5e-3)
        np.testing.assert_allclose(metric(make, state), (at[:, 0] + 73 * COS) / COS, atol=1e-3)
        before = at
    # Falls are counted from the slope, at a fifth of the height.
    limit = 0.2 * (rest - 0.2)
    for margin, fallen in ((-0.05, True), (0.05, False)):
        z = jnp.asarray(50.0 * np.tan(np.radians(10)) + limit + margin)
        q = begun.physics.q.at[:, 0].set(50.05).at[:, 2].set(z)
        state = begun._replace(physics=begun.physics._replace(q=q))
        _, told = still(make, state, ghosts())
        assert (np.asarray(told.terminated) == fallen).all()
    _, told = still(make, moved(begun, {1: -19.1, 2: HIGH}))
    assert np.asarray(told.terminated).all()


def test_push_box_incline() -> None:
    make = TASKS["push_box_incline"]
    begun = start(make)
    np.testing.assert_allclose(upright(begun), 10, atol=1.2)
    np.testing.assert_allclose(head(begun)[:, 0], -38 * COS, atol=0.006)
    slope = np.tan(np.radians(10))
    place = np.asarray(begun.task.drawn.start)
    np.testing.assert_allclose(place, [[-35, 0, -34.9 * slope + 0.3]] * BODIES, atol=1e-4)
    goal = np.asarray(begun.task.drawn.goal)
    np.testing.assert_allclose(goal, [[35, 0, 35.4 * slope + 0.11]] * BODIES, atol=1e-4)
    play(make, begun, 10)
    # The body in the air: while one goes down on the slope, the box may be thrown, 8 m away from
    # it, too, most likely by forces that the solver's few iterations leave.
    state = moved(begun, {2: HIGH})
    for _ in range(40):
        state, _ = still(make, state)
    # It does not slide down: 0.7 is more than tan(10 degrees).
    box = np.asarray(state.physics.box_q[:, 0])
    np.testing.assert_allclose(box[:, :2], place[:, :2], atol=0.2)
    turn = [np.degrees(np.arccos(rotation(q)[2, 2])) for q in box[:, 3:]]
    np.testing.assert_allclose(turn, 10, atol=0.5)
    far = np.linalg.norm(box[:, :2] - place[:, :2], axis=1) / COS
    np.testing.assert_allclose(metric(make, state), far, atol=1e-4)
    # The margin is 0.5 m, on the map.
    at = begun.physics
    for gap, there in ((0.45, True), (0.55, False)):
        place = jnp.asarray(goal) + jnp.array([[gap, 0.0, HIGH]])
        box_q = at.box_q.at[:, 0, :3].set(place)
        q = at.q.at[:, :3].set(place + jnp.array([[0.0, 0.0, 0.3]]))
        over = begun._replace(physics=at._replace(q=q, box_q=box_q))
        after, _ = still(make, over, ghosts())
        drawn = after.task.drawn
        assert np.asarray(drawn.reached).all()
        assert (np.asarray(drawn.delivered) == there).all()


def test_manipulate_ball() -> None:
    make = TASKS["manipulate_ball"]
    begun = start(make)
    thing = ball.stand_in()
    np.testing.assert_allclose(thing.mass / 1.4, 20.106, rtol=1e-4)
    np.testing.assert_allclose(begun.physics.box_q[:, 0, 2], 0.3, atol=1e-6)
    play(make, begun, 20)
    # Rolling on, it loses as much speed as a ball in C.
    oracle = mujoco.MjModel.from_xml_string(
        """<mujoco><option timestep="0.005"/><worldbody>
        <geom type="plane" size="50 50 1" friction="0.7 .1 .1"/>
        <body pos="0 0 0.2"><freejoint/><geom type="sphere" size="0.2" density="600" condim="6"
        friction="0.7 0.005 0.005" priority="1" solref="-10000 -30"/></body>
        </worldbody></mujoco>"""
    )
    data = mujoco.MjData(oracle)
    data.qvel[0], data.qvel[4] = 2.0, 10.0
    mujoco.mj_step(oracle, data, 240)
    state = begun
    for _ in range(20):
        state, _ = still(make, state)
    at = state.physics
    np.testing.assert_allclose(at.box_q[:, 0, 2], 0.2, atol=2e-3)
    speed = jnp.zeros_like(at.box_v).at[:, 0, 1].set(2.0).at[:, 0, 5].set(1.0)
    state = state._replace(physics=at._replace(box_v=speed))
    for _ in range(60):
        state, _ = still(make, state)
        assert (np.asarray(state.physics.box_q[:, 0, 2]) < 0.23).all()
    lost = 2.0 - np.asarray(state.physics.box_v[:, 0, 1])
    np.testing.assert_allclose(lost, 2.0 - data.qvel[0], rtol=0.25)
    # Reached at 0.5 m from its centre, not from its surface.
    for gap, bonus in ((0.47, True), (0.55, False)):
        at = begun.physics
        place = at.q[:, :3] + jnp.array([[0.0, 0.0, HIGH + gap]])
        box_q = at.box_q.at[:, 0, :3].set(place)
        over = begun._replace(physics=at._replace(q=at.q.at[:, 2].add(HIGH), box_q=box_q))
        after, told = still(make, over, ghosts())
        assert (np.asarray(after.task.drawn.reached) == bonus).all()
        assert ((np.asarray(told.reward) > 8) == bonus).all()
