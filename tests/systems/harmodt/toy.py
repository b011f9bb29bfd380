"""Trajectories whose best action is known: a point that goes to the corner of its task.

The corner is not in the state, so only a prompt, a mask or a number can tell it.
"""

import numpy as np

from jaxrl_suite.data.episodes import Episodes

CORNERS = np.array([[1.0, 1.0], [-1.0, 1.0], [1.0, -1.0], [-1.0, -1.0]], np.float32)


def expert(state: np.ndarray, corner: np.ndarray) -> np.ndarray:
    """Half of the way there, at most 0.3."""
    return np.clip(0.5 * (corner - state), -0.3, 0.3)


def episodes(task: int, count: int = 12, seed: int = 0) -> Episodes:
    """Of 8 to 14 steps from random places; the reward is how near the point comes."""
    rng = np.random.default_rng([seed, task])
    columns: dict[str, list] = {name: [] for name in Episodes._fields}
    for _ in range(count):
        length = int(rng.integers(8, 15))
        at = rng.uniform(-1, 1, 2).astype(np.float32)
        columns["length"].append(length)
        for _ in range(length):
            action = expert(at, CORNERS[task])
            columns["state"].append(at)
            columns["action"].append(action)
            at = at + action
            gap = np.abs(CORNERS[task] - at).max()
            columns["reward"].append(2.0 - gap)
            columns["success"].append(gap < 0.1)
    kinds = {"length": np.int32, "success": bool}
    made = {name: np.array(x, kinds.get(name, np.float32)) for name, x in columns.items()}
    return Episodes(**made)


def all_episodes(tasks: int = 3, count: int = 12) -> dict[str, Episodes]:
    """By name: corner0, corner1, .."""
    return {f"corner{i}": episodes(i, count) for i in range(tasks)}


class Points:
    """E points that go to the corner of their task, on the host; cut off after 12 steps."""

    def __init__(self, task: int, count: int, seed: int = 0):
        self._corner = CORNERS[task]
        self._count, self._rng = count, np.random.default_rng([seed, task])

    def reset(self) -> np.ndarray:
        self._step = 0
        self._at = self._rng.uniform(-1, 1, (self._count, 2)).astype(np.float32)
        return self._at

    def step(self, action: np.ndarray) -> tuple:
        self._at = self._at + np.clip(action, -1, 1)
        self._step += 1
        gap = np.abs(self._corner - self._at).max(1)
        cut = np.full(self._count, self._step >= 12)
        return self._at, 2.0 - gap, gap < 0.15, cut
