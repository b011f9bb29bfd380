"""Locomotion on flat terrain: the first of the three environments that bodies evolve in."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrl_suite import physics
from jaxrl_suite.envs.base import ControlEnvironment, TimeStep
from jaxrl_suite.envs.unimal.body import OPTIONS, SIZES
from jaxrl_suite.envs.unimal.observation import NUM_PROPRIOCEPTIVE, at_reset, proprioception
from jaxrl_suite.physics import rotations

PHYSICS_STEPS = 4  # an action lasts 0.02 s
TIME_LIMIT = 1000  # actions, 20 s
NOISE = 5e-3  # half-width of the noise on positions and velocities at reset
CONTROL_COST = 1e-3  # times the sum of squares of the action
HALF_WIDTH = 75.0  # m, of the arena in y
EDGE = 1.0  # m, from the arena's side edges, where an episode ends


class WalkState(NamedTuple):
    """One episode.

    physics: the body's state.
    step: int32 [], actions so far.
    score: [], sum of the forward speed (m/s), the fitness of an episode.
    diverged: bool [], the last step was not finite; it ended the episode.
    """

    physics: physics.State
    step: jax.Array
    score: jax.Array
    diverged: jax.Array


def fall_height(model: physics.Model) -> jax.Array:
    """Height of the head (m) at which the body counts as fallen, half of what it can sink."""
    return 0.5 * (model.start[2] - 0.2)


def noisy_rest(key: jax.Array, scene: physics.Scene) -> physics.State:
    """The body's start, every position and velocity off by up to NOISE."""
    at = physics.init(SIZES, scene)
    place, speed = jax.random.split(key)
    used = scene.model.dof_mask
    positions = jnp.concatenate([used[:3], jnp.ones(4), used[6:]])
    shift = jax.random.uniform(place, at.q.shape, minval=-NOISE, maxval=NOISE) * positions
    q = at.q + shift
    q = q.at[3:7].set(rotations.normalise(q[3:7]))
    v = jax.random.uniform(speed, at.v.shape, minval=-NOISE, maxval=NOISE) * used
    return at._replace(q=q, v=v)


def flat_terrain(options: physics.Options = OPTIONS) -> ControlEnvironment:
    """Run along +x on level ground.

    The reward is the forward speed (m/s) over the 0.02 s of an action, less 0.001 times the sum of
    the squared action, which is not clipped for that. An episode ends when the head is down to
    half of its start height less 0.2 m, or within 1 m of the arena's side edges, and is cut off
    after 1000 actions.

    Source: Gupta et al. 2021, "Flat terrain", released code.

    Returns:
      An environment whose task is a :class:`physics.Scene` of :data:`SIZES`.
    """
    simulate = physics.simulator(SIZES, options)
    period = PHYSICS_STEPS * options.timestep

    def reset(key: jax.Array, scene: physics.Scene) -> tuple[WalkState, dict[str, jax.Array]]:
        state = noisy_rest(key, scene)
        zero = jnp.zeros((), jnp.int32)
        seen = proprioception(scene, state, at_reset(scene, state))
        return WalkState(state, zero, jnp.zeros(()), jnp.zeros((), bool)), {"proprioceptive": seen}

    def step(
        state: WalkState, action: jax.Array, key: jax.Array, scene: physics.Scene
    ) -> tuple[WalkState, TimeStep]:
        used = scene.model.dof_mask[6:]
        action = action * used
        control = jnp.concatenate([jnp.zeros(6), action])

        def one(at: physics.State, _: None) -> tuple[physics.State, physics.Readings]:
            return simulate.step(scene, at, control)

        after, readings = jax.lax.scan(one, state.physics, length=PHYSICS_STEPS)
        diverged = jnp.any(readings.diverged)
        last = jax.tree.map(lambda x: x[-1], readings)
        # A state that diverged begins again at rest: it has not moved.
        speed = jnp.where(diverged, 0.0, (after.q[0] - state.physics.q[0]) / period)
        height = jnp.round(after.q[2], 3)
        fallen = height <= fall_height(scene.model)
        outside = jnp.abs(after.q[1]) > HALF_WIDTH - EDGE
        count = state.step + 1
        terminated = fallen | outside | diverged
        reward = speed - CONTROL_COST * jnp.sum(action**2)
        seen = {"proprioceptive": proprioception(scene, after, last)}
        after = WalkState(after, count, state.score + speed, diverged)
        return after, TimeStep(seen, reward, terminated, ~terminated & (count >= TIME_LIMIT))

    sizes = {"proprioceptive": NUM_PROPRIOCEPTIVE}
    return ControlEnvironment(reset, step, sizes, SIZES.num_joints, lambda state: state.score)
