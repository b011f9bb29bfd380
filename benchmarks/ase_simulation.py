"""Control steps of the humanoid's backends, and the same in MuJoCo C; see `ase.py`."""

from collections.abc import Callable, Sequence
from typing import Any

import harness
import jax
import jax.numpy as jnp
import mujoco
import mujoco.rollout
import numpy as np

from jaxrl_suite import physics
from jaxrl_suite.core import UsageError
from jaxrl_suite.envs import humanoid
from jaxrl_suite.envs.character import Figure
from jaxrl_suite.envs.humanoid import figure as servos

SPREAD = 0.2  # rad, half-width of the targets around the default pose
CHECKED, HEIGHT = 10, 1e-3  # control steps, and m by which the median root may differ in them
SEED = 0


def play(figure: Figure) -> Callable[..., tuple]:
    """Jitted ``(scene, states [N], actions [T, N, A]) -> (states, root heights [T, N], lost)``."""
    move = jax.vmap(figure.move, in_axes=(None, 0, 0))

    @jax.jit
    def run(scene: physics.Scene, states: physics.State, actions: jax.Array) -> tuple:
        def body(states: physics.State, action: jax.Array) -> tuple[physics.State, tuple]:
            told = move(scene, states, action)
            return told.after, (told.after.q[:, 2], jnp.sum(told.diverged))

        states, (height, lost) = jax.lax.scan(body, states, actions)
        return states, height, jnp.sum(lost)

    return run


def in_c(
    scene: physics.Scene, states: physics.State, actions: jax.Array
) -> Callable[[], np.ndarray]:
    """The same in MuJoCo C on threads; returns root heights [T, N]."""
    model, cores = mujoco.MjModel.from_xml_string(humanoid.mjcf()), harness.machine()["cores"]
    places = physics.layout(servos.simulation().sizes, scene.model)
    qpos, qvel, warm = (np.asarray(x, float) for x in places.to_mujoco(states))
    start = np.concatenate([np.zeros((len(qpos), 1)), qpos, qvel], axis=1)  # time comes first
    controls = np.asarray(servos.targets(actions), float).swapaxes(0, 1)
    controls = controls.repeat(servos.PHYSICS_STEPS, axis=1)
    reached = np.empty((*controls.shape[:2], start.shape[1]))
    pool = mujoco.rollout.Rollout(nthread=cores)
    data = [mujoco.MjData(model) for _ in range(cores)]

    def run() -> np.ndarray:
        pool.rollout(model, data, start, controls, initial_warmstart=warm, state=reached)
        return reached[:, servos.PHYSICS_STEPS - 1 :: servos.PHYSICS_STEPS, 3].T

    return run


def candidates(
    backends: Sequence[str], envs: int, steps: int
) -> tuple[dict[str, harness.Candidate], dict[str, Any]]:
    """The backends and MuJoCo C, and the rows' settings, complete after the timing."""
    figure = humanoid.humanoid()
    scene = figure.scene()
    shape = (2, steps, envs, figure.action_size)
    angles = jax.random.uniform(jax.random.key(SEED), shape, minval=-SPREAD, maxval=SPREAD)
    before, actions = (angles - servos.OFFSET) / servos.SCALE
    stand = jax.tree.map(lambda x: jnp.stack([x] * envs), figure.stand(scene))
    states, _, lost = play(figure)(scene, stand, before)
    run = in_c(scene, states, actions)
    height, checked = run().copy(), min(CHECKED, steps)
    settings = {"N": envs, "T": steps, "lost": int(lost)}

    def work(name: str) -> Callable[[tuple], float]:
        def count(output: tuple) -> float:
            gap = np.max(np.abs(np.asarray(output[1]) - height)[:checked], axis=0)
            middle, beyond = float(np.median(gap)), int(np.sum(~(gap < HEIGHT)))
            if not middle < HEIGHT:
                raise UsageError(
                    f"the median root of {name} leaves MuJoCo's by {middle:.1e} m in {checked} "
                    "control steps: it simulates something else, and is not timed"
                )
            settings[f"{name} off by"] = f"{middle:.0e} m ({beyond} above {HEIGHT:g} m)"
            settings["lost"] += int(output[2])
            return envs * steps

        return count

    args = (scene, states, actions)
    found = {
        name: harness.Candidate(play(humanoid.humanoid(name)), args, work(name))
        for name in backends
    }
    found["MuJoCo C"] = harness.Candidate(run, (), envs * steps)
    return found, settings
