"""Mass matrix and bias force of a tree given as masks (Featherstone 2008, chapters 5 and 6).

Spatial vectors are (angular, linear), in world axes about the root's origin.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrl_suite.physics.kinematics import Kinematics, Tree
from jaxrl_suite.physics.model import Model


class Inertias(NamedTuple):
    """Spatial inertias, linear in their ten numbers so that they add up.

    rotational: [..., 3, 3] (kg m^2).
    moment: [..., 3], mass times centre of mass (kg m).
    mass: [...] (kg).
    """

    rotational: jax.Array
    moment: jax.Array
    mass: jax.Array

    def times(self, motion: jax.Array) -> jax.Array:
        """I (w, u) = (I w + h x u, m u + w x h), [..., 6]."""
        w, u = motion[..., :3], motion[..., 3:]
        angular = jnp.einsum("...ij,...j->...i", self.rotational, w) + jnp.cross(self.moment, u)
        return jnp.concatenate(
            [angular, self.mass[..., None] * u + jnp.cross(w, self.moment)], axis=-1
        )


def cross_motion(a: jax.Array, b: jax.Array) -> jax.Array:
    """(w, u) x_m (a, b) = (w x a, w x b + u x a), [..., 6]."""
    w, u, turn, move = a[..., :3], a[..., 3:], b[..., :3], b[..., 3:]
    return jnp.concatenate([jnp.cross(w, turn), jnp.cross(w, move) + jnp.cross(u, turn)], axis=-1)


def cross_force(a: jax.Array, f: jax.Array) -> jax.Array:
    """(w, u) x_f (n, f) = (w x n + u x f, w x f), [..., 6]."""
    w, u, torque, force = a[..., :3], a[..., 3:], f[..., :3], f[..., 3:]
    return jnp.concatenate(
        [jnp.cross(w, torque) + jnp.cross(u, force), jnp.cross(w, force)], axis=-1
    )


def inertias(model: Model, kin: Kinematics) -> Inertias:
    """Of all links, [NB]: R J R' + m (|c|^2 1 - c c')."""
    com = kin.position + jnp.einsum("bij,bj->bi", kin.rotation, model.com)
    moment = model.mass[:, None] * com
    turned = jnp.einsum("bij,bjk,blk->bil", kin.rotation, model.inertia, kin.rotation)
    square = jnp.sum(moment * com, axis=-1)[:, None, None]
    shift = square * jnp.eye(3, dtype=com.dtype)[None] - moment[:, :, None] * com[:, None, :]
    return Inertias(turned + shift, moment, model.mass)


def mass_matrix(model: Model, tree: Tree, kin: Kinematics, links: Inertias) -> jax.Array:
    """[NV, NV]; unused slots have a one on the diagonal.

    With F_d the inertia of all that slot d moves, applied to d's column, and G[d, e] =
    column_d . F_e: M = U o G + (1 - U) o D o G' for D = `carries`, U = D'.
    """
    size = links.mass.shape[0]
    flat = jnp.concatenate(
        [links.rotational.reshape(size, 9), links.moment, links.mass[:, None]], axis=1
    )
    moved = tree.moves.T @ flat
    moved = Inertias(moved[:, :9].reshape(-1, 3, 3), moved[:, 9:12], moved[:, 12])
    product = kin.columns @ moved.times(kin.columns).T
    upper = tree.carries.T
    full = upper * product + (1.0 - upper) * tree.carries * product.T
    return full + jnp.diag(model.armature + (1.0 - model.dof_mask))


def bias_force(
    tree: Tree, kin: Kinematics, links: Inertias, v: jax.Array, gravity: float
) -> jax.Array:
    """[NV], the force that keeps all accelerations at zero: gravity, centrifugal, Coriolis.

    Seen from a frame that travels with the root it is the same, so the root's linear velocity is
    left out: its terms would cancel, but not their rounding.
    """
    v = v.at[:3].set(0.0)
    rates = kin.columns * v[:, None]
    velocity = tree.moves @ rates
    turning = cross_motion(tree.carries @ rates, kin.columns) * v[:, None]
    lift = jnp.zeros(6, v.dtype).at[5].set(gravity)
    acceleration = tree.moves @ turning + lift[None]
    force = links.times(acceleration) + cross_force(velocity, links.times(velocity))
    return jnp.sum(kin.columns * (tree.moves.T @ force), axis=-1)
