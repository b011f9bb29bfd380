"""One body, one timestep: from a state and controls to forces, accelerations and the next state.

Functions are for one body in one environment; callers vmap, over bodies with the model mapped and
over environments with it shared.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrl_suite.physics import contact, dynamics, rotations, solver
from jaxrl_suite.physics.contact import Contacts
from jaxrl_suite.physics.ground import Ground
from jaxrl_suite.physics.kinematics import Kinematics, Tree, kinematics
from jaxrl_suite.physics.model import ROOT_DOFS, Model, Options, Sizes, State
from jaxrl_suite.physics.reference_pose import rest


class Forward(NamedTuple):
    """Everything at one instant.

    kinematics: poses.
    contacts: found.
    contact_force: [K, 3], in the contacts' frames (N).
    mass: [NV, NV].
    smooth_force: [NV], of everything but constraints, tau.
    constraint_force: [NV].
    acceleration: [NV].
    """

    kinematics: Kinematics
    contacts: Contacts
    contact_force: jax.Array
    mass: jax.Array
    smooth_force: jax.Array
    constraint_force: jax.Array
    acceleration: jax.Array


class Sensors(NamedTuple):
    """At the root's origin, in the root's axes.

    accelerometer: [3], gravity included (m/s^2).
    gyro: [3] (rad/s).
    velocimeter: [3] (m/s).
    touch: [NB], normal forces on a link, added up (N).
    """

    accelerometer: jax.Array
    gyro: jax.Array
    velocimeter: jax.Array
    touch: jax.Array


class Step(NamedTuple):
    """What a step tells besides the next state; as in MuJoCo, of the instant *before* it.

    forward: forces and poses.
    diverged: bool [], the next state was not finite and is the rest pose instead.
    """

    forward: Forward
    diverged: jax.Array


def joint_angles(sizes: Sizes, model: Model, state: State) -> jax.Array:
    """[NB-1, H]: hinge angles; of a ball its rotation vector (rad)."""
    angle = state.q[7:].reshape(-1, sizes.hinges)
    if sizes.balls:
        angle = jnp.where(model.ball[:, None] > 0, rotations.to_vector(state.ball_q), angle)
    return angle


def smooth_force(
    model: Model, bias: jax.Array, angle: jax.Array, v: jax.Array, control: jax.Array
) -> jax.Array:
    """tau [NV] = actuators - damping - springs - bias.

    An actuator gives clip(gear clip(control) - kp angle - kv rate): a motor has kp = kv = 0, a
    position actuator gear = kp.
    """
    angle = jnp.concatenate([jnp.zeros(ROOT_DOFS, v.dtype), angle.reshape(-1)])
    control = jnp.clip(control, model.control_range[:, 0], model.control_range[:, 1])
    actuator = model.gear * control - model.kp * angle - model.kv * v
    actuator = jnp.clip(actuator, model.force_range[:, 0], model.force_range[:, 1])
    return (actuator - model.damping * v - model.stiffness * angle) * model.dof_mask - bias


def limits(
    sizes: Sizes, options: Options, model: Model, angle: jax.Array, v: jax.Array
) -> solver.Limits:
    """Hinges between two angles, balls within a largest one."""
    shape = (sizes.num_bodies - 1, sizes.hinges)
    low, high = (model.range[:, i].reshape(shape) for i in range(2))
    below, above = angle - low, high - angle
    distance = jnp.minimum(below, above)
    sign = jnp.where(below < above, 1.0, -1.0).astype(angle.dtype)
    rows = sign[:, :, None] * jnp.eye(sizes.hinges, dtype=angle.dtype)[None]
    if sizes.balls:
        ball = model.ball > 0
        size = jnp.linalg.norm(angle, axis=1, keepdims=True)
        first = jnp.arange(sizes.hinges) == 0
        apart = jnp.where(first[None], high[:, :1] - size, 1.0)  # the others are never reached
        distance = jnp.where(ball[:, None], apart, distance)
        row = -rotations.normalise(angle)[:, None, :] * first[None, :, None]
        rows = jnp.where(ball[:, None, None], row, rows)
    rate = v[ROOT_DOFS:].reshape(shape)
    imp = solver.impedance(options.solimp_limit, distance)
    stiffness, damping = solver.spring(options.solref, options.solimp_limit, options.timestep)
    speed = jnp.einsum("bst,bt->bs", rows, rate)
    mask = model.dof_mask[ROOT_DOFS:].reshape(shape)
    weight = solver.weight(imp, model.dof_invweight.reshape(shape), (distance < 0) & (mask > 0))
    return solver.Limits(rows, -damping * speed - stiffness * imp * distance, weight)


def contact_jacobian(sizes: Sizes, tree: Tree, kin: Kinematics, found: Contacts) -> jax.Array:
    """[K, 3, NV], velocity of the second link against the first in the contact's frame."""
    moves = jnp.concatenate([tree.moves, jnp.zeros_like(tree.moves[:1])])  # the world's, too
    difference = moves[found.second] - moves[found.first]
    moment = jnp.cross(found.position[:, None], found.frame)
    rows = jnp.concatenate([moment, found.frame], axis=-1).reshape(-1, 6)
    columns = (rows @ kin.columns.T).reshape(-1, 3, sizes.num_dofs)
    return columns * difference[:, None]


def forward(
    sizes: Sizes,
    options: Options,
    model: Model,
    tree: Tree,
    state: State,
    control: jax.Array,
    ground: Ground,
    ground_friction: jax.Array,
    applied: jax.Array | float = 0.0,
) -> Forward:
    """Forces and accelerations.

    Args:
      sizes: static.
      options: static.
      model: one body.
      tree: its masks, from :func:`prepare`.
      state: of the body.
      control: [NV], by slot.
      ground: see :class:`Ground`.
      ground_friction: [].
      applied: [NV], further generalised force.
    """
    with jax.default_matmul_precision("highest"):
        kin = kinematics(sizes, model, state)
        links = dynamics.inertias(model, kin)
        mass = dynamics.mass_matrix(model, tree, kin, links)
        bias = dynamics.bias_force(tree, kin, links, state.v, options.gravity)
        angle = joint_angles(sizes, model, state)
        force = smooth_force(model, bias, angle, state.v, control) + applied * model.dof_mask
        found = contact.find(
            sizes,
            model,
            kin,
            state.q[:3],
            ground,
            ground_friction,
            self_collision=options.self_collision,
        )
        jacobian = contact_jacobian(sizes, tree, kin, found)
        problem = solver.Problem(
            mass,
            force,
            jacobian,
            found.friction,
            *_contact_rows(options, model, found, jacobian @ state.v),
            limits(sizes, options, model, angle, state.v),
        )
        solution = solver.solve(
            problem, state.acceleration, options.newton_steps, options.line_search_steps
        )
    return Forward(
        kin,
        found,
        solution.contact_force,
        mass,
        force,
        solution.force,
        solution.acceleration,
    )


def _contact_rows(
    options: Options, model: Model, found: Contacts, velocity: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Reference [K, 4] and weight [K] of the contacts' edges."""
    imp = solver.impedance(options.solimp_contact, found.distance)
    stiffness, damping = solver.spring(options.solref, options.solimp_contact, options.timestep)
    reference = -damping * solver.edges(found.friction, velocity)
    reference = reference - (stiffness * imp * found.distance)[:, None]
    inverse = jnp.append(model.body_invweight, 0.0)  # the world does not move
    inverse = inverse[found.first] + inverse[found.second]
    square = found.friction**2
    inverse = inverse * (1.0 + square) * 2.0 * square
    return reference, solver.weight(imp, inverse, found.active)


def integrate(sizes: Sizes, options: Options, model: Model, state: State, now: Forward) -> State:
    """Semi-implicit Euler, implicit in the joints' damping, as MuJoCo's."""
    step = options.timestep
    with jax.default_matmul_precision("highest"):
        factor = jnp.linalg.cholesky(now.mass + step * jnp.diag(model.damping))
        force = now.smooth_force + now.constraint_force
        rate = jax.scipy.linalg.cho_solve((factor, True), force)
    v = state.v + step * rate * model.dof_mask
    turn = rotations.multiply(state.q[3:7], rotations.from_vector(step * v[3:6]))
    q = jnp.concatenate(
        [state.q[:3] + step * v[:3], rotations.normalise(turn), state.q[7:] + step * v[6:]]
    )
    ball_q = state.ball_q
    if sizes.balls:
        ball = model.ball[:, None] > 0
        rates = v[ROOT_DOFS:].reshape(-1, 3)
        turned = rotations.multiply(ball_q, rotations.from_vector(step * rates))
        ball_q = jnp.where(ball, rotations.normalise(turned), ball_q)
        still = jnp.repeat(model.ball, 3) > 0  # a ball's angles live in its quaternion
        q = q.at[7:].set(jnp.where(still, 0.0, q[7:]))
    return State(q, v, now.acceleration, ball_q)


def init(sizes: Sizes, model: Model) -> State:
    """At rest in the reference pose, the root at the body's own height above z = 0."""
    return rest(sizes, model.height)


def step(
    sizes: Sizes,
    options: Options,
    model: Model,
    tree: Tree,
    state: State,
    control: jax.Array,
    ground: Ground,
    ground_friction: jax.Array,
    applied: jax.Array | float = 0.0,
) -> tuple[State, Step]:
    """One timestep; see :func:`forward` for the arguments.

    A state that is no longer finite is replaced by the rest pose, and said so.
    """
    now = forward(sizes, options, model, tree, state, control, ground, ground_friction, applied)
    after = integrate(sizes, options, model, state, now)
    leaves = [jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(after)]
    finite = jnp.all(jnp.stack(leaves))
    fresh = init(sizes, model)
    after = jax.tree.map(lambda a, b: jnp.where(finite, a, b), after, fresh)
    return after, Step(now, ~finite)


def sensors(state: State, now: Forward, gravity: float) -> Sensors:
    """Of the instant that `state` and `now` belong to."""
    rotation = now.kinematics.rotation[0]
    up = jnp.zeros(3, state.v.dtype).at[2].set(gravity)
    normal = now.contact_force[:, 0] * now.contacts.active
    links = jnp.arange(now.kinematics.rotation.shape[0])[None]
    touched = (now.contacts.first[:, None] == links) | (now.contacts.second[:, None] == links)
    return Sensors(
        accelerometer=rotation.T @ (now.acceleration[:3] + up),
        gyro=state.v[3:6],
        velocimeter=rotation.T @ state.v[:3],
        touch=normal @ touched,
    )
