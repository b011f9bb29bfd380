"""Transfer between Atari variants: width of the network x number of pretraining variants.

python -m experiments.taiga2023.capacity.sweep           (about 45 minutes on two CPU cores)
"""

import dataclasses
import itertools
from pathlib import Path

import jax

from experiments.results import ResultsFile
from experiments.taiga2023 import study
from experiments.taiga2023.num_variants.sweep import GAME, SPLIT, UPDATES, experiment_config
from jaxrl_suite.runtime.compile_cache import enable_compile_cache
from jaxrl_suite.systems import impala

RESULTS = Path(__file__).parent / "results" / "returns.jsonl"
SEEDS = 3
WIDTHS = (0.5, 2.0)
NUM_VARIANTS = (1, 8)


def main() -> None:
    """Runs every setting that the results file lacks."""
    enable_compile_cache()
    preset = impala.PRESETS["atari_quick"]
    pretrain, finetune = UPDATES["atari_quick"]
    frames_per_update = experiment_config(preset.config).frames_per_update
    settings = {
        "preset": "atari_quick",
        "game": GAME,
        "split": SPLIT,
        "pretrain_frames": pretrain * frames_per_update,
        "finetune_frames": finetune * frames_per_update,
        "seeds": SEEDS,
    }
    results = ResultsFile(RESULTS, keys=("width", "num_variants", "seed"), settings=settings)
    for seed, width, num_variants in itertools.product(range(SEEDS), WIDTHS, NUM_VARIANTS):
        if not results.lacks(width=width, num_variants=num_variants, seed=seed):
            continue
        network = dataclasses.replace(preset.config.network, width=width)
        config = dataclasses.replace(experiment_config(preset.config), network=network)
        shapes = jax.eval_shape(impala.impala_learner(config).init, jax.random.key(0), preset.hyper)
        num_params = sum(leaf.size for leaf in jax.tree.leaves(shapes.params))
        row = study.transfer_row(
            config,
            preset.hyper,
            num_variants=num_variants,
            seed=seed,
            pretrain_updates=pretrain,
            finetune_updates=finetune,
        )
        results.add([{"width": width, "num_parameters": num_params} | row])
        print(seed, width, num_variants, row["zero_shot"], flush=True)


if __name__ == "__main__":
    main()
