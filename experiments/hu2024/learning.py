"""Trains a method on Meta-World's tasks and evaluates it while it trains."""

import time
from typing import Any

import jax
import numpy as np

from jaxrl_suite.core import train
from jaxrl_suite.envs import metaworld
from jaxrl_suite.systems import harmodt
from jaxrl_suite.systems.harmodt.evaluate import make_policy, play

GOALS = 1000  # seed of the evaluation's goals, and of the windows whose gradients are compared
WINDOWS = 256  # of each task, for the harmony score


def run(
    config: harmodt.Config,
    hyper: harmodt.Hyper,
    data: harmodt.Dataset,
    seed: int,
    *,
    evaluations: int,
    episodes: int,
    threads: int = 1,
) -> list[dict[str, Any]]:
    """Trains and evaluates; a row a task.

    Args:
      config: of the method.
      hyper: of the training.
      data: that it learns from.
      seed: of the training.
      evaluations: evenly over the training, the last one at its end.
      episodes: of each task, whose goals are the same for all methods and seeds.
      threads: that step the environments of a task.

    Returns:
      A list for each evaluation in "any", "final", "return", "loss", "harmony"; "seconds" are of
      training, compilation apart in "compile_seconds".
    """
    if config.updates % evaluations:
        raise ValueError(f"{evaluations} evaluations must divide {config.updates} updates")
    system = harmodt.make(config, hyper, data)
    state = jax.jit(system.init)(jax.random.key(seed))
    begun = time.perf_counter()
    part = jax.jit(train(system, config.updates // evaluations)).lower(state).compile()
    compiling = time.perf_counter() - begun
    policy, targets = make_policy(config, data), np.asarray(data.data.target)
    agree = jax.jit(harmodt.agreement(config, data, WINDOWS))
    found, losses, harmony, seconds = [], [], [], 0.0
    for _ in range(evaluations):
        begun = time.perf_counter()
        state, metrics = part(state)
        losses.append(float(metrics["loss"][-5:].mean()))
        seconds += time.perf_counter() - begun
        harmony.append(round(float(agree(state.learner, jax.random.key(GOALS))), 5))
        pools = [
            metaworld.Pool(name, episodes, (GOALS, i), threads) for i, name in enumerate(data.tasks)
        ]
        found.append(play(policy, state.learner, pools, targets, metaworld.EPISODE_LENGTH))
        for pool in pools:
            pool.close()
    return [
        {
            "seed": seed,
            "task": name,
            "any": [round(float(x.any[i].mean()), 3) for x in found],
            "final": [round(float(x.last[i].mean()), 3) for x in found],
            "return": [round(float(x.returns[i].mean()), 1) for x in found],
            "loss": [round(x, 6) for x in losses],
            "harmony": harmony,
            "seconds": round(seconds, 1),
            "compile_seconds": round(compiling, 1),
        }
        for i, name in enumerate(data.tasks)
    ]
