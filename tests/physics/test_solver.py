"""The solver's batches: what a problem gets does not depend on what is solved beside it."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_suite.physics import solver
from jaxrl_suite.physics.solver import Problem

CONTACTS, JOINTS = 2, 3
SIZE = 6 + JOINTS
STEPS = 12

solve = functools.partial(solver.solve, newton_steps=STEPS, line_steps=12)


def problem(key: jax.Array, stiffness: float) -> Problem:
    """Random, well conditioned; all constraints are within reach, harder than the masses."""
    keys = jax.random.split(key, 5)
    root = jax.random.normal(keys[0], (SIZE, SIZE))
    rows = 4 * CONTACTS + JOINTS
    return Problem(
        root @ root.T / SIZE + jnp.eye(SIZE),
        jax.random.normal(keys[1], (SIZE,)),
        jax.random.normal(keys[2], (4 * CONTACTS, SIZE)),
        jnp.ones((JOINTS, 1)),
        jax.random.normal(keys[3], (rows,)),
        stiffness * jax.random.uniform(keys[4], (rows,)),
    )


def problems(count: int, hard: int) -> Problem:
    """`hard` of them need more steps than a batch takes together; the others have no constraint."""
    keys = jax.random.split(jax.random.key(0), count)
    stiffness = jnp.where(jnp.arange(count)[::-1] < hard, 1e3, 0.0)
    return jax.vmap(problem)(keys, stiffness)


def optimum(p: Problem) -> np.ndarray:
    """In float64 by damped Newton steps, each taken to the end."""
    limits = np.zeros((JOINTS, SIZE))
    limits[np.arange(JOINTS), 6 + np.arange(JOINTS)] = np.asarray(p.limits, float)[:, 0]
    rows = np.concatenate([np.asarray(p.edges, float), limits])
    mass, force, reference, weight = (
        np.asarray(x, float) for x in (p.mass, p.force, p.reference, p.weight)
    )

    def cost(a: np.ndarray) -> float:
        x = np.minimum(rows @ a - reference, 0.0)
        return 0.5 * a @ mass @ a - force @ a + 0.5 * np.sum(weight * x * x)

    a = np.linalg.solve(mass, force)
    for _ in range(200):
        x = rows @ a - reference
        active = weight * (x < 0)
        gradient = mass @ a - force + rows.T @ (active * x)
        step = np.linalg.solve(mass + (rows.T * active) @ rows, gradient)
        scale = 1.0
        while cost(a - scale * step) > cost(a) and scale > 1e-9:
            scale *= 0.5
        a = a - scale * step
    return a


@pytest.mark.parametrize("hard", [0, 3, 4, 5, 16])
def test_all_of_a_batch_arrive(hard: int) -> None:
    batch = problems(16, hard)
    found = jax.jit(jax.vmap(solve))(batch, jnp.zeros((16, SIZE)))
    for i in range(16):
        best = optimum(jax.tree.map(lambda x, i=i: x[i], batch))
        np.testing.assert_allclose(found.acceleration[i], best, rtol=1e-4, atol=1e-4)


def test_hard_problems_need_more_steps_than_a_batch_takes_together() -> None:
    """Else the test above would not tell who gets further steps."""
    batch = problems(16, 16)
    short = functools.partial(solver.solve, newton_steps=3, line_steps=12)
    found = jax.jit(jax.vmap(short))(batch, jnp.zeros((16, SIZE))).acceleration
    best = np.stack([optimum(jax.tree.map(lambda x, i=i: x[i], batch)) for i in range(16)])
    assert np.sum(np.abs(found - best).max(axis=1) > 1e-3) >= 4


def test_batches_of_batches_and_shared_arguments() -> None:
    batch, start = problems(16, 3), jnp.zeros(SIZE)
    flat = jax.jit(jax.vmap(solve, in_axes=(0, None)))(batch, start)
    square = jax.tree.map(lambda x: x.reshape(2, 8, *x.shape[1:]), batch)
    nested = jax.vmap(jax.vmap(solve, in_axes=(0, None)), in_axes=(0, None))
    for a, b in zip(flat, jax.jit(nested)(square, start), strict=True):
        np.testing.assert_allclose(a, b.reshape(a.shape), rtol=1e-5, atol=1e-5)
    shared = batch._replace(mass=batch.mass[0])
    axes = Problem(None, 0, 0, 0, 0, 0)
    alike = batch._replace(mass=jnp.broadcast_to(batch.mass[0], batch.mass.shape))
    one = jax.jit(jax.vmap(solve, in_axes=(axes, None)))(shared, start)
    other = jax.jit(jax.vmap(solve, in_axes=(0, None)))(alike, start)
    np.testing.assert_allclose(one.acceleration, other.acceleration, rtol=1e-5, atol=1e-5)


def test_a_batch_does_not_change_what_a_problem_gets() -> None:
    batch = problems(16, 4)
    alone = jax.jit(solve)
    found = jax.jit(jax.vmap(solve))(batch, jnp.zeros((16, SIZE)))
    for i in range(16):
        single = alone(jax.tree.map(lambda x, i=i: x[i], batch), jnp.zeros(SIZE))
        np.testing.assert_allclose(found.acceleration[i], single.acceleration, rtol=1e-4, atol=1e-4)
