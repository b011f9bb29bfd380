"""Trains the expert that runs in any direction, whose weights ship with the package.

python -m experiments.hu2024.ant_expert.sweep      (about 10 minutes on two CPU cores)

PPO of the inner loop of DERL on the four-legged body, which is told its direction. Three seeds
learn side by side in one program; the weights of the best go to jaxrl_suite/envs/ant/expert.npz.
"""

import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from experiments.results import ResultsFile
from jaxrl_suite.envs import ant
from jaxrl_suite.runtime.compile_cache import enable_compile_cache
from jaxrl_suite.systems import derl
from jaxrl_suite.systems.derl.evaluate import evaluate

RESULTS = Path(__file__).parent / "results" / "seeds.jsonl"
WEIGHTS = Path(ant.__file__).parent / "expert.npz"
SEEDS, EPISODES = 3, 64
LIFE = derl.Life(num_envs=32, num_steps=64, iterations=320, minibatches=8, window=20)
HYPER = derl.Hyper(learning_rate=1e-3)


def lives() -> tuple:
    """Curves [S, I], outcomes [S, EPISODES], and what was learned [S, ...]."""
    env = ant.ant(any_direction=True)
    task = ant.Task(jnp.zeros(()))
    body = derl.Body(task, jnp.ones(ant.STATE_SIZE), jnp.ones(ant.ACTION_SIZE))
    config = derl.Config(life=LIFE)

    @jax.jit
    def live(keys: jax.Array) -> tuple:
        def one(key: jax.Array) -> tuple:
            learn, play = jax.random.split(key)
            state = derl.init(env, LIFE, HYPER, body, learn)
            step = lambda s, _: (derl.iterate(env, LIFE, HYPER, body, s)[0], None)  # noqa: E731
            state = jax.lax.scan(step, state, length=LIFE.iterations)[0]
            policy = derl.Policy(state.params, state.inputs)
            told = evaluate(env, config, HYPER, body, policy, play, EPISODES)
            return state.curves["score"], told, state.params["actor"], state.inputs

        return jax.vmap(one)(keys)

    return jax.device_get(live(jax.random.split(jax.random.key(0), SEEDS)))


def ship(actor: dict, inputs: object) -> None:
    """Writes the weights that :mod:`jaxrl_suite.envs.ant.expert` reads."""
    columns = {
        f"{layer}_{kind}": x
        for layer, of in actor.items()
        if layer != "log_std"
        for kind, x in of.items()
    }
    columns |= {f"inputs_{name}": x for name, x in inputs._asdict().items()}
    np.savez_compressed(WEIGHTS, **{name: np.asarray(x, np.float32) for name, x in columns.items()})


def main() -> None:
    """Trains, unless the results are there."""
    enable_compile_cache()
    settings = {
        "life": dataclasses.asdict(LIFE),
        "hyper": {name: float(x) for name, x in HYPER._asdict().items()},
        "seeds": SEEDS,
        "episodes": EPISODES,
        "jax": jax.__version__,
        "numpy": np.__version__,
    }
    results = ResultsFile(RESULTS, keys=("seed",), settings=settings)
    if not results.lacks(seed=0):
        return
    curves, told, actors, inputs = lives()
    score = told["score"].mean(axis=1)
    best = int(np.argmax(score))
    ship(*jax.tree.map(lambda x: x[best], (actors, inputs)))
    results.add(
        {
            "seed": seed,
            "steps": LIFE.iterations * LIFE.batch,
            "learned": round(float(score[seed]), 3),
            "random": round(float(told["random_score"][seed].mean()), 3),
            "shipped": seed == best,
            "curve": [round(float(x), 2) for x in curves[seed]],
        }
        for seed in range(SEEDS)
    )
    print(score.round(1), told["random_score"].mean(axis=1).round(1))


if __name__ == "__main__":
    main()
