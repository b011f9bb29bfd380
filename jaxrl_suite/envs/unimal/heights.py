"""What a UNIMAL sees of the ground around it: heights at points that thin out with distance."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl_suite import physics
from jaxrl_suite.envs.unimal.arena import CELLS, Cell, under
from jaxrl_suite.physics import rotations

# Cells, of -N log(1 - n / N) scaled to N and cut to whole numbers, for N = 40 and for N = 10.
_FAR = (*range(14), 15, 16, 17, 18, 20, 22, 24, 28, 32, 40)
_BEHIND = (1, 2, 3, 5, 6, 10)
_FORWARD = np.array(sorted({*_FAR, *(-x for x in _BEHIND)}))
_LATERAL = np.array(sorted({*_FAR, *(-x for x in _FAR)})[::-1])
NUM_HEIGHTS = len(_LATERAL) * len(_FORWARD)  # 47 x 30


def heading(state: physics.State) -> jax.Array:
    """[2], unit, where the head's x axis points on the map; ahead where it points straight up."""
    turn = rotations.to_matrix(state.q[3:7])
    along = rotations.normalise(turn[:2, 0])
    return jnp.where(jnp.any(along != 0), along, jnp.array([1.0, 0.0]))


def points(ahead: jax.Array) -> jax.Array:
    """int32 [1410, 2], cells from the one under the head, for a unit heading [2].

    First all to the far left, from behind to ahead, then further to the right.
    """
    y, x = (
        jnp.asarray(part.ravel(), float) for part in np.meshgrid(_LATERAL, _FORWARD, indexing="ij")
    )
    cos, sin = ahead
    turned = jnp.stack([cos * x - sin * y, sin * x + cos * y], axis=1)
    return jnp.round(turned).astype(jnp.int32)


def height_field(cell: Cell, state: physics.State) -> jax.Array:
    """[1410]: heights (m) over the cell under the head, 1 m behind to 4 m ahead, 4 m to the sides.

    47 x 30 points in cells of 0.1 m, denser near the head, in the direction of the head's x axis.
    The noise at reset is too small to turn any of them into another cell, so that a first
    observation is that of a body that faces along x.

    Source: Gupta et al. 2021, released code; differs: there the head's frame is one physics step
    old, and left and right seem to be exchanged between what is seen and what is touched.
    """
    here = jnp.floor(state.q[:2] * CELLS).astype(jnp.int32)
    at = here[None] + points(heading(state))
    return jax.vmap(cell)(at[:, 0], at[:, 1]) - under(cell, state.q[:2])
