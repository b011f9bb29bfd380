"""Binary masks of weights, one a task: how they begin, how entries are swapped, how tasks vote.

Source: Hu et al. 2024, "HarmoDT"; the sparse start is the Erdos-Renyi kernel of Evci et al. 2020,
"Rigging the lottery", section 3.
"""

import math
from collections.abc import Mapping

import chex
import jax
import jax.numpy as jnp

SCHEDULES = ("hump", "decay", "constant")
BLOCK = 1024  # entries of which :func:`top_indices` keeps one maximum


def erk_densities(shapes: Mapping[str, tuple[int, ...]], density: float) -> dict[str, float]:
    """Share of ones of each tensor, so that the whole has `density`.

    epsilon * (sum of a tensor's dimensions) / (product of them), with epsilon such that the whole
    comes out right. Where that is above 1 the tensors with the largest ratio become dense and
    epsilon is found again: small tensors, such as biases, are dense.

    Args:
      shapes: by name.
      density: of all together, in (0, 1].

    Returns:
      By name, each in (0, 1].
    """
    sizes = {name: math.prod(shape) for name, shape in shapes.items()}
    ratio = {name: sum(shape) / sizes[name] for name, shape in shapes.items()}
    dense: set[str] = set()
    while True:
        sparse = [name for name in shapes if name not in dense]
        if not sparse:
            return dict.fromkeys(shapes, 1.0)
        left = density * sum(sizes.values()) - sum(sizes[name] for name in dense)
        epsilon = left / sum(ratio[name] * sizes[name] for name in sparse)
        most = max(ratio[name] for name in sparse)
        if epsilon * most <= 1:
            return {name: 1.0 if name in dense else epsilon * ratio[name] for name in shapes}
        dense |= {name for name in sparse if ratio[name] == most}


def swap_count(share: jax.Array, least: float, most: float, schedule: str) -> jax.Array:
    r"""How many entries a task swaps, int32 [].

    hump: :math:`a_1 + (a_0 - a_1) (1 + \cos 2 \pi t) / 2`, from `least` up to `most` half way and
    back; decay: :math:`a_0 + (a_1 - a_0) (1 + \cos \pi t) / 2`, from `most` down to `least`;
    constant: `most`. Cut to a whole number.

    Args:
      share: [], t, of the training that is done, 0 to 1.
      least: a_0.
      most: a_1.
      schedule: of SCHEDULES, static.

    Source: released code of Hu et al. 2024, where "hump" is the one in force.
    """
    if schedule == "hump":
        count = most + 0.5 * (least - most) * (1.0 + jnp.cos(2.0 * jnp.pi * share))
    elif schedule == "decay":
        count = least + 0.5 * (most - least) * (1.0 + jnp.cos(jnp.pi * share))
    else:
        count = jnp.full_like(share, most)
    # A hair more: the cosine's rounding must not lose a whole one.
    return jnp.floor(count + 1e-4).astype(jnp.int32)


def top_indices(score: jax.Array, count: int) -> jax.Array:
    """Indices of the `count` largest entries of a long vector, largest first: int32 [count].

    Exact, of equal entries the first, and much faster than sorting all: whatever is among the
    `count` largest lies in one of the `count` blocks with the largest maxima, or behind the last
    whole block.

    Args:
      score: [K], without NaN.
      count: static, at most K.
    """
    size = score.shape[0]
    blocks = size // BLOCK
    if blocks <= count:
        return jax.lax.top_k(score, count)[1]
    # What lies behind the last whole block competes as it is: padding would copy everything.
    whole = blocks * BLOCK
    rows = score[:whole].reshape(blocks, BLOCK)
    best = jax.lax.top_k(jnp.max(rows, axis=1), count)[1]
    # In order, so that of equal entries the first is taken, as a sort would.
    best = jnp.sort(best)
    left = jnp.concatenate([rows[best].reshape(-1), score[whole:]])
    inside = (best[:, None] * BLOCK + jnp.arange(BLOCK)[None]).reshape(-1)
    place = jnp.concatenate([inside, jnp.arange(whole, size)])
    return place[jax.lax.top_k(left, count)[1]].astype(jnp.int32)


def swap(
    mask: jax.Array, harmony: jax.Array, recovery: jax.Array, count: jax.Array, most: int
) -> jax.Array:
    """A mask with as many ones as before, `count` of them elsewhere.

    The `count` ones of the lowest harmony go out and the `count` zeros of the highest recovery
    come in; both are chosen by the mask as it was, so that no entry does both. Fewer are swapped
    where there are fewer ones or zeros that may.

    Args:
      mask: bool [K].
      harmony: [K]; plus infinity for a one that must stay.
      recovery: [K]; minus infinity for a zero that must stay.
      count: int32 [], at most `most`.
      most: static.

    Returns:
      bool [K].

    Source: Hu et al. 2024, mask update: ArgBtmK of the harmony score, ArgTopK of the recovery's.
    """
    chex.assert_rank([mask, harmony, recovery], 1)
    leaving = jnp.where(mask, -harmony, -jnp.inf)
    coming = jnp.where(mask, -jnp.inf, recovery)
    out, into = top_indices(leaving, most), top_indices(coming, most)
    may = [jnp.sum(score[index] > -jnp.inf) for score, index in ((leaving, out), (coming, into))]
    count = jnp.minimum(count, jnp.minimum(*may))
    # Entries beyond the count are sent nowhere.
    beyond = jnp.where(jnp.arange(most) < count, 0, mask.shape[0])
    mask = mask.at[out + beyond].set(False, mode="drop")
    return mask.at[into + beyond].set(True, mode="drop")


def vote(masks: jax.Array, threshold: float, *, inclusive: bool = False) -> jax.Array:
    """A mask for a task that has none, bool [K]: 1 where more than `threshold` tasks have a 1.

    Args:
      masks: bool [N, K].
      threshold: of votes.
      inclusive: whether `threshold` votes are enough, as in the released code.

    Source: Hu et al. 2024, unseen tasks.
    """
    votes = jnp.sum(masks, axis=0)
    return votes >= threshold if inclusive else votes > threshold
