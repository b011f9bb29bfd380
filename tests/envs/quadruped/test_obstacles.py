"""What stops a robot in the playground: blocks, hurdles, bars, walls and friction."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_suite.envs.quadruped import playground, robot
from jaxrl_suite.envs.quadruped import terrain as terrains
from jaxrl_suite.envs.quadruped.playground import Rules
from jaxrl_suite.envs.quadruped.tracking import feet_of
from tests.envs.quadruped import grounds
from tests.envs.quadruped.grounds import COUNT, hold, made, mixed, standing, step

pytestmark = pytest.mark.xdist_group("playground")


def feet(episode):
    return np.asarray(jax.vmap(feet_of)(episode.state))


def played(episode, count, push=None):
    """So many actions that hold the stand; a push goes on all the time."""
    for _ in range(count):
        if push is not None:  # under way, as drawn before
            force = jnp.tile(jnp.array([push]), (COUNT, 1))
            episode = episode._replace(step=jnp.full(COUNT, 27), push=force)
        episode, told = step(episode)
    return episode, told


def test_a_robot_on_a_block_stands_as_on_the_ground():
    x = jnp.linspace(-0.5, 0.5, COUNT)
    low, _ = played(standing(made(), x=x), 40)
    block = made((-1.5, 1.5, 0.0, 0.4))
    high, told = played(standing(block, x=x, z=robot.STAND_HEIGHT + 0.4), 40)
    assert not np.asarray(told.terminated).any()
    np.testing.assert_allclose(high.state.q[:, 2] - 0.4, low.state.q[:, 2], atol=2e-3)
    assert feet(high)[..., 2].min() > 0.4 + robot.FOOT - 0.01
    assert float(low.state.q[0, 2]) > 0.25


def test_a_leg_cannot_pass_a_hurdle():
    push = (60.0, 0.0, 0.0)
    for boxes, stopped in (([], False), ([(0.3, 0.4, 0.0, 0.15)], True)):
        episode, farthest = standing(made(*boxes), friction=0.4), -1.0
        for _ in range(30):
            episode, _ = played(episode, 1, push)
            place = feet(episode)[0, :2]
            farthest = max(farthest, place[place[:, 2] < 0.13, 0].max(initial=-1.0))
        assert (farthest < 0.3 - robot.FOOT + 0.01) == stopped, farthest


def test_a_trunk_cannot_pass_under_a_bar_that_is_too_low():
    push = (70.0, 0.0, 0.0)
    nose = sum(robot.TRUNK)
    for low, stopped in ((0.25, True), (0.3, True), (0.42, False)):
        episode, told = played(standing(made((0.5, 0.6, low, low + 0.3)), friction=0.4), 50, push)
        assert (float(episode.state.q[0, 0]) + nose < 0.52) == stopped
        assert not bool(told.terminated[0])


def test_walls_hold_the_robot():
    for width, held in ((0.5, True), (5.0, False)):
        episode, farthest = standing(made(width=width), z=0.5, friction=0.4), -1.0
        thrown = episode.state._replace(v=episode.state.v.at[:, 1].set(3.0))
        episode = episode._replace(state=thrown)
        for _ in range(15):
            episode, _ = step(episode)
            farthest = max(farthest, feet(episode)[..., 1].max())
        assert (farthest < 0.5 - robot.FOOT + 0.02) == held
        assert farthest > 0.45


def test_the_friction_of_an_episode_acts():
    friction = jnp.linspace(0.1, 1.5, COUNT)
    episode = standing(made(), v=0.6, friction=friction)
    start = feet(episode)
    slid = (feet(played(episode, 15)[0]) - start)[..., 0].mean(1)
    assert slid[0] > 0.15
    assert slid[-1] < 0.03
    assert (np.diff(slid[:8]) < 0).all()
    # Of the larger one of two that touch, so every one is the episode's.
    scene = playground.meets(
        grounds.scene(), jax.tree.map(lambda x: x[3], standing(made(), friction=0.3)), 4
    )
    for x in (scene.model.friction, scene.ground_friction, scene.obstacles.friction):
        np.testing.assert_allclose(x, 0.3)


@pytest.mark.slow
def test_a_window_is_as_good_as_all_boxes_at_once():
    """Robots thrown over a row of hurdles, tumbling."""
    boxes = [(0.3 + 0.4 * i, 0.4 + 0.4 * i, 0.0, 0.04 + 0.02 * (i % 3)) for i in range(12)]
    one = standing(made(*boxes), z=0.5, v=jnp.linspace(1.0, 5.0, COUNT))
    whole = playground.playground(rules=Rules(window=terrains.NUM_BLOCKS))
    move = jax.jit(jax.vmap(whole.step, in_axes=(0, 0, 0, None)))
    other, far = one, []
    for seed in range(60):
        action = 0.5 * hold(one)
        one, _ = step(one, action, seed=seed)
        other, _ = move(other, action, grounds.keys(seed), mixed(push=grounds.CALM))
        far.append(np.abs(np.asarray(one.state.q - other.state.q)).max())
    assert np.asarray(one.state.q[:, 0]).max() > 1.5  # four hurdles and more
    # What differs is the order of sums, which a tumble makes larger.
    assert np.median(far) < 1e-5
    assert max(far) < 1e-3
    assert np.asarray(other.dropped).max() == np.asarray(one.dropped).max() == 0
