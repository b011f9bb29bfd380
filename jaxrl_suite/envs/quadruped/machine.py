"""The robot's physics: servos whose target is a step from where the joints are."""

import dataclasses
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

from jaxrl_suite import physics
from jaxrl_suite.core import UsageError
from jaxrl_suite.envs.clips import Pose
from jaxrl_suite.envs.quadruped import robot
from jaxrl_suite.physics.mjx_simulator import mjx_simulator

PERIOD = 0.02  # s, of an action
REACH = 3.0  # rad, largest angle of a target
_CONTACTS = 6  # that are kept: four feet and both ends of the trunk

Backend = Literal["articulated", "mjx"]
BACKENDS: tuple[str, ...] = ("articulated", "mjx")


@dataclasses.dataclass(frozen=True)
class Mechanics:
    """What simulates the robot.

    Attributes:
      backend: who simulates.
      timestep: of the physics (s); divides the 20 ms of an action.
      torque: largest of a joint (N m); 18 when tracking clips, 16 afterwards.
    """

    # differs: the original steps at 500 Hz; 250 Hz costs half and follows MuJoCo as well.
    backend: Backend = "articulated"
    timestep: float = 0.004
    torque: float = robot.TORQUE

    @property
    def substeps(self) -> int:
        """Physics steps in an action."""
        return round(PERIOD / self.timestep)

    def check(self) -> None:
        """Raises UsageError for a setting that no simulation can have."""
        if self.backend not in BACKENDS:
            raise UsageError(f"unknown backend {self.backend!r}; legal: {', '.join(BACKENDS)}")
        steps = PERIOD / self.timestep if self.timestep > 0 else 0.0
        if not (steps >= 1 and abs(steps - round(steps)) < 1e-6):
            raise UsageError(
                f"mechanics.timestep must divide {PERIOD} s, as 0.004 does, not {self.timestep:g}"
            )
        if not 0 < self.torque <= robot.TORQUE:
            raise UsageError(
                f"mechanics.torque must lie in 0 .. {robot.TORQUE:g} N m, not {self.torque:g}"
            )


class Moved(NamedTuple):
    """What an action did.

    state: after it.
    touch: [13], normal forces on the links at the end (N).
    diverged: bool [], the state was not finite and is the rest pose instead.
    dropped: int32 [], contacts of the last instant that found no room.
    """

    state: physics.State
    touch: jax.Array
    diverged: jax.Array
    dropped: jax.Array


def simulation(mechanics: Mechanics, obstacles: int = 0) -> physics.Simulator:
    """The robot's physics, with slots for boxes that stand in the world.

    Raises:
      UsageError: an unknown backend, or boxes with MJX, which has the world compiled in.
    """
    mechanics.check()
    loaded = robot.body(mechanics.timestep, mechanics.torque)
    contacts = _CONTACTS + 4 * (obstacles > 0)
    sizes = dataclasses.replace(loaded.sizes, contacts=contacts, obstacles=obstacles)
    options = dataclasses.replace(
        loaded.options, newton_steps=6, line_search_steps=8, self_collision=False
    )
    if mechanics.backend == "articulated":
        return physics.simulator(sizes, options)
    if obstacles:
        raise UsageError("backend 'mjx' has no obstacles; legal for this terrain: articulated")
    # What MJX is fast and stable with.
    options = dataclasses.replace(options, newton_steps=4)
    return mjx_simulator(sizes, options, scene_of(mechanics, sizes))


def scene_of(
    mechanics: Mechanics,
    sizes: physics.Sizes,
    friction: float | jax.Array = 1.0,
    obstacles: physics.Boxes | None = None,
) -> physics.Scene:
    """The robot on level ground.

    Args:
      mechanics: settings.
      sizes: of the simulation.
      friction: [], of feet and ground together. differs: 1 for clips, the original's is
        0.45.
      obstacles: boxes of the world.
    """
    loaded = robot.body(mechanics.timestep, mechanics.torque)
    model = physics.pad(loaded.model, loaded.sizes, sizes)
    # Of two surfaces the larger friction counts, so both have it.
    model = model._replace(friction=jnp.full(model.friction.shape, friction, jnp.float32))
    return physics.make_scene(sizes, model, ground_friction=friction, obstacles=obstacles)


def state_of(rest: physics.State, pose: Pose) -> physics.State:
    """The engine's state of a pose; all else as in `rest`."""
    q = jnp.concatenate([pose.position, pose.quaternion, pose.hinges])
    v = jnp.concatenate([pose.velocity, pose.spin, pose.hinge_rates])
    return rest._replace(q=q.astype(rest.q.dtype), v=v.astype(rest.v.dtype))


def stand(height: float | jax.Array = robot.STAND_HEIGHT) -> Pose:
    """The robot at rest on its feet."""
    zeros = jnp.zeros
    return Pose(
        jnp.array([0.0, 0.0, 1.0]) * height,
        jnp.asarray(robot.STAND_TURN, jnp.float32),
        zeros((0, 4)),
        jnp.asarray(robot.STAND, jnp.float32),
        zeros(3),
        zeros(3),
        zeros((0, 3)),
        zeros(12),
    )


def angles(state: physics.State) -> jax.Array:
    """Of the joints [12] (rad)."""
    return state.q[7:]


def act(
    simulate: physics.Simulator,
    substeps: int,
    scene: physics.Scene,
    state: physics.State,
    action: jax.Array,
    push: jax.Array | float = 0.0,
) -> Moved:
    """One action [12]: the target is as far from the angles of now, cut to +-3 rad.

    tau = clip(50 (target - q) - 0.5 dq, +-torque), worked out anew in every physics step.

    Args:
      simulate: the physics.
      substeps: physics steps.
      scene: the robot and its surroundings.
      state: before.
      action: [12] (rad).
      push: [3], force on the base (N, world).
    """
    target = jnp.clip(angles(state) + action, -REACH, REACH)
    control = jnp.concatenate([jnp.zeros(6), target])
    applied = jnp.zeros(simulate.sizes.num_dofs).at[:3].set(push)

    def one(at: physics.State, _: None) -> tuple[physics.State, tuple]:
        after, told = simulate.step(scene, at, control, applied)
        return after, (told.sensors.touch, told.diverged, told.dropped)

    state, (touch, diverged, dropped) = jax.lax.scan(one, state, length=substeps)
    return Moved(state, touch[-1], jnp.any(diverged), dropped[-1])
