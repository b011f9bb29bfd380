"""Locomotion on flat terrain: the first of the three environments that bodies evolve in."""

import jax
import jax.numpy as jnp

from jaxrl_suite import physics
from jaxrl_suite.envs.base import ControlEnvironment, TimeStep
from jaxrl_suite.envs.unimal.body import OPTIONS, SIZES
from jaxrl_suite.envs.unimal.episode import (
    CONTROL_COST,
    PHYSICS_STEPS,
    TIME_LIMIT,
    Episode,
    begin,
    fall_height,
    mover,
    noisy_rest,
    outcomes,
)
from jaxrl_suite.envs.unimal.observation import NUM_PROPRIOCEPTIVE, at_reset, proprioception

HALF_WIDTH = 75.0  # m, of the arena in y
EDGE = 1.0  # m, from the arena's side edges, where an episode ends


def flat_terrain(options: physics.Options = OPTIONS) -> ControlEnvironment:
    """Run along +x on level ground.

    The reward is the forward speed (m/s) over the 0.02 s of an action, less 0.001 times the sum of
    the squared action, which is not clipped for that. An episode ends when the head is down to
    half of its start height less 0.2 m, or within 1 m of the arena's side edges, and is cut off
    after 1000 actions. Its score is the sum of the speeds, 50 times the metres.

    Source: Gupta et al. 2021, "Flat terrain", released code.

    Returns:
      An environment whose task is a :class:`physics.Scene` of :data:`SIZES`.
    """
    move = mover(options)
    period = PHYSICS_STEPS * options.timestep

    def reset(key: jax.Array, scene: physics.Scene) -> tuple[Episode, dict[str, jax.Array]]:
        state = noisy_rest(key, SIZES, scene)
        seen = proprioception(scene, state, at_reset(scene, state))
        return begin(state), {"proprioceptive": seen}

    def step(
        state: Episode, action: jax.Array, key: jax.Array, scene: physics.Scene
    ) -> tuple[Episode, TimeStep]:
        action = action * scene.model.dof_mask[6:]
        state, motion = move(state, scene, action)
        after = motion.after
        speed = (after.q[0] - motion.before.q[0]) / period
        fallen = jnp.round(after.q[2], 3) <= fall_height(scene.model)
        outside = jnp.abs(after.q[1]) > HALF_WIDTH - EDGE
        terminated = fallen | outside | state.diverged
        truncated = ~terminated & (state.step >= TIME_LIMIT)
        reward = speed - CONTROL_COST * jnp.sum(action**2)
        seen = {"proprioceptive": proprioception(scene, after, motion.readings)}
        state = state._replace(score=state.score + speed)
        return state, TimeStep(seen, reward, terminated, truncated)

    sizes = {"proprioceptive": NUM_PROPRIOCEPTIVE}
    return ControlEnvironment(reset, step, sizes, SIZES.num_joints, outcomes)
