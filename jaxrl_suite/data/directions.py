"""Plays the expert of the four-legged body on the device: trajectories in seconds, none stored."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl_suite.core import UsageError
from jaxrl_suite.data.episodes import Episodes
from jaxrl_suite.envs import ant

_NOISE = 0.2  # standard deviation of what is added to the expert's actions


def directions(tasks: tuple[str, ...], episodes: int, seed: int = 0) -> dict[str, Episodes]:
    """Episodes of tasks, by name.

    The expert is shown its direction, what is recorded is not. Half of the episodes have noise in
    the actions, so that there is something to learn from besides the one way it runs.

    Args:
      tasks: of :data:`ant.TASKS`.
      episodes: of each.
      seed: of the resets and the noise.

    Raises:
      UsageError: there is no such task, or fewer than one episode.
    """
    unknown = [name for name in tasks if name not in ant.TASKS]
    if unknown:
        raise UsageError(f"no direction {unknown[0]!r}; legal: {', '.join(ant.TASKS)}")
    if episodes < 1:
        raise UsageError(f"episodes must be at least 1, not {episodes}")
    angles = jnp.array([ant.TASKS[name] for name in tasks], jnp.float32)
    played = jax.device_get(_play(angles, episodes, jax.random.key(seed)))
    made = {}
    for i, name in enumerate(tasks):
        state, action, reward, going = (x[i] for x in played)  # [E, T, ...]
        length = going.sum(axis=1).astype(np.int32)
        made[name] = Episodes(
            length=length,
            state=state[going],
            action=action[going],
            reward=reward[going],
            success=np.zeros(int(length.sum()), bool),
        )
    return made


@functools.partial(jax.jit, static_argnums=1)
def _play(angles: jax.Array, episodes: int, key: jax.Array) -> tuple:
    """States, actions, rewards and whether the episode was going on, [N, E, T, ...]."""
    env = ant.ant()

    def episode(angle: jax.Array, noise: jax.Array, key: jax.Array) -> tuple:
        task = ant.Task(angle)
        begin, play = jax.random.split(key)
        run, seen = env.reset(begin, task)

        def step(carry: tuple, key: jax.Array) -> tuple[tuple, tuple]:
            run, seen, going = carry
            shaken = noise * jax.random.normal(key, (ant.ACTION_SIZE,))
            action = jnp.clip(ant.expert(seen) + shaken, -1.0, 1.0)
            after, told = env.step(run, action, key, task)
            row = (seen["proprioceptive"], action, told.reward, going)
            going &= ~(told.terminated | told.truncated)
            return (after, told.observation, going), row

        start = (run, seen, jnp.ones((), bool))
        return jax.lax.scan(step, start, jax.random.split(play, ant.EPISODE_LENGTH))[1]

    noise = _NOISE * (jnp.arange(episodes) % 2)
    keys = jax.random.split(key, (angles.shape[0], episodes))
    each = jax.vmap(jax.vmap(episode, (None, 0, 0)), (0, None, 0))
    return each(angles, noise, keys)
