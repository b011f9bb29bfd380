"""Going to targets across terrains: rewards by hand, ends and pushes."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_suite.core import UsageError
from jaxrl_suite.envs.quadruped import perception, playground, robot
from jaxrl_suite.envs.quadruped import terrain as terrains
from jaxrl_suite.envs.quadruped.playground import Going, Rules, course
from jaxrl_suite.envs.quadruped.terrain import KINDS
from jaxrl_suite.physics import rotations
from tests.envs.quadruped import grounds
from tests.envs.quadruped.grounds import COUNT, made, mixed, standing, step

pytestmark = pytest.mark.xdist_group("playground")


def test_all_kinds_play_in_one_program():
    env = grounds.env()
    reset, move = grounds.programs()
    seen, kinds = None, set()
    for seed in range(6):
        episode, seen = reset(grounds.keys(seed), mixed())
        kinds |= set(np.asarray(episode.terrain.kind).tolist())
        assert {name: x.shape[1] for name, x in seen.items()} == env.observation_sizes
    assert env.observation_sizes == {
        "body": 135, "height": 325, "depth": 325, "rays": 128, "target": 3,
    }  # fmt: skip
    assert kinds == set(range(len(KINDS)))
    generator = np.random.default_rng(0)
    for seed in range(20):
        action = jnp.asarray(generator.normal(0, 0.3, (COUNT, 12)), jnp.float32)
        episode, told = move(episode, action, grounds.keys(seed), mixed())
        for x in (*told.observation.values(), told.reward, *env.outcomes(episode).values()):
            assert np.isfinite(x).all()
        np.testing.assert_allclose(
            told.observation["body"][:, -12:], action, rtol=1e-6
        )  # the newest comes last
        assert not np.asarray(episode.diverged).any()
    assert np.asarray(episode.dropped).max() == 0
    only = reset(grounds.keys(0), course({"stairs": 2.0}, 0.5))[0]
    assert (np.asarray(only.terrain.kind) == terrains.STAIRS).all()
    move(only, action, grounds.keys(0), course({"stairs": 2.0}, 0.5))
    assert reset._cache_size() == move._cache_size() == 1


def test_episodes_start_in_the_stand_above_the_ground_headed_anywhere():
    yaws, frictions = [], []
    for seed in range(16):
        episode = grounds.begun(seed=seed)
        state = episode.state
        np.testing.assert_allclose(state.q[:, :3], np.tile([0, 0, 0.5], (COUNT, 1)), atol=1e-7)
        np.testing.assert_allclose(state.q[:, 7:], np.tile(robot.STAND, (COUNT, 1)), rtol=1e-5)
        np.testing.assert_array_equal(state.v, 0.0)
        up = np.asarray(rotations.to_matrix(state.q[:, 3:7])[:, 2])
        stand = np.asarray(rotations.to_matrix(jnp.asarray(robot.STAND_TURN)))[2]
        np.testing.assert_allclose(up, np.tile(stand, (COUNT, 1)), atol=1e-3)
        yaws.append(np.asarray(jax.vmap(perception.yaw)(state)))
        frictions.append(np.asarray(episode.friction))
        np.testing.assert_allclose(episode.first, episode.terrain.target[:, 0], rtol=1e-6)
    for values, low, high in ((yaws, -np.pi, np.pi), (frictions, 0.4, 1.5)):
        values = np.concatenate(values)
        assert low - 1e-5 <= values.min() < low + 0.05 * (high - low)
        assert high - 0.05 * (high - low) < values.max() <= high + 1e-5
        assert np.mean(values < (low + high) / 2) == pytest.approx(0.5, abs=0.15)


def test_robots_may_begin_headed_about_where_they_are_to_go():
    env = playground.playground(rules=Rules(aside=0.5))
    reset = jax.jit(jax.vmap(env.reset, in_axes=(0, None)))
    episode, _ = reset(jax.random.split(jax.random.key(0), 256), mixed())
    yaw = np.asarray(jax.vmap(perception.yaw)(episode.state))
    assert -0.5 - 1e-5 <= yaw.min() < -0.45
    assert 0.45 < yaw.max() <= 0.5 + 1e-5
    assert np.mean(yaw < 0) == pytest.approx(0.5, abs=0.15)


def test_rewards_by_hand():
    joystick, hurdle = made(kind="joystick", speed=1.5), made(speed=1.5)
    of = lambda *x: Going(*map(jnp.asarray, x))  # noqa: E731
    paid = lambda *x: float(playground.reward_of(*x))  # noqa: E731
    facing = lambda angle: np.exp(5 * (np.cos(angle) - 1))  # noqa: E731

    now = of(8.0, np.cos(0.3), 0.9)
    wanted = np.exp(-0.6) * facing(0.3) / 1000
    assert paid(joystick, 10.0, 8.1, now, 99.0) == pytest.approx(wanted, rel=1e-5)
    wanted = 0.2 * facing(0.3) / 1000 + 0.1 * 0.1 / 10
    assert paid(hurdle, 10.0, 8.1, now, 99.0) == pytest.approx(wanted, rel=1e-4)
    there = of(0.45, 1.0, 0.9)
    wanted = 0.2 / 1000 + 0.1 * 0.02 / 10 + np.exp(-0.5)
    assert paid(hurdle, 10.0, 0.47, there, 1.0) == pytest.approx(wanted, rel=1e-5)
    # The whole way, heading for the target, at the wanted speed: 0.2 + 0.1 + 1.
    assert paid(joystick, 10.0, 0.47, there._replace(speed=jnp.asarray(1.5)), 1.0) * 1000 == (
        pytest.approx(1.0)
    )


def test_how_a_robot_stands_to_its_target():
    episode = standing(made())
    state = jax.tree.map(lambda x: x[0], episode.state)
    yaw = jnp.array([np.cos(np.pi / 6), 0, 0, np.sin(np.pi / 6)], jnp.float32)  # 60 degrees
    state = state._replace(q=state.q.at[3:7].set(yaw), v=state.v.at[:3].set(jnp.array([1, 2, 9])))
    now = playground.going(jnp.array([0.0, 4.0]), state)
    np.testing.assert_allclose(now, [4.0, np.cos(np.pi / 6), 2.0], rtol=1e-5)
    away = playground.going(jnp.array([-3.0, 0.0]), state)
    np.testing.assert_allclose(away, [3.0, -0.5, -1.0], rtol=1e-5)
    assert float(playground.going(jnp.array([-3.0, 0.0]), state, absolute=True).speed) == 1.0


def test_a_step_pays_for_its_own_way_and_the_mean_speed():
    episode = standing(made(speed=0.8), v=0.5)
    after, told = step(episode)
    x, v = np.asarray(after.state.q[:, 0]), np.asarray(after.state.v[:, 0])
    ahead = np.asarray(rotations.to_matrix(after.state.q[:, 3:7]))[:, :2, 0]
    facing = ahead[:, 0] / np.linalg.norm(ahead, axis=1)
    wanted = 0.2 * np.exp(5 * (facing - 1)) / 1000 + 0.1 * x / 50
    np.testing.assert_allclose(told.reward, wanted, rtol=1e-3)
    np.testing.assert_allclose(after.covered, v, rtol=1e-3)
    np.testing.assert_array_equal(after.distance, np.hypot(50 - x, after.state.q[:, 1]))
    # Where 0.5 m are left, after nine steps at 0.7 m/s.
    episode = standing(made(speed=0.8), x=49.6, v=0.5)
    episode = episode._replace(step=jnp.full(COUNT, 9), covered=jnp.full(COUNT, 6.3))
    after, told = step(episode)
    mean = (6.3 + v) / 10
    assert np.asarray(told.terminated).all()
    assert np.asarray(after.reached).all()
    np.testing.assert_allclose(told.reward, np.exp(-np.abs(mean - 0.8)), rtol=0.03)
    np.testing.assert_array_equal(grounds.env().outcomes(after)["score"], 1.0)
    # The joystick's robot goes on.
    after, told = step(standing(made(kind="joystick"), x=49.6))
    assert not np.asarray(told.terminated | after.reached).any()


def test_outcomes():
    episode = standing(made(target=8.0), x=0.0)
    episode = episode._replace(
        distance=jnp.linspace(-1.0, 10.0, COUNT).clip(0.6),
        total=jnp.full(COUNT, 0.25),
        step=jnp.full(COUNT, 77),
    )
    told = grounds.env().outcomes(episode)
    assert set(told) == {"score", "return", "length", "reached", "diverged", "dropped"}
    np.testing.assert_allclose(told["score"], np.clip(1 - episode.distance / 8, 0, 1), rtol=1e-5)
    np.testing.assert_array_equal(told["return"], 0.25)
    np.testing.assert_array_equal(told["length"], 77)
    free = episode._replace(terrain=jax.tree.map(
        lambda x: jnp.broadcast_to(x[None], (COUNT, *x.shape)), made(kind="joystick")
    ))  # fmt: skip
    np.testing.assert_array_equal(grounds.env().outcomes(free)["score"], 0.25)


@pytest.mark.parametrize(("axis", "least"), [((1, 0, 0), 45), ((0, 1, 0), 60)])
def test_an_episode_ends_with_a_roll_or_a_tilt(axis, least):
    angles = np.radians(np.linspace(0, 87, COUNT))
    turn = np.concatenate([np.cos(angles / 2)[:, None], np.sin(angles / 2)[:, None] * axis], 1)
    episode = standing(made(), z=5.0)
    q = episode.state.q.at[:, 3:7].set(jnp.asarray(turn, jnp.float32))
    _, told = step(episode._replace(state=episode.state._replace(q=q)))
    np.testing.assert_array_equal(told.terminated, np.degrees(angles) > least)


def test_an_episode_is_cut_off_after_1000_actions():
    episode = standing(made())
    for before, cut in ((998, False), (999, True)):
        _, told = step(episode._replace(step=jnp.full(COUNT, before)))
        assert (np.asarray(told.truncated) == cut).all()
        assert not np.asarray(told.terminated).any()
    # An end of its own is no cut.
    q = episode.state.q.at[:, 3:7].set(jnp.array([[0.0, 1.0, 0.0, 0.0]]))
    fallen = episode._replace(state=episode.state._replace(q=q), step=jnp.full(COUNT, 999))
    _, told = step(fallen)
    assert np.asarray(told.terminated).all()
    assert not np.asarray(told.truncated).any()


def test_a_state_that_is_not_finite_ends_the_episode_and_earns_nothing():
    episode = standing(made(), x=20.0)
    broken = episode._replace(
        state=episode.state._replace(v=episode.state.v.at[0, 3].set(jnp.nan)),
        first=jnp.full(COUNT, 50.0),
    )
    after, told = step(broken)
    assert np.asarray(told.terminated).tolist() == [True] + [False] * (COUNT - 1)
    assert float(told.reward[0]) == 0
    outcomes = grounds.env().outcomes(after)
    assert np.asarray(outcomes["diverged"]).tolist() == [1.0] + [0.0] * (COUNT - 1)
    # It had come as far as the others.
    np.testing.assert_allclose(outcomes["score"], 0.4, atol=0.01)
    for x in told.observation.values():
        assert np.isfinite(x).all()


def test_pushes_come_every_second_for_a_fifth_of_it():
    largest = jnp.array([50.0, 10.0])

    def one(key):
        def at(last, given):
            step, key = given
            new = playground.pushed(key, step, last, largest)
            return new, new

        steps = jnp.arange(140)
        return jax.lax.scan(at, jnp.zeros(3), (steps, jax.random.split(key, 140)))[1]

    forces = np.asarray(jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(0), 400)))
    active = np.zeros(140, bool)
    for first in (25, 75, 125):  # 0.5 s, 1.5 s, 2.5 s
        active[first : first + 10] = True
        push = forces[:, first : first + 10]
        np.testing.assert_array_equal(push, np.broadcast_to(push[:, :1], push.shape))
    assert (np.any(forces != 0, axis=2) == active[None]).all()
    level, up = np.linalg.norm(forces[:, 25, :2], axis=1), forces[:, 25, 2]
    for values, high in ((level, 50.0), (up, 10.0)):
        assert values.min() >= 0
        assert 0.95 * high < values.max() <= high
        assert values.mean() == pytest.approx(high / 2, rel=0.1)
    assert np.abs(forces[:, 25, :2].mean(0)).max() < 4
    assert not np.allclose(forces[:, 25], forces[:, 75])


def test_a_push_moves_the_base_and_only_when_it_is_its_time():
    hard = mixed(push=(50.0, 10.0))
    episode = standing(made(), z=3.0)  # in the air, where nothing else pushes
    rest = np.asarray(step(episode)[0].state.v[:, :3])
    for before, pushes in ((24, False), (25, True), (34, True), (35, False)):
        held = episode._replace(step=jnp.full(COUNT, before), push=jnp.ones((COUNT, 3)))
        after, _ = step(held, course=hard)
        gained = np.asarray(after.state.v[:, :3]) - rest
        assert (np.abs(gained).max(1) > 1e-5).all() == pushes
        if before == 25:
            # 20 ms of it, on 13 kg of which the legs follow softly: in the world's axes.
            share = gained / np.asarray(after.push)
            assert (share[:, :2] > 0.02 / 14).all()
            assert (share[:, :2] < 0.02 / 5).all()


def test_no_place_along_x_nor_what_is_not_seen_enters_the_observation():
    episode = grounds.begun(seed=3)
    see = jax.jit(jax.vmap(playground.observe))
    here = see(episode)
    other = episode._replace(
        friction=episode.friction + 1, push=episode.push + 1, first=episode.first + 1,
        distance=episode.distance + 1, covered=episode.covered + 1, step=episode.step + 1,
        total=episode.total + 1, terrain=episode.terrain._replace(kind=episode.terrain.kind + 1),
    )  # fmt: skip
    for name, x in see(other).items():
        np.testing.assert_array_equal(x, here[name])
    shift = jnp.array([8.0, 0.0, 0.0])
    blocks = episode.terrain.blocks
    there = episode._replace(
        state=episode.state._replace(q=episode.state.q.at[:, 0].add(8.0)),
        terrain=episode.terrain._replace(
            blocks=blocks._replace(centre=blocks.centre + shift[None, None]),
            target=episode.terrain.target + shift[None, :2],
        ),
    )
    for name, x in see(there).items():
        off = np.abs(np.asarray(x) - np.asarray(here[name])) > 1e-3
        assert off.mean() < 0.003, name  # rays at edges


def test_joystick_changes_its_target_only_when_told_to():
    episode = standing(made(kind="joystick", target=100.0), x=3.0)
    turn = jax.jit(jax.vmap(playground.retargeted))
    waiting = episode._replace(step=jnp.full(COUNT, 30), change=jnp.full(COUNT, 31))
    after = turn(grounds.keys(0), waiting)
    np.testing.assert_array_equal(after.terrain.target, episode.terrain.target)
    np.testing.assert_array_equal(after.change, 31)
    after = turn(grounds.keys(0), waiting._replace(step=jnp.full(COUNT, 31)))
    away = np.asarray(after.terrain.target) - [3.0, 0.0]
    np.testing.assert_allclose(np.linalg.norm(away, axis=1), 100.0, rtol=1e-5)
    assert np.ptp(np.arctan2(away[:, 1], away[:, 0])) > np.pi
    assert ((after.change >= 31 + 25) & (after.change < 31 + 200)).all()
    hurdle = jax.tree.map(lambda x: x, waiting._replace(step=jnp.full(COUNT, 31)))
    kind = jnp.full(COUNT, terrains.HURDLE, jnp.int32)
    hurdle = hurdle._replace(terrain=hurdle.terrain._replace(kind=kind))
    after = turn(grounds.keys(0), hurdle)
    np.testing.assert_array_equal(after.terrain.target, episode.terrain.target)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: course({"lava": 1.0}), "unknown terrain 'lava'; legal: joystick, hurdle"),
        (lambda: course({}), "shares of terrains"),
        (lambda: course({"hurdle": -1.0, "gap": 2.0}), "shares of terrains"),
        (lambda: course({"hurdle": float("nan")}), "shares of terrains"),
        (lambda: course({"hurdle": 1.0}, 1.5), "level must lie in 0 .. 1"),
        (lambda: course({"hurdle": 1.0}, speed=(2.0, 1.0)), "speed must be"),
        (lambda: course({"hurdle": 1.0}, friction=(0.0, 1.0)), "friction must be"),
        (lambda: course({"hurdle": 1.0}, push=(-1.0, 1.0)), "push must be"),
        (lambda: playground.playground(rules=Rules(aside=4.0)), "rules.aside must lie in 0 .. pi"),
        (lambda: playground.playground(rules=Rules(window=0)), "rules.window must lie in 1 .. 32"),
        (
            lambda: playground.playground(rules=Rules(drop=0.3)),
            "rules.drop must be at least 0.334 m",
        ),
        (
            lambda: playground.playground(dataclasses.replace(playground.MECHANICS, backend="mjx")),
            "no obstacles",
        ),
    ],
)
def test_bad_settings_are_refused(make, says):
    with pytest.raises(UsageError, match=says):
        make()


def test_episodes_start_as_high_as_the_rules_say():
    env = playground.playground(rules=Rules(drop=robot.STAND_HEIGHT))
    episode, _ = env.reset(jax.random.key(0), course({"hurdle": 1.0}))
    np.testing.assert_allclose(episode.state.q[:3], [0, 0, robot.STAND_HEIGHT], atol=1e-7)


def test_shares_are_those_of_the_kinds():
    shares = {"hurdle": 3.0, "creep": 1.0}
    np.testing.assert_allclose(course(shares).share, [0, 0.75, 0.25, 0, 0, 0, 0])
    reset = grounds.programs()[0]
    drawn = [reset(grounds.keys(seed), course(shares))[0] for seed in range(12)]
    kinds = np.concatenate([episode.terrain.kind for episode in drawn])
    assert set(kinds.tolist()) == {terrains.HURDLE, terrains.CREEP}
    assert np.mean(kinds == terrains.HURDLE) == pytest.approx(0.75, abs=0.1)
    assert playground.MECHANICS.torque == 16.0
