"""What the five tasks pay, when their goals change and when they end."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_suite.core import UsageError
from jaxrl_suite.envs import humanoid
from jaxrl_suite.envs.character import Motion, Start
from jaxrl_suite.envs.humanoid import skeleton, tasks
from tests.envs.humanoid import states

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("humanoid")]
NAMES = humanoid.TASKS


@functools.cache
def standing():
    """At the origin, facing +x."""
    of = states.made()
    return of.figure.stand(of.scene)


def with_box(state, place=(1000.0, 0.0, 0.9), turn=(1.0, 0, 0, 0)):
    box = jnp.asarray([*place, *turn], jnp.float32)[None]
    return state._replace(box_q=box, box_v=jnp.zeros((1, 6)))


def moved(by=(0.0, 0.0), facing=0.0, state=None, touch=()):
    """From somewhere to `state`, by so many metres a second."""
    after = with_box(standing()) if state is None else state
    after = states.turned(after, facing)
    before = after._replace(q=after.q.at[:2].add(-jnp.asarray(by) * humanoid.PERIOD))
    force = np.zeros(13)
    for link in touch:
        force[skeleton.LINKS.index(link)] = 5.0
    no = jnp.zeros((), bool)
    return Motion(before, after, jnp.asarray(force), no, no, jnp.zeros((), jnp.int32))


def paid(name, goal, motion):
    return float(humanoid.make_task(name).reward(states.made().scene, goal, motion))


def course(direction=0.0, facing=0.0, speed=1.5):
    return tasks.Course(*map(jnp.asarray, (direction, facing, speed, 50)))


def place(*target):
    return tasks.Place(jnp.asarray(target, jnp.float32), jnp.asarray(50))


def test_steering_at_the_asked_speed_and_facing_pays_1():
    motion = moved(by=(0.0, 1.5), facing=-0.5)
    assert paid("steering", course(np.pi / 2, -0.5), motion) == pytest.approx(1.0, abs=1e-4)


def test_steering_by_hand():
    # 0.7 exp(-0.25 ((1.5 - 1)^2 + 0.1 0.8^2)) + 0.3 cos 1.
    error = 0.25 + 0.1 * 0.64
    expected = 0.7 * np.exp(-0.25 * error) + 0.3 * np.cos(1.0)
    motion = moved(by=(1.0, 0.8), facing=1.0)
    assert paid("steering", course(), motion) == pytest.approx(expected, rel=1e-4)
    assert paid("speed", course(), motion) == pytest.approx(np.exp(-0.25 * error), rel=1e-4)


def test_moving_backwards_pays_nothing_and_neither_does_facing_away():
    assert paid("steering", course(facing=np.pi), moved(by=(-1.5, 0))) == 0
    assert paid("speed", course(), moved(by=(-0.01, 0))) == 0
    assert paid("speed", course(), moved(by=(0.01, 0))) > 0.5
    assert paid("steering", course(), moved(by=(-1.5, 0))) == pytest.approx(0.3, abs=1e-6)


def test_location_pays_1_at_the_target_and_for_coming_and_facing_elsewhere():
    assert paid("location", place(0, 0), moved()) == pytest.approx(1.0)
    # Within 0.5 m^2 the two other terms are full.
    assert paid("location", place(0.7, 0), moved(facing=np.pi)) == pytest.approx(
        0.5 * np.exp(-0.245) + 0.5, rel=1e-5
    )
    # 4 m ahead: at 0.5 m/s towards it, facing it; and the other way.
    far = 0.5 * np.exp(-8.0)
    towards = paid("location", place(4, 0), moved(by=(0.5, 0)))
    assert towards == pytest.approx(far + 0.4 * np.exp(-1.0) + 0.1, rel=1e-4)
    assert paid("location", place(4, 0), moved(by=(3.0, 0))) == pytest.approx(far + 0.5, rel=1e-4)
    away = paid("location", place(4, 0), moved(by=(-0.5, 0), facing=np.pi))
    assert away == pytest.approx(far, abs=1e-5)


def test_reach_pays_1_with_the_right_hand_on_the_target():
    state = states.turned(states.row(states.states(1, speed=0.0), 0), 0.0)
    c = states.into_c(state)
    body = c.model.body("right_lower_arm").id
    hand = c.data.xpos[body] + c.data.xmat[body].reshape(3, 3) @ np.array(skeleton.HAND)
    motion = moved(state=with_box(state))
    assert paid("reach", place(*hand), motion) == pytest.approx(1.0, abs=1e-5)
    off = hand + np.array([0.3, 0, 0.4])
    assert paid("reach", place(*off), motion) == pytest.approx(np.exp(-1.0), rel=1e-3)


def tipped(angle):
    return (np.cos(angle / 2), np.sin(angle / 2), 0.0, 0.0)


def test_striking_pays_1_for_a_toppled_box_and_else_for_tilt_and_approach():
    box = lambda angle: with_box(standing(), (3.0, 0.0, 0.5), tipped(angle))  # noqa: E731
    for angle in (np.pi / 2, np.pi, 1.4):  # cos 1.4 = 0.17 < 0.2
        assert paid("strike", (), moved(state=box(angle))) == 1
    tilt = 0.6 * (1 - np.cos(1.0))
    assert paid("strike", (), moved(state=box(1.0))) == pytest.approx(tilt, rel=1e-4)
    nears = paid("strike", (), moved(by=(0.5, 0), state=box(1.0)))
    assert nears == pytest.approx(tilt + 0.4 * np.exp(-1.0), rel=1e-4)
    assert paid("strike", (), moved(by=(-2, 0), state=box(0.0))) == pytest.approx(0, abs=1e-6)


def test_striking_ends_when_another_part_is_touched():
    over = humanoid.make_task("strike").over
    for link in skeleton.LINKS:
        allowed = link in ("right_foot", "left_foot", "right_lower_arm")
        assert bool(over((), moved(touch=[link]))) is not allowed
    assert not bool(over((), moved(touch=["right_foot", "right_lower_arm"])))
    light = moved()._replace(touch=jnp.full(13, 0.9))
    assert not bool(over((), light))
    for name in ("steering", "speed", "location", "reach"):
        assert not bool(humanoid.make_task(name).over((), moved(touch=["head"])))


def begun(name, count, state=None):
    """Goals and states of so many episodes."""
    task = humanoid.make_task(name)
    state = with_box(standing()) if state is None else state
    start = Start(state, jnp.zeros((), jnp.int32), jnp.zeros(()))
    return jax.vmap(lambda k: task.begin(k, start))(jax.random.split(jax.random.key(0), count))


@pytest.mark.parametrize("name", NAMES)
def test_rewards_lie_between_0_and_1(name):
    task, count = humanoid.make_task(name), 64
    after = states.states(count, seed=5)
    generator = np.random.default_rng(0)
    spots, turns = generator.normal(size=(count, 1, 3)), states.unit(generator, count, 1)
    box = np.concatenate([spots, turns], axis=2)
    after = after._replace(box_q=jnp.asarray(box, jnp.float32), box_v=jnp.zeros((count, 1, 6)))
    step = jnp.asarray(generator.normal(size=(count, 2)) * 0.1, jnp.float32)
    before = after._replace(q=after.q.at[:, :2].add(step))
    goals = begun(name, count)[1]
    no = jnp.zeros(count, bool)
    motion = Motion(before, after, jnp.zeros((count, 13)), no, no, jnp.zeros(count, jnp.int32))
    pay = jax.vmap(task.reward, in_axes=(None, 0, 0))
    found = np.asarray(pay(states.made().scene, goals, motion))
    assert found.min() >= 0
    assert found.max() <= 1 + 1e-6
    assert found.std() > 0


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [("steering", 100, 199), ("speed", 100, 199), ("location", 100, 199), ("reach", 50, 99)],
)
def test_goals_change_after_so_many_actions(name, least, most):
    count, task = 200, humanoid.make_task(name)
    _, goals = begun(name, count)
    advance = jax.vmap(task.advance, in_axes=(0, 0, None))
    state = with_box(standing())

    def step(goals, key):
        after = advance(jax.random.split(key, count), goals, state)
        same = [(a == b).reshape(count, -1).all(1) for a, b in zip(after[:-1], goals[:-1])]  # noqa: B905
        return after, ~jnp.stack(same).all(0)

    keys = jax.random.split(jax.random.key(1), 2 * most + 2)
    changed = np.asarray(jax.lax.scan(step, goals, keys)[1])
    first = changed.argmax(axis=0) + 1
    assert changed.any(axis=0).all()
    assert (first.min() >= least) and (first.max() <= most)  # noqa: PT018
    assert first.min() < least + 15
    assert first.max() > most - 15
    again = np.array([np.diff(np.flatnonzero(column)[:2])[0] for column in changed.T])
    assert again.min() >= least
    assert again.max() <= most


def test_goals_lie_where_they_should():
    shifted = states.turned(with_box(standing()), 0.0, shift=(30.0, -20.0))
    root = np.array([30.0, -20.0])
    _, courses = begun("steering", 500)
    speed = np.asarray(courses.speed)
    assert (speed.min() >= 1.5) and (speed.max() <= 1.6)  # noqa: PT018
    for angle in (np.asarray(courses.direction), np.asarray(courses.facing)):
        assert np.histogram(angle, bins=4, range=(-np.pi, np.pi))[0].min() > 90
    target = np.asarray(begun("location", 500, shifted)[1].target) - root
    assert 9.5 < np.abs(target).max() <= 10
    reach = np.asarray(begun("reach", 500, shifted)[1].target)
    assert 0.95 < np.abs(reach[:, :2] - root).max() <= 1
    assert (reach[:, 2].min() >= 0.2) and (reach[:, 2].max() <= 2)  # noqa: PT018
    state, _ = begun("strike", 2000, shifted)
    box = np.asarray(state.box_q)[:, 0]
    away = np.linalg.norm(box[:, :2] - root, axis=1)
    assert (away.min() >= 0.5) and (away.max() <= 10)  # noqa: PT018
    # Half of them within 1.5 m, and of the other half 1 / 9.5.
    assert (away <= 1.5).mean() == pytest.approx(0.5 + 0.5 / 9.5, abs=0.056)
    np.testing.assert_allclose(box[:, 2], 0.9, rtol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(box[:, 3:], axis=1), 1.0, rtol=1e-5)
    np.testing.assert_array_equal(box[:, 4:6], 0)


def test_a_task_that_there_is_not_is_refused():
    with pytest.raises(UsageError, match="unknown task 'dance'; legal: none, steering, speed, loc"):
        humanoid.make_task("dance")
