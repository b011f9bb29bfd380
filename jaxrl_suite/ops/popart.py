"""PopArt: value targets normalised per task, while the unnormalised outputs stay as they are.

Hessel et al. 2019, "Multi-task deep reinforcement learning with PopArt", section 3.
"""

from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp


class PopArtState(NamedTuple):
    """Running first and second moments of every task's value targets, [N] each."""

    mean: jax.Array
    second_moment: jax.Array

    @property
    def sigma(self) -> jax.Array:
        """Standard deviation [N], kept in [1e-4, 1e6] as in the paper."""
        variance = self.second_moment - self.mean**2
        return jnp.clip(jnp.sqrt(jnp.maximum(variance, 0.0)), 1e-4, 1e6)


def init(num_tasks: int) -> PopArtState:
    """Mean 0 and standard deviation 1 for every task."""
    return PopArtState(jnp.zeros(num_tasks), jnp.ones(num_tasks))


def update(
    state: PopArtState,
    targets: jax.Array,
    task_index: jax.Array,
    valid: jax.Array,
    step_size: chex.Numeric,
) -> PopArtState:
    r"""Moves every task's moments towards those of its targets in this batch.

    .. math:: \mu_i \leftarrow (1-\beta)\mu_i + \beta\,\overline{v}_i, \qquad
              \nu_i \leftarrow (1-\beta)\nu_i + \beta\,\overline{v^2}_i

    Args:
      state: the moments, [N].
      targets: [T, B], unnormalised value targets.
      task_index: int [B], in [0, N).
      valid: bool [T, B], which targets count; a task without any keeps its moments.
      step_size: beta, in [0, 1].
    """
    chex.assert_equal_shape([targets, valid])
    chex.assert_rank([targets, task_index], [2, 1])
    member = jax.nn.one_hot(task_index, state.mean.shape[0])  # [B, N]
    count = jnp.einsum("tb,bn->n", valid.astype(jnp.float32), member)
    safe = jnp.maximum(count, 1.0)
    first = jnp.einsum("tb,bn->n", jnp.where(valid, targets, 0.0), member) / safe
    second = jnp.einsum("tb,bn->n", jnp.where(valid, targets**2, 0.0), member) / safe
    # differs: the paper moves the moments once a target, in order; here once a batch, by its mean.
    beta = jnp.where(count > 0, step_size, 0.0)
    return PopArtState(
        state.mean + beta * (first - state.mean),
        state.second_moment + beta * (second - state.second_moment),
    )


def rescale_head(
    kernel: jax.Array, bias: jax.Array, old: PopArtState, new: PopArtState
) -> tuple[jax.Array, jax.Array]:
    r"""The value head that gives the same unnormalised outputs under the new moments.

    .. math:: W' = W \sigma / \sigma', \qquad b' = (\sigma b + \mu - \mu') / \sigma'

    Args:
      kernel: [D, N].
      bias: [N].
      old: moments that the head was made for.
      new: moments from now on.
    """
    chex.assert_rank([kernel, bias], [2, 1])
    ratio = old.sigma / new.sigma
    return kernel * ratio[None, :], ratio * bias + (old.mean - new.mean) / new.sigma
