"""A clip that is replayed through an episode gives the windows that a discriminator is shown."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_suite.data import motion
from jaxrl_suite.envs import clips as reading
from jaxrl_suite.envs import humanoid
from jaxrl_suite.envs.character import Motion, Rules, character, no_task
from tests.envs.humanoid import states

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("humanoid")]
CLIPS = ("walk", "spinkick", "roll", "cmu_069_01")
WINDOW, COUNT = 10, 32  # one number of episodes, so that each program compiles once
RULES = Rules(fallen=0.0, reference=1.0, falls=1)


@functools.cache
def made():
    """The humanoid, which instead of moving takes the pose of clip action[0] at action[1]."""
    body = states.made().figure
    clips = motion.subset(motion.default(), CLIPS).clips
    held = jax.tree.map(jnp.asarray, clips)

    def play(scene, state, action):
        clip = action[0].astype(jnp.int32)
        after = body.pose(scene, reading.at(held, clip, action[1]))
        no, none = jnp.zeros((), bool), jnp.zeros((), jnp.int32)
        return Motion(state, after, jnp.zeros(13), no, no, none)

    env = character(body._replace(move=play), clips, no_task(), RULES)
    return env, env.world(jax.random.key(0))


@functools.cache
def program(name):
    """Compiled for many, as the training program has them."""
    env, _ = made()
    axes = {"step": (0, 0, None, None), "reset": (0, None), "window_of": (0, 0, None)}
    axes["demonstration"] = (0, None)
    return jax.jit(jax.vmap(getattr(env, name), in_axes=axes[name]))


def replayed(clip, time):
    """Windows [N, 1250] of episodes that go through the ten frames before these times."""
    env, world = made()
    episode, _ = program("reset")(jax.random.split(jax.random.key(1), len(clip)), world)
    for back in reversed(range(WINDOW)):
        # The same float32 operations as those of a window's times.
        when = time - env.figure.period * jnp.asarray(back)
        action = jnp.stack([clip.astype(jnp.float32), when], axis=1)
        episode, told = program("step")(episode, action, jax.random.key(0), world)
    return np.asarray(told.observation["window"])


def moments():
    clips = made()[0].clips
    clip = np.arange(COUNT) % len(CLIPS)
    behind = (WINDOW - 1) * humanoid.PERIOD
    end = np.asarray((clips.length - 1) / clips.fps)[clip]
    share = np.random.default_rng(0).uniform(size=COUNT)
    return jnp.asarray(clip), jnp.asarray(behind + share * (end - behind), jnp.float32)


def test_a_replayed_clip_is_its_window():
    """To the last place or two of float32: XLA adds up in another order for ten frames at once.

    Where nothing is summed they are equal bit for bit; see tests/envs/test_character.py.
    """
    clip, time = moments()
    expected = np.asarray(program("window_of")(clip, time, made()[1]))
    assert expected.shape == (COUNT, 1250)
    found = replayed(clip, time)
    np.testing.assert_allclose(found, expected, rtol=2e-6, atol=2e-6)
    assert (found == expected).mean() > 0.95


def test_an_episode_that_starts_in_a_clip_has_its_window_bit_for_bit():
    env, world = made()
    clips = jax.tree.map(jnp.asarray, env.clips)
    keys = jax.random.split(jax.random.key(2), COUNT)
    episode, seen = program("reset")(keys, world)

    def drawn(key):
        """As the reset draws it."""
        which = jax.random.split(key, 4)[1]
        return reading.draw(clips, which, (WINDOW - 1) * humanoid.PERIOD)

    clip, time = jax.vmap(drawn)(keys)
    np.testing.assert_array_equal(seen["window"], program("window_of")(clip, time, world))
    of = states.made()
    np.testing.assert_allclose(episode.window[:, 0], of.frame(of.scene, episode.state), atol=1e-6)


def test_a_demonstration_is_a_window_of_the_clip_that_is_drawn():
    env, world = made()
    clips = jax.tree.map(jnp.asarray, env.clips)
    keys = jax.random.split(jax.random.key(3), COUNT)
    behind = (WINDOW - 1) * humanoid.PERIOD
    clip, time = jax.vmap(lambda k: reading.draw(clips, k, behind))(keys)
    found = np.asarray(program("demonstration")(keys, world))
    np.testing.assert_array_equal(found, program("window_of")(clip, time, world))
    assert len(set(np.asarray(clip).tolist())) == len(CLIPS)
    assert np.isfinite(found).all()
