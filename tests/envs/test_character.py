"""Episodes of a body made for the test: starts, windows, ends, recoveries, what is counted."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_suite.core import UsageError
from jaxrl_suite.envs import clips as reading
from jaxrl_suite.envs.character import Figure, Motion, Rules, character, no_task
from jaxrl_suite.envs.clips import Clips, Pose

PERIOD = 0.1
WINDOW = 4
STAND, FALLEN, CLIP = 0.0, 500.0, 1000.0  # where the three kinds of start are told from


class Bead(NamedTuple):
    """A bead on a line, and a hinge that clips turn."""

    place: jax.Array
    angle: jax.Array


def bead():
    """An action moves it; the second number fells it, the third breaks its simulation."""

    def move(scene, state, action):
        diverged = action[2] > 0
        after = Bead(jnp.where(diverged, 0.0, state.place + action[0]), state.angle)
        count = jnp.asarray(action[2] < 0, jnp.int32)
        return Motion(state, after, jnp.zeros(1), action[1] > 0, diverged, count)

    return Figure(
        scene=lambda: (),
        stand=lambda scene: Bead(jnp.asarray(STAND), jnp.zeros(())),
        fall=lambda scene, key: Bead(FALLEN + jax.random.uniform(key), jnp.zeros(())),
        pose=lambda scene, pose: Bead(pose.position[0], pose.hinges[0]),
        move=move,
        sense=lambda scene, state: state.place[None],
        frame=lambda scene, state: jnp.stack([state.place, state.angle]),
        upright=lambda scene, state: state.place < FALLEN,
        sense_size=1,
        frame_size=2,
        action_size=3,
        period=PERIOD,
    )


def ramps(loop=True):
    """Two clips of 11 frames, 1 s: the hinge climbs from 0 to 1, the root by 3 m."""
    share = np.linspace(0, 1, 11)
    still = np.tile([1.0, 0, 0, 0], (11, 1))
    poses = [
        reading.rates(
            np.stack([start + 3 * share, 0 * share, 0 * share], 1), still, np.zeros((11, 0, 4)),
            share[:, None], 10.0,
        )
        for start in (CLIP, CLIP + 100)
    ]  # fmt: skip
    return Clips(
        Pose(*(np.concatenate(x) for x in zip(*poses, strict=True))),
        np.array([0, 11], np.int32), np.array([11, 11], np.int32), np.full(2, 10.0, np.float32),
        np.full(2, 0.5, np.float32), np.array([loop, loop]),
    )  # fmt: skip


def pays_its_place():
    return no_task()._replace(reward=lambda scene, goal, motion: motion.after.place)


class Made(NamedTuple):
    env: object
    world: object
    reset: object
    step: object
    restart: object


@functools.cache
def made(**rules):
    env = character(bead(), ramps(), pays_its_place(), Rules(**{"falls": 16} | rules))
    env_world = jax.jit(env.world)(jax.random.key(9))
    return Made(env, env_world, *map(jax.jit, (env.reset, env.step, env.restart)))


STANDING = {"window": WINDOW, "reference": 0.0, "fallen": 0.0, "recovery": 0.0}
KEY = jax.random.key(0)


def act(of, episode, step=1.0, falls=0.0, breaks=0.0):
    return of.step(episode, jnp.array([step, falls, breaks]), KEY, of.world)


def ends(told):
    return bool(told.terminated), bool(told.truncated)


def test_a_time_limit_cuts_an_episode_off_and_does_not_terminate_it():
    of = made(horizon=5, spared=0, **STANDING)
    episode, _ = of.reset(KEY, of.world)
    found = []
    for _ in range(5):
        episode, told = act(of, episode)
        found.append(ends(told))
    assert found == [(False, False)] * 4 + [(False, True)]
    # 1 + 2 + ... + 5: the place after each action.
    assert float(episode.total) == 15


def test_a_fall_terminates_only_after_the_first_action():
    of = made(horizon=5, spared=0, **STANDING)
    episode, _ = of.reset(KEY, of.world)
    episode, told = act(of, episode, falls=1.0)
    assert ends(told) == (False, False)
    _, told = act(of, episode, falls=1.0)
    assert ends(told) == (True, False)
    # At the limit a fall is a fall.
    _, told = act(of, episode._replace(step=jnp.asarray(4)), falls=1.0)
    assert ends(told) == (True, False)


def test_a_lying_start_is_spared_for_60_actions():
    of = made(**STANDING | {"fallen": 1.0})
    episode, seen = of.reset(KEY, of.world)
    assert float(seen["body"][0]) >= FALLEN
    found = []
    for _ in range(61):
        episode, told = act(of, episode, falls=1.0)
        found.append(ends(told))
    assert found == [(False, False)] * 60 + [(True, False)]


def test_a_recovery_is_spared_for_60_actions_and_runs_on_past_the_limit():
    of = made(**STANDING | {"recovery": 1.0})
    episode, _ = of.reset(KEY, of.world)
    episode, told = act(of, episode._replace(step=jnp.asarray(279)), falls=1.0)
    assert ends(told) == (True, False)
    before = episode
    episode, seen = of.restart(episode, told, KEY, of.world)
    # It lies where it fell, with the window it had; only what it has earned starts anew.
    jax.tree.map(np.testing.assert_array_equal, episode.state, before.state)
    np.testing.assert_array_equal(episode.window, before.window)
    np.testing.assert_array_equal(seen["window"], told.observation["window"])
    assert (int(episode.step), int(episode.spared), float(episode.total)) == (280, 60, 0.0)
    assert (int(episode.since), int(episode.dropped)) == (280, 0)
    for count in range(281, 341):
        episode, told = act(of, episode, falls=1.0)
        assert ends(told) == (False, False)
        assert int(episode.step) == count
        episode, _ = of.restart(episode, told, KEY, of.world)
        assert int(episode.step) == count
    # Standing at last, it is cut off: the limit is 40 actions behind it.
    assert ends(act(of, episode)[1]) == (False, True)
    assert ends(act(of, episode, falls=1.0)[1]) == (True, False)


def test_recoveries_have_their_share_of_terminations_alone():
    of = made(horizon=50, spared=7, **STANDING | {"recovery": 0.2})
    episode, _ = of.reset(KEY, of.world)
    episode, _ = act(of, episode)
    keys = jax.random.split(jax.random.key(1), 4000)
    restart = jax.jit(jax.vmap(of.env.restart, in_axes=(None, None, 0, None)))

    def shared(episode, told):
        after, _ = restart(episode, told, keys, of.world)
        goes_on = np.asarray(after.step) > 0
        assert set(np.asarray(after.spared)[goes_on]) <= {7, 0}
        assert (np.asarray(after.spared)[~goes_on] == 0).all()
        return goes_on.mean()

    fallen = act(of, episode, falls=1.0)
    # A binomial's standard error is 0.0063.
    assert shared(*fallen) == pytest.approx(0.2, abs=0.032)
    late = act(of, episode._replace(step=jnp.asarray(49)))
    assert ends(late[1]) == (False, True)
    assert shared(*late) == 0
    broken = act(of, episode, breaks=1.0)
    assert shared(*broken) == 0
    assert shared(*act(of, episode)) == 1


def test_a_state_that_is_not_finite_ends_even_a_spared_episode_and_earns_nothing():
    of = made(**STANDING | {"fallen": 1.0})
    episode, _ = of.reset(KEY, of.world)
    episode, told = act(of, episode, breaks=1.0)
    assert ends(told) == (True, False)
    assert bool(episode.diverged)
    assert (float(told.reward), float(episode.total)) == (0.0, 0.0)
    fresh, _ = of.restart(episode, told, KEY, of.world)
    assert not bool(fresh.diverged)


def test_contacts_without_room_add_up_over_an_episode():
    of = made(**STANDING)
    episode, _ = of.reset(KEY, of.world)
    for breaks in (-1.0, 0.0, -1.0):
        episode, _ = act(of, episode, breaks=breaks)
    assert int(episode.dropped) == 2


def test_starts_have_their_shares():
    of = made(window=WINDOW)
    count = 20_000
    keys = jax.random.split(jax.random.key(2), count)
    episode, _ = jax.jit(jax.vmap(of.env.reset, in_axes=(0, None)))(keys, of.world)
    place = np.asarray(episode.state.place)
    lies = (place >= FALLEN) & (place < CLIP)
    moves = place >= CLIP
    # Of each at most 5 standard errors of a binomial, 0.0035.
    assert lies.mean() == pytest.approx(0.1, abs=0.011)
    assert moves.mean() == pytest.approx(0.45, abs=0.018)
    assert (place == STAND).mean() == pytest.approx(0.45, abs=0.018)
    np.testing.assert_array_equal(np.asarray(episode.spared), np.where(lies, 60, 0))
    # All that fell are drawn from, and both clips.
    assert len(set(place[lies])) == 16
    assert (place[moves] >= CLIP + 100).mean() == pytest.approx(0.5, abs=0.027)


def test_history_is_what_a_clip_did_before_and_else_the_present():
    of = made(window=WINDOW)
    keys = jax.random.split(jax.random.key(3), 300)
    episode, seen = jax.jit(jax.vmap(of.env.reset, in_axes=(0, None)))(keys, of.world)
    window = np.asarray(episode.window)
    np.testing.assert_array_equal(seen["window"], window.reshape(300, -1))
    np.testing.assert_array_equal(window[:, 0, 0], episode.state.place)
    moves = window[:, 0, 0] >= CLIP
    assert 50 < moves.sum() < 250
    np.testing.assert_array_equal(window[~moves], np.repeat(window[~moves, :1], WINDOW, axis=1))
    # 3 m/s and 1 rad/s: so much less a tenth of a second before. No window crosses the seam.
    steps = np.broadcast_to([-0.3, -0.1], (moves.sum(), WINDOW - 1, 2))
    np.testing.assert_allclose(np.diff(window[moves], axis=1), steps, atol=2e-4)


def test_no_window_of_a_looping_clip_crosses_its_seam():
    of = made(window=WINDOW)
    draw = jax.jit(jax.vmap(of.env.demonstration, in_axes=(0, None)))
    windows = np.asarray(draw(jax.random.split(jax.random.key(4), 20_000), of.world))
    angle = windows.reshape(-1, WINDOW, 2)[..., 1]
    assert (np.diff(angle, axis=1) < 0).all()
    assert angle.min() < 0.02
    assert angle.max() > 0.98


def test_a_clip_replayed_is_the_clip_bit_for_bit():
    """Step by step through the episode's own window, against the window of the clip."""
    figure, clips = bead(), jax.tree.map(jnp.asarray, ramps())

    def play(scene, state, action):
        pose = reading.at(clips, jnp.asarray(1), action[0])
        after = figure.pose(scene, pose)
        no = jnp.zeros((), bool)
        return Motion(state, after, jnp.zeros(1), no, no, jnp.zeros((), jnp.int32))

    played = character(figure._replace(move=play), ramps(), no_task(), Rules(**STANDING))
    world = played.world(KEY)
    episode, _ = played.reset(KEY, world)
    newest = jnp.asarray(0.83)
    times = newest - PERIOD * jnp.arange(WINDOW)
    step = jax.jit(played.step)
    for time in times[::-1]:
        episode, told = step(episode, jnp.array([1.0, 0, 0]) * time, KEY, world)
    expected = jax.jit(played.window_of)(jnp.asarray(1), newest, world)
    np.testing.assert_array_equal(told.observation["window"], expected)


def test_the_last_window_of_an_episode_is_not_the_next_ones():
    of = made(horizon=3, spared=0, **STANDING)
    episode, _ = of.reset(KEY, of.world)
    for _ in range(3):
        episode, told = act(of, episode)
    assert ends(told) == (False, True)
    np.testing.assert_array_equal(told.observation["window"].reshape(WINDOW, 2)[:, 0], [3, 2, 1, 0])
    fresh, seen = of.restart(episode, told, KEY, of.world)
    np.testing.assert_array_equal(seen["window"], 0)
    np.testing.assert_array_equal(fresh.window, 0)
    assert (int(fresh.step), float(fresh.total)) == (0, 0.0)


def test_an_episode_that_goes_on_is_not_touched():
    of = made(horizon=50, spared=0, **STANDING)
    episode, _ = of.reset(KEY, of.world)
    episode, told = act(of, episode)
    after, seen = of.restart(episode, told, KEY, of.world)
    jax.tree.map(np.testing.assert_array_equal, after, episode)
    jax.tree.map(np.testing.assert_array_equal, seen, told.observation)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"horizon": 0}, r"rules\.horizon must be at least 1, not 0"),
        ({"window": 0}, r"rules\.window must be at least 1, not 0"),
        ({"falls": 0}, r"rules\.falls must be at least 1, not 0"),
        ({"reference": 1.5}, r"rules\.reference must lie in 0 \.\. 1, not 1\.5"),
        ({"fallen": -0.1}, r"rules\.fallen must lie in 0 \.\. 1, not -0\.1"),
        ({"recovery": 2}, r"rules\.recovery must lie in 0 \.\. 1, not 2"),
        ({"spared": 300}, r"rules\.spared must lie in 0 \.\. 299, not 300"),
        ({"spared": -1}, r"rules\.spared must lie in 0 \.\. 299, not -1"),
        ({"window": 12}, r"clip 0 lasts 1\.000 s; a window of 12 frames needs 1\.100 s"),
    ],
)
def test_rules_that_no_episode_can_have_are_refused(change, message):
    with pytest.raises(UsageError, match=message):
        character(bead(), ramps(), no_task(), Rules(**change))


def test_a_window_as_long_as_the_clip_is_still_one():
    character(bead(), ramps(), no_task(), Rules(window=11))
