"""How much of the clips a controller has learned, measured on windows of one rollout.

A window belongs to the clip that has the nearest window to it, by the distance of normalised
windows. All functions are pure and jitted by their caller.

Source: Peng et al. 2022, section 10 for coverage of motions and of transitions; the exact
definitions are this suite's own.
"""

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl_suite.core import Metrics
from jaxrl_suite.envs.character import Character, World
from jaxrl_suite.ops import running

_RARE = 10.0  # a clip counts as covered from 1 / (10 M) of the windows, M clips


def grid(env: Character) -> tuple[np.ndarray, np.ndarray]:
    """Clip and time (s) of one window an action of every clip, [R] each."""
    behind = (env.rules.window - 1) * env.figure.period
    clips, times = [], []
    for clip, (count, fps) in enumerate(zip(env.clips.length, env.clips.fps, strict=True)):
        end = float((int(count) - 1) / float(fps))
        when = np.arange(behind, end + 1e-6, env.figure.period)
        clips.append(np.full(len(when), clip, np.int32))
        times.append(when.astype(np.float32))
    return np.concatenate(clips), np.concatenate(times)


def references(env: Character, world: World) -> tuple[jax.Array, jax.Array]:
    """Windows of all clips [R, W], and the clip of each, int32 [R]."""
    clips, times = grid(env)
    windows = jax.lax.map(
        lambda x: env.window_of(x[0], x[1], world),
        (jnp.asarray(clips), jnp.asarray(times)),
        batch_size=256,
    )
    return windows, jnp.asarray(clips)


def nearest(
    windows: jax.Array,
    known: tuple[jax.Array, jax.Array],
    normaliser: running.Running,
    clip: jax.Array | float = 5.0,
) -> jax.Array:
    """Clip of each window [..., W] by its nearest reference, int32 [...]."""
    spread = lambda x: running.normalised(normaliser, x, clip)  # noqa: E731
    references, labels = spread(known[0]), known[1]
    squares = jnp.sum(references**2, axis=1)

    def label(rows: jax.Array) -> jax.Array:
        # |x|^2 is the same for all references.
        with jax.default_matmul_precision("highest"):  # a difference of large numbers
            products = spread(rows) @ references.T
        return labels[jnp.argmin(squares[None] - 2.0 * products, axis=1)]

    flat = windows.reshape(-1, 1, windows.shape[-1])
    found = jax.lax.map(lambda x: label(x)[0], flat, batch_size=512)
    return found.reshape(windows.shape[:-1])


def histogram(labels: jax.Array, count: jax.Array, num_clips: int) -> jax.Array:
    """Share of each clip among the labels [...] that count, bool [...] -> [M]."""
    chosen = jax.nn.one_hot(labels.reshape(-1), num_clips) * count.reshape(-1, 1)
    return jnp.sum(chosen, axis=0) / jnp.maximum(jnp.sum(count), 1.0)


def coverage(shares: jax.Array) -> Metrics:
    """Of a histogram [M]: share of clips seen, and entropy over log M, 1 for an even one."""
    size = shares.shape[0]
    seen = shares > 1.0 / (_RARE * size)
    logs = jnp.log(jnp.where(shares > 0, shares, 1.0))
    return {
        "coverage": jnp.mean(seen.astype(jnp.float32)),
        "entropy": -jnp.sum(shares * logs) / jnp.log(max(float(size), 2.0)),
    }


def transitions(before: jax.Array, after: jax.Array, count: jax.Array, num_clips: int) -> jax.Array:
    """Pairs of labels [N] that count, bool [N] -> [M, M], rows the clip before a switch."""
    pair = before * num_clips + after
    return jnp.zeros(num_clips**2).at[pair].add(count * 1.0).reshape(num_clips, num_clips)


def transition_coverage(counts: jax.Array) -> jax.Array:
    """Share of ordered pairs of two clips that were seen, []."""
    size = counts.shape[0]
    apart = 1.0 - jnp.eye(size)
    return jnp.sum((counts > 0) * apart) / jnp.maximum(jnp.sum(apart), 1.0)


def pairwise_distance(paths: jax.Array) -> jax.Array:
    """Mean distance of trajectories [T, N, D] over time and pairs, []: from one start, many z.

    differs: as in follow-up work, of frames rather than of whole trajectories.
    """
    count = paths.shape[1]
    squares = jnp.sum(paths**2, axis=-1)
    with jax.default_matmul_precision("highest"):
        product = jnp.einsum("tid,tjd->tij", paths, paths)
    apart = jnp.sqrt(jnp.maximum(squares[:, :, None] + squares[:, None] - 2.0 * product, 0.0))
    return jnp.mean(jnp.sum(apart, axis=(1, 2))) / max(count * (count - 1), 1)


def recovery(upright: jax.Array, period: float) -> Metrics:
    """From falls [T, N] bool, whether the body stands after each step.

    Returns:
      recovery_rate: share of bodies that stood up at all. recovery_time: median of the time until
      then (s), of those; NaN if none did.
    """
    stood = jnp.any(upright, axis=0)
    when = (jnp.argmax(upright, axis=0) + 1) * period
    return {
        "recovery_rate": jnp.mean(stood.astype(jnp.float32)),
        "recovery_time": jnp.nanmedian(jnp.where(stood, when, jnp.nan)),
    }
