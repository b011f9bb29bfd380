"""What the IMPALA sweeps share: many seeds of a setting in one compiled program."""

from typing import Any, NamedTuple

import jax
import numpy as np

from jaxrl_suite import SystemState, train
from jaxrl_suite.systems import impala
from jaxrl_suite.systems.impala import Config, Hyper


class Trained(NamedTuple):
    """Runs side by side; every leaf has the leading axis of the runs.

    state: their final states.
    metrics: of every update, [runs, updates, ...].
    """

    state: SystemState
    metrics: dict[str, jax.Array]


def keys(num_seeds: int) -> jax.Array:
    """The keys of seeds 0 .. num_seeds - 1."""
    return jax.vmap(jax.random.key)(np.arange(num_seeds))


def train_runs(
    config: Config,
    hyper: Hyper,
    num_updates: int,
    run_keys: jax.Array,
    *,
    swept: dict[str, Any] | None = None,
    params: dict | None = None,
    reset_heads: bool = False,
) -> Trained:
    """Trains one run a key, all in one program.

    Args:
      config: of all runs.
      hyper: of all runs.
      num_updates: of every run.
      run_keys: [runs].
      swept: names of Hyper fields -> arrays [runs] that replace them.
      params: [runs, ...], pretrained parameters to start from; None for fresh ones.
      reset_heads: with params, keep fresh heads.
    """
    system = impala.make(config, hyper)

    def one(key: jax.Array, values: dict[str, jax.Array], params: dict | None) -> Trained:
        state = system.init(key, hyper._replace(**values))
        if params is not None:
            state = impala.warm_start(state, params, reset_heads=reset_heads)
        return Trained(*train(system, num_updates)(state))

    return jax.block_until_ready(jax.jit(jax.vmap(one))(run_keys, swept or {}, params))


def returns(config: Config, variants: tuple[str, ...], params: dict, seed: int) -> np.ndarray:
    """Mean return of every run on every variant, [runs, variants]."""
    num_runs = jax.tree.leaves(params)[0].shape[0]
    play = jax.jit(jax.vmap(lambda p, k: impala.evaluate_policy(config, variants, p, k)))
    result = play(params, jax.random.split(jax.random.key(seed), num_runs))
    return np.asarray(result["return_per_variant"])


def random_returns(config: Config, variants: tuple[str, ...], num_runs: int) -> np.ndarray:
    """The same for the random policy, [runs, variants]."""
    play = jax.jit(jax.vmap(lambda k: impala.evaluate_random(config, variants, k)))
    return np.asarray(play(keys(num_runs))["return_per_variant"])
