"""Scores of the uniformly random policy on every legal variant of the four games.

python -m experiments.taiga2023.random_policy.sweep      (about 6 minutes on two CPU cores)
"""

import dataclasses
from pathlib import Path

import jax

from experiments.results import ResultsFile
from jaxrl_suite.envs import atari
from jaxrl_suite.systems import impala

RESULTS = Path(__file__).parent / "results" / "scores.jsonl"
SEEDS, EPISODES = 5, 2


def main() -> None:
    """Plays all games that the results file lacks."""
    preset = impala.PRESETS["atari_quick"]
    settings = {"seeds": SEEDS, "episodes": EPISODES, "time_limit": 27_000, "sticky": 0.0}
    results = ResultsFile(RESULTS, keys=("game", "seed"), settings=settings)
    for game in atari.GAMES.values():
        if not results.lacks(game=game.name):
            continue
        config = dataclasses.replace(
            preset.config, game=game.name, eval_episodes=EPISODES, time_limit=27_000
        )
        names = tuple(game.variants)
        played = [
            impala.evaluate_random(config, names, jax.random.key(seed)) for seed in range(SEEDS)
        ]
        results.add(
            {
                "game": game.name,
                "seed": seed,
                "variants": names,
                "returns": result["episode_returns"].tolist(),
                "episode_length": float(result["episode_length"]),
            }
            for seed, result in enumerate(played)
        )
        print(game.name, [round(float(result["return"]), 2) for result in played], flush=True)


if __name__ == "__main__":
    main()
