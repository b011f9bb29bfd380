"""All terrains that bodies evolve in: a body lives an iteration on each of them, in its masks."""

import jax
import numpy as np
import pytest

from jaxrl_suite.envs import unimal
from jaxrl_suite.systems import derl
from tests.envs.unimal.bodies import body

pytestmark = [pytest.mark.xdist_group("unimal"), pytest.mark.slow]
LIFE = derl.Life(num_envs=2, num_steps=6, iterations=2, epochs=1, minibatches=1, window=1)


@pytest.mark.parametrize("name", sorted(derl.TERRAINS))
def test_a_body_lives_on_every_terrain(name: str) -> None:
    config = derl.Config(terrain=name, life=LIFE, design=unimal.ORIGINAL)
    env, hyper = config.make_environment(), derl.Hyper()

    @jax.jit
    def live(genotype: unimal.Genotype, key: jax.Array) -> tuple:
        who = derl.body_of(config, genotype)
        state = derl.init(env, LIFE, hyper, who, key)
        return who, *derl.iterate(env, LIFE, hyper, who, state)

    who, state, told = live(body(0), jax.random.key(0))
    assert set(state.observation) == set(env.observation_sizes)
    for key, size in env.observation_sizes.items():
        assert state.observation[key].shape == (2, size)
        assert np.isfinite(state.observation[key]).all()
    assert {"score", "length", "work", "effort", "metric"} <= set(told)
    assert all(np.isfinite(float(x)) for x in told.values())
    unused = np.asarray(who.observation) == 0
    assert (np.asarray(state.observation["proprioceptive"])[:, unused] == 0).all()
    layers = {name for name in state.params["actor"] if name.endswith("_0") and name != "Dense_0"}
    assert layers == {f"{key}_0" for key in env.observation_sizes}
    live(body(1), jax.random.key(1))
    assert live._cache_size() == 1  # one program for all bodies
