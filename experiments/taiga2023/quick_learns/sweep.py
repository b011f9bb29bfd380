"""Does the Atari quick preset learn, by actor threads? Beside the random policy.

python -m experiments.taiga2023.quick_learns.sweep       (about 45 minutes on two CPU cores)
"""

import dataclasses
from pathlib import Path

from experiments.results import ResultsFile
from experiments.taiga2023 import study
from jaxrl_suite.runtime.compile_cache import enable_compile_cache
from jaxrl_suite.systems import impala

RESULTS = Path(__file__).parent / "results" / "returns.jsonl"
SEEDS = 5
EPISODES = 16  # a variant
RECORDED = ("return", "lag_mean", "lag_max", "queue_length", "learner_waiting", "frames_per_second")


def main() -> None:
    """Trains all seeds that the results file lacks."""
    enable_compile_cache()
    preset = impala.PRESETS["atari_quick"]
    config, num_updates = preset.config, preset.num_updates
    settings = {
        "preset": "atari_quick",
        "num_updates": num_updates,
        "seeds": SEEDS,
        "episodes": EPISODES,
    }
    playing = dataclasses.replace(config, eval_episodes=EPISODES)
    results = ResultsFile(RESULTS, keys=("game", "seed"), settings=settings)
    split = config.load_split()
    sides = {"train": config.variants, "unseen": split.unseen}
    for seed in range(SEEDS):
        if not results.lacks(game=config.game, seed=seed):
            continue
        run = study.train_run(config, preset.hyper, num_updates, seed)
        row = {"game": config.game, "seed": seed, "frames": num_updates * config.frames_per_update}
        for side, names in sides.items():
            row[f"trained_{side}"] = study.returns(playing, names, run.params, seed)
            row[f"random_{side}"] = study.random_returns(playing, names, seed)
        row["curve"] = study.column(run.rows, "return")
        row |= {f"{name}_course": study.column(run.rows, name) for name in RECORDED[1:]}
        results.add([row])
        print(seed, row["trained_train"], row["random_train"], flush=True)


if __name__ == "__main__":
    main()
