"""How far the gradients of several tasks agree."""

from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp

IMPORTANCES = ("fisher", "log_fisher", "magnitude", "gradient")


class Harmony(NamedTuple):
    """score: float32 [], in [-1, 1]; counted: float32 [], share of entries that counted."""

    score: jax.Array
    counted: jax.Array


def average_harmony_score(task_gradients: Any, masks: Any = None) -> Harmony:
    r"""Mean sign agreement of every task's gradient with the aggregated gradient.

    .. math::
      \hat g = \frac1N \sum_i g_i, \qquad
      \frac{1}{NK} \sum_{i=1}^N \sum_{j=1}^K
      \frac{(g_i \odot \hat g)_j}{|g_{i,j}|\,|\hat g_j|}

    1 when all tasks pull every weight the same way. Entries in which either factor is exactly
    zero have no sign and are left out of the mean.

    Args:
      task_gradients: pytree of arrays [N, ...], one gradient a task.
      masks: bool, the same pytree: a gradient is 0 where its mask is; None for no masks.

    Returns:
      :class:`Harmony`; the score is 0 when nothing counts.

    Source: Hu et al. 2024, "HarmoDT", definition of the average harmony score.
    """
    leaves = jax.tree.leaves(task_gradients)
    chex.assert_equal_shape_prefix(leaves, 1)
    each = [None] * len(leaves) if masks is None else jax.tree.leaves(masks)
    agreement, counted, total = jnp.zeros(()), jnp.zeros(()), 0
    for gradient, mask in zip(leaves, each, strict=True):
        pull = jnp.sign(mean_over_tasks(gradient, mask))

        def add(sums: tuple, of: tuple, pull: jax.Array = pull) -> tuple:
            signs = jnp.sign(_kept(*of)) * pull
            return (sums[0] + jnp.sum(signs), sums[1] + jnp.sum(jnp.abs(signs))), None

        (agreement, counted), _ = jax.lax.scan(add, (agreement, counted), (gradient, mask))
        total += gradient.size
    return Harmony(agreement / jnp.maximum(counted, 1.0), counted / total)


def mean_over_tasks(task_gradients: jax.Array, masks: jax.Array | None = None) -> jax.Array:
    r"""The aggregated gradient :math:`\frac1N \sum_i g_i`, [...].

    One task after the other: of a few long rows XLA's own reduction over the first axis takes many
    times as long on a CPU.

    Args:
      task_gradients: [N, ...].
      masks: bool [N, ...], see :func:`average_harmony_score`.
    """
    add = lambda total, of: (total + _kept(*of), None)  # noqa: E731
    total, _ = jax.lax.scan(add, jnp.zeros_like(task_gradients[0]), (task_gradients, masks))
    return total / task_gradients.shape[0]


def _kept(gradient: jax.Array, mask: jax.Array | None) -> jax.Array:
    return gradient if mask is None else jnp.where(mask, gradient, 0.0)


def harmony(
    gradient: jax.Array, mean: jax.Array, importance: jax.Array, weight: jax.Array
) -> jax.Array:
    r"""Harmony of a task with every weight, [K]: low where it had better not have it.

    :math:`H_j = \bar g_j \frac1N \sum_i \bar g_{i,j} + \lambda I_j`

    Args:
      gradient: [K], of the task; where its mask is 0 the result means nothing, unless it is masked.
      mean: [K], of all tasks' masked gradients.
      importance: [K], see :func:`importance`.
      weight: [], lambda.

    Source: Hu et al. 2024, harmony score, the agreement and the weighted importance.
    """
    chex.assert_equal_shape([gradient, mean, importance])
    return gradient * mean + weight * importance


def importance(kind: str, gradient: jax.Array, loss: jax.Array, weights: jax.Array) -> jax.Array:
    r"""How much a task needs every weight, [K].

    fisher: :math:`\bar g^2`, as the released code computes; log_fisher:
    :math:`(\nabla \log L)^2 = \bar g^2 / L^2`, as the paper writes; magnitude:
    :math:`|\theta|`; gradient: :math:`|\bar g|`.

    Args:
      kind: of IMPORTANCES, static.
      gradient: [K], of the task; where its mask is 0 the result means nothing, unless it is masked.
      loss: [], of the task.
      weights: [K].
    """
    if kind == "fisher":
        return gradient**2
    if kind == "log_fisher":
        return (gradient / loss) ** 2
    return jnp.abs(weights) if kind == "magnitude" else jnp.abs(gradient)
