"""Episodes of a linear policy: in this engine, and the same ones in MuJoCo C."""

import dataclasses
import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import mujoco
import numpy as np

from experiments.physics.cheap_start.bodies import Robot
from jaxrl_suite import physics
from jaxrl_suite.physics import Options, State, rotations

CONTROL_STEPS = 200
PHYSICS_STEPS = 4  # of a control step
CLOCK = 1.5  # Hz, of the policy's own rhythm
CONTROL_COST = 0.05  # m/s, at full control
RATE_SCALE = 0.1  # s, brings joint and turning rates to the size of the other observations
PERTURBATION = 0.1  # rad and rad/s, largest, of joint angles and rates at the start


class Played(NamedTuple):
    """What an episode, or each of many, came to.

    returns: mean speed along +x (m/s) less the control cost.
    diverged: physics steps whose outcome was not finite.
    dropped: contacts that found no slot.
    """

    returns: jax.Array
    diverged: jax.Array
    dropped: jax.Array


def with_counts(robot: Robot, newton: int, line: int, start: str) -> Options:
    """The robot's own options with these settings of the solver."""
    return dataclasses.replace(
        robot.body.options, newton_steps=newton, line_search_steps=line, start=start
    )


def observe(robot: Robot, q: jax.Array, v: jax.Array, time: jax.Array) -> jax.Array:
    """What the policy sees, [O], with a constant 1 at its end.

    Args:
      robot: whose.
      q: [NQ], as in :class:`State`.
      v: [NV].
      time: since the start of the episode (s).
    """
    slots = robot.layout.controls
    back = rotations.conjugate(q[3:7])
    phase = 2.0 * jnp.pi * CLOCK * time
    return jnp.concatenate(
        [
            q[1 + slots],  # q has one more place for the root than v
            RATE_SCALE * v[slots],
            q[2:3],
            rotations.rotate(back, jnp.array([0.0, 0.0, 1.0], q.dtype)),
            rotations.rotate(back, v[:3]),
            RATE_SCALE * v[3:6],
            jnp.stack([jnp.sin(phase), jnp.cos(phase), jnp.ones_like(phase)]),
        ]
    )


def num_observations(robot: Robot) -> int:
    """O."""
    return 2 * len(robot.pose) + 13


def act(robot: Robot, weights: jax.Array, step: jax.Array, q: jax.Array, v: jax.Array) -> jax.Array:
    """The action [A], in (-1, 1), of weights [A, O] at a control step."""
    time = step * (PHYSICS_STEPS * robot.body.options.timestep)
    return jnp.tanh(jnp.sum(weights * observe(robot, q, v, time), axis=1))


def start(robot: Robot, key: jax.Array) -> State:
    """The robot's pose, a little off."""
    rest = physics.init(robot.sizes, robot.scene)
    angle, rate = PERTURBATION * jax.random.uniform(key, (2, len(robot.pose)), minval=-1.0)
    slots = robot.layout.controls
    q = rest.q.at[2].set(robot.height).at[1 + slots].set(robot.pose + angle)
    return rest._replace(q=q, v=rest.v.at[slots].set(rate))


def _return(robot: Robot, moved: jax.Array, effort: jax.Array) -> jax.Array:
    """Of the way along +x (m) and the mean square of all actions."""
    seconds = CONTROL_STEPS * PHYSICS_STEPS * robot.body.options.timestep
    return moved / seconds - CONTROL_COST * effort


def episode(robot: Robot, options: Options, weights: jax.Array, state: State) -> Played:
    """One episode in this engine; callers vmap and jit."""
    simulate = physics.simulator(robot.sizes, options)
    slots = robot.layout.controls

    def one(carry: tuple, step: jax.Array) -> tuple:
        state, effort, diverged, dropped = carry
        action = act(robot, weights, step, state.q, state.v)
        control = jnp.zeros_like(state.v).at[slots].set(robot.centre + robot.reach * action)

        def substep(_: int, carry: tuple) -> tuple:
            state, diverged, dropped = carry
            state, readings = simulate.step(robot.scene, state, control)
            return state, diverged + readings.diverged, dropped + readings.dropped

        carry = jax.lax.fori_loop(0, PHYSICS_STEPS, substep, (state, diverged, dropped))
        return (carry[0], effort + jnp.mean(action**2), *carry[1:]), None

    zero = jnp.zeros((), jnp.int32)
    carry = (state, jnp.zeros(()), zero, zero)
    (last, effort, *counts), _ = jax.lax.scan(one, carry, jnp.arange(CONTROL_STEPS))
    moved = last.q[0] - state.q[0]
    return Played(_return(robot, moved, effort / CONTROL_STEPS), *counts)


def starts(robot: Robot, key: jax.Array, count: int) -> State:
    """So many starts, with a leading axis."""
    return jax.vmap(functools.partial(start, robot))(jax.random.split(key, count))


def play(robot: Robot, options: Options, weights: jax.Array, states: State) -> Played:
    """An episode from every start, in this engine; callers jit."""
    return jax.vmap(functools.partial(episode, robot, options, weights))(states)


def play_in_c(robot: Robot, weights: jax.Array, states: State) -> np.ndarray:
    """The same in MuJoCo C, which solves to convergence: returns, [starts].

    The policy is the same program in float32; it sees positions and velocities after the last
    step, as it does here.
    """
    xml = physics.to_mjcf(robot.sizes, robot.body.options, robot.scene)
    model = mujoco.MjModel.from_xml_string(xml)
    qpos, qvel, _ = (np.asarray(x, float) for x in robot.layout.to_mujoco(states))
    worlds = [mujoco.MjData(model) for _ in qpos]
    for world, q, v in zip(worlds, qpos, qvel, strict=True):
        world.qpos[:], world.qvel[:] = q, v
    policy = jax.jit(jax.vmap(functools.partial(act, robot, weights), in_axes=(None, 0, 0)))
    here = np.array(states.q), np.array(states.v)  # slots that MuJoCo lacks stay as they are
    effort = np.zeros(len(worlds))
    for step in range(CONTROL_STEPS):
        here[0][:, robot.layout.positions] = [world.qpos for world in worlds]
        here[1][:, robot.layout.dofs] = [world.qvel for world in worlds]
        actions = np.asarray(policy(step, *here), float)
        effort += np.mean(actions**2, axis=1)
        for world, action in zip(worlds, actions, strict=True):
            world.ctrl[:] = robot.centre + robot.reach * action
            mujoco.mj_step(model, world, PHYSICS_STEPS)
    moved = np.array([world.qpos[0] for world in worlds]) - qpos[:, 0]
    return np.asarray(_return(robot, moved, effort / CONTROL_STEPS))
