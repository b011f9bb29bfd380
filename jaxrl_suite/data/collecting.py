"""Plays experts in Meta-World into a store of trajectories."""

import os
import zlib
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from jaxrl_suite.core import UsageError
from jaxrl_suite.data.episodes import Episodes
from jaxrl_suite.data.trajectories import Store
from jaxrl_suite.envs import metaworld

Tier = Literal["near", "sub"]

# One environment an episode, all at once: more take memory (8 MB each), fewer leave the batch
# waiting for a few long episodes.
SHARD_EPISODES = 25
_CALIBRATION = 2**31  # stands where the number of a shard stands in a seed; no shard has it


class Progress(NamedTuple):
    """How far a collection is.

    task: that is being worked on.
    done: episodes in the store, of all tasks that were asked for.
    total: episodes that it will have.
    calibrating: the quality of the task is being looked for; its episodes follow.
    """

    task: str
    done: int
    total: int
    calibrating: bool = False


def collect(
    directory: str | os.PathLike,
    tasks: Sequence[str],
    *,
    tier: Tier = "near",
    episodes: int = 200,
    seed: int = 0,
    keep_after_success: int | None = 25,
    target_success: float = 0.5,
    shard_episodes: int = SHARD_EPISODES,
    report: Callable[[Progress], None] = lambda progress: None,
) -> None:
    """Collects episodes of tasks into a store, or goes on where it was stopped.

    A shard depends on the seed, the task and its number alone: stopped and resumed as often as
    may be, the store is the same, byte for byte.

    Args:
      directory: of the store; tasks can be added to one, everything else must stay the same.
      tasks: of MT50, each once.
      tier: "near" plays the experts, "sub" mixtures that succeed as often as `target_success`.
      episodes: a task.
      seed: >= 0.
      keep_after_success: steps after the first success with which an episode ends; None keeps all
        500. An episode without success has 500.
        differs: the original keeps all 500, four fifths of which the experts spend idle or
        drifting behind a solved task; None is for comparisons with it.
      target_success: success rate at any step that "sub" is calibrated to.
      shard_episodes: at most so many episodes a shard, all played at once.
      report: called before each task and after each shard; what it raises ends the collection
        between two shards.

    Raises:
      UsageError: the extra metaworld is not installed, illegal arguments, or a store that
        :meth:`Store.open` refuses.
    """
    tasks = metaworld.parse_tasks(tasks)
    settings = _settings(tier, episodes, seed, keep_after_success, target_success, shard_episodes)
    sizes = [min(shard_episodes, episodes - i) for i in range(0, episodes, shard_episodes)]
    with Store.open(directory, settings, len(sizes)) as store:
        done = sum(_stored(store, task, sizes) for task in tasks)
        total = episodes * len(tasks)
        for task in tasks:
            missing = store.missing(task)
            if not missing:
                continue
            if store.facts(task) is None:
                report(Progress(task, done, total, calibrating=tier == "sub"))
                store.begin(task, _facts(task, tier, seed, target_success))
            quality = store.facts(task)["quality"]
            for index in missing:
                shard = _shard(task, quality, sizes[index], (seed, index), keep_after_success)
                store.add(task, index, shard)
                done += sizes[index]
                report(Progress(task, done, total))


def _settings(
    tier: str,
    episodes: int,
    seed: int,
    keep_after_success: int | None,
    target_success: float,
    shard_episodes: int,
) -> dict[str, Any]:
    """What all shards of a store share."""
    for name, value, least in (
        ("episodes", episodes, 1),
        ("seed", seed, 0),
        ("keep_after_success", keep_after_success or 0, 0),
        ("shard_episodes", shard_episodes, 1),
    ):
        if value < least:
            raise UsageError(f"{name} must be at least {least}, not {value}")
    if tier not in ("near", "sub"):
        raise UsageError(f"no tier {tier!r}; legal are near, sub")
    if not 0.0 < target_success < 1.0:
        raise UsageError(f"target_success must lie between 0 and 1, not be {target_success}")
    sub = {"target_success": target_success} if tier == "sub" else {}
    return {
        "tier": tier,
        "episodes": episodes,
        "seed": seed,
        "keep_after_success": keep_after_success,
        **sub,
        "shard_episodes": shard_episodes,
        # Another simulator or other experts would play other episodes.
        **metaworld.versions(),
    }


def _stored(store: Store, task: str, sizes: Sequence[int]) -> int:
    """Episodes that the store has of a task."""
    return sum(sizes) - sum(sizes[index] for index in store.missing(task))


def _facts(task: str, tier: Tier, seed: int, target_success: float) -> dict[str, Any]:
    """Tier and quality of a task, and how that quality was found."""
    if tier == "near":
        return {"tier": tier, "quality": 1.0}
    found = metaworld.calibrate(task, target_success, seed=_seed(task, (seed, _CALIBRATION)))
    return {
        "tier": tier,
        "quality": found.quality,
        "calibrated_success": found.success,
        "calibration_episodes": found.episodes,
    }


def _shard(
    task: str, quality: float, size: int, seed: tuple[int, int], keep_after_success: int | None
) -> Episodes:
    """Plays `size` episodes."""
    seed = _seed(task, seed)
    pool = metaworld.Pool(task, size, seed)
    # A quality of 1 is the expert itself.
    actor = metaworld.SubOptimal(task, size, quality, seed)
    played = metaworld.play(pool, actor, keep_after_success)
    pool.close()
    return laid_end_to_end(played)


def _seed(task: str, numbers: tuple[int, int]) -> tuple[int, ...]:
    # Of the name, not of a place in a list: sets of tasks may change.
    return (*numbers, zlib.crc32(task.encode()))


def laid_end_to_end(played: metaworld.Played) -> Episodes:
    """The N episodes, without what lies behind their ends."""
    rows = np.arange(len(played.reward)) < played.length[:, None]  # [N, T]
    flat = {
        name: np.swapaxes(array, 0, 1)[rows]
        for name, array in played._asdict().items()
        if name != "length"
    }
    return Episodes(length=played.length, **flat)
