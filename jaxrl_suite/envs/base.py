"""The environment protocol, and the one wrapper that makes endless streams of episodes of it.

An environment is a pair of pure functions of explicit state. What differs between the
elements of one batch (a game's variant, a body, a goal) is the pytree `task`, an argument of
both, so that one compiled program serves a batch in which every element has another task.
All functions are for one environment; the caller vmaps.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

PyTree = Any


class TimeStep(NamedTuple):
    """What a step returns.

    `reward`, `terminated` and `truncated` result from the action given to this very step, and
    `observation` is the one after it. A terminated episode has no future, a truncated one was
    merely cut off (by a time limit), so its last observation keeps its value.
    """

    observation: jax.Array
    reward: jax.Array  # float32 []
    terminated: jax.Array  # bool []
    truncated: jax.Array  # bool []


class Environment(NamedTuple):
    """A pure environment.

    reset: ``(key, task) -> (state, observation)``.
    step: ``(state, action, key, task) -> (state, TimeStep)``; action is int32 [].
    observation_shape: shape of one observation.
    num_actions: size of the discrete action set.
    render: ``(state, task) -> uint8 [height, width, 3]``, pure as well.
    """

    reset: Callable[[jax.Array, PyTree], tuple[PyTree, jax.Array]]
    step: Callable[[PyTree, jax.Array, jax.Array, PyTree], tuple[PyTree, TimeStep]]
    observation_shape: tuple[int, ...]
    num_actions: int
    render: Callable[[PyTree, PyTree], jax.Array]


class ControlEnvironment(NamedTuple):
    """A pure environment whose actions are vectors.

    reset: ``(key, task) -> (state, observation)``, the observation a dict of vectors.
    step: ``(state, action, key, task) -> (state, TimeStep)``; action is float32 [action_size].
    observation_sizes: length of each vector.
    action_size: length of an action.
    outcomes: ``(state) -> {name: float32 []}``, what the episode has come to so far; "score" is
      what it was worth: fitness, not reward; "diverged" is 1 where it ended since its
      simulation is no longer to be trusted, else 0.
    """

    reset: Callable[[jax.Array, PyTree], tuple[PyTree, dict[str, jax.Array]]]
    step: Callable[[PyTree, jax.Array, jax.Array, PyTree], tuple[PyTree, TimeStep]]
    observation_sizes: dict[str, int]
    action_size: int
    outcomes: Callable[[PyTree], dict[str, jax.Array]]


class EpisodeState(NamedTuple):
    """State of :func:`episodic`."""

    env: PyTree
    last_action: jax.Array  # int32 [], the action that the environment really executed
    step: jax.Array  # int32 [], steps made in this episode
    ended: jax.Array  # bool [], the episode is over: the next step only resets
    episode_return: jax.Array  # float32 [], undiscounted, of the episode so far
    last_return: jax.Array  # float32 [], of the last finished episode; NaN before the first
    last_length: jax.Array  # int32 [], of the last finished episode; 0 before the first


def episodic(env: Environment, *, time_limit: int, sticky: float = 0.0) -> Environment:
    """Makes episodes follow each other: time limit, sticky actions, automatic reset.

    The step that ends an episode returns its terminal observation. The *next* step ignores
    its action, returns the first observation of a new episode and a reward of 0: such a
    transition teaches nothing and must be masked (`EpisodeState.ended` before the step). This
    is also EnvPool's convention, and it keeps the terminal observation of a truncated
    episode, whose value the learner needs.

    Args:
      env: the environment whose episodes are wanted.
      time_limit: steps after which an episode is truncated, not terminated.
      sticky: probability that the previous action is executed instead of the given one
        (Machado et al. 2018, section 5.2).

    Returns:
      An environment with state :class:`EpisodeState`.
    """

    def reset(key: jax.Array, task: PyTree) -> tuple[EpisodeState, jax.Array]:
        state, observation = env.reset(key, task)
        zero = jnp.zeros((), jnp.int32)
        return (
            EpisodeState(
                env=state,
                last_action=zero,
                step=zero,
                ended=jnp.zeros((), bool),
                episode_return=jnp.zeros(()),
                last_return=jnp.full((), jnp.nan),
                last_length=zero,
            ),
            observation,
        )

    def step(
        state: EpisodeState, action: jax.Array, key: jax.Array, task: PyTree
    ) -> tuple[EpisodeState, TimeStep]:
        if sticky > 0:
            key, sticky_key = jax.random.split(key)
            repeat = jax.random.uniform(sticky_key) < sticky
            action = jnp.where(repeat, state.last_action, action)
        # Only one of the two worlds goes on, so they may share a key: splits are a large part
        # of the cost of a small game.
        fresh, first_observation = env.reset(key, task)
        moved, timestep = env.step(state.env, action, key, task)

        # One select per leaf: which of the two worlds goes on.
        over = state.ended
        pick = lambda new, old: jax.tree.map(lambda n, o: jnp.where(over, n, o), new, old)  # noqa: E731
        length = jnp.where(over, 0, state.step + 1)
        reward = jnp.where(over, 0.0, timestep.reward)
        terminated = ~over & timestep.terminated
        truncated = ~over & ~timestep.terminated & (timestep.truncated | (length >= time_limit))
        ended = terminated | truncated
        episode_return = jnp.where(over, 0.0, state.episode_return + reward)
        state = EpisodeState(
            env=pick(fresh, moved),
            last_action=jnp.where(over, 0, action),
            step=length,
            ended=ended,
            episode_return=episode_return,
            last_return=jnp.where(ended, episode_return, state.last_return),
            last_length=jnp.where(ended, length, state.last_length),
        )
        observation = pick(first_observation, timestep.observation)
        return state, TimeStep(observation, reward, terminated, truncated)

    def render(state: EpisodeState, task: PyTree) -> jax.Array:
        return env.render(state.env, task)

    return env._replace(reset=reset, step=step, render=render)
