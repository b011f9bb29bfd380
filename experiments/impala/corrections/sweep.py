"""Five off-policy corrections against the policy lag, with and without replay.

python -m experiments.impala.corrections.sweep       (about 15 minutes on two CPU cores)

The lag is a number of the state, so the 5 lags x 5 seeds of a correction are one program.
"""

import dataclasses
import itertools
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from experiments.impala import study
from experiments.results import ResultsFile
from jaxrl_suite.ops.policy_gradient import CORRECTIONS
from jaxrl_suite.runtime.compile_cache import enable_compile_cache
from jaxrl_suite.systems import impala

RESULTS = Path(__file__).parent / "results" / "returns.jsonl"
SEEDS, UPDATES = 5, 500
LAGS = (0, 1, 4, 16, 64)
REPLAY = (0.0, 0.5)
# Small batches: many updates, hence many fetches of the actor even at a lag of 64.
ENVS, UNROLL, VARIANTS = 16, 20, 4
WIDTH = 0.5  # half the quick preset's network: 250 runs have to fit two cores


def main() -> None:
    """Trains every correction and replay setting that the results file lacks."""
    enable_compile_cache()
    preset = impala.PRESETS["quick"]
    base = dataclasses.replace(
        preset.config,
        num_envs=ENVS,
        unroll_length=UNROLL,
        num_variants=VARIANTS,
        network=dataclasses.replace(preset.config.network, width=WIDTH),
    )
    settings = {
        "game": base.game,
        "num_updates": UPDATES,
        "frames": UPDATES * base.frames_per_update,
        "num_envs": ENVS,
        "unroll_length": UNROLL,
        "variants": list(base.variants),
        "width": WIDTH,
        "learning_rate": preset.hyper.learning_rate,
        "seeds": SEEDS,
    }
    names = ("correction", "replay", "lag", "seed")
    results = ResultsFile(RESULTS, keys=names, settings=settings)
    grid = list(itertools.product(LAGS, range(SEEDS)))
    lags = jnp.array([lag for lag, _ in grid])
    run_keys = study.keys(SEEDS)[jnp.array([seed for _, seed in grid])]
    for replay, correction in itertools.product(REPLAY, CORRECTIONS):
        if not results.lacks(correction=correction, replay=replay):
            continue
        config = dataclasses.replace(base, correction=correction, replay_fraction=replay)
        runs = study.train_runs(config, preset.hyper, UPDATES, run_keys, swept={"actor_hold": lags})
        final = study.returns(config, config.variants, runs.state.learner.params, 0).mean(axis=1)
        metrics = {k: np.asarray(v) for k, v in runs.metrics.items()}
        results.add(
            {
                "correction": correction,
                "replay": replay,
                "lag": lag,
                "seed": seed,
                "return": float(final[i]),
                "lag_mean": float(metrics["lag_mean"][i].mean()),
                "ratio_max": float(np.median(metrics["ratio_max"][i])),
                "effective_sample_size": float(metrics["effective_sample_size"][i].mean()),
                "curve": [round(float(x), 3) for x in metrics["return"][i, ::20]],
            }
            for i, (lag, seed) in enumerate(grid)
        )
        print(replay, correction, final.reshape(len(LAGS), SEEDS).mean(axis=1), flush=True)


if __name__ == "__main__":
    main()
