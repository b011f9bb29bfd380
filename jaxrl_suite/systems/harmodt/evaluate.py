"""Playing all tasks at once: environments in lock step on the host, one policy call a step."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl_suite.nets.decision_transformer import Memory, Steps
from jaxrl_suite.ops.masks import vote
from jaxrl_suite.systems.harmodt.config import Config
from jaxrl_suite.systems.harmodt.dataset import Data, Dataset, window
from jaxrl_suite.systems.harmodt.learner import LearnerState, masked, network, parameter_shapes
from jaxrl_suite.systems.harmodt.weights import layout


class Pool(Protocol):
    """E environments of one task on the host."""

    def reset(self) -> np.ndarray:
        """First states [E, D]."""

    def step(self, action: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """From actions [E, A]: states [E, D], rewards [E], solved [E] and cut off [E]."""


class Played(NamedTuple):
    """What became of E episodes of each of N tasks.

    any, last: bool [N, E], solved at some step, and at the last one.
    returns: [N, E], sum of rewards.
    """

    any: np.ndarray
    last: np.ndarray
    returns: np.ndarray


class Policy(NamedTuple):
    """How all tasks act.

    remember: ``LearnerState -> Memory`` of the prompts, leaves [N, ...].
    act: ``(LearnerState, Memory, Steps, state [N, E, D], return-to-go [N, E], step) ->
      (actions [N, E, A], Steps)``; the steps are the last K, leaves [N, E, K, ...].
    begin: ``E -> Steps`` of none yet.
    """

    remember: Callable[[LearnerState], Memory]
    act: Callable[..., tuple[jax.Array, Steps]]
    begin: Callable[[int], Steps]


def make_policy(config: Config, dataset: Dataset) -> Policy:
    """The network under each task's mask, with its best held-out episode for a prompt.

    Tasks act one after the other within the program, so that there is one masked copy of the
    weights at a time. A prompt's keys and values are computed once an episode.
    """
    data, num_tasks = dataset.data, len(dataset.tasks)
    net = network(config, dataset.state_size, dataset.action_size)
    shapes = parameter_shapes(config, dataset.state_size, dataset.action_size)
    weights = layout(config.masks, shapes)
    context, tasks = config.data.context, jnp.arange(num_tasks)
    latest = jnp.max(data.times)

    def own(state: LearnerState, task: jax.Array) -> dict:
        params = state.params
        if config.masks.kind != "none":
            params = masked(weights, params, state.masks[task])
        return {"params": params}

    def remember(state: LearnerState) -> Memory:
        def one(task: jax.Array) -> Memory:
            told = task[None]
            if config.network.condition == "prompt":
                told = _prompt(data, task, config.data.prompt)
            return net.apply(own(state, task), told, method="remember")

        return jax.lax.map(one, tasks)

    def begin(episodes: int) -> Steps:
        shape = (num_tasks, episodes, context)
        zero = jnp.zeros(shape)
        wide = [jnp.zeros((*shape, n)) for n in (dataset.state_size, dataset.action_size)]
        return Steps(zero, *wide, zero.astype(jnp.int32), zero > 0)

    def act(
        state: LearnerState,
        memory: Memory,
        steps: Steps,
        seen: jax.Array,
        to_go: jax.Array,
        time: jax.Array,
    ) -> tuple[jax.Array, Steps]:
        # Later ones than there are in the data have an embedding that nobody trained.
        time = jnp.minimum(time, latest)
        seen = (seen - data.mean[:, None]) / data.spread[:, None]
        row = Steps(
            to_go / data.scale[:, None],
            seen,
            jnp.zeros(steps.actions.shape[:2] + steps.actions.shape[3:]),
            jnp.full(to_go.shape, time, jnp.int32),
            jnp.ones(to_go.shape, bool),
        )
        push = lambda x, new: jnp.concatenate([x[:, :, 1:], new[:, :, None]], axis=2)  # noqa: E731
        steps = jax.tree.map(push, steps, row)

        def one(given: tuple[jax.Array, Memory, Steps]) -> jax.Array:
            task, memory, steps = given
            episodes = steps.valid.shape[0]
            spread = lambda x, axis: jnp.repeat(x, episodes, axis)  # noqa: E731
            memory = Memory(
                spread(memory.keys, 1), spread(memory.values, 1), spread(memory.valid, 0)
            )
            return net.apply(own(state, task), memory, steps, method="act")

        actions = jax.lax.map(one, (tasks, memory, steps))
        return actions, steps._replace(actions=steps.actions.at[:, :, -1].set(actions))

    return Policy(jax.jit(remember), jax.jit(act, donate_argnums=2), begin)


def for_unseen(
    config: Config, state: LearnerState, num_tasks: int, threshold: float | None = None
) -> LearnerState:
    """The learner as it meets tasks that it has no masks for: under the mask its tasks vote for.

    Args:
      config: of the system.
      state: of the learner.
      num_tasks: new ones.
      threshold: of votes, see :func:`masks.vote`; None for half of the tasks.

    Source: Hu et al. 2024, unseen tasks.
    """
    if config.masks.kind == "none":
        return state
    known = state.masks
    threshold = known.shape[0] / 2 if threshold is None else threshold
    agreed = vote(known, threshold, inclusive=config.masks.mode == "repo")
    return state._replace(masks=jnp.tile(agreed, (num_tasks, 1)))


def _prompt(data: Data, task: jax.Array, length: int) -> Steps:
    """Of the task's best held-out episode, [1, K*]."""
    cut = window(data, data.segment[data.prompts[task]], length)
    return jax.tree.map(lambda x: x[None], cut)


def play(
    policy: Policy,
    state: LearnerState,
    pools: Sequence[Pool],
    targets: np.ndarray,
    num_steps: int,
    watch: Callable[[np.ndarray, np.ndarray], None] = lambda seen, solved: None,
) -> Played:
    """One episode of at most so many steps in every environment of every task.

    Args:
      policy: see :func:`make_policy`.
      state: of the learner.
      pools: N, each of E environments, in the order of the tasks.
      targets: [N], return that each task is asked for.
      num_steps: of an episode at most.
      watch: is shown every state [N, E, D] that is acted upon, and where it is solved [N, E].
    """
    seen = np.stack([pool.reset() for pool in pools])
    tasks, episodes = seen.shape[:2]
    memory, steps = policy.remember(state), policy.begin(episodes)
    to_go = np.repeat(np.asarray(targets, np.float32)[:, None], episodes, 1)
    going = np.ones((tasks, episodes), bool)
    found = Played(np.zeros_like(going), np.zeros_like(going), np.zeros_like(to_go))
    solved = np.zeros_like(going)
    for time in range(num_steps):
        watch(seen, solved)
        actions, steps = policy.act(state, memory, steps, seen, to_go, np.int32(time))
        actions = np.clip(np.asarray(actions), -1.0, 1.0)
        told = [pool.step(action) for pool, action in zip(pools, actions, strict=True)]
        seen, reward, solved, cut = (np.stack(part) for part in zip(*told, strict=True))
        to_go = to_go - reward.astype(np.float32)
        solved = solved.astype(bool)
        np.copyto(found.any, found.any | solved, where=going)
        np.copyto(found.last, solved, where=going)
        np.copyto(found.returns, found.returns + reward, where=going, casting="same_kind")
        going &= ~cut.astype(bool)
        if not going.any():
            break
    return found
