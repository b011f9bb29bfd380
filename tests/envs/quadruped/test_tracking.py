import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_suite.core import UsageError
from jaxrl_suite.data import gaits
from jaxrl_suite.envs import clips as reading
from jaxrl_suite.envs import turns
from jaxrl_suite.envs.quadruped import machine, robot, tracking
from jaxrl_suite.envs.quadruped import observation as seeing
from tests.envs.quadruped import moves


def state_of(**changes):
    """A state of 33 numbers from its parts."""
    pose = machine.stand()._replace(**changes)
    simulator = machine.simulation(moves.MECHANICS)
    return machine.state_of(
        simulator.init(machine.scene_of(moves.MECHANICS, simulator.sizes)), pose
    )


def turned(angle, axis):
    return jnp.asarray([np.cos(angle / 2), *(np.sin(angle / 2) * np.array(axis))], jnp.float32)


def test_a_perfect_match_scores_one():
    state = state_of(hinge_rates=jnp.arange(12.0), velocity=jnp.array([1.0, 2.0, 3.0]))
    terms = tracking.compare(state, state)
    np.testing.assert_array_equal(jnp.stack(terms), np.ones(5))
    assert float(tracking.reward_of(terms)) == pytest.approx(1.0, abs=1e-6)
    assert sum(tracking.WEIGHTS) == pytest.approx(1.0)


def test_terms_by_hand():
    one = state_of(quaternion=turned(0.0, (0, 0, 1)))
    joints = state_of(quaternion=turned(0.0, (0, 0, 1)), hinge_rates=jnp.full(12, 0.5))
    terms = tracking.compare(joints, one)
    assert float(terms.rates) == pytest.approx(np.exp(-0.1 * 12 * 0.25), rel=1e-5)
    assert float(terms.joints) == float(terms.base) == float(terms.feet) == 1.0
    moved = state_of(
        quaternion=turned(0.2, (0, 0, 1)),
        position=machine.stand().position + jnp.array([0.1, 0.0, 0.0]),
        velocity=jnp.array([0.0, 0.3, 0.0]),
        spin=jnp.array([1.0, 0.0, 0.0]),
    )
    terms = tracking.compare(moved, one)
    assert float(terms.base) == pytest.approx(np.exp(-20 * 0.01 - 10 * 0.04), rel=1e-4)
    assert float(terms.motion) == pytest.approx(np.exp(-2 * 0.09 - 0.2), rel=1e-4)
    shifted = state_of(
        quaternion=turned(0.0, (0, 0, 1)),
        position=machine.stand().position + jnp.array([0.0, 0.0, 0.05]),
    )
    terms = tracking.compare(shifted, one)
    assert float(terms.feet) == pytest.approx(np.exp(-40 * 4 * 0.0025), rel=1e-4)
    bent = state_of(quaternion=turned(0.0, (0, 0, 1)), hinges=machine.stand().hinges + 0.1)
    assert float(tracking.compare(bent, one).joints) == pytest.approx(np.exp(-0.12), rel=1e-4)


@pytest.mark.parametrize(
    ("turn", "expected"),
    [
        (turned(0.0, (0, 0, 1)), False),
        (turned(np.radians(44), (1, 0, 0)), False),
        (turned(np.radians(46), (1, 0, 0)), True),
        (turned(np.radians(59), (0, 1, 0)), False),
        (turned(np.radians(61), (0, 1, 0)), True),
        (turned(np.radians(170), (0, 0, 1)), False),
    ],
)
def test_falls(turn, expected):
    assert bool(tracking.fallen(state_of(quaternion=turn))) is expected


def test_a_clip_that_is_replayed_scores_one_in_every_frame():
    """Put where a frame is, the robot is what is wanted at the frame's time."""
    library = gaits.subset(gaits.default(), ["walk", "trot", "turn"])
    clips = jax.tree.map(jnp.asarray, library.clips)
    simulator = machine.simulation(moves.MECHANICS)
    rest = simulator.init(machine.scene_of(moves.MECHANICS, simulator.sizes))

    def reward(clip, frame, late):
        there = jax.tree.map(lambda x: x[clips.start[clip] + frame], clips.frames)
        time = (frame + late) / clips.fps[clip]
        wanted = reading.at(clips, clip, time)
        states = (machine.state_of(rest, pose) for pose in (there, wanted))
        return tracking.reward_of(tracking.compare(*states))

    rewards = jax.jit(jax.vmap(reward, in_axes=(None, 0, None)))
    for clip, length in enumerate(library.clips.length):
        frames = jnp.arange(length - 6)
        np.testing.assert_allclose(rewards(clip, frames, 0), 1.0, atol=1e-5)
        assert float(jnp.median(rewards(clip, frames, 6))) < 0.99


def test_a_clip_that_moves_is_not_followed_by_standing_still():
    clips = jax.tree.map(jnp.asarray, moves.two())
    rest = state_of()
    wanted = machine.state_of(rest, reading.at(clips, 1, 2.0))
    assert float(tracking.reward_of(tracking.compare(rest, wanted))) < 0.5


def test_frames_by_hand():
    quaternion = turned(np.pi / 2, (0, 0, 1))
    state = state_of(
        quaternion=quaternion,
        velocity=jnp.array([0.0, 2.0, 1.0]),
        spin=jnp.array([0.1, 0.2, 0.3]),
        hinge_rates=jnp.arange(12.0),
    )
    found = np.asarray(seeing.frame(state))
    assert found.shape == (33,)
    np.testing.assert_allclose(found[:12], robot.STAND, atol=1e-6)
    np.testing.assert_array_equal(found[12:24], np.arange(12.0))
    np.testing.assert_allclose(found[24:27], [0.1, 0.2, 0.3])  # already in its own axes
    np.testing.assert_allclose(found[27:30], [2.0, 0.0, 1.0], atol=1e-6)  # turned by a quarter
    np.testing.assert_allclose(found[30:], [0.0, 0.0, 1.0], atol=1e-6)


def test_third_row_of_the_rotation_matrix_is_where_up_is():
    tilted = turned(0.3, (0, 1, 0))
    found = np.asarray(seeing.frame(state_of(quaternion=tilted)))[30:]
    np.testing.assert_allclose(found, turns.to_matrix(np.asarray(tilted, float))[2], atol=1e-6)


def test_history_is_oldest_first():
    history = seeing.begin(state_of())
    told = np.asarray(seeing.proprioception(history))
    assert told.shape == (135,)
    first = told[:33]
    np.testing.assert_array_equal(told[:99], np.tile(first, 3))
    np.testing.assert_array_equal(told[99:], np.zeros(36))
    for i in range(1, 5):
        history = seeing.remember(history, jnp.full(12, float(i)), state_of(
            hinge_rates=jnp.full(12, float(i))
        ))  # fmt: skip
    told = np.asarray(seeing.proprioception(history))
    assert [told[33 * i + 12] for i in range(3)] == [2.0, 3.0, 4.0]
    assert [told[99 + 12 * i] for i in range(3)] == [2.0, 3.0, 4.0]


def moved(clips, yaw, shift):
    """The same clips seen from elsewhere."""
    turn = np.array([np.cos(yaw / 2), 0, 0, np.sin(yaw / 2)])
    frames = clips.frames
    whole = np.tile(turn, (len(frames.position), 1))
    place = turns.rotate(whole, np.asarray(frames.position, float)) + shift
    return clips._replace(
        frames=frames._replace(
            position=place.astype(np.float32),
            quaternion=turns.multiply(whole, np.asarray(frames.quaternion, float)).astype(
                np.float32
            ),
            velocity=turns.rotate(whole, np.asarray(frames.velocity, float)).astype(np.float32),
        )
    )


def test_where_on_earth_it_happens_is_not_seen():
    """Neither place, nor height, nor yaw."""
    rest = state_of()

    def seen(clips):
        known = jax.tree.map(jnp.asarray, clips)
        state = machine.state_of(rest, reading.at(known, 1, 0.5))
        times = 0.5 + jnp.asarray(seeing.AHEAD)
        poses = jax.vmap(lambda t: reading.at(known, 1, t))(times)
        return seeing.frame(state), seeing.future(state, poses)

    expected = seen(moves.two())
    found = seen(moved(moves.two(), 2.0, np.array([30.0, -5.0, 0.7])))
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, atol=2e-5)
    assert found[1].shape == (72,)


def test_future_by_hand():
    """Moving on by 0.3 m/s without turning: places ahead lie on x, in the base's own axes."""
    known = jax.tree.map(jnp.asarray, moves.two())
    state = machine.state_of(state_of(), reading.at(known, 1, 0.5))
    poses = jax.vmap(lambda t: reading.at(known, 1, t))(0.5 + jnp.asarray(seeing.AHEAD))
    told = np.asarray(seeing.future(state, poses)).reshape(4, 18)
    base = turns.to_matrix(np.asarray(state.q[3:7], float))
    for row, ahead in zip(told, seeing.AHEAD, strict=True):
        np.testing.assert_allclose(row[:3], base.T @ [0.3 * ahead, 0, 0], atol=1e-4)
        np.testing.assert_allclose(row[3:6], 0.0, atol=1e-4)
        bend = 0.2 * np.sin(4.0 * (0.5 + ahead))
        np.testing.assert_allclose(row[8], robot.STAND[2] + bend, atol=2e-3)


def test_starts_are_sound_frames_with_a_second_ahead():
    clips = moves.two()
    valid = np.ones(422, bool)
    valid[30:60] = False
    starts = tracking.starts_of(clips, valid, 1.0)
    seconds = (starts.frame - clips.start[starts.clip.repeat(starts.count)]) / 60.0
    assert valid[starts.frame].all()
    last = np.where(starts.clip.repeat(starts.count) == 0, 4.0, 3.0) - 1.0 - 5 / 120
    assert (seconds < last).all()
    assert starts.count.sum() == len(starts.frame)
    np.testing.assert_array_equal(np.cumsum(starts.count) - starts.count, starts.first)
    assert starts.count[0] == 30  # of the first second half is sound
    assert list(starts.clip) == [0, 0, 0, 1, 1]


def test_no_start_at_all_is_refused():
    with pytest.raises(UsageError, match="no clip has a frame to start from"):
        tracking.starts_of(moves.two(), np.zeros(422, bool), 1.0)
    short = moves.gathered([moves.clip(50)])
    with pytest.raises(UsageError, match="of its clip ahead"):
        tracking.starts_of(short, np.ones(50, bool), 1.0)


def test_episodes_begin_by_shares():
    _, task, starts = moves.made()
    share = jnp.zeros(len(starts.clip)).at[3].set(1.0)
    episode, _ = moves.reset()(jax.random.split(jax.random.key(0), 16), task._replace(share=share))
    assert (np.asarray(episode.segment) == 3).all()
    assert (np.asarray(episode.clip) == 1).all()
    assert len(set(np.asarray(episode.time).tolist())) > 5
    assert (np.asarray(episode.time) < 1.0).all()


def run_to_the_end(hold):
    """Steps until every episode has ended; rewards, ends and the episode at its end."""
    env, task, _ = moves.made()
    count = 16
    episode, _ = moves.reset()(jax.random.split(jax.random.key(0), count), task)
    going, rows = np.ones(count, bool), []
    while going.any():
        # Three times as stiff as the servos, or it would sag until it tips over.
        action = 3.0 * (jnp.asarray(hold) - episode.state.q[:, 7:])
        keys = jax.random.split(jax.random.key(1), count)
        episode, told = moves.step()(episode, action, keys, task)
        ends = np.asarray(told.terminated), np.asarray(told.truncated)
        rows.append((going.copy(), *ends, jax.vmap(env.outcomes)(episode), episode))
        going &= ~(ends[0] | ends[1])
    return rows


def test_standing_still_follows_standing_still_to_its_end():
    stiff = jnp.asarray(robot.STAND, jnp.float32)[None]
    rows = run_to_the_end(stiff)
    # Clip 0 stands: cut off before its last second, never terminated, and scored as well.
    for going, terminated, truncated, outcomes, episode in rows:
        still = going & (np.asarray(episode.clip) == 0)
        assert not (still & terminated).any()
        ends = still & truncated
        if ends.any():
            time = np.asarray(episode.time)[ends]
            assert (time >= 4.0 - 1.0 - 5 / 120 - 1e-5).all()
            assert (time < 4.0 - 1.0 - 5 / 120 + 0.021).all()
            np.testing.assert_allclose(np.asarray(outcomes["length"])[ends], 1.0, atol=1e-6)
            assert (np.asarray(outcomes["score"])[ends] > 0.3).all()
            assert (np.asarray(outcomes["score"])[ends] <= 1.0).all()


def test_jumps_are_peaks_a_second_apart():
    time = np.arange(301) / 60.0
    height = 0.3 + 0.3 * np.exp(-(((time - 1.0) / 0.1) ** 2))
    height += 0.25 * np.exp(-(((time - 1.5) / 0.1) ** 2))  # lower, and too near
    height += 0.28 * np.exp(-(((time - 3.0) / 0.1) ** 2))
    clips = moves.gathered([moves.clip(301, lambda t: t, height), moves.clip(200)])
    jumps = tracking.jumps_of(clips)
    np.testing.assert_allclose(jumps.time[0], [1.0, 3.0], atol=1 / 60)
    assert np.isinf(jumps.time[1]).all()
    np.testing.assert_allclose(jumps.place[0, :, 0], [1.0, 3.0], atol=1 / 60)


def test_obstacles_stand_where_a_clip_jumps_and_give_way():
    time = np.arange(301) / 60.0
    height = 0.3 + 0.4 * np.exp(-(((time - 1.0) / 0.1) ** 2))
    height += 0.4 * np.exp(-(((time - 3.0) / 0.1) ** 2))
    clips = moves.gathered([moves.clip(301, lambda t: t, height)])
    jumps = tracking.jumps_of(clips)

    def at(x, z, when, clip=0):
        state = state_of(position=jnp.array([x, 0.0, z]), quaternion=turned(0.0, (0, 0, 1)))
        return bool(tracking.hits(jumps, 0.2, jnp.asarray(clip), jnp.asarray(when), state))

    assert at(1.0, 0.22, 0.9)  # the trunk's end is in it
    assert not at(1.0, 0.75, 0.9)  # above it
    assert not at(0.2, 0.3, 0.9)  # before it
    assert at(1.0, 0.22, 1.4)
    assert not at(1.0, 0.22, 1.6)  # half a second after the jump it stands at the next
    assert at(3.0, 0.22, 1.6)
    assert not at(3.0, 0.22, 3.6)  # there is no next one


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        (tracking.Rules(segment=0.0), "rules.segment must be above 0 s"),
        (tracking.Rules(obstacle=-0.1), "rules.obstacle must be at least 0 m"),
    ],
)
def test_bad_rules_are_refused(rules, said):
    with pytest.raises(UsageError, match=said):
        rules.check()
