"""Do skills help the humanoid to learn tasks? Two tasks, by skills and from scratch.

python -m experiments.peng2022.tasks.sweep      (about 25 minutes, one process a core)

A seed trains a low level of its own first, the preset `quick` (327,680 actions); then the preset
`task` learns by its skills, in 153,600 actions of the low level (30 updates of 64 environments x 16
x 5). "From scratch" learns the same tasks by as many actions and gradient steps, without skills.
What an episode returns is the mean of the task's reward over 10 s, 0 to 1, an episode that ends
early earning nothing from then on; without noise, before and after learning.
"""

import dataclasses
from pathlib import Path
from typing import Any

import jax

from experiments.learning import learn
from experiments.results import ResultsFile, settings_of
from jaxrl_suite.runtime.compile_cache import enable_compile_cache
from jaxrl_suite.systems import ase

RESULTS = Path(__file__).parent / "results" / "seeds.jsonl"
SEEDS, UPDATES, PART = 3, 30, 3
TASKS = ("speed", "reach")
SKILLED, SCRATCH = "skills", "from scratch"
METHODS = (SKILLED, SCRATCH)
LOW, HIGH = ase.PRESETS["quick"], ase.PRESETS["task"]
CURVES = ("return", "length")


def config_of(method: str, task: str) -> ase.Config:
    """Who learns a task."""
    high = dataclasses.replace(HIGH.config, task=task)
    if method == SKILLED:
        return high
    return dataclasses.replace(
        high,
        level="low",
        networks=dataclasses.replace(high.networks, latent=0, discriminator=()),
        # As many actions and gradient steps an update as the high level's.
        num_steps=high.num_steps * high.repeat,
        minibatch=high.minibatch * high.repeat,
        mixed=False,
    )


def hyper_of(method: str) -> ase.Hyper:
    """Numbers of who learns a task."""
    if method == SKILLED:
        return HIGH.hyper
    return HIGH.hyper._replace(task=1.0, style=0.0, log_std=LOW.hyper.log_std)


def skills_of(seed: int) -> ase.Skills:
    """The controller that a seed's low level comes to."""
    config, hyper, updates = LOW
    names = ("style_reward", "skill_reward")
    state, _ = learn(ase.make(config, hyper), hyper, updates, seed, names, "low level")
    return ase.skills_of(config, state)


def row_of(method: str, task: str, seed: int, skills: ase.Skills | None) -> dict[str, Any]:
    """What a seed came to."""
    config, hyper = config_of(method, task), hyper_of(method)
    system = ase.make(config, hyper, skills)
    evaluate, key = jax.jit(system.evaluate), jax.random.key(1000 + seed)
    before = jax.device_get(evaluate(jax.jit(system.init)(jax.random.key(seed)), key))
    state, curves = learn(system, hyper, UPDATES, seed, CURVES, f"{task}, {method}", PART)
    after = jax.device_get(evaluate(state, key))
    row: dict[str, Any] = {"method": method, "task": task, "seed": seed}
    row["actions"] = UPDATES * config.frames_per_update
    for when, told in (("untrained", before), ("learned", after)):
        row |= {f"{when}_{name}": float(told[name]) for name in ("normalised_return", "length")}
    return row | {f"curve_{name}": curve for name, curve in curves.items()}


def main() -> None:
    """Runs whatever the results file lacks."""
    enable_compile_cache()
    settings = settings_of(
        HIGH,
        updates=UPDATES,
        low_updates=LOW.num_updates,
        tasks=TASKS,
        seeds=SEEDS,
    )
    results = ResultsFile(RESULTS, keys=("method", "task", "seed"), settings=settings)
    for method in METHODS:
        for seed in range(SEEDS):
            if results.lacks(method=method, seed=seed):
                skills = skills_of(seed) if method == SKILLED else None
                rows = [row_of(method, task, seed, skills) for task in TASKS]
                results.add(rows)
                for row in rows:
                    print({k: v for k, v in row.items() if "curve" not in k}, flush=True)


if __name__ == "__main__":
    main()
