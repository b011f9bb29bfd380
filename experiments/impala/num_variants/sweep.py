"""Zero-shot and fine-tuned return on unseen variants against the number of pretraining variants.

python -m experiments.impala.num_variants.sweep      (about 15 minutes on two CPU cores)
"""

import dataclasses
from pathlib import Path

from experiments.impala import study
from experiments.impala.transfer import NUM_VARIANTS, transfer_rows
from experiments.results import ResultsFile
from jaxrl_suite.envs import arcade
from jaxrl_suite.runtime.compile_cache import enable_compile_cache
from jaxrl_suite.systems import impala

RESULTS = Path(__file__).parent / "results" / "returns.jsonl"
SEEDS, PRETRAIN, FINETUNE = 5, 200, 40
SETTINGS = (
    ("breakout", "combination"),
    ("breakout", "value"),
    ("space_invaders", "combination"),
)


def main() -> None:
    """Runs every setting that the results file lacks; N = 0 is learning from scratch."""
    enable_compile_cache()
    preset = impala.PRESETS["quick"]
    settings = {
        "preset": "quick",
        "pretrain_frames": PRETRAIN * preset.config.frames_per_update,
        "finetune_frames": FINETUNE * preset.config.frames_per_update,
        "seeds": SEEDS,
    }
    names = ("game", "split", "num_variants", "seed")
    results = ResultsFile(RESULTS, keys=names, settings=settings)
    for game, split in SETTINGS:
        config = dataclasses.replace(preset.config, game=game, split=split)
        unseen = arcade.load_split(game, split).unseen
        random = study.random_returns(config, unseen, SEEDS)
        for num_variants in (0, *NUM_VARIANTS):
            if not results.lacks(game=game, split=split, num_variants=num_variants):
                continue
            rows = transfer_rows(
                config,
                preset.hyper,
                num_variants=num_variants,
                num_seeds=SEEDS,
                pretrain_updates=PRETRAIN,
                finetune_updates=FINETUNE,
            )
            shared = {"game": game, "split": split}
            results.add(shared | row | {"random": random[row["seed"]].tolist()} for row in rows)
            print(split, game, num_variants, flush=True)


if __name__ == "__main__":
    main()
