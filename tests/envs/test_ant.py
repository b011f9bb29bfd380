"""The four-legged body: what it is, sees and earns."""

import functools

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

from jaxrl_suite.envs import ant

pytestmark = pytest.mark.xdist_group("ant")
COUNT = 4


@functools.cache
def compiled():
    env = ant.ant()
    return (
        env,
        jax.jit(jax.vmap(env.reset, in_axes=(0, None))),
        jax.jit(jax.vmap(env.step, in_axes=(0, 0, None, None))),
    )


def begin(angle=0.0):
    env, reset, step = compiled()
    task = ant.Task(jnp.asarray(angle))
    run, seen = reset(jax.random.split(jax.random.key(0), COUNT), task)
    return env, step, task, run, seen


def test_the_body_stands_and_is_as_heavy_as_said():
    model = mujoco.MjModel.from_xml_string(ant.mjcf())
    assert model.nu == ant.ACTION_SIZE
    assert 11 < model.body_mass.sum() < 13
    env, step, task, run, seen = begin()
    assert {name: x.shape[-1] for name, x in seen.items()} == env.observation_sizes
    for _ in range(20):
        run, told = step(run, jnp.zeros((COUNT, 8)), jax.random.key(0), task)
        assert not told.terminated.any()
    assert (np.asarray(run.physics.q[:, 2]) > 0.3).all()


def test_the_reward_is_the_speed_in_the_direction():
    for angle in (0.0, np.pi / 2, 2.0):
        _, step, task, run, _ = begin(angle)
        pushed = run._replace(
            physics=run.physics._replace(v=run.physics.v.at[:, 0].set(1.0).at[:, 1].set(0.5))
        )
        after, told = step(pushed, jnp.full((COUNT, 8), 0.5), jax.random.key(0), task)
        moved = np.asarray(after.physics.q[:, :2] - pushed.physics.q[:, :2]) / 0.04
        speed = moved @ np.array([np.cos(angle), np.sin(angle)])
        np.testing.assert_allclose(told.reward, speed + 0.2 - 0.02 * 0.25, atol=1e-4)
        np.testing.assert_allclose(after.score, speed, atol=1e-4)


def test_what_is_seen_does_not_tell_the_direction_unless_asked():
    _, _, _, one, seen = begin(0.0)
    _, _, _, _, other = begin(1.0)
    np.testing.assert_array_equal(seen["proprioceptive"], other["proprioceptive"])
    assert np.abs(np.asarray(seen["direction"] - other["direction"])).max() > 0.5
    # Turned about the vertical, the body sees the same direction turned back.
    at = jax.tree.map(lambda x: x[0], one.physics)
    half = 0.35
    turned = at._replace(q=at.q.at[3:7].set(jnp.array([np.cos(half), 0, 0, np.sin(half)])))
    ahead = ant.relative(turned, jnp.asarray(2 * half))
    np.testing.assert_allclose(ahead[:2], [1.0, 0.0], atol=1e-5)


def test_an_episode_ends_when_the_body_has_fallen_and_is_cut_off():
    _, step, task, run, _ = begin()
    high = run._replace(physics=run.physics._replace(q=run.physics.q.at[0, 2].set(1.5)))
    _, told = step(high, jnp.zeros((COUNT, 8)), jax.random.key(0), task)
    assert told.terminated[0]
    assert not told.terminated[1:].any()
    late = run._replace(step=jnp.full(COUNT, ant.EPISODE_LENGTH - 1))
    _, told = step(late, jnp.zeros((COUNT, 8)), jax.random.key(0), task)
    assert told.truncated.all()


def test_the_expert_runs_where_it_is_told():
    env = ant.ant()

    @jax.jit
    @jax.vmap
    def metres(angle, key):
        task = ant.Task(angle)
        run, seen = env.reset(key, task)

        def step(carry, key):
            run, seen, going = carry
            after, told = env.step(run, ant.expert(seen), key, task)
            run = jax.tree.map(lambda a, b: jnp.where(going, a, b), after, run)
            return (run, told.observation, going & ~told.terminated), None

        keys = jax.random.split(key, ant.EPISODE_LENGTH)
        (run, _, _), _ = jax.lax.scan(step, (run, seen, jnp.ones((), bool)), keys)
        return run.score / 25

    angles = jnp.array(list(ant.TASKS.values()))
    found = np.asarray(metres(angles, jax.random.split(jax.random.key(3), len(angles))))
    assert np.median(found) > 3.0
    assert (found > 1.0).mean() > 0.9


def test_a_pool_plays_whole_episodes():
    pool = ant.AntPool(0.0, 3, seed=1)
    first = pool.reset()
    assert first.shape == (3, ant.STATE_SIZE)
    again = ant.AntPool(0.0, 3, seed=1).reset()
    np.testing.assert_array_equal(first, again)
    for i in range(ant.EPISODE_LENGTH):
        _, reward, solved, over = pool.step(np.zeros((3, ant.ACTION_SIZE), np.float32))
        assert over.all() == (i == ant.EPISODE_LENGTH - 1)
    _, reward, solved, over = pool.step(np.zeros((3, ant.ACTION_SIZE), np.float32))
    assert not reward.any()
    assert not solved.any()
    assert pool.qpos().shape == (3, 15)
