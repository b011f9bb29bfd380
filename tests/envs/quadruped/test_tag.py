"""Chase tag: what is known, seen and met, and how games begin, in games placed by hand."""

import functools

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

from jaxrl_suite.core import UsageError
from jaxrl_suite.envs import turns
from jaxrl_suite.envs.quadruped import Mechanics, arena, perception, recording, robot, tag
from jaxrl_suite.envs.quadruped.game import POST, Rules
from jaxrl_suite.envs.quadruped.perception import Blocks
from jaxrl_suite.report import bodies
from tests.envs.quadruped.games import COUNT, begun, game, keys, programs, step, turn

pytestmark = pytest.mark.xdist_group("tag")

OPEN = arena.arena(Rules().side)
# Where an observation tells of the world's axes: own place and yaw, opponent's and flag's place.
WORLD = [0, 1, 2, 3, 4, 6, 7, 8, 21, 22, 23]


@functools.cache
def program_of_sight():
    return jax.jit(tag.observe)


def swapped(one):
    """The same game with its robots the other way round."""
    turned = {
        name: jax.tree.map(lambda x: x[::-1], getattr(one, name))
        for name in ("states", "histories", "total", "fallen", "diverged")
    }
    return one._replace(chaser=1 - one.chaser, **turned)


def block(centre, half):
    of = lambda x: jnp.asarray([x], jnp.float32)  # noqa: E731
    return Blocks(of(centre), of(half), jnp.ones(1, bool))


def test_what_is_known_by_hand():
    """One heads along y, the other against x; the flag is behind and to the left."""
    motion = np.array([[9.0] * 6, [1.0, 2.0, 3.0, 0.1, 0.2, 0.3]])
    at = game(
        [(1.0, -0.5), (2.0, 1.0)],
        flag=(-1.0, 0.5),
        turns=(turn(np.pi / 2), turn(np.pi)),
        velocities=motion,
    )
    at = at._replace(states=at.states._replace(q=at.states.q.at[:, 2].set(jnp.array([0.3, 0.4]))))
    seen = program_of_sight()(at, OPEN)
    assert {name: x.shape for name, x in seen.items()} == {
        name: (2, size) for name, size in tag.SIZES.items()
    }
    own, opponent = [1.0, -0.5, 0.3, 0.0, 1.0], [1.0, 2.0, 1.0, 0.4, 1.5, -1.0, 0.1, 0.0, 1.0]
    # The opponent's velocity is the world's, its spin about its own axes: -0.1, -0.2, 0.3 there.
    motion = [2.0, -1.0, 3.0, -0.2, 0.1, 0.3]
    flag = [1.0, -1.0, 0.5, 0.25, 1.0, 2.0, -0.05]
    expected = own + opponent + motion + flag + [1.0, 0.0]
    assert len(expected) == tag.VECTOR_SIZE == 29
    np.testing.assert_allclose(seen["vector"][0], expected, atol=1e-6)
    np.testing.assert_array_equal(seen["vector"], seen["critic"])
    assert list(seen["vector"][1, -2:]) == [0.0, 1.0]  # it is chased
    # Walls are 2.5 m from the centre: ahead, left, behind and right of where it heads.
    np.testing.assert_allclose(seen["rays"][0, ::32], [3.0, 3.5, 2.0, 1.5], atol=1e-5)


def test_a_base_that_leans_sees_in_its_own_axes():
    way = turn(0.7, 0.4, -0.3), turn(-2.0, 0.2, 0.5)
    motion = np.random.default_rng(0).normal(size=(2, 6))
    at = game(turns=way, velocities=motion)
    vector = np.asarray(program_of_sight()(at, OPEN)["vector"][0])
    own, other = (turns.to_matrix(q) for q in way)
    away = np.array([2.0, 0.0, 0.0])
    np.testing.assert_allclose(vector[9:12], own.T @ away, atol=1e-5)
    np.testing.assert_allclose(vector[12:14], [np.cos(2.7), -np.sin(2.7)], atol=1e-5)
    np.testing.assert_allclose(vector[14:17], own.T @ motion[1, :3], atol=1e-5)
    np.testing.assert_allclose(vector[17:20], own.T @ other @ motion[1, 3:], atol=1e-5)
    flag = np.array([1.0, 2.0, POST[2] - robot.STAND_HEIGHT])
    np.testing.assert_allclose(vector[24:27], own.T @ flag, atol=1e-5)


def test_a_quarter_turn_of_the_game_changes_only_what_is_told_in_the_world_s_axes():
    at, _ = begun(3)
    at = jax.tree.map(lambda x: x[0], at)
    at = at._replace(states=at.states._replace(v=jax.random.normal(jax.random.key(0), (2, 18))))
    quarter = np.tile(turn(np.pi / 2), (2, 1))
    q, v = np.asarray(at.states.q, float), np.asarray(at.states.v, float)
    q[:, 3:7] /= np.linalg.norm(q[:, 3:7], axis=1, keepdims=True)
    at = at._replace(states=at.states._replace(q=jnp.asarray(q, jnp.float32)))
    rotated = at._replace(
        states=at.states._replace(
            q=jnp.asarray(
                np.hstack(
                    [
                        turns.rotate(quarter, q[:, :3]),
                        turns.multiply(quarter, q[:, 3:7]),
                        q[:, 7:],
                    ]
                ),
                jnp.float32,
            ),
            v=jnp.asarray(np.hstack([turns.rotate(quarter, v[:, :3]), v[:, 3:]]), jnp.float32),
        ),
        flag=jnp.array([-at.flag[1], at.flag[0]]),
    )
    one, other = (jax.device_get(program_of_sight()(x, OPEN)) for x in (at, rotated))
    same = np.setdiff1d(np.arange(29), WORLD)
    for name in ("vector", "critic"):
        np.testing.assert_allclose(one[name][:, same], other[name][:, same], atol=1e-5)
        assert (np.abs(one[name] - other[name])[:, [0, 1, 3, 4, 6, 7, 21, 22]] > 1e-3).all()
    np.testing.assert_array_equal(one["body"], other["body"])
    for name in ("height", "depth", "rays"):
        # A point at the very edge of a wall may be on either side of it.
        assert (np.abs(one[name] - other[name]) > 1e-4).mean() < 0.01


def test_swapping_the_robots_swaps_all_that_comes_of_it():
    """One action of games in which all may happen: a tag, a fall, the flag, nothing."""
    games = [
        game(),
        game([(0.0, 0.0), (0.4, 0.3)], chaser=1),
        game(flag=(1.1, 0.1)),
        game(turns=(turn(0.0, roll=1.0), turn(0.5))),
    ]
    action = 0.3 * jax.random.normal(jax.random.key(1), (2, 12))
    after, told = step(games, action)
    other, other_told = step([swapped(x) for x in games], action[::-1])
    back = jax.vmap(swapped)(other)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), after, back)
    np.testing.assert_array_equal(told.reward, other_told.reward[:, ::-1])
    np.testing.assert_array_equal(told.terminated, other_told.terminated)
    for name, x in told.observation.items():
        np.testing.assert_allclose(x, other_told.observation[name][:, ::-1], atol=1e-4)
    assert told.reward[:4].tolist() == [[0, 0], [-1, 1], [-1, 1], [-1, 1]]


def test_games_begin_as_high_as_the_rules_say():
    env = tag.tag(rules=Rules(drop=robot.STAND_HEIGHT))
    game, _ = env.reset(jax.random.key(0))
    np.testing.assert_allclose(game.states.q[:, 2], robot.STAND_HEIGHT, rtol=1e-6)


def test_games_begin_anywhere_but_decided():
    drawn = [jax.device_get(begun(seed)) for seed in range(40)]
    games = jax.tree.map(lambda *x: np.concatenate(x), *[x[0] for x in drawn])
    count, q = 40 * COUNT, games.states.q
    for places in (q[:, 0, :2], q[:, 1, :2], games.flag):
        assert (np.abs(places) <= 2).all()
        assert (places.min(axis=0) < -1.8).all()
        assert (places.max(axis=0) > 1.8).all()
    assert (np.linalg.norm(q[:, 0, :2] - q[:, 1, :2], axis=1) >= 0.6).all()
    np.testing.assert_allclose(q[..., 2], 0.5)
    np.testing.assert_allclose(q[..., 7:], np.broadcast_to(robot.STAND, (count, 2, 12)), atol=1e-6)
    np.testing.assert_array_equal(games.states.v, 0.0)
    ahead = turns.to_matrix(q[..., 3:7].astype(float))[..., 0]
    yaw = np.arctan2(ahead[..., 1], ahead[..., 0])
    assert (np.histogram(yaw, bins=4, range=(-np.pi, np.pi))[0] > 0.4 * count).all()
    assert 0.4 < games.chaser.mean() < 0.6
    assert Rules().speed == (0.5, 3.0)
    for name in ("speed", "friction"):
        values, (low, high) = getattr(games, name), getattr(Rules(), name)
        assert ((values >= low) & (values <= high)).all()
        assert np.ptp(values) > 0.9 * (high - low)
    assert not games.total.any()
    assert not games.step.any()
    assert not any(x.any() for x in (games.tagged, games.fallen, games.diverged, games.switches))
    # A frame that is repeated, and no action yet.
    body = np.concatenate([x[1]["body"] for x in drawn])
    np.testing.assert_array_equal(body[..., :33], body[..., 66:99])
    np.testing.assert_array_equal(body[..., 99:], 0.0)


def test_what_is_behind_a_block_is_masked_but_for_the_critic():
    at = game(flag=(-1.0, 1.0))
    wall = arena.arena(5.0, block((0.0, 0.0, 0.5), (0.1, 0.5, 0.5)))
    seen = jax.device_get(program_of_sight()(at, wall))
    free = jax.device_get(program_of_sight()(at, arena.arena(5.0, block((0, -2, 0.5), [0.1] * 3))))
    vector, critic = seen["vector"], seen["critic"]
    np.testing.assert_array_equal(vector[:, 5:20], 0.0)
    # Robot 0 sees the flag, robot 1 does not: from (1, 0) to (-1, 1) the block's corner is between.
    np.testing.assert_array_equal(vector[:, 20], [1, 0])
    np.testing.assert_array_equal(vector[1, 20:27], 0.0)
    np.testing.assert_array_equal(vector[0, 20:27], critic[0, 20:27])
    np.testing.assert_array_equal(vector[:, [*range(5), 27, 28]], critic[:, [*range(5), 27, 28]])
    np.testing.assert_array_equal(critic[:, [5, 20]], 1.0)
    np.testing.assert_array_equal(critic, free["critic"])
    np.testing.assert_array_equal(free["vector"], free["critic"])
    # Blocks lower than the line of sight hide nothing, nor does one that does not exist.
    low = arena.arena(5.0, block((0.0, 0.0, 0.1), (0.1, 0.5, 0.1)))
    gone = wall._replace(exists=wall.exists.at[-1].set(False))
    for around in (low, gone):
        np.testing.assert_array_equal(program_of_sight()(at, around)["vector"][:, [5, 20]], 1.0)


def test_the_arena_s_walls_are_seen_and_hold_robots():
    at = game([(2.0, 0.0), (-2.0, 0.0)], turns=(turn(0.0), turn(0.0)))
    seen = jax.device_get(program_of_sight()(at, OPEN))
    np.testing.assert_allclose(seen["rays"][0, ::32], [0.5, 2.5, 4.5, 2.5], atol=1e-5)
    np.testing.assert_allclose(seen["depth"][0].reshape(25, 13)[:, -1], 0.5, atol=1e-5)
    height = seen["height"].reshape(2, 25, 13)
    np.testing.assert_array_equal(height[0, :17], 0.0)  # to x = 2.4
    np.testing.assert_array_equal(height[0, 18], 2.0)  # the wall, 2.5 to 2.7
    np.testing.assert_array_equal(height[1, 8:], 0.0)  # from x = -2.4
    ground = arena.Square(jnp.asarray(2.5))
    for point, distance, normal in (
        ([0.0, 1.0, 0.3], 0.3, [0, 0, 1]),
        ([2.4, 1.0, 0.3], 0.1, [-1, 0, 0]),
        ([-1.0, -2.7, 0.3], -0.2, [0, 1, 0]),
        ([2.4, 2.45, 0.3], 0.05, [0, -1, 0]),
        ([2.4, 0.0, -0.2], -0.2, [0, 0, 1]),
    ):
        told = ground(jnp.array(point))
        assert float(told[0]) == pytest.approx(distance, abs=1e-6)
        np.testing.assert_array_equal(told[1], normal)
    # One runs into the wall ahead, one backwards into the other.
    fast = np.array([[3.0, 0, 0, 0, 0, 0], [-3.0, 0, 0, 0, 0, 0]])
    at = jax.tree.map(lambda x: jnp.stack([x] * COUNT), at._replace(states=game(
        [(2.0, 0.0), (-2.0, 0.0)], turns=(turn(0.0), turn(0.0)), velocities=fast
    ).states))  # fmt: skip
    furthest = 0.0
    for seed in range(25):
        action = 3.0 * (jnp.asarray(robot.STAND, jnp.float32)[None, None] - at.states.q[..., 7:])
        at, _ = programs()[1](at, action, keys(seed))
        furthest = max(furthest, float(jnp.abs(at.states.q[..., 0]).max()))
    assert 2.1 < furthest < 2.5 - 0.18  # half of the trunk's length stays inside


def test_a_heading_is_a_direction_in_the_base_s_own_axes():
    """Where the robot heads by a quarter to the left is where a target would be seen there."""
    told = tag.command(jnp.asarray(np.pi / 2), jnp.asarray(1.5))
    np.testing.assert_allclose(told, [0.0, 1.0, 1.5], atol=1e-6)
    state = jax.tree.map(lambda x: x[0], game(turns=(turn(np.pi / 2), turn(0.0))).states)
    for heading in (0.0, 1.0, -2.5):
        way = np.pi / 2 + heading
        place = state.q[:2] + 3.0 * jnp.array([np.cos(way), np.sin(way)])
        expected = perception.target(place, jnp.asarray(0.7), state)
        found = tag.command(jnp.asarray(heading), jnp.asarray(0.7))
        np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.slow
def test_blocks_are_stood_on_and_not_in():
    """In an arena with a block as wide as itself all happens 0.2 m higher."""
    floor = block((0.0, 0.0, 0.1), (2.5, 2.5, 0.1))
    env = tag.tag(blocks=floor)
    at, seen = jax.jit(env.reset)(jax.random.key(0))
    np.testing.assert_allclose(at.states.q[:, 2], 0.7)
    np.testing.assert_allclose(seen["vector"][:, 23], 0.2 + POST[2])
    middle = np.asarray(seen["height"]).reshape(2, 25, 13)[:, 10:15, 4:9]
    np.testing.assert_allclose(middle, 0.2)
    move = jax.jit(env.step)
    for _ in range(20):
        action = 3.0 * (jnp.asarray(robot.STAND, jnp.float32)[None] - at.states.q[:, 7:])
        at, told = move(at, action, jax.random.key(1))
    assert not told.terminated
    assert (np.asarray(at.states.q[:, 2]) > 0.2 + 0.25).all()
    assert (np.asarray(at.states.q[:, 2]) < 0.2 + 0.45).all()


def test_one_program_plays_all_games():
    reset, move, traces = programs()
    at, _ = reset(keys(0))
    at, _ = move(at, jnp.zeros((COUNT, 2, 12)), keys(1))
    move(at, jnp.ones((COUNT, 2, 12)), keys(2))
    reset(keys(3))
    assert traces == {"reset": 1, "step": 1}


def test_a_game_can_be_looked_at():
    one, other = game(flag=(0.5, 1.5)), game([(0.0, 1.0), (-2.0, 1.0)], chaser=1)
    games = jax.device_get(jax.tree.map(lambda *x: jnp.stack(x), one, other))
    pillar = block((1.5, 1.5, 0.4), (0.2, 0.2, 0.4))
    mjcf, qpos = recording.played(games, blocks=pillar)
    model = bodies.dressed(mjcf)
    assert qpos.shape == (2, model.nq)
    assert model.nq == 19 + 19 + 7 + 7
    data = mujoco.MjData(model)
    for state, row in zip(range(2), qpos, strict=True):
        data.qpos[:] = row
        mujoco.mj_kinematics(model, data)
        for i, name in enumerate(("base", "other_base")):
            np.testing.assert_allclose(
                data.body(name).xpos, games.states.q[state, i, :3], atol=1e-6
            )
        np.testing.assert_allclose(data.body("flag").xpos, [*games.flag[state], POST[2]], atol=1e-6)
        chaser = games.states.q[state, games.chaser[state], :3]
        np.testing.assert_allclose(data.body("chaser").xpos[:2], chaser[:2], atol=1e-6)
        assert data.body("chaser").xpos[2] > chaser[2] + 0.2
    colours = [model.geom_rgba[model.body(name).geomadr[0]] for name in ("base", "other_base")]
    assert np.abs(colours[0] - colours[1]).max() > 0.2
    walls = (model.geom_type == mujoco.mjtGeom.mjGEOM_BOX) & (model.geom_bodyid == 0)
    assert walls.sum() == 5


def test_mjx_has_no_walls():
    with pytest.raises(UsageError, match="'mjx' has no walls; legal for this game: articulated"):
        tag.tag(Mechanics(backend="mjx"))
