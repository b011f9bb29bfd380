"""What the Atari sweeps share: a run by actor threads, and transfer to unseen variants.

The emulators are on the host, so seeds are run one after the other, not by vmap.
"""

import dataclasses
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from rich.console import Console

from jaxrl_suite.runtime import loop, rundir
from jaxrl_suite.runtime.mesh import init_state
from jaxrl_suite.runtime.metrics import Row, read_metrics
from jaxrl_suite.systems import impala
from jaxrl_suite.systems.impala import Config, Hyper

NUM_ROWS = 40  # of metrics, in one run


class Trained(NamedTuple):
    """What a run leaves: its last parameters, and its rows of metrics."""

    params: dict
    rows: list[Row]


def train_run(
    config: Config,
    hyper: Hyper,
    num_updates: int,
    seed: int,
    *,
    params: dict | None = None,
    reset_heads: bool = False,
) -> Trained:
    """Trains by actor threads, in a run directory that is thrown away.

    Args:
      config: of an Atari game.
      hyper: numbers of the learning rule.
      num_updates: of the run.
      seed: of everything random.
      params: pretrained parameters to start from; None for fresh ones.
      reset_heads: with params, keep fresh heads.
    """
    system = impala.make(config, hyper, seed)
    state = init_state(system, jax.random.key(seed), hyper)
    if params is not None:
        state = impala.warm_start(state, params, reset_heads=reset_heads)
    record = rundir.make_record("impala", "", config, hyper, seed=seed, num_updates=num_updates)
    with tempfile.TemporaryDirectory() as folder:
        run = rundir.create_run(record, "run", root=Path(folder))
        every = max(1, num_updates // NUM_ROWS)
        state = loop.fit(
            system,
            run,
            state,
            num_updates=num_updates,
            log_every=every,
            checkpoint_every=every * NUM_ROWS * 2,
            console=Console(quiet=True),
        )
        return Trained(state.learner.params, read_metrics(run.metrics))


def returns(config: Config, variants: tuple[str, ...], params: dict, seed: int) -> list[float]:
    """Mean return on every variant."""
    result = impala.evaluate_policy(config, variants, params, jax.random.key(seed))
    return result["return_per_variant"].tolist()


def random_returns(config: Config, variants: tuple[str, ...], seed: int) -> list[float]:
    """The same for the random policy."""
    result = impala.evaluate_random(config, variants, jax.random.key(seed))
    return result["return_per_variant"].tolist()


def column(rows: list[Row], name: str) -> list[float]:
    """A metric's course, NaN where a row has none."""
    values = [np.nan if row[name] is None else float(row[name]) for row in rows]
    return [round(value, 3) for value in values]


def transfer_row(
    config: Config,
    hyper: Hyper,
    *,
    num_variants: int,
    seed: int,
    pretrain_updates: int,
    finetune_updates: int,
) -> dict[str, Any]:
    """Returns on the unseen variants before and after fine-tuning on all of them together.

    With num_variants 0 there is no pretraining: the agent learns the unseen variants from scratch.

    Args:
      config: network, game and split; the same batch for every N, hence the same frames.
      hyper: numbers of the learning rule.
      num_variants: N, a prefix of the split's training variants.
      seed: of everything random.
      pretrain_updates: updates before.
      finetune_updates: updates after.
    """
    unseen = config.load_split().unseen
    on_unseen = dataclasses.replace(config, subset="unseen", num_variants=0)
    row: dict[str, Any] = {"num_variants": num_variants, "seed": seed, "unseen": unseen}
    params = None
    if num_variants:
        pretraining = dataclasses.replace(config, subset="train", num_variants=num_variants)
        params = train_run(pretraining, hyper, pretrain_updates, seed).params
        row["seen"] = returns(pretraining, pretraining.variants, params, seed)
        row["zero_shot"] = returns(pretraining, unseen, params, seed)
    tuned = train_run(on_unseen, hyper, finetune_updates, seed, params=params)
    row["finetuned"] = returns(on_unseen, unseen, tuned.params, seed)
    row["finetuning_curve"] = column(tuned.rows, "return")
    return row
