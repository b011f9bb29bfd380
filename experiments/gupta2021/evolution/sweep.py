"""Does evolution find better bodies than random search, at an equal number of bodies trained?

python -m experiments.gupta2021.evolution.sweep      (about 25 minutes a run on two CPU cores)

Gupta et al. 2021, flat terrain, in the quick preset: 112 bodies, 16 alive, 8 trained at a time in 4
phases, each for 65,536 environment steps. Synchronous generations of 8 train and select all at
once; random search trains 112 bodies of the first population's kind. All schemes run for every
seed; a sweep that was stopped goes on in the middle of a run.
"""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.results import ResultsFile
from jaxrl_suite.cli.derl import read_lineage
from jaxrl_suite.cli.training import LoopOptions, continue_run, launch
from jaxrl_suite.envs import unimal
from jaxrl_suite.report.lineage import generation
from jaxrl_suite.runtime.compile_cache import enable_compile_cache
from jaxrl_suite.runtime.jsonable import to_jsonable
from jaxrl_suite.runtime.rundir import ROOT, Run, open_run
from jaxrl_suite.systems import derl

RESULTS = Path(__file__).parent / "results" / "bodies.jsonl"
SEEDS = 3
SCHEMES = ("tournament", "random", "generations")
PRESET = derl.PRESETS["quick"]
CHECKPOINT = 4  # phases that a kill may cost
STANDS = 5  # resets from which a body's passive stability is measured


def config_of(scheme: str) -> derl.Config:
    """The preset's, but for the scheme; generations are a ring whose slots all finish at once."""
    if scheme == "generations":
        return dataclasses.replace(PRESET.config, phases=1)
    return dataclasses.replace(PRESET.config, scheme=scheme)


def run_of(scheme: str, seed: int) -> Run:
    """One evolution, trained to its end."""
    config = config_of(scheme)
    phases = max(1, CHECKPOINT * config.phases // PRESET.config.phases)
    loop = LoopOptions(root=ROOT / "gupta2021", checkpoint_every=phases)
    name = f"{scheme}-{seed}"
    if (loop.root / "derl" / name).exists():
        run = open_run(f"derl/{name}", root=loop.root)
        wanted = to_jsonable(config), to_jsonable(PRESET.hyper)
        if (run.record.config, run.record.hyper) != wanted:
            raise SystemExit(f"{run.path} was made with other settings; move it away")
        return continue_run(run, loop)
    preset = PRESET._replace(config=config, num_updates=config.num_updates)
    return launch("derl", "quick", preset, seed=seed, name=name, loop=loop)


def genotypes(genes: list[dict[str, list]]) -> unimal.Genotype:
    """Bodies of so many rows, from what :func:`rows_of` keeps of each."""
    like = unimal.head(jnp.zeros(2, jnp.int32))._asdict()
    stack = lambda name: np.array([gene[name] for gene in genes], like[name].dtype)  # noqa: E731
    return unimal.Genotype(**{name: stack(name) for name in like})


@jax.jit
def standing(bodies: unimal.Genotype, key: jax.Array) -> jax.Array:
    """Passive stability of bodies [n, STANDS] on flat terrain, in actions of 0.02 s."""
    config, env = PRESET.config, unimal.flat_terrain()

    def one(genotype: unimal.Genotype, key: jax.Array) -> jax.Array:
        body = derl.body_of(config, genotype)
        stand = lambda k: derl.passive_stability(env, body, k)  # noqa: E731
        return jax.vmap(stand)(jax.random.split(key, STANDS))

    count = bodies.alive.shape[0]
    return jax.vmap(one)(bodies, jax.random.split(key, count))


def rows_of(scheme: str, seed: int, run: Run) -> list[dict[str, Any]]:
    """A row a body, with its genes and its learning curve."""
    lineage, columns = read_lineage(run)
    fields = {name: columns[f"gene_{name}"].astype(int) for name in unimal.Genotype._fields}
    genes = [{name: x[i].tolist() for name, x in fields.items()} for i in range(len(lineage.limbs))]
    stands = np.asarray(standing(genotypes(genes), jax.random.key(seed)))
    ages, window = generation(lineage), PRESET.config.life.window
    rows = []
    for i in range(len(ages)):
        end = {name: columns[f"curve_{name}"][i, -window:].mean() for name in ("length", "work")}
        rows.append(
            {
                "scheme": scheme,
                "seed": seed,
                "number": i,
                "parent": int(lineage.parent[i]),
                "operator": lineage.operator[i],
                "generation": int(ages[i]),
                "limbs": int(lineage.limbs[i]),
                "fitness": round(float(lineage.fitness[i]), 3),
                "length": round(float(end["length"]), 2),
                "work": round(float(end["work"]), 3),
                "standing": stands[i].astype(int).tolist(),
                "genes": genes[i],
                "curve": [round(float(x), 2) for x in columns["curve_score"][i]],
            }
        )
    return rows


def main() -> None:
    """Runs whatever the results file lacks."""
    enable_compile_cache()
    settings = {
        "config": dataclasses.asdict(PRESET.config),
        "hyper": {name: float(x) for name, x in PRESET.hyper._asdict().items()},
        "seeds": SEEDS,
        "jax": jax.__version__,
        "numpy": np.__version__,
    }
    results = ResultsFile(RESULTS, keys=("scheme", "seed", "number"), settings=settings)
    for seed in range(SEEDS):
        for scheme in SCHEMES:
            if results.lacks(scheme=scheme, seed=seed):
                results.add(rows_of(scheme, seed, run_of(scheme, seed)))


if __name__ == "__main__":
    main()
