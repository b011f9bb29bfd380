"""MuJoCo's soft constraints, solved by primal Newton with fixed counts.

Minimises over the acceleration a
    1/2 (a - a0)' M (a - a0) + sum 1/2 D x^2 [x < 0],   x = E J a - reference,
for the unconstrained acceleration a0 = M^-1 tau, which is never computed. A contact has four rows,
the edges n +- mu t1, n +- mu t2 of its friction pyramid; a joint limit has one. (Todorov 2014;
MuJoCo documentation, "Computation".)
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrl_suite.physics.model import ROOT_DOFS

_FAR = 1e4  # longest step of the line search, in Newton steps
_MIN_RESISTANCE = 1e-15


class Limits(NamedTuple):
    """Joint limits: row s of a link acts on the H slots of that link.

    rows: [NB-1, H, H].
    reference, weight: [NB-1, H]; weight 0 where a limit is not reached.
    """

    rows: jax.Array
    reference: jax.Array
    weight: jax.Array


class Problem(NamedTuple):
    """What is minimised, for n degrees of freedom.

    mass: [n, n].
    force: [n], tau.
    jacobian: [K, 3, n], of the contacts in their frames.
    friction: [K].
    reference: [K, 4], of the edges.
    weight: [K], D; 0 where there is no contact.
    limits: of the joints, which are slots 6 to 6 + NJ - 1.
    """

    mass: jax.Array
    force: jax.Array
    jacobian: jax.Array
    friction: jax.Array
    reference: jax.Array
    weight: jax.Array
    limits: Limits


class Solution(NamedTuple):
    """acceleration: [n]; contact_force: [K, 3], in the contacts' frames (N); force: [n], of all."""

    acceleration: jax.Array
    contact_force: jax.Array
    force: jax.Array


def impedance(solimp: tuple[float, ...], distance: jax.Array) -> jax.Array:
    """How hard a constraint is at this violation, between dmin and dmax."""
    least, most, width, midpoint, power = solimp
    least, most = (min(max(d, 1e-4), 0.9999) for d in (least, most))
    x = jnp.abs(distance) / width
    inner = jnp.minimum(x, 1.0)
    below = inner**power / midpoint ** (power - 1.0)
    above = 1.0 - (1.0 - inner) ** power / (1.0 - midpoint) ** (power - 1.0)
    y = jnp.where(inner < midpoint, below, above)
    return jnp.where(x > 1.0, most, least + y * (most - least))


def spring(
    solref: tuple[float, float], solimp: tuple[float, ...], timestep: float
) -> tuple[float, float]:
    """Stiffness k = 1 / (dmax^2 tc^2 dr^2) and damping b = 2 / (dmax tc) of the reference."""
    most = min(max(solimp[1], 1e-4), 0.9999)
    constant = max(solref[0], 2.0 * timestep)
    return 1.0 / (most * constant * solref[1]) ** 2, 2.0 / (most * constant)


def weight(imp: jax.Array, inverse_weight: jax.Array, active: jax.Array) -> jax.Array:
    """D = imp / ((1 - imp) w), 0 where not active."""
    resistance = jnp.maximum((1.0 - imp) / imp * inverse_weight, _MIN_RESISTANCE)
    return jnp.where(active, 1.0 / resistance, 0.0)


def edges(friction: jax.Array, x: jax.Array) -> jax.Array:
    """[K, 3] in contact frames -> [K, 4] along the pyramid's edges."""
    normal, t1, t2 = x[:, 0], friction * x[:, 1], friction * x[:, 2]
    return jnp.stack([normal + t1, normal - t1, normal + t2, normal - t2], axis=1)


def from_edges(friction: jax.Array, f: jax.Array) -> jax.Array:
    """Transpose of :func:`edges`: [K, 4] -> [K, 3]."""
    tangents = [friction * (f[:, 0] - f[:, 1]), friction * (f[:, 2] - f[:, 3])]
    return jnp.stack([f.sum(axis=1), *tangents], axis=1)


class _Point(NamedTuple):
    """Where the iteration is: a, M a, and the rows x (contacts) and y (limits)."""

    acceleration: jax.Array
    inertial: jax.Array
    contacts: jax.Array
    limits: jax.Array


def _rows(problem: Problem, a: jax.Array) -> tuple[jax.Array, jax.Array]:
    """E J a [K, 4] and the limits' rows times a [NB-1, H]."""
    links, hinges = problem.limits.weight.shape
    joints = a[ROOT_DOFS : ROOT_DOFS + links * hinges].reshape(links, hinges)
    return (
        edges(problem.friction, problem.jacobian @ a),
        jnp.einsum("bst,bt->bs", problem.limits.rows, joints),
    )


def _constraint_forces(problem: Problem, x: jax.Array, y: jax.Array) -> tuple:
    """Contact forces in their frames [K, 3] and generalised force of everything [n]."""
    force = -problem.weight[:, None] * jnp.minimum(x, 0.0)
    contact = from_edges(problem.friction, force)
    limit = -problem.limits.weight * jnp.minimum(y, 0.0)
    joints = jnp.einsum("bst,bs->bt", problem.limits.rows, limit).reshape(-1)
    total = jnp.einsum("kid,ki->d", problem.jacobian, contact)
    return contact, total.at[ROOT_DOFS : ROOT_DOFS + joints.shape[0]].add(joints)


def _hessian(problem: Problem, x: jax.Array, y: jax.Array) -> jax.Array:
    """M + J' W J + limits, [n, n]."""
    mu = problem.friction
    d = problem.weight[:, None] * (x < 0)
    # W = sum of d e e' over the edges, whose tangents do not mix.
    diagonal = [d.sum(1), mu**2 * (d[:, 0] + d[:, 1]), mu**2 * (d[:, 2] + d[:, 3])]
    mixed = [mu * (d[:, 0] - d[:, 1]), mu * (d[:, 2] - d[:, 3])]
    normal, t1, t2 = (problem.jacobian[:, i] for i in range(3))
    weighted = jnp.stack(
        [
            diagonal[0][:, None] * normal + mixed[0][:, None] * t1 + mixed[1][:, None] * t2,
            mixed[0][:, None] * normal + diagonal[1][:, None] * t1,
            mixed[1][:, None] * normal + diagonal[2][:, None] * t2,
        ],
        axis=1,
    )
    size = problem.force.shape[0]
    hessian = problem.mass + problem.jacobian.reshape(-1, size).T @ weighted.reshape(-1, size)
    links, hinges = y.shape
    rows, w = problem.limits.rows, problem.limits.weight * (y < 0)
    blocks = jnp.einsum("bst,bs,bsu->btu", rows, w, rows)
    spread = blocks[:, :, None, :] * jnp.eye(links, dtype=x.dtype)[:, None, :, None]
    spread = spread.reshape(links * hinges, links * hinges)
    after = size - ROOT_DOFS - links * hinges
    return hessian + jnp.pad(spread, (ROOT_DOFS, after))


def _line_search(problem: Problem, point: _Point, step: _Point, num_steps: int) -> jax.Array:
    """The best multiple of the step: Newton on the derivative, kept in a bracket."""
    slope = step.acceleration @ (point.inertial - problem.force)
    curve = step.acceleration @ step.inertial
    weight, limit_weight = problem.weight[:, None], problem.limits.weight

    def body(_: int, carry: tuple) -> tuple:
        alpha, low, high = carry
        x = point.contacts + alpha * step.contacts
        y = point.limits + alpha * step.limits
        dx = weight * step.contacts * (x < 0)
        dy = limit_weight * step.limits * (y < 0)
        first = slope + alpha * curve + jnp.sum(dx * x) + jnp.sum(dy * y)
        second = curve + jnp.sum(dx * step.contacts) + jnp.sum(dy * step.limits)
        low, high = jnp.where(first < 0, alpha, low), jnp.where(first < 0, high, alpha)
        newton = alpha - first / jnp.maximum(second, 1e-30)
        middle = jnp.where(high < _FAR, 0.5 * (low + high), 2.0 * jnp.maximum(low, 1e-3))
        inside = (newton > low) & (newton < high)
        return jnp.where(inside, newton, middle), low, high

    one = jnp.ones((), slope.dtype)
    return jax.lax.fori_loop(0, num_steps, body, (one, 0.0 * one, _FAR * one))[0]


def solve(problem: Problem, start: jax.Array, newton_steps: int, line_steps: int) -> Solution:
    """Minimises from `start` [n] by so many Newton steps with so many line-search steps each."""

    def at(a: jax.Array) -> _Point:
        x, y = _rows(problem, a)
        return _Point(a, problem.mass @ a, x - problem.reference, y - problem.limits.reference)

    def body(_: int, point: _Point) -> _Point:
        _, force = _constraint_forces(problem, point.contacts, point.limits)
        gradient = point.inertial - problem.force - force
        factor = jnp.linalg.cholesky(_hessian(problem, point.contacts, point.limits))
        direction = -jax.scipy.linalg.cho_solve((factor, True), gradient)
        x, y = _rows(problem, direction)
        step = _Point(direction, problem.mass @ direction, x, y)
        alpha = _line_search(problem, point, step, line_steps)
        return jax.tree.map(lambda p, s: p + alpha * s, point, step)

    point = jax.lax.fori_loop(0, newton_steps, body, at(start))
    # Without the rounding of the increments.
    final = at(point.acceleration)
    contact, force = _constraint_forces(problem, final.contacts, final.limits)
    return Solution(point.acceleration, contact, force)
