"""Do skills of the humanoid emerge on two cores? The preset `quick`.

python -m experiments.peng2022.skills.sweep      (about 30 minutes, one process a core)

The low level learns from all 51 clips, with skill discovery and without. What its skills are is
measured by 64 latents, each held for 2 s from the default pose, and by bodies that lie and are to
stand up. The untrained policy is judged by the networks that came of the run, too: rewards by a
discriminator that still learns cannot be compared with each other.
"""

from pathlib import Path
from typing import Any

import jax

from experiments.learning import learn
from experiments.peng2022.methods import hyper_of
from experiments.results import ResultsFile, settings_of
from jaxrl_suite.runtime.compile_cache import enable_compile_cache
from jaxrl_suite.systems import ase

RESULTS = Path(__file__).parent / "results" / "seeds.jsonl"
SEEDS, LATENTS = 3, 64
PRESET = ase.PRESETS["quick"]
METHODS = ("ASE", "no skill discovery")
CURVES = ("style_reward", "skill_reward", "length", "accuracy_clips", "accuracy_policy")


def row_of(method: str, seed: int) -> dict[str, Any]:
    """What a seed came to."""
    config, hyper = PRESET.config, hyper_of(method, PRESET.hyper)
    system = ase.make(config, hyper)

    @jax.jit
    def measure(state: Any, key: jax.Array) -> ase.Measured:
        params, world = state.learner.params, state.source.world
        return ase.measure_skills(config, params, world, key, LATENTS)

    updates, key = PRESET.num_updates, jax.random.key(1000 + seed)
    state, curves = learn(system, hyper, updates, seed, CURVES, method)
    told = {"learned": jax.device_get(measure(state, key))}
    first = jax.jit(system.init)(jax.random.key(seed)).learner.params
    judged = state.learner.params._replace(actor=first.actor, inputs=first.inputs)
    learner = state.learner._replace(params=judged)
    told["untrained"] = jax.device_get(measure(state._replace(learner=learner), key))
    row: dict[str, Any] = {"method": method, "seed": seed, "actions": updates * config.batch}
    for when, found in told.items():
        row |= {f"{when}_{name}": float(x) for name, x in found.metrics.items()}
        row[f"{when}_histogram"] = [round(float(x), 4) for x in found.histogram]
    return row | {f"curve_{name}": curve for name, curve in curves.items()}


def main() -> None:
    """Runs whatever the results file lacks."""
    enable_compile_cache()
    settings = settings_of(
        PRESET,
        updates=PRESET.num_updates,
        latents=LATENTS,
        seeds=SEEDS,
        clips=ase.clip_names(PRESET.config),
    )
    results = ResultsFile(RESULTS, keys=("method", "seed"), settings=settings)
    for seed in range(SEEDS):
        for method in METHODS:
            if results.lacks(method=method, seed=seed):
                row = row_of(method, seed)
                results.add([row])
                short = {k: v for k, v in row.items() if "curve" not in k and "hist" not in k}
                print(short, flush=True)


if __name__ == "__main__":
    main()
