"""Does the quick preset learn? Every game, five seeds, beside the random policy.

python -m experiments.impala.quick_learns.sweep      (about 10 minutes on two CPU cores)
"""

import dataclasses
from pathlib import Path

from experiments.impala import study
from experiments.results import ResultsFile
from jaxrl_suite.envs import arcade
from jaxrl_suite.runtime.compile_cache import enable_compile_cache
from jaxrl_suite.systems import impala

RESULTS = Path(__file__).parent / "results" / "returns.jsonl"
SEEDS = 5


def main() -> None:
    """Trains all games that the results file lacks."""
    enable_compile_cache()
    preset = impala.PRESETS["quick"]
    settings = {"preset": "quick", "num_updates": preset.num_updates, "seeds": SEEDS}
    results = ResultsFile(RESULTS, keys=("game", "seed"), settings=settings)
    for game in arcade.GAMES:
        if not results.lacks(game=game):
            continue
        config = dataclasses.replace(preset.config, game=game)
        runs = study.train_runs(config, preset.hyper, preset.num_updates, study.keys(SEEDS))
        params = runs.state.learner.params
        split = arcade.load_split(game, config.split)
        trained = {
            name: study.returns(config, getattr(split, name), params, 0) for name in split._fields
        }
        random = {
            name: study.random_returns(config, getattr(split, name), SEEDS)
            for name in split._fields
        }
        results.add(
            {
                "game": game,
                "seed": seed,
                "frames": preset.num_updates * config.frames_per_update,
                **{f"trained_{side}": trained[side][seed].tolist() for side in trained},
                **{f"random_{side}": random[side][seed].tolist() for side in random},
                "curve": [round(float(x), 3) for x in runs.metrics["return"][seed, ::20]],
            }
            for seed in range(SEEDS)
        )
        print(game, trained["train"].mean(), random["train"].mean(), flush=True)


if __name__ == "__main__":
    main()
