"""MuJoCo's soft constraints, solved by primal Newton with fixed counts.

Minimises over the acceleration a
    1/2 (a - a0)' M (a - a0) + sum 1/2 D x^2 [x < 0],   x = R a - reference,
for the unconstrained acceleration a0 = M^-1 tau. A contact has four rows, the edges n +- mu t1,
n +- mu t2 of its friction pyramid; a joint limit has one. (Todorov 2014; MuJoCo documentation,
"Computation".)
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrl_suite.physics.model import ROOT_DOFS

_FAR = 1e4  # longest step of the line search, in Newton steps
_CLOSE = 1e-5  # of the multiple, a step of the line search that changes nothing
_MIN_RESISTANCE = 1e-15
_TOGETHER = 3  # Newton steps that a whole batch takes
_SHARE = 4  # and the part of it, one in so many, that takes more


class Problem(NamedTuple):
    """What is minimised, for n degrees of freedom and C = 4 K + NJ rows: edges, then limits.

    mass: [n, n].
    force: [n], tau.
    edges: [4 K, n], of the contacts' pyramids.
    limits: of the joints, which are slots 6 to 6 + NJ - 1 of the degrees of freedom. [NB-1, H]
      where a row reads its own slot alone, as it does of hinges; with balls [NB-1, H, H], where
      row s of a link reads the H slots of that link.
    reference: [C].
    weight: [C], D; 0 where there is no contact or a limit is not reached.
    """

    mass: jax.Array
    force: jax.Array
    edges: jax.Array
    limits: jax.Array
    reference: jax.Array
    weight: jax.Array


class Solution(NamedTuple):
    """acceleration: [n]; edge_force: [4 K] (N); force: [n], of all constraints."""

    acceleration: jax.Array
    edge_force: jax.Array
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
    """[K, 3, n] in contact frames -> [4 K, n] along the pyramid's edges."""
    normal, t1, t2 = x[:, 0], friction[:, None] * x[:, 1], friction[:, None] * x[:, 2]
    rows = jnp.stack([normal + t1, normal - t1, normal + t2, normal - t2], axis=1)
    return rows.reshape(-1, x.shape[2])


def from_edges(friction: jax.Array, force: jax.Array) -> jax.Array:
    """Transpose of :func:`edges` for a force: [4 K] -> [K, 3]."""
    f = force.reshape(-1, 4)
    tangents = [friction * (f[:, 0] - f[:, 1]), friction * (f[:, 2] - f[:, 3])]
    return jnp.stack([f.sum(axis=1), *tangents], axis=1)


class _Point(NamedTuple):
    """Where the iteration is: a, M a, and the rows x."""

    acceleration: jax.Array
    inertial: jax.Array
    rows: jax.Array


# Products with the rows are written as sums of products: XLA turns those into vector code on a
# CPU, where a batch of dots of this size is four times slower.


def _times(problem: Problem, a: jax.Array) -> jax.Array:
    """R a, [C]."""
    links, hinges = problem.limits.shape[:2]
    joints = a[ROOT_DOFS : ROOT_DOFS + links * hinges].reshape(links, hinges)
    if problem.limits.ndim == 2:
        limits = problem.limits * joints
    else:
        limits = jnp.sum(problem.limits * joints[:, None], axis=2)
    return jnp.concatenate([jnp.sum(problem.edges * a[None], axis=1), limits.reshape(-1)])


def _transposed(problem: Problem, f: jax.Array) -> jax.Array:
    """R' f, [n]."""
    count, size = problem.edges.shape
    limits = f[count:].reshape(problem.limits.shape[:2])
    if problem.limits.ndim == 2:
        joints = problem.limits * limits
    else:
        joints = jnp.sum(problem.limits * limits[:, :, None], axis=1)
    joints = jnp.pad(joints.reshape(-1), (ROOT_DOFS, size - ROOT_DOFS - joints.size))
    return jnp.sum(problem.edges * f[:count, None], axis=0) + joints


def _forces(problem: Problem, rows: jax.Array) -> jax.Array:
    """Of the rows, [C]."""
    return -problem.weight * jnp.minimum(rows, 0.0)


def _hessian(problem: Problem, rows: jax.Array) -> jax.Array:
    """M + R' D R over the active rows, [n, n]."""
    count, size = problem.edges.shape
    active = problem.weight * (rows < 0)
    weighted = active[:count, None] * problem.edges
    hessian = problem.mass + jnp.sum(weighted[:, :, None] * problem.edges[:, None, :], axis=0)
    if problem.limits.ndim == 2:
        after = size - ROOT_DOFS - problem.limits.size
        stiff = jnp.pad(active[count:], (ROOT_DOFS, after))  # signs square to one
        return hessian + jnp.eye(size, dtype=rows.dtype) * stiff[None]
    links, hinges, _ = problem.limits.shape
    stiff = active[count:].reshape(links, hinges, 1, 1)
    blocks = jnp.sum(stiff * problem.limits[..., :, None] * problem.limits[..., None, :], axis=1)
    spread = blocks[:, :, None, :] * jnp.eye(links, dtype=rows.dtype)[:, None, :, None]
    spread = spread.reshape(links * hinges, links * hinges)
    return hessian + jnp.pad(spread, (ROOT_DOFS, size - ROOT_DOFS - links * hinges))


def _line_search(problem: Problem, point: _Point, step: _Point, num_steps: int) -> jax.Array:
    """The best multiple of the step: Newton on the derivative, kept in a bracket."""
    slope = step.acceleration @ (point.inertial - problem.force)
    curve = step.acceleration @ step.inertial
    weighted = problem.weight * step.rows

    def body(_: int, carry: tuple) -> tuple:
        alpha, low, high = carry
        x = point.rows + alpha * step.rows
        dx = weighted * (x < 0)
        first = slope + alpha * curve + jnp.sum(dx * x)
        second = curve + jnp.sum(dx * step.rows)
        low, high = jnp.where(first < 0, alpha, low), jnp.where(first < 0, high, alpha)
        newton = alpha - first / jnp.maximum(second, 1e-30)
        middle = jnp.where(high < _FAR, 0.5 * (low + high), 2.0 * jnp.maximum(low, 1e-3))
        inside = (newton > low) & (newton < high)
        # At the minimum rounding alone decides on which side of the bracket Newton's step ends;
        # bisecting then would lead away from it.
        arrived = jnp.abs(newton - alpha) <= _CLOSE * alpha
        return jnp.where(inside | arrived, newton, middle), low, high

    one = jnp.ones((), slope.dtype)
    return jax.lax.fori_loop(0, num_steps, body, (one, 0.0 * one, _FAR * one))[0]


def _at(problem: Problem, a: jax.Array) -> _Point:
    return _Point(a, problem.mass @ a, _times(problem, a) - problem.reference)


def cheaper(problem: Problem, one: jax.Array, other: jax.Array) -> jax.Array:
    """Whichever of two accelerations [n] has the lower cost."""

    def cost(a: jax.Array) -> jax.Array:
        point = _at(problem, a)
        # Without 1/2 a0' M a0, which is the same for both.
        smooth = a @ (0.5 * point.inertial - problem.force)
        return smooth + 0.5 * jnp.sum(problem.weight * jnp.minimum(point.rows, 0.0) ** 2)

    return jnp.where(cost(other) < cost(one), other, one)


def _newton(
    problem: Problem, start: jax.Array, newton_steps: int, line_steps: int
) -> tuple[jax.Array, jax.Array]:
    """The acceleration [n] reached from `start`, and whether it is the minimum, bool [].

    It is once a step ends with the active rows it began with: the cost is quadratic along all of
    that step, so its end is the lowest point there is.
    """
    exists = problem.weight > 0

    def body(_: int, carry: tuple[_Point, jax.Array]) -> tuple[_Point, jax.Array]:
        point, _ = carry
        force = _transposed(problem, _forces(problem, point.rows))
        gradient = point.inertial - problem.force - force
        factor = jnp.linalg.cholesky(_hessian(problem, point.rows), symmetrize_input=False)
        direction = -jax.scipy.linalg.cho_solve((factor, True), gradient)
        step = _Point(direction, problem.mass @ direction, _times(problem, direction))
        alpha = _line_search(problem, point, step, line_steps)
        after = jax.tree.map(lambda p, s: p + alpha * s, point, step)
        return after, ~jnp.any(((point.rows < 0) != (after.rows < 0)) & exists)

    begin = _at(problem, start), jnp.zeros((), bool)
    point, settled = jax.lax.fori_loop(0, newton_steps, body, begin)
    return point.acceleration, settled


def _minimum(newton_steps: int, line_steps: int) -> Callable[[Problem, jax.Array], jax.Array]:
    """``(problem, start [n]) -> acceleration [n]``, which under vmap spends steps where needed."""

    @jax.custom_batching.custom_vmap
    def single(problem: Problem, start: jax.Array) -> jax.Array:
        return _newton(problem, start, newton_steps, line_steps)[0]

    @jax.custom_batching.custom_vmap
    def many(problems: Problem, starts: jax.Array) -> jax.Array:
        run = jax.vmap(_newton, in_axes=(0, 0, None, None))
        count = len(starts) // _SHARE
        left = newton_steps - _TOGETHER
        if left <= 0 or count == 0:
            return run(problems, starts, newton_steps, line_steps)[0]
        reached, settled = run(problems, starts, _TOGETHER, line_steps)

        def few() -> jax.Array:
            _, index = jax.lax.top_k((~settled).astype(jnp.int32), count)
            theirs = jax.tree.map(lambda x: x[index], problems)
            further = run(theirs, reached[index], left, line_steps)[0]
            return reached.at[index].set(further, unique_indices=True)

        def everyone() -> jax.Array:
            return run(problems, reached, left, line_steps)[0]

        return jax.lax.cond(jnp.sum(~settled) <= count, few, everyone)

    def batched(size: int, which: list, args: tuple) -> tuple:
        """Arguments with a leading axis each."""
        spread = lambda x, has: x if has else jnp.broadcast_to(x, (size, *x.shape))  # noqa: E731
        return jax.tree.map(spread, args, tuple(which))

    @single.def_vmap
    def _(size: int, which: list, *args: jax.Array) -> tuple[jax.Array, bool]:
        return many(*batched(size, which, args)), True

    @many.def_vmap
    def _(size: int, which: list, *args: jax.Array) -> tuple[jax.Array, bool]:
        args = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), batched(size, which, args))
        return many(*args).reshape(size, -1, args[1].shape[-1]), True

    return single


def solve(problem: Problem, start: jax.Array, newton_steps: int, line_steps: int) -> Solution:
    """Minimises from `start` [n] by at most so many Newton steps of so many line-search steps.

    Under vmap all problems of the batch take three steps, and then only those that have not
    arrived, as long as they are no more than a quarter of it. What a problem loses by this is
    a last polish by steps that would not leave the minimum, so that its last digits depend on
    what else is in the batch: the same batch gives the same bits, a body alone does not. A batch
    spread over devices should be split by shard_map, which keeps the sorting within a device.
    """
    acceleration = _minimum(newton_steps, line_steps)(problem, start)
    # Without the rounding of the increments.
    rows = _times(problem, acceleration) - problem.reference
    force = _forces(problem, rows)
    count = problem.edges.shape[0]
    return Solution(acceleration, force[:count], _transposed(problem, force))
