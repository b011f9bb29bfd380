"""A four-legged body that is to run in one direction of many: a continuous-control set of tasks.

In the style of Ant-dir (Finn et al. 2017; Xu et al. 2022): every task is a direction, state and
dynamics are the same in all of them, so that only the rewards, or a demonstration, tell them apart.
differs: the body, its size and its episodes are this suite's own.
"""

import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl_suite import physics
from jaxrl_suite.envs.base import ControlEnvironment, TimeStep
from jaxrl_suite.physics import rotations

STATE_SIZE, ACTION_SIZE = 29, 8
EPISODE_LENGTH = 150  # actions of 0.04 s
PHYSICS_STEPS = 8  # of 0.005 s, in an action
CONTROL_COST = 0.02  # times the mean square of the action
_NOISE = 0.05  # half-width of the noise on angles and rates at a reset
_LOW, _HIGH = 0.2, 1.2  # m, of the torso's centre, beyond which it has fallen or flown
_SPEED = 6.0  # m/s and rad/s of which velocities are shown as shares


class Task(NamedTuple):
    """A direction.

    angle: [], from the x axis (rad).
    """

    angle: jax.Array


class Run(NamedTuple):
    """One episode.

    physics: the body's state.
    step: int32 [], actions so far.
    score: [], metres in the direction, times 25, so far.
    diverged: bool [], the last step was not finite.
    angle: [], of the task (rad).
    """

    physics: physics.State
    step: jax.Array
    score: jax.Array
    diverged: jax.Array
    angle: jax.Array


def mjcf() -> str:
    """The body: a ball with four legs of two hinges each, 0.5 m high, 12 kg, motors of 40 N m."""
    legs, motors = [], []
    for i in range(4):
        x, y = math.cos(math.pi * (0.25 + 0.5 * i)), math.sin(math.pi * (0.25 + 0.5 * i))
        hip, knee = (0.15 * x, 0.15 * y, 0), (0.22 * x, 0.22 * y, 0)
        foot = (0.2 * x, 0.2 * y, -0.4)
        say = lambda *numbers: " ".join(f"{n:.6g}" for n in numbers)  # noqa: E731
        legs.append(
            f'<body name="upper{i}" pos="{say(*hip)}">'
            f'<joint name="hip{i}" axis="0 0 1" range="-0.6 0.6"/>'
            f'<geom type="capsule" size="0.05" fromto="0 0 0 {say(*knee)}"/>'
            f'<body name="lower{i}" pos="{say(*knee)}">'
            f'<joint name="knee{i}" axis="{say(-y, x, 0)}" range="-0.7 0.7"/>'
            f'<geom type="capsule" size="0.05" fromto="0 0 0 {say(*foot)}"/>'
            "</body></body>"
        )
        motors += [f'<motor joint="{name}{i}" gear="40"/>' for name in ("hip", "knee")]
    return (
        '<mujoco><compiler angle="radian"/><option timestep="0.005"/><default>'
        '<joint type="hinge" limited="true" damping="1" armature="0.1"/>'
        '<geom density="300" friction="1 0.005 0.0001" condim="3"/>'
        '<motor ctrllimited="true" ctrlrange="-1 1"/></default><worldbody>'
        '<geom type="plane" size="0 0 1" friction="1 0.005 0.0001" condim="3"/>'
        '<body name="torso" pos="0 0 0.47"><freejoint/><geom type="sphere" size="0.15"/>'
        f"{''.join(legs)}</body></worldbody><actuator>{''.join(motors)}</actuator></mujoco>"
    )


@functools.cache
def body() -> physics.Body:
    """The body as the engine knows it."""
    return physics.from_mjcf(mjcf())


def state_of(at: physics.State) -> jax.Array:
    """What is seen of a body, [29]: nothing of where it is, all of how it is turned and moves.

    Height of the torso (m), its x and y axes in the world (6), hinge angles (8, rad), velocity of
    the torso in the world and rates in its frame (6) and of the hinges (8), over 6 m/s or rad/s.
    """
    turn = rotations.to_matrix(at.q[3:7])
    return jnp.concatenate([at.q[2:3], turn[:, :2].T.reshape(-1), at.q[7:], at.v / _SPEED])


def relative(at: physics.State, angle: jax.Array) -> jax.Array:
    """Direction and velocity as the body sees them, [4]: both turned back by its heading."""
    turn = rotations.to_matrix(at.q[3:7])
    ahead = turn[:2, 0] / jnp.maximum(jnp.linalg.norm(turn[:2, 0]), 1e-6)
    across = jnp.stack([-ahead[1], ahead[0]])
    frame = jnp.stack([ahead, across])
    wanted = jnp.stack([jnp.cos(angle), jnp.sin(angle)])
    return jnp.concatenate([frame @ wanted, frame @ at.v[:2] / _SPEED])


def ant(*, any_direction: bool = False) -> ControlEnvironment:
    """Run in the task's direction.

    The reward of an action is the mean speed in the direction (m/s) plus 0.2, less 0.02 times the
    mean square of the action. An episode ends when the torso's centre is lower than 0.2 m or
    higher than 1.2 m, and is cut off after 150 actions of 0.04 s. Its score is the sum of speeds,
    25 times the metres. The observations are "proprioceptive" [29], see :func:`state_of`, and
    "direction" [4], see :func:`relative`, which a learner of many tasks is not shown.

    Args:
      any_direction: draw a direction at every reset, whatever the task says.

    Returns:
      An environment whose task is a :class:`Task`.
    """
    loaded = body()
    simulate = physics.simulator(loaded.sizes, loaded.options)
    driven = np.array([6 + (link - 1) * loaded.sizes.hinges + s for link, s in loaded.actuators])

    def scene() -> physics.Scene:
        friction = loaded.ground_friction
        return physics.make_scene(loaded.sizes, loaded.model, ground_friction=friction)

    def observe(at: physics.State, angle: jax.Array) -> dict[str, jax.Array]:
        return {"proprioceptive": state_of(at), "direction": relative(at, angle)}

    def reset(key: jax.Array, task: Task) -> tuple[Run, dict[str, jax.Array]]:
        turning, bending, aiming = jax.random.split(key, 3)
        at = simulate.init(scene())
        noise = lambda k, x: jax.random.uniform(k, x.shape, minval=-_NOISE, maxval=_NOISE)  # noqa: E731
        at = at._replace(q=at.q.at[7:].add(noise(bending, at.q[7:])), v=at.v + noise(turning, at.v))
        angle = jnp.asarray(task.angle, jnp.float32)
        if any_direction:
            angle = jax.random.uniform(aiming, maxval=2 * jnp.pi)
        zero, no = jnp.zeros(()), jnp.zeros((), bool)
        run = Run(at, jnp.zeros((), jnp.int32), zero, no, angle)
        return run, observe(at, angle)

    def step(run: Run, action: jax.Array, key: jax.Array, task: Task) -> tuple[Run, TimeStep]:
        world = scene()
        control = jnp.zeros(loaded.sizes.num_dofs).at[driven].set(jnp.clip(action, -1.0, 1.0))

        def one(at: physics.State, _: None) -> tuple[physics.State, jax.Array]:
            after, readings = simulate.step(world, at, control)
            return after, readings.diverged

        after, lost = jax.lax.scan(one, run.physics, length=PHYSICS_STEPS)
        diverged = jnp.any(lost)
        seconds = PHYSICS_STEPS * loaded.options.timestep
        moved = (after.q[:2] - run.physics.q[:2]) / seconds
        speed = moved @ jnp.stack([jnp.cos(run.angle), jnp.sin(run.angle)])
        speed = jnp.where(diverged, 0.0, speed)
        reward = speed + 0.2 - CONTROL_COST * jnp.mean(action**2)
        terminated = (after.q[2] < _LOW) | (after.q[2] > _HIGH) | diverged
        count = run.step + 1
        run = Run(after, count, run.score + speed, diverged, run.angle)
        truncated = ~terminated & (count >= EPISODE_LENGTH)
        return run, TimeStep(observe(after, run.angle), reward, terminated, truncated)

    def outcomes(run: Run) -> dict[str, jax.Array]:
        return {
            "score": run.score,
            "length": run.step.astype(jnp.float32),
            "diverged": run.diverged.astype(jnp.float32),
        }

    sizes = {"proprioceptive": STATE_SIZE, "direction": 4}
    return ControlEnvironment(reset, step, sizes, ACTION_SIZE, outcomes)


# Twelve directions, of which three are never learned from: name -> angle (rad).
TASKS = {f"ant-{degrees:03d}": math.radians(degrees) for degrees in range(0, 360, 30)}
UNSEEN = ("ant-030", "ant-150", "ant-270")
