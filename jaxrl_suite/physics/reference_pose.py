"""The reference pose, and the solver's inverse weights, which follow from it.

All in JAX, so that a mutated body needs no step on the host: :func:`with_invweights` makes what
MuJoCo's compiler would have made of it.
"""

import jax
import jax.numpy as jnp

from jaxrl_suite.physics import dynamics
from jaxrl_suite.physics.kinematics import kinematics, prepare
from jaxrl_suite.physics.model import ROOT_DOFS, Model, Sizes, State


def rest(sizes: Sizes, start: jax.Array | float = 0.0) -> State:
    """The reference pose: all angles zero, the root's origin at `start` [3] (m)."""
    q = jnp.zeros(sizes.num_positions).at[:3].set(start).at[3].set(1.0)
    balls = sizes.num_bodies - 1 if sizes.balls else 0
    return State(
        q,
        jnp.zeros(sizes.num_dofs),
        jnp.zeros(sizes.num_accelerations),
        jnp.tile(jnp.eye(1, 4), (balls, 1)),
        jnp.tile(jnp.eye(1, 7, 3), (sizes.boxes, 1)),
        jnp.zeros((sizes.boxes, ROOT_DOFS)),
    )


def with_invweights(sizes: Sizes, model: Model) -> Model:
    """The model with the inverse weights of its shape, at the reference pose.

    body_invweight = trace(J M^-1 J') / 3 with J the translation of the link's centre of mass;
    dof_invweight = (M^-1)_dd, a ball's three slots sharing their mean.
    """
    with jax.default_matmul_precision("highest"):
        tree = prepare(sizes, model)
        kin = kinematics(sizes, model, rest(sizes))
        mass = dynamics.mass_matrix(model, tree, kin, dynamics.inertias(model, kin))
        inverse = jnp.linalg.inv(mass)
        com = kin.position + jnp.einsum("bij,bj->bi", kin.rotation, model.com)
        turn, move = kin.columns[:, :3], kin.columns[:, 3:]
        # Velocity of a point c: u + w x c.
        jacobian = move[None] + jnp.cross(turn[None], com[:, None])  # [NB, NV, 3]
        jacobian = jacobian * tree.moves[:, :, None]
        weight = jnp.einsum("bdi,de,bei->b", jacobian, inverse, jacobian) / 3.0
        dofs = jnp.diagonal(inverse)[6:].reshape(-1, sizes.hinges)
        shared = jnp.where(model.ball[:, None] > 0, dofs.mean(axis=1, keepdims=True), dofs)
        used = model.dof_mask[6:]
        return model._replace(
            body_invweight=weight * model.exists, dof_invweight=shared.reshape(-1) * used
        )
