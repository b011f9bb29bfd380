"""Pushing a box: where things lie, what is seen of them, and rewards by a slow loop."""

import functools

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

from jaxrl_suite import physics
from jaxrl_suite.envs import unimal
from jaxrl_suite.envs.unimal import manipulation, pushing
from jaxrl_suite.envs.unimal.arena import Arena, bounded
from jaxrl_suite.envs.unimal.episode import Episode
from jaxrl_suite.envs.unimal.manipulation import ARENA
from jaxrl_suite.envs.unimal.terrain import corridor
from tests.envs.unimal.episodes import (
    BODIES,
    QUICK,
    compiled,
    keys,
    moved,
    play,
    rotation,
    scenes,
    start,
    still,
)

# One process for all tests of UNIMALs.
pytestmark = pytest.mark.xdist_group("unimal")
COUNT = 300


def test_a_box_that_runs_away_ends_the_episode() -> None:
    state = start(manipulation)
    speed = jnp.asarray([0.0, 60.0, 150.0, 0.0])  # rad/s: 0.3 and 0.75 rad a step
    at = state.physics
    wild = state._replace(physics=at._replace(box_v=at.box_v.at[:, 0, 4].set(speed)))
    after, told = still(manipulation, wild)
    np.testing.assert_array_equal(after.runaway, [False, False, True, False])
    np.testing.assert_array_equal(told.terminated, [False, False, True, False])
    assert float(after.score[2]) == 0.0


def test_box_and_goal_lie_where_the_original_puts_them() -> None:

    def place(key: jax.Array) -> pushing.Push:
        ground = corridor(key, ARENA)
        return pushing.place_push(key, ARENA, ground, bounded(ARENA, ground.of_cell))

    task = jax.jit(jax.vmap(place))(jax.random.split(jax.random.key(0), COUNT))
    ground = task.ground
    start, goal = np.asarray(task.start), np.asarray(task.goal)
    for far in (start[:, 0], goal[:, 0] - start[:, 0]):
        steps, counts = np.unique(np.round(far, 3), return_counts=True)
        np.testing.assert_allclose(steps, np.arange(15, 25))
        assert counts.min() > COUNT / 10 - 5 * np.sqrt(COUNT * 0.09)
    # Cells of 0.1 m; 10 m and half the thing from the sides.
    for y, low, high in ((start[:, 1], -9.8, 9.7), (goal[:, 1], -9.5, 9.4)):
        assert low - 1e-3 <= y.min() < -8
        assert 8 < y.max() <= high + 1e-3
        np.testing.assert_allclose(np.round(y * 10), y * 10, atol=1e-3)
    cell = jax.jit(lambda g, i, j: jax.vmap(g.of_cell)(i, j))
    for k in range(20):
        one = jax.tree.map(lambda x, k=k: x[k], ground)
        for thing, half, high in ((start[k], 2, 0.2), (goal[k], 5, 0.01)):
            i, j = np.round(thing[:2] * 10).astype(int)
            di, dj = (x.ravel() for x in np.mgrid[-half:half, -half:half])
            top = np.asarray(cell(one, jnp.asarray(i + di), jnp.asarray(j + dj))).max()
            np.testing.assert_allclose(thing[2], top + high + 0.1, atol=1e-4)


def test_a_small_arena_clips_places_and_keeps_things_apart() -> None:
    arena = Arena(-2, 28, 15)
    flat = lambda i, j: jnp.zeros(())  # noqa: E731
    draw = jax.jit(jax.vmap(lambda k: pushing.place_push(k, arena, (), flat)))
    task = draw(jax.random.split(jax.random.key(0), COUNT))
    start, goal = np.asarray(task.start), np.asarray(task.goal)
    places = np.unique(np.round(start[:, 0], 2))
    np.testing.assert_allclose(places, [15, 16, 17, 18, 19, 20, 21, 21.8])
    np.testing.assert_allclose(goal[:, 0], 21.5, atol=1e-3)
    apart = np.abs(goal[:, :2] - start[:, :2]).max(1)
    assert apart.min() > 0.7 - 1e-3
    assert (np.abs(goal[:, 1] - start[:, 1]) < 0.65).any()  # of others, further back


def sites(i: int, state: Episode) -> np.ndarray:
    """[n, 3], world, by MuJoCo's kinematics."""
    scene = jax.tree.map(lambda x: x[i], scenes())
    model, data, places = oracle(i)
    one = jax.tree.map(lambda x: x[i], state.physics)
    one = one._replace(box_q=jnp.zeros((0, 7)), box_v=jnp.zeros((0, 6)))
    data.qpos[:] = np.asarray(places.to_mujoco(one)[0])
    mujoco.mj_kinematics(model, data)
    result = [data.xpos[1].copy()]
    for b in range(2, model.nbody):
        link = int(model.body(b).name.removeprefix("link"))
        end = np.asarray(scene.model.segment)[link, 0, 0]
        length = np.linalg.norm(end)
        # Attached 5 cm behind its origin: from there the capsule's axis has a length of h + 0.05.
        for far in (length, 0.5 * (length - 0.05) + 0.05):
            result.append(data.xpos[b] + data.xmat[b].reshape(3, 3) @ (end / length * far))
    return np.array(result)


@functools.cache
def oracle(i: int) -> tuple:
    scene = jax.tree.map(lambda x: x[i], scenes())
    model = mujoco.MjModel.from_xml_string(physics.to_mjcf(unimal.SIZES, QUICK, scene))
    return model, mujoco.MjData(model), physics.layout(unimal.SIZES, scene.model)


def faces(q: np.ndarray) -> np.ndarray:
    turn = rotation(q[3:])
    return np.array([q[:3] + turn @ (0.2 * s * np.eye(3)[a]) for a in range(3) for s in (1, -1)])


def near(state: Episode, gap: float, to_goal: float) -> Episode:
    """The box so far ahead of the head and 0.1 m above the floor, the goal so far behind it."""
    at = state.physics
    head = at.q[:, :2]
    place = jnp.concatenate([head + jnp.array([[gap, 0.0]]), jnp.full((BODIES, 1), 0.3)], axis=1)
    box_q = at.box_q.at[:, 0, :3].set(place)
    goal = place + jnp.array([[to_goal, 0.0, 0.0]])
    drawn = state.task.drawn._replace(start=place, goal=goal)
    return state._replace(physics=at._replace(box_q=box_q), task=state.task._replace(drawn=drawn))


@pytest.mark.parametrize(("gap", "to_goal"), [(20.0, 20.0), (2.0, 5.0), (0.6, 0.1)])
def test_rewards_by_a_slow_loop(gap: float, to_goal: float) -> None:
    env, _, _ = compiled(manipulation)
    assert env.observation_sizes == {"proprioceptive": 86, "obj": 12, "goal": 3, "hfield": 1410}
    state = near(start(manipulation), gap, to_goal)
    goal = np.asarray(state.task.drawn.goal)
    reached, delivered, arrived = (np.zeros(BODIES, bool) for _ in range(3))
    together = np.zeros(BODIES)
    first = np.linalg.norm(goal[:, :2] - np.asarray(state.task.drawn.start)[:, :2], axis=1)
    before = state
    for state, action, timestep in play(manipulation, before):
        metric = env.outcomes(state)["metric"]
        for i in range(BODIES):
            distance, far = [], []
            for at in (before, state):
                box = np.asarray(at.physics.box_q[i, 0])
                targets = faces(box)
                apart = np.linalg.norm(sites(i, at)[:, None] - targets[None], axis=-1)
                distance.append(apart.min())
                far.append(np.linalg.norm(goal[i, :2] - box[:2]))
            reward = 100 * (distance[0] - distance[1])
            if distance[1] <= 0.75 and not reached[i]:
                reward, reached[i] = reward + 10, True
            body = np.linalg.norm(goal[i, :2] - np.asarray(state.physics.q[i, :2]))
            counted = together[i]
            if reached[i]:
                reward += 100 * (far[0] - far[1])
                if far[1] <= 0.75:
                    reward, delivered[i] = reward + 10, True
                arrived[i] |= body <= 0.75
                together[i] += delivered[i] and arrived[i]
            reward -= 1e-3 * (action[i] ** 2).sum()
            np.testing.assert_allclose(timestep.reward[i], reward, rtol=1e-3, atol=5e-3)
            if not reached[i]:
                expected = 1 - distance[1] / np.linalg.norm(goal[i, :2])
            else:
                expected = 1 + (1 if arrived[i] else 1 - body / first[i])
                expected += 1 if delivered[i] else 1 - far[1] / first[i]
                expected += counted / 1000 if delivered[i] and arrived[i] else 0
            np.testing.assert_allclose(metric[i], expected, rtol=1e-3, atol=1e-4)
        before = state
    for flag in (reached, delivered, arrived):
        assert (flag == (gap < 1)).all() or gap == 2.0


def test_what_is_seen_of_box_and_goal() -> None:
    state = near(start(manipulation), 3.0, 4.0)
    at = state.physics
    spin = jax.random.normal(jax.random.key(0), (BODIES, 1, 6))
    state = moved(state, {3: 0.8, 6: 0.6, 4: 0.2})
    state = state._replace(physics=state.physics._replace(box_v=spin))
    state, timestep = still(manipulation, state)
    at = jax.tree.map(np.asarray, state.physics)
    for i in range(BODIES):
        turn = rotation(at.q[i, 3:7]).T
        goal = turn @ (np.asarray(state.task.drawn.goal)[i] - at.q[i, :3])
        expected = [
            turn @ (at.box_q[i, 0, :3] - at.q[i, :3]),
            turn @ (at.box_v[i, 0, :3] - at.v[i, :3]),
            turn @ at.box_v[i, 0, 3:],
            goal,
        ]
        seen = timestep.observation
        np.testing.assert_allclose(seen["obj"][i], np.concatenate(expected), atol=2e-4)
        np.testing.assert_allclose(seen["goal"][i], goal, atol=2e-4)


def test_the_box_comes_to_rest_on_the_terrain() -> None:
    _, _, step = compiled(manipulation)
    state = start(manipulation)
    for t in range(60):
        state, _ = step(state, jnp.zeros((BODIES, 20)), keys(t), scenes())
    state_q, v = np.asarray(state.physics.box_q[:, 0]), np.asarray(state.physics.box_v[:, 0])
    ground = state.task.drawn.ground
    on_ground = jax.vmap(lambda g, p: g(p)[0])
    height = np.asarray(on_ground(ground, jnp.asarray(state_q[:, :3])))
    assert (height > 0.1).all()
    assert (height < 0.3).all()
    assert np.abs(v[:, 2]).max() < 1.0


def test_a_body_pushes_the_box() -> None:
    """Thrown at it, a body moves it on, unless it flies past."""
    _, _, step = compiled(manipulation)
    state = near(start(manipulation), 1.0, 5.0)
    before = np.asarray(state.physics.box_q[:, 0, 0])
    v = state.physics.v.at[:, 0].set(5.0)
    state = state._replace(physics=state.physics._replace(v=v))
    for t in range(25):
        state, _ = step(state, jnp.zeros((BODIES, 20)), keys(t), scenes())
        assert not np.asarray(state.diverged).any()
    way = np.asarray(state.physics.box_q[:, 0, 0]) - before
    assert (way > 0.3).sum() >= 2
    assert (way > -0.05).all()
