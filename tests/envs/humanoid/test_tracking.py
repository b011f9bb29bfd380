"""Following a clip: full marks for the clip itself, fewer with every error, and an end far off."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_suite.data import motion
from jaxrl_suite.envs import clips as reading
from jaxrl_suite.envs import humanoid
from jaxrl_suite.envs.character import Motion, Start
from jaxrl_suite.envs.humanoid import tracking
from tests.envs.humanoid import states

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("humanoid")]
NOW = 0.4  # s


@functools.cache
def made():
    clips = motion.subset(motion.default(), ["walk", "spinkick"]).clips
    task = humanoid.follow(clips)
    return jax.tree.map(jnp.asarray, clips), task, jax.jit(task.reward), jax.jit(task.observe)


def goal(clip=1):
    return tracking.Follow(jnp.asarray(clip), jnp.asarray(NOW))


def reference(steps, clip=1):
    of, clips = states.made(), made()[0]
    return of.figure.pose(of.scene, reading.at(clips, clip, NOW + steps * humanoid.PERIOD))


def told(after):
    no = jnp.zeros((), bool)
    return Motion(after, after, jnp.zeros(13), no, no, jnp.zeros((), jnp.int32))


def paid(after, clip=1):
    return float(made()[2](states.made().scene, goal(clip), told(after)))


def test_the_weights_add_up_to_1():
    assert sum(tracking.WEIGHTS) == pytest.approx(1.0)
    assert tuple(tracking.WEIGHTS) == (0.5, 0.1, 0.15, 0.1, 0.15)


@pytest.mark.parametrize("clip", [0, 1])
def test_where_the_clip_is_after_the_action_all_is_paid(clip):
    assert paid(reference(1, clip), clip) == pytest.approx(1.0, abs=1e-5)
    assert paid(reference(0, clip), clip) < 0.999


def test_every_error_costs_by_its_own_term():
    right = reference(1)
    at = right.q.at
    # 20 cm aside: 0.15 of exp(-5 0.04).
    aside = right._replace(q=at[1].add(0.2))
    assert paid(aside) == pytest.approx(0.85 + 0.15 * np.exp(-0.2), abs=1e-4)
    # 1 m/s faster: 0.1 of exp(-1).
    faster = right._replace(v=right.v.at[0].add(1.0))
    assert paid(faster) == pytest.approx(0.9 + 0.1 * np.exp(-1.0), abs=1e-4)
    # A joint that turns 5 rad/s faster: 0.1 of exp(-0.25).
    turning = right._replace(v=right.v.at[6].add(5.0))
    assert paid(turning) == pytest.approx(0.9 + 0.1 * np.exp(-0.25), abs=1e-4)
    # A neck turned by 0.5 rad, which moves neither hands nor feet: 0.5 of exp(-0.25 0.25).
    turn = jnp.array([np.cos(0.25), 0, 0, np.sin(0.25)])
    neck = reading.rotations.multiply(right.ball_q[1], turn)
    nodded = right._replace(ball_q=right.ball_q.at[1].set(neck))
    assert paid(nodded) == pytest.approx(0.5 + 0.5 * np.exp(-0.0625), abs=1e-4)


def test_a_quaternion_and_its_negative_are_paid_alike():
    right = reference(1)
    flipped = right._replace(ball_q=-right.ball_q, q=right.q.at[3:7].multiply(-1.0))
    assert paid(flipped) == pytest.approx(1.0, abs=1e-5)


def test_more_error_never_pays_more():
    right = reference(1)
    found = []
    for size in (0.0, 0.05, 0.2, 0.5, 1.0):
        turn = reading.rotations.from_vector(size * jnp.ones((12, 3)))
        bent = right._replace(
            ball_q=reading.rotations.multiply(right.ball_q, turn),
            q=right.q.at[:3].add(size),
            v=right.v + size,
        )
        found.append(paid(bent))
    assert (np.diff(found) < 0).all()
    assert found[-1] < 0.2


def test_an_episode_ends_beyond_one_metre():
    right, over = reference(1), made()[1].over
    for offset, ends in (((0.9, 0, 0), False), ((0, 1.1, 0), True), ((0.8, 0, 0.8), True)):
        off = right._replace(q=right.q.at[:3].add(jnp.array(offset)))
        assert bool(over(goal(), told(off))) is ends


def test_it_is_shown_the_poses_to_come_and_time_moves_on():
    _, task, _, observe = made()
    here = reference(0)
    seen = np.asarray(observe(states.made().scene, goal(), here))
    assert seen.shape == (task.size,)
    each = task.size // len(tracking.AHEAD)
    for i, steps in enumerate(tracking.AHEAD):
        way = np.asarray(reference(steps).q[:3] - here.q[:3])
        # The height needs no turning; lengths on the ground stay.
        part = seen[i * each : i * each + 3]
        assert part[2] == pytest.approx(way[2], abs=1e-5)
        assert np.linalg.norm(part[:2]) == pytest.approx(np.linalg.norm(way[:2]), abs=1e-5)
    after = task.advance(jax.random.key(0), goal(), here)
    assert float(after.time) == pytest.approx(NOW + 1 / 30, rel=1e-6)
    _, begun = task.begin(jax.random.key(0), Start(here, jnp.asarray(1), jnp.asarray(0.7)))
    assert (int(begun.clip), float(begun.time)) == (1, pytest.approx(0.7))
