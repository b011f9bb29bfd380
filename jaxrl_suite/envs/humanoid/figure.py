"""The humanoid as a figure: servos, the physics, and what is seen of it."""

import dataclasses
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl_suite import physics
from jaxrl_suite.core import UsageError
from jaxrl_suite.envs.character import Figure, Motion
from jaxrl_suite.envs.clips import Pose
from jaxrl_suite.envs.humanoid import skeleton
from jaxrl_suite.envs.humanoid.observation import (
    FRAME_SIZE,
    SENSE_SIZE,
    frame_of,
    heights,
    sense_of,
)
from jaxrl_suite.physics import rotations
from jaxrl_suite.physics.mjx_simulator import mjx_simulator

PHYSICS_STEPS = 4  # in an action
PERIOD = PHYSICS_STEPS * skeleton.TIMESTEP  # s, of an action: 1/30
CONTACTS = 14  # that are kept; a body that lies flat has about so many
_FALLING = 300  # physics steps, 2.5 s, in which a body that was dropped comes to lie
_RANDOM = 0.5  # half-width of the one action it is given meanwhile
_TOUCHED = 0.1  # N
_UPRIGHT = 0.7  # m, of the root; it stands at 0.88 m
_HEAD, _OTHER = 0.3, 0.15  # m, heights below which a body part means a fall

Backend = Literal["articulated", "mjx"]
BACKENDS: tuple[str, ...] = ("articulated", "mjx")


def _slots() -> np.ndarray:
    """Slot of the velocity that each of the 28 actions drives."""
    found: list[int] = []
    for i, joint in enumerate(skeleton.JOINTS):
        found += [6 + 3 * i + axis for axis in range(3 if joint.is_ball else 1)]
    return np.array(found)


_WIDTHS = [3 if joint.is_ball else 1 for joint in skeleton.JOINTS]
OFFSET = np.repeat([joint.offset for joint in skeleton.JOINTS], _WIDTHS).astype(np.float32)
SCALE = np.repeat([joint.scale for joint in skeleton.JOINTS], _WIDTHS).astype(np.float32)
SLOTS = _slots()


def targets(action: jax.Array) -> jax.Array:
    """Of the servos [28], from an action [28] cut to +-1: offset + scale action (rad).

    A ball's three are the rotation vector that its servo pulls towards, axis by axis.
    """
    return jnp.asarray(OFFSET) + jnp.asarray(SCALE) * jnp.clip(action, -1.0, 1.0)


def state_of(rest: physics.State, pose: Pose) -> physics.State:
    """The engine's state of a pose; all else as in `rest`."""
    balls, hinges = skeleton.BALLS, skeleton.HINGES
    q = jnp.concatenate([pose.position, pose.quaternion, rest.q[7:]])
    q = q.at[7 + 3 * hinges].set(pose.hinges)
    v = jnp.concatenate([pose.velocity, pose.spin, rest.v[6:]])
    v = v.at[(6 + 3 * balls[:, None] + np.arange(3)[None]).ravel()].set(pose.ball_rates.reshape(-1))
    v = v.at[6 + 3 * hinges].set(pose.hinge_rates)
    return rest._replace(q=q, v=v, ball_q=rest.ball_q.at[balls].set(pose.balls))


def pose_of(state: physics.State) -> Pose:
    """The pose of an engine's state."""
    balls, hinges = skeleton.BALLS, skeleton.HINGES
    rates = state.v[6:].reshape(-1, 3)
    return Pose(
        state.q[:3],
        state.q[3:7],
        state.ball_q[balls],
        state.q[7 + 3 * hinges],
        state.v[:3],
        state.v[3:6],
        rates[balls],
        rates[hinges, 0],
    )


def simulation(backend: Backend = "articulated", boxes: int = 0) -> physics.Simulator:
    """The character's physics, with room for free boxes.

    Raises:
      UsageError: unknown backend, or boxes with MJX, which has the world compiled in.
    """
    loaded = skeleton.body()
    sizes = dataclasses.replace(loaded.sizes, contacts=CONTACTS, boxes=boxes)
    options = dataclasses.replace(
        loaded.options, newton_steps=6, line_search_steps=8, self_collision=False
    )
    if backend == "articulated":
        return physics.simulator(sizes, options)
    if backend != "mjx":
        raise UsageError(f"unknown backend {backend!r}; legal: {', '.join(BACKENDS)}")
    if boxes:
        raise UsageError("backend 'mjx' has no boxes; legal for this task: articulated")
    # What MJX is fast and stable with; it then leaves MuJoCo by millimetres within ten actions.
    options = dataclasses.replace(options, newton_steps=4)
    return mjx_simulator(sizes, options, scene(sizes))


def scene(sizes: physics.Sizes, box: physics.Boxes | None = None) -> physics.Scene:
    """The character on level ground, with a box where there is one."""
    loaded = skeleton.body()
    model = physics.pad(loaded.model, loaded.sizes, sizes)
    return physics.make_scene(sizes, model, ground_friction=loaded.ground_friction, boxes=box)


def humanoid(backend: Backend = "articulated", box: physics.Boxes | None = None) -> Figure:
    """The humanoid as a figure.

    A fall is a part other than the feet that touches the ground while a part other than the feet
    is low: its origin below 0.15 m, the head's below 0.3 m.

    Args:
      backend: who simulates.
      box: a free box in its world, or none.
    """
    simulate = simulation(backend, 0 if box is None else 1)
    feet = np.isin(skeleton.LINKS, skeleton.FEET)
    parts = [*skeleton.LINKS, *skeleton.HANDS]
    lowest = np.where(np.isin(parts, ["head"]), _HEAD, _OTHER)
    lowest = jnp.asarray(np.where(np.isin(parts, skeleton.FEET), -np.inf, lowest), jnp.float32)

    def servo(world: physics.Scene, at: physics.State, target: jax.Array) -> tuple:
        control = jnp.zeros(simulate.sizes.num_dofs).at[SLOTS].set(target)
        return simulate.step(world, at, control)

    def move(world: physics.Scene, state: physics.State, action: jax.Array) -> Motion:
        target = targets(action)

        def one(at: physics.State, _: None) -> tuple[physics.State, tuple]:
            after, readings = servo(world, at, target)
            return after, (readings.sensors.touch, readings.diverged, readings.dropped)

        after, (touch, lost, dropped) = jax.lax.scan(one, state, length=PHYSICS_STEPS)
        touching = jnp.any((touch[-1] > _TOUCHED) & ~jnp.asarray(feet))
        low = jnp.any(heights(simulate.sizes, world, after) < lowest)
        return Motion(state, after, touch[-1], touching & low, jnp.any(lost), dropped[-1])

    def stand(world: physics.Scene) -> physics.State:
        return simulate.init(world)

    def fall(world: physics.Scene, key: jax.Array) -> physics.State:
        turning, acting = jax.random.split(key)
        turn = rotations.normalise(jax.random.normal(turning, (4,)))
        at = stand(world)
        at = at._replace(q=at.q.at[3:7].set(turn))
        shape = (skeleton.ACTION_SIZE,)
        target = targets(jax.random.uniform(acting, shape, minval=-_RANDOM, maxval=_RANDOM))
        at, _ = jax.lax.scan(lambda at, _: (servo(world, at, target)[0], None), at, length=_FALLING)
        return at._replace(v=jnp.zeros_like(at.v), acceleration=jnp.zeros_like(at.acceleration))

    return Figure(
        scene=lambda: scene(simulate.sizes, box),
        stand=stand,
        fall=fall,
        pose=lambda world, pose: state_of(simulate.init(world), pose),
        move=move,
        sense=lambda world, state: sense_of(simulate.sizes, world, state),
        frame=lambda world, state: frame_of(simulate.sizes, world, state),
        upright=lambda world, state: state.q[2] > _UPRIGHT,
        sense_size=SENSE_SIZE,
        frame_size=FRAME_SIZE,
        action_size=skeleton.ACTION_SIZE,
        period=PERIOD,
    )
