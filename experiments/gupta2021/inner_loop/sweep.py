"""Does a fixed body learn to run? The inner loop of the quick preset on one four-limb UNIMAL.

python -m experiments.gupta2021.inner_loop.sweep      (about 3 minutes on two CPU cores)

The body is a head with a leg before and one behind it and an arm to either side, 4 hinges. Eight
seeds learn side by side in one program on flat terrain, for as long as a body of the quick preset
lives (65,536 environment steps). What they have learned is played without noise, beside
random actions N(0, 1).
"""

import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from experiments.results import ResultsFile
from jaxrl_suite.envs import unimal
from jaxrl_suite.envs.unimal import lattice
from jaxrl_suite.envs.unimal.genotype import X, Y, with_height
from jaxrl_suite.runtime.compile_cache import enable_compile_cache
from jaxrl_suite.systems import derl
from jaxrl_suite.systems.derl.evaluate import evaluate

RESULTS = Path(__file__).parent / "results" / "seeds.jsonl"
SEEDS, EPISODES = 8, 16
PRESET = derl.PRESETS["quick"]
TIMES = (1,)  # lives as long as the preset's


def four_limbs() -> unimal.Genotype:
    """A head with a leg before and one behind it, and an arm to either side, on a hinge each."""
    body = unimal.head(jnp.array([2, 2]))
    slots = jnp.arange(1, 5)
    before, behind = lattice.SLOPING, lattice.SLOPING + 4
    left = lattice.LEVEL + 2
    directions = jnp.array([before, behind, left, lattice.MIRROR[left]])
    body = body._replace(
        alive=body.alive.at[slots].set(True),
        direction=body.direction.at[slots].set(directions),
        length=body.length.at[slots].set(2),
        axes=body.axes.at[slots].set(jnp.array([Y, Y, X, X])),
        range=body.range.at[slots].set(8),  # -60 to 60 degrees
        gear=body.gear.at[slots].set(1),  # 200 N m
        partner=body.partner.at[slots].set(jnp.array([1, 2, 4, 3])),
    )
    return with_height(unimal.ORIGINAL, body)


def lives(times: int) -> list[dict]:
    """A row a seed."""
    iterations = times * PRESET.config.life.iterations
    life = dataclasses.replace(PRESET.config.life, iterations=iterations)
    config = dataclasses.replace(PRESET.config, life=life)
    env, hyper, genotype = config.make_environment(), PRESET.hyper, four_limbs()
    assert bool(unimal.is_valid(unimal.ORIGINAL, genotype))

    @jax.jit
    def live(keys: jax.Array) -> tuple:
        body = derl.body_of(config, genotype)

        def one(key: jax.Array) -> tuple:
            learn, play = jax.random.split(key)
            state = derl.init(env, life, hyper, body, learn)
            step = lambda s, _: (derl.iterate(env, life, hyper, body, s)[0], None)  # noqa: E731
            state = jax.lax.scan(step, state, length=iterations)[0]
            policy = derl.Policy(state.params, state.inputs)
            told = evaluate(env, config, hyper, body, policy, play, EPISODES)
            return derl.fitness(life, state), state.curves["score"], told

        return jax.vmap(one)(keys)

    fitness, curves, told = jax.device_get(live(jax.random.split(jax.random.key(0), SEEDS)))
    return [
        {
            "times": times,
            "seed": seed,
            "steps": iterations * life.batch,
            "fitness": float(fitness[seed]),
            "learned": float(told["score"][seed].mean()),
            "random": float(told["random_score"][seed].mean()),
            "learned_length": float(told["length"][seed].mean()),
            "random_length": float(told["random_length"][seed].mean()),
            "curve": [round(float(x), 2) for x in curves[seed]],
        }
        for seed in range(SEEDS)
    ]


def main() -> None:
    """Runs whatever the results file lacks."""
    enable_compile_cache()
    settings = {
        "life": dataclasses.asdict(PRESET.config.life),
        "hyper": {name: float(x) for name, x in PRESET.hyper._asdict().items()},
        "seeds": SEEDS,
        "episodes": EPISODES,
        "jax": jax.__version__,
        "numpy": np.__version__,
    }
    results = ResultsFile(RESULTS, keys=("times", "seed"), settings=settings)
    for times in TIMES:
        if results.lacks(times=times):
            rows = lives(times)
            results.add(rows)
            for name in ("fitness", "learned", "random"):
                print(times, name, np.mean([row[name] for row in rows]).round(1), flush=True)


if __name__ == "__main__":
    main()
