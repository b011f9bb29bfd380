"""How far the gradients of several tasks agree."""

from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp


class Harmony(NamedTuple):
    """score: float32 [], in [-1, 1]; counted: float32 [], share of entries that counted."""

    score: jax.Array
    counted: jax.Array


def average_harmony_score(task_gradients: Any) -> Harmony:
    r"""Mean sign agreement of every task's gradient with the aggregated gradient.

    .. math::
      \hat g = \frac1N \sum_i g_i, \qquad
      \frac{1}{NK} \sum_{i=1}^N \sum_{j=1}^K
      \frac{(g_i \odot \hat g)_j}{|g_{i,j}|\,|\hat g_j|}

    1 when all tasks pull every weight the same way. Entries in which either factor is exactly
    zero have no sign and are left out of the mean.

    Args:
      task_gradients: pytree of arrays [N, ...], one gradient a task.

    Returns:
      :class:`Harmony`; the score is 0 when nothing counts.

    Source: Hu et al. 2024, "HarmoDT", definition of the average harmony score.
    """
    leaves = jax.tree.leaves(task_gradients)
    chex.assert_equal_shape_prefix(leaves, 1)
    agreement, counted, total = jnp.zeros(()), jnp.zeros(()), 0
    for gradient in leaves:
        signs = jnp.sign(gradient) * jnp.sign(jnp.mean(gradient, axis=0, keepdims=True))
        agreement += jnp.sum(signs)
        counted += jnp.sum(jnp.abs(signs))
        total += gradient.size
    return Harmony(agreement / jnp.maximum(counted, 1.0), counted / total)
