"""Clips read at any time: blends by hand, ends, laps, and draws by weight."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_suite.envs import clips as reading
from jaxrl_suite.envs.clips import Clips, Pose

FPS = 10.0
TURN = np.array([[np.cos(a / 2), 0, 0, np.sin(a / 2)] for a in np.radians([0, 90, 90])])


def one_clip(loop=False, flipped=False):
    """Three frames, 0.2 s: the root climbs, turns by a right angle, a ball and a hinge turn."""
    position = np.array([[1.0, 2, 3], [2.0, 2, 3.5], [5.0, 4, 4.0]])
    balls = TURN[:, None] * (np.array([1, -1, 1])[:, None, None] if flipped else 1)
    turn = TURN * (np.array([1, -1, -1])[:, None] if flipped else 1)
    return reading.rates(position, turn, balls, np.array([[0.0], [0.4], [-0.2]]), FPS), loop


def library(*clips, weights=None):
    """Several clips end to end."""
    poses = [pose for pose, _ in clips]
    length = np.array([len(pose.position) for pose in poses], np.int32)
    weights = np.ones(len(clips)) if weights is None else np.asarray(weights)
    made = Clips(
        Pose(*(np.concatenate(x) for x in zip(*poses, strict=True))),
        (np.cumsum(length) - length).astype(np.int32),
        length,
        np.full(len(clips), FPS, np.float32),
        (weights / weights.sum()).astype(np.float32),
        np.array([loop for _, loop in clips]),
    )
    return jax.tree.map(jnp.asarray, made)


READ = jax.jit(reading.at)


def at(clips, time, clip=0):
    return jax.device_get(READ(clips, jnp.asarray(clip), jnp.asarray(time, jnp.float32)))


def test_rates_are_forward_differences_and_the_last_one_is_repeated():
    pose, _ = one_clip()
    np.testing.assert_allclose(pose.velocity, [[10, 0, 5], [30, 20, 5], [30, 20, 5]], atol=1e-5)
    # A right angle about z in 0.1 s, then none.
    quarter = np.pi / 2 * FPS
    np.testing.assert_allclose(pose.spin, [[0, 0, quarter], [0] * 3, [0] * 3], atol=1e-5)
    np.testing.assert_allclose(pose.ball_rates[:, 0], pose.spin, atol=1e-6)
    np.testing.assert_allclose(pose.hinge_rates[:, 0], [4, -6, -6], atol=1e-5)


def test_between_frames_places_are_blended_evenly_and_turns_by_angle():
    pose = at(library(one_clip()), 0.1 / 3)
    np.testing.assert_allclose(pose.position, [4 / 3, 2, 3 + 1 / 6], rtol=1e-5)
    third = np.radians(30) / 2
    expected = [np.cos(third), 0, 0, np.sin(third)]
    np.testing.assert_allclose(pose.quaternion, expected, atol=1e-6)
    np.testing.assert_allclose(pose.balls[0], expected, atol=1e-6)
    np.testing.assert_allclose(pose.hinges, [0.4 / 3], rtol=1e-5)


def test_a_quaternion_and_its_negative_are_the_same_frame():
    plain, flipped = library(one_clip()), library(one_clip(flipped=True))
    for time in (0.02, 0.07, 0.13):
        for name in ("quaternion", "balls", "spin", "ball_rates"):
            one, other = getattr(at(plain, time), name), getattr(at(flipped, time), name)
            # As rotations: the sign of a quaternion says nothing.
            apart = np.minimum(np.abs(one - other), np.abs(one + other)).max()
            assert apart < 1e-5 if name in ("quaternion", "balls") else (one == other).all()


def test_after_its_end_a_clip_that_does_not_loop_stands_still():
    clips = library(one_clip(), one_clip(loop=True))
    still, goes_on = at(clips, 9.07), at(clips, 9.07, clip=1)
    for name in ("velocity", "spin", "ball_rates", "hinge_rates"):
        np.testing.assert_array_equal(getattr(still, name), 0)
    np.testing.assert_allclose(goes_on.velocity, [10, 0, 5], atol=1e-5)


def test_velocities_are_those_of_the_earlier_frame():
    clips = library(one_clip())
    np.testing.assert_allclose(at(clips, 0.099).velocity, [10, 0, 5], atol=1e-5)
    np.testing.assert_allclose(at(clips, 0.101).velocity, [30, 20, 5], atol=1e-5)


@pytest.mark.parametrize("loop", [False, True])
def test_before_its_beginning_a_clip_stands_at_its_first_frame(loop):
    """Neither the frame's number nor the blend leaves the clip."""
    clips = library(one_clip(loop), one_clip())
    for time in (-0.05, -3.0, 0.0):
        pose = at(clips, time)
        np.testing.assert_array_equal(pose.position, [1, 2, 3])
        np.testing.assert_array_equal(pose.hinges, [0])


def test_after_its_end_a_clip_stands_at_its_last_frame():
    """The next clip's frames lie behind it in the array, and are never blended in."""
    clips = library(one_clip(), one_clip())
    for time in (0.2, 0.25, 7.0):
        pose = at(clips, time)
        np.testing.assert_allclose(pose.position, [5, 4, 4], rtol=1e-6)
        np.testing.assert_allclose(pose.hinges, [-0.2], rtol=1e-5)


def test_a_loop_goes_on_with_its_beginning_further_along_the_ground():
    """A lap leads by (4, 2) on the ground; the height starts anew."""
    clips = library(one_clip(loop=True))
    for laps in (1, 2, 5):
        pose, first = at(clips, 0.2 * laps + 0.05), at(clips, 0.05)
        np.testing.assert_allclose(pose.position[:2], first.position[:2] + laps * np.array([4, 2]),
                                   atol=1e-4)  # fmt: skip
        np.testing.assert_allclose(pose.position[2], first.position[2], atol=1e-4)
        np.testing.assert_allclose(pose.hinges, first.hinges, atol=1e-4)
        np.testing.assert_allclose(pose.quaternion, first.quaternion, atol=1e-4)


def test_the_second_clip_is_read_from_its_own_frames():
    other = one_clip()[0]
    other = other._replace(position=other.position + 100, hinges=other.hinges + 1)
    clips = library(one_clip(), (other, False))
    np.testing.assert_allclose(at(clips, 0.05, clip=1).position, [101.5, 102, 103.25], rtol=1e-6)
    assert float(reading.duration(clips, jnp.asarray(1))) == pytest.approx(0.2)


def test_draws_follow_the_weights_and_leave_room_before():
    long = reading.rates(
        np.zeros((11, 3)), np.tile([1.0, 0, 0, 0], (11, 1)), np.zeros((11, 0, 4)) + 1.0,
        np.zeros((11, 0)), FPS,
    )  # fmt: skip
    short = jax.tree.map(lambda x: x[:6], long)
    clips = library((long, False), (short, False), (long, True), weights=[0.6, 0.4, 0.0])
    count, before = 20_000, 0.3
    keys = jax.random.split(jax.random.key(0), count)
    clip, time = jax.device_get(jax.jit(jax.vmap(lambda k: reading.draw(clips, k, before)))(keys))
    shares = np.bincount(clip, minlength=3) / count
    # A binomial's standard error here is 0.0035.
    np.testing.assert_allclose(shares, [0.6, 0.4, 0.0], atol=0.0175)
    assert shares[2] == 0
    for index, end in ((0, 1.0), (1, 0.5)):
        drawn = time[clip == index]
        assert drawn.min() >= before
        assert drawn.max() <= end
        # Uniform over what is left: mean in the middle, within 5 standard errors.
        spread = (end - before) / np.sqrt(12)
        assert abs(drawn.mean() - (before + end) / 2) < 5 * spread / np.sqrt(len(drawn))
        assert drawn.std() == pytest.approx(spread, rel=0.05)
