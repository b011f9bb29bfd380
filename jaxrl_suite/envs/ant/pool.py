"""Many bodies of one task in lock step, driven from the host; compiled once for all tasks."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl_suite import physics
from jaxrl_suite.envs.ant.environment import Task, ant, body


@functools.cache
def _compiled() -> tuple[Callable, Callable]:
    """Reset and step of many."""
    env = ant()
    return (
        jax.jit(jax.vmap(env.reset, in_axes=(0, None))),
        jax.jit(jax.vmap(env.step, in_axes=(0, 0, None, None))),
    )


class AntPool:
    """E bodies that are to run in one direction."""

    def __init__(self, angle: float, count: int, seed: int = 0):
        """Nothing is compiled before the first reset.

        Args:
          angle: of the direction (rad).
          count: E.
          seed: of the resets.
        """
        self._task = Task(jnp.asarray(angle, jnp.float32))
        self._count, self._key = count, jax.random.key(seed)
        self._over = np.zeros(count, bool)

    def reset(self) -> np.ndarray:
        """First states [E, 29]."""
        self._key, key = jax.random.split(self._key)
        keys = jax.random.split(key, self._count)
        reset, _ = _compiled()
        self._run, seen = reset(keys, self._task)
        self._over[:] = False
        return np.asarray(seen["proprioceptive"])

    def step(self, action: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """From actions [E, 8]: states [E, 29], rewards, solved (never) and over, all [E].

        A body whose episode is over goes on, but earns nothing.
        """
        _, step = _compiled()
        self._run, told = step(self._run, jnp.asarray(action), self._key, self._task)
        reward = np.where(self._over, 0.0, np.asarray(told.reward))
        self._over = self._over | np.asarray(told.terminated | told.truncated)
        solved = np.zeros(self._count, bool)
        return np.asarray(told.observation["proprioceptive"]), reward, solved, self._over.copy()

    def close(self) -> None:
        """Nothing to end; pools of host environments have something."""

    def qpos(self) -> np.ndarray:
        """Where the bodies are as MuJoCo writes it, [E, 15], for films."""
        loaded = body()
        layout = physics.layout(loaded.sizes, loaded.model)
        return np.asarray(layout.to_mujoco(self._run.physics)[0])
