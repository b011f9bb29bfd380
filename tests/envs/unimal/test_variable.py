"""Locomotion on variable terrain: what is drawn, seen, rewarded, and what ends it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_suite.envs.unimal import variable_terrain
from jaxrl_suite.envs.unimal.episode import TIME_LIMIT, Episode, fall_height
from jaxrl_suite.envs.unimal.terrain import CURVE, STEPS
from tests.envs.unimal.episodes import (
    BODIES,
    compiled,
    ghosts,
    keys,
    moved,
    play,
    scenes,
    start,
    still,
)

# One process for all tests of UNIMALs.
pytestmark = pytest.mark.xdist_group("unimal")
FLOATING = 30.0  # m, high enough to touch nothing within a step


def only(state: Episode, kind: int, length: int) -> Episode:
    """Episodes on a corridor of one piece from x = 6 m on, the same for all."""
    drawn = state.task.drawn
    first = np.arange(drawn.start.shape[1]) == 0
    tile = lambda x: jnp.asarray(np.tile(x, (BODIES, 1)), jnp.int32)  # noqa: E731
    drawn = drawn._replace(
        start=tile(np.where(first, 90, 1000)),
        length=tile(np.where(first, length, 0)),
        kind=tile(np.where(first, kind, 0)),
        rise=jnp.ones_like(drawn.rise),
    )
    return state._replace(task=state.task._replace(drawn=drawn))


def test_random_actions() -> None:
    env, _, _ = compiled(variable_terrain)
    assert env.observation_sizes == {"proprioceptive": 86, "hfield": 1410}
    assert env.action_size == 20
    begun = start(variable_terrain)
    before = np.asarray(begun.physics.q)
    for state, action, timestep in play(variable_terrain, begun):
        q = np.asarray(state.physics.q)
        speed = (q[:, 0] - before[:, 0]) / 0.02
        expected = speed - 1e-3 * (action**2).sum(1)
        np.testing.assert_allclose(timestep.reward, expected, rtol=1e-4, atol=1e-4)
        before = q
    np.testing.assert_allclose(env.outcomes(state)["metric"], before[:, 0])


def test_terrain_is_drawn_anew_and_seen() -> None:
    _, reset, _ = compiled(variable_terrain)
    (one, seen), (two, _) = (reset(keys(s), scenes()) for s in (0, 1))
    starts = [np.asarray(s.task.drawn.start) for s in (one, two)]
    assert (starts[0] != starts[1]).any()
    assert len(np.unique(starts[0], axis=0)) > 1
    # Level around the start; the wall is 3 m behind, out of sight.
    assert (np.asarray(seen["hfield"]).reshape(BODIES, 47, 30)[:, :, :20] == 0).all()
    # Half a metre before a slope of 8 m and 1 m, in cells ahead from 0 on.
    at = moved(only(one, CURVE, 80), {0: 5.55, 2: FLOATING})
    _, timestep = still(variable_terrain, at)
    ahead = np.asarray(timestep.observation["hfield"]).reshape(BODIES, 47, 30)[0, 23, 6:]
    cells = np.array([*range(14), 15, 16, 17, 18, 20, 22, 24, 28, 32, 40])
    expected = np.where(cells >= 5, np.sin(np.pi * (cells - 5) / 79), 0.0)
    # The head has moved on or back by a cell at most.
    np.testing.assert_allclose(ahead, expected, atol=0.05)


def test_walls_are_seen_from_inside() -> None:
    state = only(start(variable_terrain), CURVE, 80)
    _, timestep = still(variable_terrain, moved(state, {0: 96.5, 2: FLOATING}))
    seen = np.asarray(timestep.observation["hfield"]).reshape(BODIES, 47, 30)
    # Ahead, the wall 0.5 to 1.5 m away is 3 m high, and beyond there is nothing.
    ahead = seen[:, 23, 6:]
    assert np.isin(np.round(ahead, 2), [0.0, 3.0, -11.0]).all()
    assert {0.0, 3.0, -11.0} == set(np.round(ahead[0], 2).tolist())


@pytest.mark.parametrize(
    ("change", "terminated", "truncated"),
    [
        ({}, False, False),
        ({"y": 49.2}, True, False),
        ({"y": -49.2}, True, False),
        ({"y": 48.5}, False, False),
        ({"step": TIME_LIMIT - 1}, False, True),
        ({"step": TIME_LIMIT - 1, "y": 49.5}, True, False),
        ({"v": np.nan}, True, False),
    ],
)
def test_ends(change: dict, terminated: bool, truncated: bool) -> None:
    state = start(variable_terrain)
    state = moved(state, {2: FLOATING} | ({1: change["y"]} if "y" in change else {}))
    if "v" in change:
        at = state.physics
        state = state._replace(physics=at._replace(v=at.v.at[:, 8].set(change["v"])))
    step = jnp.full(BODIES, change.get("step", 0), jnp.int32)
    score = state.score + 2.0
    state, timestep = still(variable_terrain, state._replace(step=step, score=score))
    assert (np.asarray(timestep.terminated) == terminated).all()
    assert (np.asarray(timestep.truncated) == truncated).all()
    assert (np.asarray(state.diverged) == ("v" in change)).all()
    assert np.isfinite(timestep.observation["hfield"]).all()
    if "v" in change:
        np.testing.assert_array_equal(state.score, 2.0)


def test_falls_are_counted_from_the_ground_below() -> None:
    """On top of a slope a head has fallen that would not have on the floor."""
    state = only(start(variable_terrain), CURVE, 80)
    # Over the top at x = 10 m.
    limit = np.asarray(jax.vmap(fall_height)(scenes().model))
    for margin, fallen in ((-0.05, True), (0.05, False)):
        q = state.physics.q.at[:, 0].set(10.0).at[:, 2].set(jnp.asarray(limit + 1.0 + margin))
        at = state._replace(physics=state.physics._replace(q=q))
        _, told = still(variable_terrain, at, ghosts())
        assert (np.asarray(told.terminated) == fallen).all()


def test_bodies_stand_on_the_terrain() -> None:
    """Dropped where the ground is high, they do not sink to the floor."""
    _, _, step = compiled(variable_terrain)
    # The middle of the stairs is 16 m from their foot, 8 m of it level at 0.6 m.
    state = only(start(variable_terrain), STEPS, 320)
    high = np.asarray(state.physics.q[:, 2]) + 0.6
    q = state.physics.q.at[:, 0].set(22.0).at[:, 2].set(jnp.asarray(high))
    state = state._replace(physics=state.physics._replace(q=q))
    for t in range(40):
        state, _ = step(state, jnp.zeros((BODIES, 20)), keys(t), scenes())
    low = np.asarray(state.physics.q[:, 2])
    assert (low > 0.6 + 0.05).all()
    assert (low < high).all()
    assert not np.asarray(state.diverged).any()


def test_the_back_wall_stops_a_body() -> None:
    _, _, step = compiled(variable_terrain)
    state = start(variable_terrain)
    at = state.physics
    state = state._replace(physics=at._replace(v=at.v.at[:, 0].set(-8.0)))
    for t in range(40):
        state, _ = step(state, jnp.zeros((BODIES, 20)), keys(t), scenes())
    # 8 m/s would have taken it 6.4 m.
    assert (np.asarray(state.physics.q[:, 0]) > -3.0).all()
    assert not np.asarray(state.diverged).any()
