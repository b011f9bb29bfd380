"""Following a clip, frame by frame: DeepMimic's task.

Source: Peng et al. 2018, section 5, with the weights and scales of its author's later code.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrl_suite import physics
from jaxrl_suite.envs import clips as reading
from jaxrl_suite.envs.character import Motion, Task
from jaxrl_suite.envs.clips import Clips
from jaxrl_suite.envs.humanoid import skeleton
from jaxrl_suite.envs.humanoid.figure import PERIOD, state_of
from jaxrl_suite.envs.humanoid.observation import (
    bodies,
    ends,
    heading,
    joint_rates,
    joint_rotations,
    six,
)
from jaxrl_suite.physics import rotations

AHEAD = (1, 4)  # actions from now, of the poses that are shown
_FAR = 1.0  # m, of the root from the clip's, beyond which the episode ends


class Follow(NamedTuple):
    """A clip, int32 [], and the time that the character should be at, [] (s)."""

    clip: jax.Array
    time: jax.Array


class Terms(NamedTuple):
    """Of the reward, [] each, 1 for a perfect match.

    pose: exp(-0.25 sum of squared angles between the joints' rotations (rad^2)).
    rates: exp(-0.01 sum of squared differences of their rates (rad^2/s^2)).
    root: exp(-5 (squared distance (m^2) + 0.1 squared angle (rad^2))) of the roots.
    motion: exp(-(squared difference of velocities (m^2/s^2) + 0.1 of spins (rad^2/s^2))).
    ends: exp(-10 sum of squared distances of hands and feet, seen from their roots (m^2)).
    """

    pose: jax.Array
    rates: jax.Array
    root: jax.Array
    motion: jax.Array
    ends: jax.Array


WEIGHTS = Terms(0.5, 0.1, 0.15, 0.1, 0.15)


def compare(
    sizes: physics.Sizes, scene: physics.Scene, state: physics.State, wanted: physics.State
) -> Terms:
    """How well a state matches another."""
    angle = lambda q, r: rotations.to_vector(rotations.multiply(rotations.conjugate(q), r))  # noqa: E731
    squares = lambda *xs: sum(jnp.sum(x**2) for x in xs)  # noqa: E731
    joints = angle(joint_rotations(state), joint_rotations(wanted))
    rates = joint_rates(state) - joint_rates(wanted)
    place = squares(state.q[:3] - wanted.q[:3])
    turn = squares(angle(state.q[3:7], wanted.q[3:7]))
    spin = rotations.rotate(state.q[3:7], state.v[3:6])
    spin = spin - rotations.rotate(wanted.q[3:7], wanted.v[3:6])
    tips = ends(bodies(sizes, scene, state)) - ends(bodies(sizes, scene, wanted))
    return Terms(
        jnp.exp(-0.25 * squares(joints)),
        jnp.exp(-0.01 * squares(rates)),
        jnp.exp(-5.0 * (place + 0.1 * turn)),
        jnp.exp(-(squares(state.v[:3] - wanted.v[:3]) + 0.1 * squares(spin))),
        jnp.exp(-10.0 * squares(tips)),
    )


def follow(clips: Clips) -> Task:
    """Does what a clip does, from wherever in it the episode starts.

    It is shown the poses that are to come, see :data:`AHEAD`: of each the root's place and rotation
    relative to its own, the joints' rotations, and hands and feet. The episode ends when the root
    is 1 m from where the clip's is. Needs starts from clips alone.
    """
    clips = jax.tree.map(jnp.asarray, clips)
    sizes = skeleton.body().sizes
    size = len(AHEAD) * (3 + 6 + 12 * 6 + 12)

    def wanted(scene: physics.Scene, goal: Follow, steps: int) -> physics.State:
        pose = reading.at(clips, goal.clip, goal.time + steps * PERIOD)
        return state_of(physics.init(sizes, scene), pose)

    def observe(scene: physics.Scene, goal: Follow, state: physics.State) -> jax.Array:
        frame, parts = heading(state.q[3:7]), []
        for steps in AHEAD:
            there = wanted(scene, goal, steps)
            parts += [
                frame @ (there.q[:3] - state.q[:3]),
                six(frame @ rotations.to_matrix(there.q[3:7])),
                six(rotations.to_matrix(joint_rotations(there))).reshape(-1),
                ends(bodies(sizes, scene, there)).reshape(-1),
            ]
        return jnp.concatenate(parts)

    def reward(scene: physics.Scene, goal: Follow, motion: Motion) -> jax.Array:
        terms = compare(sizes, scene, motion.after, wanted(scene, goal, 1))
        return sum(weight * term for weight, term in zip(WEIGHTS, terms, strict=True))

    def over(goal: Follow, motion: Motion) -> jax.Array:
        apart = reading.at(clips, goal.clip, goal.time + PERIOD).position - motion.after.q[:3]
        return apart @ apart > _FAR**2

    return Task(
        lambda key, start: (start.state, Follow(start.clip, start.time)),
        lambda key, goal, state: goal._replace(time=goal.time + PERIOD),
        observe,
        reward,
        over,
        size,
    )
