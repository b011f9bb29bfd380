"""Transfer against the size of the network: width multiplier x number of pretraining variants.

python -m experiments.impala.capacity.sweep          (about 6 minutes on two CPU cores)
"""

import dataclasses
import itertools
from pathlib import Path

import jax

from experiments.impala.transfer import transfer_rows
from experiments.results import ResultsFile
from jaxrl_suite.runtime.compile_cache import enable_compile_cache
from jaxrl_suite.systems import impala

RESULTS = Path(__file__).parent / "results" / "returns.jsonl"
SEEDS, PRETRAIN, FINETUNE = 3, 200, 40
WIDTHS = (0.25, 0.5, 1.0, 2.0)
NUM_VARIANTS = (1, 4, 16)


def main() -> None:
    """Runs every setting that the results file lacks."""
    enable_compile_cache()
    preset = impala.PRESETS["quick"]
    settings = {
        "preset": "quick",
        "game": preset.config.game,
        "split": preset.config.split,
        "pretrain_frames": PRETRAIN * preset.config.frames_per_update,
        "finetune_frames": FINETUNE * preset.config.frames_per_update,
        "seeds": SEEDS,
    }
    results = ResultsFile(RESULTS, keys=("width", "num_variants", "seed"), settings=settings)
    for width, num_variants in itertools.product(WIDTHS, NUM_VARIANTS):
        if not results.lacks(width=width, num_variants=num_variants):
            continue
        network = dataclasses.replace(preset.config.network, width=width)
        config = dataclasses.replace(preset.config, network=network)
        shapes = jax.eval_shape(impala.impala_learner(config).init, jax.random.key(0), preset.hyper)
        num_params = sum(leaf.size for leaf in jax.tree.leaves(shapes.params))
        rows = transfer_rows(
            config,
            preset.hyper,
            num_variants=num_variants,
            num_seeds=SEEDS,
            pretrain_updates=PRETRAIN,
            finetune_updates=FINETUNE,
        )
        results.add({"width": width, "num_parameters": num_params} | row for row in rows)
        print(width, num_variants, num_params, flush=True)


if __name__ == "__main__":
    main()
