"""Which part of which clip is followed next: what is followed badly, more often.

Source: Han et al. 2024 and its released code.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrl_suite import physics
from jaxrl_suite.envs.quadruped.tracking import Episode, Tracked
from jaxrl_suite.systems.lifelike.acting import Schedule
from jaxrl_suite.systems.lifelike.config import Hyper


class Table(NamedTuple):
    """Of S segments of clips.

    scene: what the robot stands on.
    score: [S], moving average of the normalised returns of episodes that began there.
    """

    scene: physics.Scene
    score: jax.Array


def shares(score: jax.Array, hyper: Hyper) -> jax.Array:
    r"""Shares of starts [S]: :math:`(1 - f) (1 - R)^s / \sum (1 - R)^s + f / S`."""
    need = (1.0 - jnp.clip(score, 0.0, 1.0)) ** hyper.sharpness
    whole = jnp.sum(need)
    even = 1.0 / score.shape[0]
    part = jnp.where(whole > 0, need / jnp.where(whole > 0, whole, 1.0), even)
    return (1.0 - hyper.floor) * part + hyper.floor * even


def updated(
    score: jax.Array, segment: jax.Array, value: jax.Array, ended: jax.Array, blend: jax.Array
) -> jax.Array:
    """The scores [S] after episodes [B] of these segments, the mean of an update's counting once.

    Args:
      score: [S].
      segment: int32 [B].
      value: [B], normalised returns; anything where not `ended`.
      ended: bool [B].
      blend: [], weight of the update's mean.
    """
    size = score.shape[0]
    count = jax.ops.segment_sum(ended.astype(jnp.float32), segment, size)
    total = jax.ops.segment_sum(jnp.where(ended, value, 0.0), segment, size)
    mean = total / jnp.maximum(count, 1.0)
    return jnp.where(count > 0, score + blend * (mean - score), score)


def prioritised(scene: physics.Scene, num_segments: int) -> Schedule:
    """Shares of starts that follow returns; at first they are even.

    differs: the original divides a return by the length of the whole clip though it began somewhere
    within, so that long clips look bad, keeps the last return alone, and has a table a process.
    Here a return is divided by the steps that were left, averaged, and of a segment of a clip.
    """

    def seen(
        table: Table, hyper: Hyper, segment: jax.Array, ended: jax.Array, outcomes: dict
    ) -> Table:
        flat = [x.reshape(-1) for x in (segment, outcomes["score"], ended)]
        return table._replace(score=updated(table.score, *flat, hyper.blend))

    def keep(episode: Episode) -> jax.Array:
        return episode.segment

    return Schedule(
        lambda hyper: Table(scene, jnp.zeros(num_segments)),
        lambda table, hyper: Tracked(table.scene, shares(table.score, hyper)),
        seen,
        keep,
    )
