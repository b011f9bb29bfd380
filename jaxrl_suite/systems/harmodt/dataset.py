"""Trajectories on the device: normalised, cut into windows and prompts inside the program."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl_suite.core import UsageError
from jaxrl_suite.data.episodes import Episodes
from jaxrl_suite.nets.decision_transformer import TIMES, Steps
from jaxrl_suite.systems.harmodt.config import DataConfig

# differs: the original adds 1e-6 to it, which blows up entries that hardly change.
_FLOOR = 1e-3  # least standard deviation that a state's entry is divided by
_BEST = 8  # episodes of a task that prompts are taken from with the source "best"


class Data(NamedTuple):
    """All steps of all episodes, S rows; training episodes of a task lie together.

    states: float16 [S, D], normalised by the task's mean and spread.
    actions: float16 [S, A].
    returns: [S], undiscounted return-to-go over the task's scale.
    times: int32 [S], step of the episode.
    end: int32 [S], row after the last of the episode.
    segment: int32 [S], row that a prompt of the episode begins with.
    first, count: int32 [N], rows of each task's training episodes.
    best: int32 [N, 8], rows of its best training episodes: those that are solved the soonest, or
      those of the largest return where none is solved. Where an episode ends soon after it is
      solved, one that takes long, or fails, collects the larger return.
    prompts: int32 [N], row of its best held-out episode.
    mean, spread: [N, D], of training states: the task's, or those of all tasks.
    scale: [N], of returns, likewise: the largest, in size, of training episodes, of those that are
      solved where any is.
    target: [N], return that evaluation asks for, unscaled: the mean of the best episodes'.
      differs: the original divides by 1000 and asks for 4500 in all tasks.
    lowest, highest: [N], return of the task's training episodes, unscaled.
    """

    states: jax.Array
    actions: jax.Array
    returns: jax.Array
    times: jax.Array
    end: jax.Array
    segment: jax.Array
    first: jax.Array
    count: jax.Array
    best: jax.Array
    prompts: jax.Array
    mean: jax.Array
    spread: jax.Array
    scale: jax.Array
    target: jax.Array
    lowest: jax.Array
    highest: jax.Array


class Dataset(NamedTuple):
    """What a system is made of.

    tasks: their names.
    data: see :class:`Data`.
    state_size, action_size: D, A.
    """

    tasks: tuple[str, ...]
    data: Data
    state_size: int
    action_size: int


def build(
    config: DataConfig,
    episodes: Mapping[str, Episodes],
    seed: int = 0,
    like: Dataset | None = None,
) -> Dataset:
    """Puts trajectories on the device.

    Compiled programs then read them as arguments: what they close over is not copied into them.

    Args:
      config: of the data; its directory is not read.
      episodes: by task.
      seed: of the choice of held-out episodes.
      like: tasks that have been learned, by whose mean, spread and scale these ones are
        normalised; for tasks that were never seen. They must share theirs.

    Raises:
      UsageError: an unknown task, one with too few episodes, or episodes too short for a prompt.
    """
    config.check()
    unknown = [name for name in config.tasks if name not in episodes]
    if unknown:
        raise UsageError(f"no task {unknown[0]!r} in the data; legal: {', '.join(episodes)}")
    if like is not None and config.normalise != "all":
        raise UsageError('new tasks share the mean of all others: they need normalise="all"')
    tasks = config.tasks or tuple(episodes)
    generator, start = np.random.default_rng(seed), 0
    parts: list[dict[str, np.ndarray]] = []
    for name in tasks:
        part = _task(config, name, episodes[name], generator)
        for field in ("end", "segment", "first", "best", "prompts"):
            part[field] = part[field] + start
        start += len(part["times"])
        parts.append(part)
    sizes = {(part["states"].shape[1], part["actions"].shape[1]) for part in parts}
    if len(sizes) > 1:
        raise UsageError(f"tasks of different states and actions: {sorted(sizes)}")
    shared = None
    if like is not None:
        of = like.data
        shared = tuple(np.asarray(x[0]) for x in (of.mean, of.spread, of.scale))
    elif config.normalise == "all":
        shared = _moments(parts, range(len(parts)))
    for i, part in enumerate(parts):
        _normalise(part, *(shared or _moments(parts, [i])))
    # Not the default before jax 0.13: arrays that a program closes over become its arguments,
    # where they would be written into the program one number after the other.
    jax.config.update("jax_use_simplified_jaxpr_constants", True)
    rows = ("states", "actions", "returns", "times", "end", "segment")
    joined = {name: np.concatenate([part[name] for part in parts]) for name in rows}
    joined |= {
        name: np.stack([part[name] for part in parts]) for name in parts[0] if name not in rows
    }
    (state_size, action_size), *_ = sizes
    data = Data(**{name: jnp.asarray(joined[name]) for name in Data._fields})
    return Dataset(tuple(tasks), data, state_size, action_size)


def _task(
    config: DataConfig, name: str, episodes: Episodes, generator: np.random.Generator
) -> dict[str, np.ndarray]:
    """Rows of one task as they are, held-out episodes last; row numbers count from its first."""
    length = np.asarray(episodes.length)
    if len(length) <= config.held_out:
        raise UsageError(
            f"task {name!r} has {len(length)} episodes, of which {config.held_out} are held out; "
            "collect more, or hold out fewer"
        )
    if length.min() < config.prompt:
        raise UsageError(
            f"a prompt of {config.prompt} steps is longer than an episode of task {name!r} "
            f"({length.min()} steps); legal: 1 to {length.min()}"
        )
    if length.max() > TIMES:
        raise UsageError(
            f"an episode of task {name!r} has {length.max()} steps; the network knows {TIMES} times"
        )
    order = generator.permutation(len(length))
    begin = np.cumsum(length) - length
    rows = np.concatenate([np.arange(begin[e], begin[e] + length[e]) for e in order])
    length = length[order]
    starts = np.cumsum(length) - length
    reward = np.asarray(episodes.reward, np.float64)[rows]
    success = np.asarray(episodes.success)[rows]
    to_go = [np.cumsum(r[::-1])[::-1] for r in np.split(reward, starts[1:])]
    total, done = episodes.returns[order], episodes.success_any[order]
    segment = [
        start + _segment(config, solved)
        for start, solved in zip(starts, np.split(success, starts[1:]), strict=True)
    ]
    trained = len(length) - config.held_out
    count = int(length[:trained].sum())
    good = total[:trained][done[:trained]] if done[:trained].any() else total[:trained]
    # Solved ones first, by how soon; then by their return.
    soon = np.array([np.argmax(solved) for solved in np.split(success, starts[1:])])
    ranked = np.lexsort((-total, np.where(done, soon, 0), ~done))
    best, held = ranked[ranked < trained], ranked[ranked >= trained][0]
    best = (best[done[best]] if done[best].any() else best)[:_BEST]
    return {
        "states": np.asarray(episodes.state)[rows],
        "actions": np.asarray(episodes.action)[rows].astype(np.float16),
        "returns": np.concatenate(to_go),
        "times": np.concatenate([np.arange(n) for n in length]).astype(np.int32),
        "end": np.repeat(starts + length, length).astype(np.int32),
        "segment": np.repeat(segment, length).astype(np.int32),
        "first": np.int32(0),
        "count": np.int32(count),
        "best": starts[np.resize(best, _BEST)].astype(np.int32),
        "prompts": np.int32(starts[held]),
        "scale": np.float32(max(np.abs(good).max(), 1e-6)),
        "target": np.float32(total[best].mean()),
        "lowest": np.float32(total[:trained].min()),
        "highest": np.float32(total[:trained].max()),
    }


def _moments(
    parts: list[dict[str, np.ndarray]], tasks: Iterable[int]
) -> tuple[np.ndarray, np.ndarray, float]:
    """Mean and spread of the training states of tasks, and the largest of their scales."""
    some = [parts[i] for i in tasks]
    states = np.concatenate([part["states"][: part["count"]] for part in some])
    scale = max(part["scale"] for part in some)
    return states.mean(0), np.maximum(states.std(0), _FLOOR), scale


def _normalise(
    part: dict[str, np.ndarray], mean: np.ndarray, spread: np.ndarray, scale: float
) -> None:
    """States and returns of a task, in place; what they were normalised by is added."""
    part["states"] = ((part["states"] - mean) / spread).astype(np.float16)
    part["returns"] = (part["returns"] / scale).astype(np.float32)
    part["mean"], part["spread"] = mean.astype(np.float32), spread.astype(np.float32)
    part["scale"] = np.float32(scale)


def _segment(config: DataConfig, solved: np.ndarray) -> int:
    """Step that an episode's prompt begins with."""
    last = len(solved) - config.prompt
    if config.prompt_segment == "around_success" and solved.any():
        return int(np.clip(np.argmax(solved) + 1 - config.prompt, 0, last))
    return last


def window(data: Data, row: jax.Array, length: int) -> Steps:
    """Up to `length` steps from a row on, right-aligned: leaves [length, ...]."""
    count = jnp.minimum(length, data.end[row] - row)
    place = jnp.arange(length) - (length - count)
    valid = place >= 0
    rows = row + jnp.maximum(place, 0)
    keep = lambda x: jnp.where(valid.reshape(-1, *[1] * (x.ndim - 1)), x, 0)  # noqa: E731
    return Steps(
        returns=keep(data.returns[rows]),
        states=keep(data.states[rows].astype(jnp.float32)),
        actions=keep(data.actions[rows].astype(jnp.float32)),
        times=keep(data.times[rows]),
        valid=valid,
    )


def sequences(
    config: DataConfig, data: Data, task: jax.Array, key: jax.Array, count: int
) -> tuple[Steps, Steps]:
    """Prompts and contexts of a task, `count` each: leaves [count, K*, ...] and [count, K, ...].

    An episode is drawn in proportion to its length and a step of it evenly, hence a row evenly.
    A prompt is of a training episode drawn likewise, by itself; see :class:`DataConfig`.
    """
    at, other, within = jax.random.split(key, 3)
    first, most = data.first[task], data.count[task]
    rows = first + jax.random.randint(at, (count,), 0, most)
    if config.prompt_source == "best":
        prompts = data.best[task, jax.random.randint(other, (count,), 0, _BEST)]
    else:
        prompts = first + jax.random.randint(other, (count,), 0, most)
    prompts = prompt_rows(config, data, prompts, within)
    cut = lambda rows, length: jax.vmap(lambda r: window(data, r, length))(rows)  # noqa: E731
    return cut(prompts, config.prompt), cut(rows, config.context)


def prompt_rows(config: DataConfig, data: Data, rows: jax.Array, key: jax.Array) -> jax.Array:
    """Rows [B] that prompts of the episodes of these rows [B] begin with."""
    if config.prompt_segment != "random":
        return data.segment[rows]
    begin = rows - data.times[rows]
    last = data.end[rows] - config.prompt
    u = jax.random.uniform(key, rows.shape)
    return begin + jnp.floor(u * (last - begin + 1)).astype(jnp.int32)
