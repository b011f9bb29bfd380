"""Variance and bias of four importance-sampling estimators, as horizon and policy lag grow.

Espeholt et al. 2018, https://arxiv.org/abs/1802.01561 (V-trace); Precup et al. 2000 (trajectory
and per-decision importance sampling); Schulman et al. 2017, https://arxiv.org/abs/1707.06347
(the clipped ratio).

python -m experiments.impala.is_variance.sweep       (about 4 minutes on two CPU cores)

The policies are real: an agent of the quick preset is trained, and its parameters are kept 64,
16, 4 and 1 updates before the end. The last parameters are the target policy pi, an earlier
snapshot is the behaviour policy mu. From each of a set of start states (which pi reached) mu
plays several sequences, and every estimator is given the first T steps of the same sequences.

* Variance is that of an estimate given its start state, averaged over start states: what the
  estimator adds, not how much the states differ in value.
* Bias is against pi's own bootstrapped T-step return from the same start states.
* A sequence ends where its episode does: later ratios do not belong to V^pi(x_0). Burn-in and
  horizon together are shorter than the time limit, so no sequence is truncated.
"""

import dataclasses
import functools
import operator
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.impala import study
from experiments.results import ResultsFile
from jaxrl_suite.core import System
from jaxrl_suite.envs import arcade, rollout
from jaxrl_suite.ops import importance
from jaxrl_suite.ops.distributions import Categorical
from jaxrl_suite.systems import impala
from jaxrl_suite.systems.impala import Config, Hyper, build

RESULTS = Path(__file__).parent / "results" / "variance.jsonl"
SEEDS, UPDATES, VARIANTS = 5, 300, 4
LAGS = (64, 16, 4, 1, 0)
HORIZONS = (1, 2, 4, 8, 16, 32, 64, 128)
# Every lag: STARTS * COPIES sequences. The reference: STARTS * REFERENCE_COPIES.
STARTS, COPIES, REFERENCE_COPIES, BURN_IN = 128, 16, 32, 100


class Sequences(NamedTuple):
    """What the estimators need of the sequences; leaves [T, B], values [T+1, B]."""

    log_ratios: jax.Array
    rewards: jax.Array
    discounts: jax.Array
    values: jax.Array


def snapshots(system: System, run_keys: jax.Array) -> dict[int, dict]:
    """Parameters of every run at every lag before its end: {lag: leaves [runs, ...]}."""

    def advance(state: Any, num_updates: int) -> Any:
        return jax.lax.fori_loop(0, num_updates, lambda _, s: system.update(s)[0], state)

    forward = jax.jit(jax.vmap(advance, in_axes=(0, None)))
    state = jax.jit(jax.vmap(system.init))(run_keys)
    kept, made = {}, 0
    for lag in sorted(LAGS, reverse=True):
        state = forward(state, UPDATES - lag - made)
        made = UPDATES - lag
        kept[lag] = state.learner.params
    return kept


def start_states(config: Config, params: dict, key: jax.Array) -> rollout.RolloutState:
    """States that the policy has reached after the burn-in, one an environment."""
    network, environment = build.network(config), build.environment(config)
    tasks = arcade.stack_variants(arcade.make(config.game), config.variants)
    start_key, step_key = jax.random.split(key)
    state = rollout.start(environment, tasks, STARTS, network.initial_carry(STARTS), start_key)

    def step(state: rollout.RolloutState, key: jax.Array) -> tuple[rollout.RolloutState, None]:
        return rollout.advance(environment, build.policy(network), params, state, key)[0], None

    return jax.lax.scan(step, state, jax.random.split(step_key, BURN_IN))[0]


def play(
    config: Config,
    hyper: Hyper,
    target: dict,
    behaviour: dict,
    starts: rollout.RolloutState,
    key: jax.Array,
    *,
    copies: int,
) -> Sequences:
    """Sequences of the behaviour policy, `copies` from every start state, with pi's ratios."""
    network, environment = build.network(config), build.environment(config)
    policy = build.policy(network)
    starts = jax.tree.map(lambda leaf: jnp.repeat(leaf, copies, axis=0), starts)

    def judge(inputs: rollout.PolicyInputs) -> tuple[jax.Array, jax.Array]:
        rows = jax.tree.map(lambda x: x[None], inputs)
        outputs, _ = network.apply(target, *rows, network.initial_carry(STARTS * copies))
        return outputs.logits[0], outputs.values[0, :, 0]

    def step(carried: tuple, key: jax.Array) -> tuple[tuple, Sequences]:
        state, alive = carried
        logits, value = judge(state.inputs)
        state, record = rollout.advance(environment, policy, behaviour, state, key)
        log_ratio = Categorical(logits).log_prob(record["action"]) - record["behaviour_log_prob"]
        reward = jnp.clip(record["reward"], -hyper.reward_clip, hyper.reward_clip)
        row = Sequences(
            log_ratios=jnp.where(alive, log_ratio, 0.0),
            rewards=jnp.where(alive, reward, 0.0),
            discounts=hyper.gamma * (1.0 - record["terminated"]),
            values=value,
        )
        return (state, alive & ~record["terminated"]), row

    alive = jnp.ones(STARTS * copies, bool)
    keys = jax.random.split(key, max(HORIZONS))
    (state, _), rows = jax.lax.scan(step, (starts, alive), keys)
    last = judge(state.inputs)[1]
    return rows._replace(values=jnp.concatenate([rows.values, last[None]]))


def estimates(sequences: Sequences) -> importance.ValueEstimates:
    """Every estimator on the first T steps, for every T of HORIZONS; leaves [B, horizons]."""

    def of_horizon(horizon: int) -> importance.ValueEstimates:
        log_ratios, rewards, discounts = (x[:horizon] for x in sequences[:3])
        columns = (log_ratios, rewards, discounts, sequences.values[: horizon + 1])
        return jax.vmap(importance.value_estimates, in_axes=1)(*columns)

    return jax.tree.map(lambda *leaves: jnp.stack(leaves, axis=1), *map(of_horizon, HORIZONS))


class Measured(NamedTuple):
    """Of one target, one behaviour policy; estimates [B, horizons], log_ratios [T, B]."""

    estimates: importance.ValueEstimates
    log_ratios: jax.Array
    survived: jax.Array  # bool [T, B], the sequence had not ended before the step


def measure(*args: Any, **kwargs: Any) -> Measured:
    """Plays (arguments of :func:`play`) and estimates."""
    sequences = play(*args, **kwargs)
    ends = jnp.cumsum(sequences.discounts == 0, axis=0)
    survived = jnp.concatenate([jnp.ones_like(ends[:1]), 1 - jnp.minimum(ends[:-1], 1)]) > 0
    return Measured(estimates(sequences), sequences.log_ratios, survived)


def summarise(found: Measured, reference: np.ndarray, usable: np.ndarray) -> Iterator[dict]:
    """One row a horizon of one run.

    Args:
      found: of one run.
      reference: [horizons], mean of pi's own T-step returns over the usable start states.
      usable: bool [starts], the start state is not the end of an episode.
    """
    sequence_usable = np.repeat(usable, COPIES)
    for i, horizon in enumerate(HORIZONS):
        log_ratios = found.log_ratios[:horizon, sequence_usable]
        steps = found.survived[:horizon, sequence_usable]
        log_weights = log_ratios.sum(axis=0)
        weights, ratios = np.exp(log_weights), np.exp(log_ratios[steps])
        share = importance.effective_sample_size(log_weights, np.ones_like(log_weights, bool))
        row: dict[str, Any] = {
            "horizon": horizon,
            "sequences": int(sequence_usable.sum()),
            "reference": float(reference[i]),
            "effective_sample_size": float(share),
            "weight_mean": float(weights.mean()),
            "weight_median": float(np.median(weights)),
            "weight_max": float(weights.max()),
            "ratio_mean": float(ratios.mean()),
            "ratio_max": float(ratios.max()),
            "kl_per_step": float(-log_ratios[steps].mean()),
        }
        for name, estimate in found.estimates._asdict().items():
            by_start = estimate[:, i].reshape(STARTS, COPIES)[usable].astype(np.float64)
            row[f"{name}_mean"] = float(by_start.mean())
            row[f"{name}_bias"] = float(by_start.mean() - reference[i])
            row[f"{name}_variance"] = float(by_start.var(axis=1, ddof=1).mean())
        yield row


def main() -> None:
    """Trains, plays and writes all rows, unless they are there."""
    preset = impala.PRESETS["quick"]
    config = dataclasses.replace(preset.config, num_variants=VARIANTS)
    settings = {
        "preset": "quick",
        "game": config.game,
        "variants": list(config.variants),
        "frames": UPDATES * config.frames_per_update,
        "starts": STARTS,
        "sequences_per_start": COPIES,
        "reference_sequences_per_start": REFERENCE_COPIES,
        "burn_in": BURN_IN,
        "seeds": SEEDS,
    }
    results = ResultsFile(RESULTS, keys=("lag", "seed", "horizon"), settings=settings)
    if not results.lacks():
        return
    kept = snapshots(impala.make(config, preset.hyper), study.keys(SEEDS))
    target = kept[0]
    print("return", study.returns(config, config.variants, target, 0).mean(axis=1), flush=True)

    def split(number: int) -> jax.Array:
        return jax.random.split(jax.random.key(1_000 + number), SEEDS)

    starts = jax.jit(jax.vmap(lambda p, k: start_states(config, p, k)))(target, split(0))
    usable = ~np.asarray(starts.episodes.ended)

    def measurer(copies: int) -> Callable[..., Measured]:
        one = functools.partial(measure, config, preset.hyper, copies=copies)
        return jax.jit(jax.vmap(lambda *args: one(*args)))

    # Played by pi itself all ratios are 1, and every estimator is the plain T-step return.
    own = measurer(REFERENCE_COPIES)(target, target, starts, split(1)).estimates.per_decision
    own = np.asarray(own).reshape(SEEDS, STARTS, REFERENCE_COPIES, len(HORIZONS)).mean(axis=2)
    lagged = measurer(COPIES)
    for lag in LAGS:
        found = jax.tree.map(np.asarray, lagged(target, kept[lag], starts, split(2 + lag)))
        for seed in range(SEEDS):
            of_seed = jax.tree.map(operator.itemgetter(seed), found)
            reference = own[seed][usable[seed]].mean(axis=0)
            rows = summarise(of_seed, reference, usable[seed])
            results.add({"lag": lag, "seed": seed} | row for row in rows)
        print("lag", lag, flush=True)


if __name__ == "__main__":
    main()
