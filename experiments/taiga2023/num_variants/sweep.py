"""Zero-shot and fine-tuned return on unseen Atari variants against the number of pretraining ones.

python -m experiments.taiga2023.num_variants.sweep       (about 25 minutes on two CPU cores)
python -m experiments.taiga2023.num_variants.sweep gpu   (the preset atari_gpu, hours: a large GPU)
"""

import dataclasses
import sys
from pathlib import Path

from experiments.results import ResultsFile
from experiments.taiga2023 import study
from jaxrl_suite.runtime.compile_cache import enable_compile_cache
from jaxrl_suite.systems import impala
from jaxrl_suite.systems.impala import Config

FOLDER = Path(__file__).parent / "results"
RESULTS = FOLDER / "returns.jsonl"
SEEDS = 3
# Preset -> N; every actor needs an emulator of each.
NUM_VARIANTS = {"atari_quick": (0, 1, 8), "atari_gpu": (0, 1, 4, 16)}
GAME, SPLIT = "breakout", "value"
# Preset -> updates of pretraining and of fine-tuning.
UPDATES = {"atari_quick": (800, 200), "atari_gpu": (7000, 1400)}


def experiment_config(config: Config) -> Config:
    """Game and split of the experiment."""
    return dataclasses.replace(config, game=GAME, split=SPLIT)


def main() -> None:
    """Runs every setting that the results file lacks; N = 0 is learning from scratch."""
    enable_compile_cache()
    name = "atari_gpu" if sys.argv[1:] == ["gpu"] else "atari_quick"
    pretrain, finetune = UPDATES[name]
    preset = impala.PRESETS[name]
    config = experiment_config(preset.config)
    settings = {
        "preset": name,
        "pretrain_frames": pretrain * config.frames_per_update,
        "finetune_frames": finetune * config.frames_per_update,
        "seeds": SEEDS,
    }
    keys = ("game", "split", "num_variants", "seed")
    path = RESULTS if name == "atari_quick" else FOLDER / "returns_gpu.jsonl"
    results = ResultsFile(path, keys=keys, settings=settings)
    for seed in range(SEEDS):
        random = study.random_returns(config, config.load_split().unseen, seed)
        for num_variants in NUM_VARIANTS[name]:
            if not results.lacks(num_variants=num_variants, seed=seed):
                continue
            row = study.transfer_row(
                config,
                preset.hyper,
                num_variants=num_variants,
                seed=seed,
                pretrain_updates=pretrain,
                finetune_updates=finetune,
            )
            results.add([{"game": GAME, "split": SPLIT, "random": random} | row])
            print(seed, num_variants, row.get("zero_shot"), row["finetuned"], flush=True)


if __name__ == "__main__":
    main()
