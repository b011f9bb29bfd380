"""What is measured of bodies besides their learning."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_suite.envs import unimal
from jaxrl_suite.systems import derl
from jaxrl_suite.systems.derl.ppo import Body
from tests.envs.unimal.episodes import BODIES, QUICK, compiled, keys, scenes
from tests.systems.derl.toy import LENGTH, still


def test_a_body_stands_until_its_episode_ends() -> None:
    genotype = unimal.head(jnp.zeros(2, jnp.int32))
    body = derl.body_of(derl.Config(), genotype)
    stand = functools.partial(derl.passive_stability, still(), body, jax.random.key(0))
    assert stand(num_steps=9) == LENGTH - 1
    assert stand(num_steps=2) == 2


@pytest.mark.xdist_group("unimal")
def test_standing_is_what_a_loop_of_idle_steps_counts() -> None:
    env, num_steps = unimal.flat_terrain(QUICK), 60
    body = Body(scenes(), jnp.ones((BODIES, 86)), jnp.ones((BODIES, 20)))
    measure = jax.vmap(lambda b, k: derl.passive_stability(env, b, k, num_steps))
    told = jax.jit(measure)(body, keys(3))
    _, reset, step = compiled(unimal.flat_terrain)
    begin, play = jnp.split(jax.vmap(jax.random.split)(keys(3)), 2, axis=1)
    state, _ = reset(begin[:, 0], scenes())
    standing, count = np.ones(BODIES, bool), np.zeros(BODIES)
    each = jax.vmap(lambda k: jax.random.split(k, num_steps))(play[:, 0])
    for i in range(num_steps):
        state, timestep = step(state, jnp.zeros((BODIES, 20)), each[:, i], scenes())
        standing &= ~np.asarray(timestep.terminated)
        count += standing
    np.testing.assert_array_equal(told, count)
    assert (count > 0).all()
    assert len(set(count)) > 1
