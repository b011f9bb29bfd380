"""Minari's data sets, in and out; the extra ``minari``.

Files are written and read by the minari library alone, where it keeps them: under
``~/.minari/datasets`` or ``MINARI_DATASETS_PATH``. Nothing is downloaded.
"""

import warnings
from types import ModuleType

import numpy as np

from jaxrl_suite.core import UsageError
from jaxrl_suite.data.episodes import Episodes, checked, join


def to_minari(dataset_id: str, episodes: Episodes, description: str = "") -> None:
    """Writes episodes as a data set of Minari.

    Minari keeps the observation after the last action, which :class:`Episodes` does not: the last
    state stands there twice. Successes are in the infos; every episode is a truncated one.

    Args:
      dataset_id: "namespace/name-v0".
      episodes: of one task.
      description: what Minari should say of them.

    Raises:
      UsageError: the package minari is not installed, or there is such a data set already.
    """
    minari = _require_minari()
    import gymnasium
    from minari.data_collector import EpisodeBuffer

    if dataset_id in minari.list_local_datasets():
        raise UsageError(f"there is a data set {dataset_id} already; give another name")
    buffers = []
    for number, (start, length) in enumerate(zip(episodes.start, episodes.length, strict=True)):
        rows = slice(start, start + length)
        last = np.arange(length) == length - 1
        buffers.append(
            EpisodeBuffer(
                id=number,
                observations=_last_twice(episodes.state[rows]),
                actions=episodes.action[rows],
                rewards=episodes.reward[rows],
                terminations=np.zeros(length, bool),
                truncations=last,
                infos={"success": np.concatenate([[False], episodes.success[rows]])},
            )
        )
    bound = max(1.0, float(np.abs(episodes.action).max()))
    with warnings.catch_warnings():
        # Of authors and environments that are not told.
        warnings.simplefilter("ignore", UserWarning)
        minari.create_dataset_from_buffers(
            dataset_id,
            buffers,
            observation_space=_box(gymnasium, episodes.state, np.inf),
            action_space=_box(gymnasium, episodes.action, bound),
            description=description,
        )


def from_minari(dataset_id: str) -> Episodes:
    """Reads a data set of Minari whose observations and actions are vectors.

    Args:
      dataset_id: of a data set on this machine. Where its infos have no "success", the terminated
        steps are the successes.

    Raises:
      UsageError: the package minari is not installed, there is no such data set, or it does not
        hold vectors.
    """
    minari = _require_minari()
    if dataset_id not in minari.list_local_datasets():
        legal = ", ".join(minari.list_local_datasets()) or "none"
        raise UsageError(
            f"there is no data set {dataset_id} on this machine; there are: {legal}; get it with: "
            f"minari download {dataset_id}"
        )
    dataset = minari.load_dataset(dataset_id)
    for name in ("observation_space", "action_space"):
        space = getattr(dataset, name)
        if space.shape is None or len(space.shape) != 1:
            raise UsageError(f"{dataset_id}: its {name} must be of vectors, not {space}")
    episodes = join([_episode(found) for found in dataset.iterate_episodes()])
    return checked(episodes, dataset_id)


def _episode(found: object) -> Episodes:
    infos = found.infos or {}
    success = infos["success"][1:] if "success" in infos else found.terminations
    return Episodes(
        length=np.array([len(found.rewards)]),
        state=found.observations[:-1],
        action=found.actions,
        reward=found.rewards,
        success=success,
    )


def _last_twice(state: np.ndarray) -> np.ndarray:
    return np.concatenate([state, state[-1:]])


def _box(gymnasium: ModuleType, rows: np.ndarray, bound: float) -> object:
    return gymnasium.spaces.Box(-bound, bound, rows.shape[1:], np.float32)


def _require_minari() -> ModuleType:
    try:
        import minari
    except ImportError as error:
        raise UsageError(
            'Minari is not installed; pip install "jaxrl_suite[minari]", or make metaworld'
        ) from error
    return minari
