"""HarmoDT, its variants and its baselines on directions of a four-legged body, new ones included.

python -m experiments.hu2024.directions.sweep      (about a minute a run on a core)

The preset "directions": nine directions are learned from an expert's trajectories, which it plays
on the device; three are met unprepared, by the network under the mask that the nine vote for and
with a prompt of the new direction. 16 episodes a direction, at the end of training.
"""

from pathlib import Path
from typing import Any

import jax
import numpy as np

from experiments.hu2024.methods import configs
from experiments.results import ResultsFile, settings_of
from jaxrl_suite.cli.harmodt import dataset_of
from jaxrl_suite.core import train
from jaxrl_suite.envs import ant
from jaxrl_suite.runtime.compile_cache import enable_compile_cache
from jaxrl_suite.systems import harmodt
from jaxrl_suite.systems.harmodt.evaluate import for_unseen, make_policy, play

RESULTS = Path(__file__).parent / "results" / "runs.jsonl"
SEEDS, EPISODES = 5, 16
PRESET = harmodt.PRESETS["directions"]
STARTS = 1000  # seed of the evaluation's resets


def run(
    config: harmodt.Config,
    hyper: harmodt.Hyper,
    seen: harmodt.Dataset,
    unseen: harmodt.Dataset,
    seed: int,
) -> dict[str, Any]:
    """Trains and evaluates: mean return of every direction."""
    system = harmodt.make(config, hyper, seen)
    state = jax.jit(system.init)(jax.random.key(seed))
    state, metrics = jax.jit(train(system, config.updates))(state)
    found = {"loss": round(float(metrics["loss"][-5:].mean()), 5)}
    if "harmony" in metrics:
        found["harmony"] = [round(float(x), 5) for x in metrics["harmony"]]

    def returns(learner: harmodt.LearnerState, data: harmodt.Dataset) -> list[float]:
        pools = [ant.AntPool(ant.TASKS[name], EPISODES, STARTS) for name in data.tasks]
        targets = np.asarray(data.data.target)
        policy = make_policy(config, data)
        played = play(policy, learner, pools, targets, ant.EPISODE_LENGTH)
        return [round(float(x), 2) for x in played.returns.mean(axis=1)]

    found["seen"] = returns(state.learner, seen)
    if config.network.condition == "prompt":
        voted = for_unseen(config, state.learner, len(unseen.tasks))
        found["unseen"] = returns(voted, unseen)
    return found


def data() -> tuple[harmodt.Dataset, harmodt.Dataset]:
    """Of the directions that are learned, and of those that are not."""
    seen = dataset_of(PRESET.config)
    return seen, dataset_of(PRESET.config, like=seen)


def main() -> None:
    """Runs whatever the results file lacks."""
    enable_compile_cache()
    results = ResultsFile(
        RESULTS,
        keys=("method", "seed"),
        settings=settings_of(PRESET, seeds=SEEDS, episodes=EPISODES),
    )
    seen, unseen = data()
    expert = {
        "expert_seen": np.asarray(seen.data.target).round(2).tolist(),
        "expert_unseen": np.asarray(unseen.data.target).round(2).tolist(),
        "tasks": [*seen.tasks, *unseen.tasks],
    }
    for method, config in configs(PRESET.config, len(seen.tasks)).items():
        for seed in range(SEEDS):
            if results.lacks(method=method, seed=seed):
                row = run(config, PRESET.hyper, seen, unseen, seed)
                results.add([{"method": method, "seed": seed, **row, **expert}])
                print(method, seed, np.mean(row["seen"]).round(1), flush=True)


if __name__ == "__main__":
    main()
