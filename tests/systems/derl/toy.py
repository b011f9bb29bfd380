"""A terrain without physics, so that an evolution compiles and runs in seconds.

A body is worth what it weighs, whatever it does; the reward of one with many limbs is not finite.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrl_suite import physics
from jaxrl_suite.envs.base import ControlEnvironment, TimeStep
from jaxrl_suite.envs.unimal.observation import NUM_PROPRIOCEPTIVE

LENGTH = 4  # actions of an episode
MOST_LIMBS = 6  # of a body whose reward is finite


class Still(NamedTuple):
    step: jax.Array
    score: jax.Array


def still() -> ControlEnvironment:
    """The reward of an action is the body's mass (kg), less a hundredth of its square."""

    def see(key: jax.Array) -> dict[str, jax.Array]:
        return {"proprioceptive": jax.random.normal(key, (NUM_PROPRIOCEPTIVE,))}

    def reset(key: jax.Array, scene: physics.Scene) -> tuple[Still, dict[str, jax.Array]]:
        return Still(jnp.zeros((), jnp.int32), jnp.zeros(())), see(key)

    def step(state: Still, action: jax.Array, key: jax.Array, scene: physics.Scene) -> tuple:
        reward = jnp.sum(scene.model.mass) - 0.01 * jnp.sum(action**2)
        reward = jnp.where(jnp.sum(scene.model.exists) - 1 > MOST_LIMBS, jnp.nan, reward)
        over, no = state.step + 1 >= LENGTH, jnp.zeros((), bool)
        return Still(state.step + 1, state.score + reward), TimeStep(see(key), reward, over, no)

    def outcomes(state):
        length = state.step.astype(float)
        return {"score": state.score, "length": length, "diverged": jnp.zeros(())}

    return ControlEnvironment(reset, step, {"proprioceptive": NUM_PROPRIOCEPTIVE}, 20, outcomes)
