import jax
import jax.numpy as jnp
import numpy as np

from jaxrl_suite.envs.base import TimeStep, episodic
from tests.envs.probes import Counting, counting


def play(env, task, actions, seed=0):
    """Everything that happens, row by row: the states and time steps after each action."""

    def step(state, inputs):
        state, timestep = env.step(state, *inputs, task)
        return state, (state, timestep)

    @jax.jit
    def run(key, actions):
        state, _ = env.reset(key, task)
        keys = jax.random.split(key, actions.shape[0])
        return jax.lax.scan(step, state, (actions, keys))[1]

    return run(jax.random.key(seed), jnp.asarray(actions, jnp.int32))


def test_terminated_episode_is_followed_by_a_reset_step():
    env = episodic(counting(), time_limit=100)
    states, steps = play(env, Counting(jnp.int32(2)), [2, 1, 2, 0, 0])
    # Step 2 ignores its action: it shows the new episode's first observation, for no reward.
    np.testing.assert_array_equal(steps.observation[:, 0], [1, 2, 0, 1, 2])
    np.testing.assert_array_equal(steps.reward, [3, 12, 0, 1, 11])
    np.testing.assert_array_equal(steps.terminated, [0, 1, 0, 0, 1])
    np.testing.assert_array_equal(steps.truncated, 0)
    np.testing.assert_array_equal(states.ended, [0, 1, 0, 0, 1])
    np.testing.assert_array_equal(states.step, [1, 2, 0, 1, 2])
    np.testing.assert_array_equal(states.episode_return, [3, 15, 0, 1, 12])
    np.testing.assert_array_equal(states.last_return, [np.nan, 15, 15, 15, 12])
    np.testing.assert_array_equal(states.last_length, [0, 2, 2, 2, 2])


def test_time_limit_truncates_and_does_not_terminate():
    env = episodic(counting(), time_limit=3)
    _, steps = play(env, Counting(jnp.int32(9)), [0] * 8)
    np.testing.assert_array_equal(steps.observation[:, 0], [1, 2, 3, 0, 1, 2, 3, 0])
    np.testing.assert_array_equal(steps.truncated, [0, 0, 1, 0, 0, 0, 1, 0])
    np.testing.assert_array_equal(steps.terminated, 0)


def test_termination_at_the_time_limit_is_a_termination():
    env = episodic(counting(), time_limit=3)
    _, steps = play(env, Counting(jnp.int32(3)), [0] * 4)
    np.testing.assert_array_equal(steps.terminated, [0, 0, 1, 0])
    np.testing.assert_array_equal(steps.truncated, 0)


def test_environments_own_truncation_is_kept():
    def cut_at_two(count, action, key, task):
        count, timestep = counting().step(count, action, key, task)
        return count, TimeStep(*timestep[:3], truncated=count == 2)

    env = episodic(counting()._replace(step=cut_at_two), time_limit=100)
    states, steps = play(env, Counting(jnp.int32(9)), [0] * 4)
    np.testing.assert_array_equal(steps.truncated, [0, 1, 0, 0])
    np.testing.assert_array_equal(states.ended, [0, 1, 0, 0])


def test_sticky_actions_repeat_what_was_executed():
    # Actions 1 and 2 alternate; the second observation entry is what was executed.
    actions = np.tile([1, 2], 1000)
    env = episodic(counting(), time_limit=10_000, sticky=0.25)
    states, steps = play(env, Counting(jnp.int32(-1)), actions)
    executed = np.asarray(steps.observation[:, 1])
    before = np.concatenate([[0], executed[:-1]])
    assert np.all((executed == actions) | (executed == before))
    np.testing.assert_array_equal(states.last_action, executed)
    # A repetition shows only where the action would have changed. Five standard errors.
    could_show = before != actions
    share = np.mean((executed == before)[could_show])
    assert abs(share - 0.25) < 5 * np.sqrt(0.25 * 0.75 / could_show.sum())


def test_sticky_actions_do_not_reach_over_a_reset():
    env = episodic(counting(), time_limit=1, sticky=0.999)
    states, steps = play(env, Counting(jnp.int32(9)), [2] * 12)
    # Every episode has one step, and before its first there is no action to repeat but 0.
    assert np.all(np.asarray(states.last_action)[1::2] == 0)
    assert np.mean(np.asarray(steps.observation[::2, 1]) == 0) > 0.8
