"""One body, one timestep: from a state and controls to forces, accelerations and the next state.

Functions are for one body in one environment; callers vmap, over bodies with the model mapped and
over environments with it shared.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrl_suite.physics import contact, dynamics, rotations, solver
from jaxrl_suite.physics.contact import Contacts
from jaxrl_suite.physics.kinematics import Kinematics, kinematics
from jaxrl_suite.physics.model import ROOT_DOFS, Model, Options, Sizes, State
from jaxrl_suite.physics.reference_pose import rest
from jaxrl_suite.physics.scene import Boxes, Scene


class Forward(NamedTuple):
    """Everything at one instant; n = NV + 6 NF, the body's slots and those of free boxes.

    kinematics: poses.
    contacts: found.
    contact_force: [K, 3], in the contacts' frames (N).
    mass: [n, n].
    smooth_force: [n], of everything but constraints, tau.
    constraint_force: [n].
    acceleration: [n].
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
    sizes: Sizes,
    model: Model,
    bias: jax.Array,
    angle: jax.Array,
    v: jax.Array,
    control: jax.Array,
) -> jax.Array:
    """tau [NV] = actuators - damping - springs - bias.

    An actuator gives clip(gear clip(control) - kp angle - kv rate): a motor has kp = kv = 0, a
    position actuator gear = kp. On a ball a position actuator goes the shorter way round.
    """
    angle = jnp.concatenate([jnp.zeros(ROOT_DOFS, v.dtype), angle.reshape(-1)])
    control = jnp.clip(control, model.control_range[:, 0], model.control_range[:, 1])
    actuator = model.gear * control - model.kp * angle
    if sizes.balls:
        turn = 2.0 * jnp.pi * model.kp * jnp.pad(jnp.repeat(model.ball, 3), (ROOT_DOFS, 0))
        laps = jnp.where(turn > 0, actuator / jnp.where(turn > 0, turn, 1.0), 0.0)
        actuator = actuator - turn * jnp.round(laps)
    actuator = actuator - model.kv * v
    actuator = jnp.clip(actuator, model.force_range[:, 0], model.force_range[:, 1])
    return (actuator - model.damping * v - model.stiffness * angle) * model.dof_mask - bias


class Rows(NamedTuple):
    """Constraint rows: how they read velocities, where they want to go, how hard they are.

    rows: of contacts [4 K, NV], of limits as in :class:`solver.Problem`.
    reference, weight: [4 K] or [NB-1, H].
    """

    rows: jax.Array
    reference: jax.Array
    weight: jax.Array


def limits(sizes: Sizes, options: Options, model: Model, angle: jax.Array, v: jax.Array) -> Rows:
    """Hinges between two angles, balls within a largest one."""
    shape = (sizes.num_bodies - 1, sizes.hinges)
    low, high = (model.range[:, i].reshape(shape) for i in range(2))
    below, above = angle - low, high - angle
    distance = jnp.minimum(below, above)
    rows = jnp.where(below < above, 1.0, -1.0).astype(angle.dtype)
    rate = v[ROOT_DOFS : ROOT_DOFS + sizes.num_joints].reshape(shape)
    speed = rows * rate
    if sizes.balls:
        ball = model.ball > 0
        size = jnp.linalg.norm(angle, axis=1, keepdims=True)
        first = jnp.arange(sizes.hinges) == 0
        apart = jnp.where(first[None], high[:, :1] - size, 1.0)  # the others are never reached
        distance = jnp.where(ball[:, None], apart, distance)
        row = -rotations.normalise(angle)[:, None, :] * first[None, :, None]
        own = rows[:, :, None] * jnp.eye(sizes.hinges, dtype=angle.dtype)[None]
        rows = jnp.where(ball[:, None, None], row, own)
        speed = jnp.sum(rows * rate[:, None, :], axis=2)
    imp = solver.impedance(options.solimp_limit, distance)
    stiffness, damping = solver.spring(options.solref, options.solimp_limit, options.timestep)
    mask = model.dof_mask[ROOT_DOFS:].reshape(shape)
    weight = solver.weight(imp, model.dof_invweight.reshape(shape), (distance < 0) & (mask > 0))
    return Rows(rows, -damping * speed - stiffness * imp * distance, weight)


def contact_jacobian(
    sizes: Sizes, scene: Scene, kin: Kinematics, state: State, found: Contacts
) -> jax.Array:
    """[K, 3, NV + 6 NF], velocity of the second body against the first in the contact's frame."""
    moves = scene.tree.moves
    moves = jnp.concatenate([moves, jnp.zeros_like(moves, shape=(1 + sizes.boxes, moves.shape[1]))])
    difference = moves[found.second] - moves[found.first]
    moment = jnp.cross(found.position[:, None], found.frame)
    rows = jnp.concatenate([moment, found.frame], axis=-1).reshape(-1, 6)
    columns = (rows @ kin.columns.T).reshape(-1, 3, sizes.num_dofs) * difference[:, None]
    blocks = [columns]
    for i in range(sizes.boxes):
        place, turn = state.box_q[i, :3] - state.q[:3], rotations.to_matrix(state.box_q[i, 3:])
        moment = jnp.cross((found.position - place[None])[:, None], found.frame) @ turn
        body = sizes.num_bodies + 1 + i
        sign = (found.second == body).astype(moment.dtype) - (found.first == body)
        blocks.append(jnp.concatenate([found.frame, moment], axis=-1) * sign[:, None, None])
    return jnp.concatenate(blocks, axis=-1)


def box_dynamics(boxes: Boxes, state: State, gravity: float) -> tuple[jax.Array, jax.Array]:
    """Diagonal of the mass matrix and smooth force of free boxes, [6 NF] each."""
    mass = jnp.where(boxes.exists > 0, boxes.mass, 1.0)[:, None]
    turning = state.box_v[:, 3:]
    weight = jnp.array([[0.0, 0.0, -gravity]], mass.dtype) * mass * boxes.exists[:, None]
    gyroscopic = -jnp.cross(turning, boxes.inertia * turning)
    diagonal = jnp.concatenate([jnp.broadcast_to(mass, weight.shape), boxes.inertia], axis=1)
    return diagonal.reshape(-1), jnp.concatenate([weight, gyroscopic], axis=1).reshape(-1)


def velocities(state: State) -> jax.Array:
    """[NV + 6 NF]: of the body, then of free boxes."""
    return jnp.concatenate([state.v, state.box_v.reshape(-1)])


def forward(
    sizes: Sizes,
    options: Options,
    scene: Scene,
    state: State,
    control: jax.Array,
    applied: jax.Array | float = 0.0,
) -> Forward:
    """Forces and accelerations.

    Args:
      sizes: static.
      options: static.
      scene: a body and what it meets.
      state: of both.
      control: [NV], by slot.
      applied: [NV], further generalised force on the body.
    """
    model, tree = scene.model, scene.tree
    with jax.default_matmul_precision("highest"):
        kin = kinematics(sizes, model, state)
        links = dynamics.inertias(model, kin)
        mass = dynamics.mass_matrix(model, tree, kin, links)
        bias = dynamics.bias_force(tree, kin, links, state.v, options.gravity)
        angle = joint_angles(sizes, model, state)
        force = smooth_force(sizes, model, bias, angle, state.v, control) + applied * model.dof_mask
        if sizes.boxes:
            diagonal, of_boxes = box_dynamics(scene.boxes, state, options.gravity)
            mass = jax.scipy.linalg.block_diag(mass, jnp.diag(diagonal))
            force = jnp.concatenate([force, of_boxes])
        found = contact.find(sizes, scene, kin, state, self_collision=options.self_collision)
        jacobian = contact_jacobian(sizes, scene, kin, state, found)
        touching = contacts(options, scene, found, jacobian, velocities(state))
        bounded = limits(sizes, options, model, angle, state.v)
        problem = solver.Problem(
            mass,
            force,
            touching.rows,
            bounded.rows,
            jnp.concatenate([touching.reference, bounded.reference.reshape(-1)]),
            jnp.concatenate([touching.weight, bounded.weight.reshape(-1)]),
        )
        start = state.acceleration
        if options.start == "cheaper":
            start = solver.cheaper(problem, start, smooth_acceleration(options, model, problem))
        solution = solver.solve(problem, start, options.newton_steps, options.line_search_steps)
    return Forward(
        kin,
        found,
        solver.from_edges(found.friction, solution.edge_force),
        mass,
        force,
        solution.force,
        solution.acceleration,
    )


def _damped(options: Options, model: Model, mass: jax.Array) -> jax.Array:
    """M + h diag(damping), [n, n]; boxes have no damping."""
    damping = jnp.pad(model.damping, (0, mass.shape[0] - model.damping.shape[0]))
    return mass + options.timestep * jnp.diag(damping)


def smooth_acceleration(options: Options, model: Model, problem: solver.Problem) -> jax.Array:
    """(M + h diag(damping))^-1 tau, [n], a start for the solver.

    differs: MuJoCo starts from M^-1 tau; this one shares its factor with the integrator.
    """
    factor = jnp.linalg.cholesky(_damped(options, model, problem.mass), symmetrize_input=False)
    return jax.scipy.linalg.cho_solve((factor, True), problem.force)


def contacts(
    options: Options, scene: Scene, found: Contacts, jacobian: jax.Array, v: jax.Array
) -> Rows:
    """The edges of the contacts' friction pyramids."""
    rows = solver.edges(found.friction, jacobian)
    imp = solver.impedance(options.solimp_contact, found.distance)
    stiffness, damping = solver.spring(options.solref, options.solimp_contact, options.timestep)
    reference = -damping * jnp.sum(rows * v[None], axis=1)
    reference = reference - jnp.repeat(stiffness * imp * found.distance, 4)
    free = jnp.where(scene.boxes.mass > 0, scene.boxes.mass, 1.0)
    world = jnp.zeros_like(free, shape=1)  # does not move
    inverse = jnp.concatenate([scene.model.body_invweight, world, 1.0 / free])
    inverse = inverse[found.first] + inverse[found.second]
    square = found.friction**2
    inverse = inverse * (1.0 + square) * 2.0 * square
    return Rows(rows, reference, jnp.repeat(solver.weight(imp, inverse, found.active), 4))


def integrate(sizes: Sizes, options: Options, model: Model, state: State, now: Forward) -> State:
    """Semi-implicit Euler, implicit in the joints' damping, as MuJoCo's."""
    step = options.timestep
    with jax.default_matmul_precision("highest"):
        # After the solver, not beside it: on a CPU two batched LAPACK calls at once may each wait
        # for the thread that the other one holds, for ever. 0 x is no 0 to XLA, x may be NaN.
        mass = now.mass + 0.0 * now.acceleration[0]
        factor = jnp.linalg.cholesky(_damped(options, model, mass), symmetrize_input=False)
        force = now.smooth_force + now.constraint_force
        rate = jax.scipy.linalg.cho_solve((factor, True), force)
    v = state.v + step * rate[: sizes.num_dofs] * model.dof_mask
    q = jnp.concatenate([_moved(state.q[:7], v[:6], step), state.q[7:] + step * v[6:]])
    ball_q = state.ball_q
    if sizes.balls:
        ball = model.ball[:, None] > 0
        rates = v[ROOT_DOFS:].reshape(-1, 3)
        turned = rotations.multiply(ball_q, rotations.from_vector(step * rates))
        ball_q = jnp.where(ball, rotations.normalise(turned), ball_q)
        still = jnp.repeat(model.ball, 3) > 0  # a ball's angles live in its quaternion
        q = q.at[7:].set(jnp.where(still, 0.0, q[7:]))
    box_v = state.box_v + step * rate[sizes.num_dofs :].reshape(-1, ROOT_DOFS)
    return State(q, v, now.acceleration, ball_q, _moved(state.box_q, box_v, step), box_v)


def _moved(q: jax.Array, v: jax.Array, step: float) -> jax.Array:
    """Pose [..., 7] after a step at v [..., 6], linear in world axes, angular in its own."""
    turn = rotations.multiply(q[..., 3:], rotations.from_vector(step * v[..., 3:]))
    return jnp.concatenate([q[..., :3] + step * v[..., :3], rotations.normalise(turn)], axis=-1)


def init(sizes: Sizes, scene: Scene) -> State:
    """At rest in the reference pose, body and boxes at their start."""
    boxes = jnp.concatenate([scene.boxes.position, scene.boxes.quaternion], axis=-1)
    return rest(sizes, scene.model.start)._replace(box_q=boxes)


def step(
    sizes: Sizes,
    options: Options,
    scene: Scene,
    state: State,
    control: jax.Array,
    applied: jax.Array | float = 0.0,
) -> tuple[State, Step]:
    """One timestep; see :func:`forward` for the arguments.

    A state that is no longer finite is replaced by the rest pose, and said so.
    """
    now = forward(sizes, options, scene, state, control, applied)
    after = integrate(sizes, options, scene.model, state, now)
    leaves = [jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(after)]
    finite = jnp.all(jnp.stack(leaves))
    after = jax.tree.map(lambda a, b: jnp.where(finite, a, b), after, init(sizes, scene))
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
