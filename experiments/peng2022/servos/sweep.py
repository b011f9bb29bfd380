"""Do position servos of 1000 N m/rad stay finite under anything that a policy may do?

python -m experiments.peng2022.servos.sweep      (about 6 minutes on two CPU cores)

64 humanoids take 10,000 actions each, drawn from U(-1, 1)^28 anew 30 times a second: targets far
beyond all limits. Nothing is ever reset. A row a solver.
"""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.results import ResultsFile
from jaxrl_suite.envs import humanoid
from jaxrl_suite.envs.humanoid import skeleton
from jaxrl_suite.physics import kinematics
from jaxrl_suite.runtime.compile_cache import enable_compile_cache

RESULTS = Path(__file__).parent / "results" / "solvers.jsonl"
ENVS, ACTIONS, PART = 64, 10_000, 500
WARM = 30  # actions until a body that was dropped has landed


def penetration(world: Any, state: Any) -> jax.Array:
    """How deep the deepest sphere is in the ground, [] (m)."""
    model, sizes = world.model, skeleton.body().sizes
    kin = kinematics.kinematics(sizes, model, state)
    ends = kin.position[:, None, None] + jnp.einsum("bij,bgej->bgei", kin.rotation, model.segment)
    lowest = state.q[2] + ends[..., 2] - model.radius[..., None]
    return -jnp.min(jnp.where(model.segment_mask > 0, lowest, jnp.inf))


def row_of() -> dict[str, Any]:
    """What happened to all of them."""
    figure = humanoid.humanoid()

    @jax.jit
    def play(states: Any, key: jax.Array) -> tuple[Any, dict[str, jax.Array]]:
        world = figure.scene()

        def act(states: Any, key: jax.Array) -> tuple[Any, dict[str, jax.Array]]:
            action = jax.random.uniform(key, (ENVS, humanoid.ACTION_SIZE), minval=-1.0)
            motion = jax.vmap(figure.move, in_axes=(None, 0, 0))(world, states, action)
            after = motion.after
            return after, {
                "diverged": jnp.sum(motion.diverged),
                "dropped": jnp.sum(motion.dropped),
                "speed": jnp.max(jnp.abs(after.v)),
                "penetration": jax.vmap(penetration, in_axes=(None, 0))(world, after),
            }

        return jax.lax.scan(act, states, jax.random.split(key, PART))

    stand = jax.jit(lambda: figure.stand(figure.scene()))()
    states = jax.tree.map(lambda x: jnp.broadcast_to(x, (ENVS, *x.shape)), stand)
    parts = []
    for key in jax.random.split(jax.random.key(0), ACTIONS // PART):
        states, told = play(states, key)
        parts.append(jax.device_get(told))
    told = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    deep = told["penetration"][WARM:]
    return {
        "solver": "articulated",
        "seed": 0,
        "actions": ACTIONS,
        "envs": ENVS,
        "diverged": int(told["diverged"].sum()),
        "dropped_contacts": int(told["dropped"].sum()),
        "largest_rate": float(told["speed"].max()),
        "penetration_99": float(np.quantile(deep, 0.99)),
        "penetration_max": float(deep.max()),
        "beyond_4cm": float((deep > 0.04).mean()),
    }


def main() -> None:
    """Runs whatever the results file lacks."""
    enable_compile_cache()
    settings = {"envs": ENVS, "actions": ACTIONS, "seeds": 1, "jax": jax.__version__}
    results = ResultsFile(RESULTS, keys=("solver", "seed"), settings=settings)
    if results.lacks(solver="articulated"):
        row = row_of()
        results.add([row])
        print(row, flush=True)


if __name__ == "__main__":
    main()
