"""Do bodies that evolution found learn other tasks better than those that random search found?

python -m experiments.gupta2021.transfer.sweep      (about 45 minutes on a CPU core)

Gupta et al. 2021, the eight test tasks. The fittest bodies of every run of the evolution
experiment, of its tournaments and of random search, learn each task from scratch for as long as a
body of the quick preset lives; those of one task learn side by side in one program.
"""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import numpy as np

from experiments.gupta2021.evolution import sweep as evolution
from experiments.publish import Row
from experiments.results import ResultsFile, read_rows
from jaxrl_suite.envs import unimal
from jaxrl_suite.runtime.compile_cache import enable_compile_cache
from jaxrl_suite.systems import derl

RESULTS = Path(__file__).parent / "results" / "bodies.jsonl"
PRESET = evolution.PRESET
SCHEMES = ("tournament", "random")
TOP = 2  # fittest bodies of a run


def chosen(rows: list[Row]) -> list[Row]:
    """The fittest bodies of every run, best first."""
    found = []
    for seed in range(evolution.SEEDS):
        for scheme in SCHEMES:
            run = [row for row in rows if row["scheme"] == scheme and row["seed"] == seed]
            found += sorted(run, key=lambda row: -row["fitness"])[:TOP]
    return found


def learned(task: str, bodies: unimal.Genotype) -> np.ndarray:
    """The task's measure while bodies learn it, mean of the last episodes: [n, iterations]."""
    config, hyper = PRESET.config, PRESET.hyper
    life = config.life
    env = derl.cut_off(unimal.TASKS[task](), life.episode)

    @jax.jit
    def live(bodies: unimal.Genotype, keys: jax.Array) -> jax.Array:
        def one(genotype: unimal.Genotype, key: jax.Array) -> jax.Array:
            body = derl.body_of(config, genotype)
            state = derl.init(env, life, hyper, body, key)
            step = lambda s, _: (derl.iterate(env, life, hyper, body, s)[0], None)  # noqa: E731
            state = jax.lax.scan(step, state, length=life.iterations)[0]
            return state.curves["metric"]

        return jax.vmap(one)(bodies, keys)

    count = bodies.alive.shape[0]
    return np.asarray(live(bodies, jax.random.split(jax.random.key(0), count)))


def rows_of(task: str, found: list[Row]) -> list[dict[str, Any]]:
    """A row a body."""
    curves = learned(task, evolution.genotypes([row["genes"] for row in found]))
    return [
        {
            "task": task,
            "scheme": row["scheme"],
            "seed": row["seed"],
            "rank": i % TOP,
            "from_body": row["number"],
            "fitness": row["fitness"],
            "curve": [round(float(x), 4) for x in curve],
        }
        for i, (row, curve) in enumerate(zip(found, curves, strict=True))
    ]


def main() -> None:
    """Runs whatever the results file lacks."""
    enable_compile_cache()
    if not evolution.RESULTS.exists():
        raise SystemExit(f"{evolution.RESULTS} is missing; run {evolution.__name__} first")
    found = chosen(read_rows(evolution.RESULTS))
    settings = {
        "life": dataclasses.asdict(PRESET.config.life),
        "hyper": {name: float(x) for name, x in PRESET.hyper._asdict().items()},
        "seeds": evolution.SEEDS,
        "top": TOP,
        "jax": jax.__version__,
        "numpy": np.__version__,
    }
    keys = ("task", "scheme", "seed", "rank")
    results = ResultsFile(RESULTS, keys=keys, settings=settings)
    for task in unimal.TASKS:
        if results.lacks(task=task):
            results.add(rows_of(task, found))
            print(task, flush=True)


if __name__ == "__main__":
    main()
