"""How close is the physics engine to MuJoCo's C engine? The same bodies and states in both.

python -m experiments.physics.parity.sweep      (about 8 minutes on two CPU cores)

The oracle is the tests' (tests/physics/oracle.py), with more states than they have time for. The
twelve UNIMALs come from a file outside the project; without it their rows are left out.
"""

import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import mujoco
import numpy as np
import scipy.linalg

from experiments.results import ResultsFile
from jaxrl_suite.physics import with_invweights
from jaxrl_suite.runtime.compile_cache import enable_compile_cache
from tests.physics import reference
from tests.physics.oracle import GRAVITY, Oracle, relative_error

RESULTS = Path(__file__).parent / "results" / "errors.jsonl"
STATES = 40  # random states a body
STEPS = 300  # of trajectories
SCALE = 0.3  # of the controls in rollouts


def texts(group: str) -> list[str]:
    """MJCF of a group of bodies."""
    return {
        "unimals": [reference.unimal_mjcf(entry) for entry in reference.unimals()],
        "quadruped": [reference.quadruped_mjcf()],
        "humanoid": [reference.humanoid_mjcf()],
    }[group]


@functools.cache
def oracle(group: str, *, exact: bool, touching: bool) -> Oracle:
    """20 x 20 iterations, or the 8 x 8 of evaluation."""
    return with_steps(group, *((20, 20) if exact else (8, 8)), touching=touching)


@functools.cache
def with_steps(group: str, newton: int, line: int, *, touching: bool) -> Oracle:
    """Bodies in both engines, so many Newton and line-search steps in ours."""
    options = {
        "newton_steps": newton,
        "line_search_steps": line,
        "self_collision": touching,
    }
    return Oracle(texts(group), options, contacts=24)


def random_states(group: str, height: float, what: str) -> Iterator[tuple[str, list[float]]]:
    """Relative errors at random states, in the air or in the ground."""
    both = oracle(group, exact=True, touching=False)
    errors = both.errors(STATES, height=height, speed=1.0, seed=1)
    if height > 1:
        yield "mass matrix", errors["mass"]
        yield "smooth force", errors["smooth_force"]
    yield f"acceleration {what}", errors["acceleration"]


def rounding_floor(group: str) -> Iterator[tuple[str, list[float]]]:
    """C's own float64 equations in the air, but for the last step: what no float32 engine betters.

    Once with nothing but the mass matrix rounded; once about the centre of mass, where the body's
    translation separates and its large numbers with it, matrix and force rounded and solved in
    float32.
    """
    both = oracle(group, exact=True, touching=False)
    generator = np.random.default_rng(1)
    rounded, solved = [], []
    for _ in range(STATES):
        both.randomise(generator, 5.0, 1.0)
        _, answers = both.forward()
        for item, answer in zip(both.references, answers, strict=True):
            mass, expected = answer["mass"], answer["acceleration"]
            force = answer["smooth_force"] + item.data.qfrc_constraint
            root = np.linalg.solve(mass.astype(np.float32).astype(float), force)
            rounded.append(relative_error(root, expected))
            solved.append(relative_error(_about_centre_of_mass(mass, force), expected))
    yield "acceleration in the air, C with its mass matrix rounded", rounded
    yield "acceleration in the air, C solved in float32 about the centre of mass", solved


def _about_centre_of_mass(mass: np.ndarray, force: np.ndarray) -> np.ndarray:
    """M^-1 f for the root's translation in slots 0 to 2; the float32 part is M' y = f'.

    With m = M[0, 0] and B = M[:3, 3:] / m, the centre of mass moves by the root's motion + B y:
    M' = M[3:, 3:] - m B' B and f' = f[3:] - B' f[:3].
    """
    weight, lever = mass[0, 0], mass[:3, 3:] / mass[0, 0]
    about = (mass[3:, 3:] - weight * lever.T @ lever).astype(np.float32)
    rest = (force[3:] - lever.T @ force[:3]).astype(np.float32)
    rates = scipy.linalg.cho_solve(scipy.linalg.cho_factor(about), rest).astype(float)
    return np.concatenate([force[:3] / weight - lever @ rates, rates])


def trajectories(group: str) -> Iterator[tuple[str, list[float]]]:
    """Accelerations and sensors, self-collision included, at states that random play visits."""
    both = oracle(group, exact=True, touching=True)
    generator = np.random.default_rng(4)
    found: dict[str, list[float]] = {"acceleration": [], "accelerometer": [], "gyro": []}
    found |= {"velocimeter": [], "touch": []}
    for item in both.references:
        mujoco.mj_resetData(item.model, item.data)
    for t in range(STEPS):
        for item in both.references:
            item.data.ctrl[:] = generator.uniform(-1, 1, item.model.nu).astype(np.float32)
            mujoco.mj_step(item.model, item.data)
        if t % 10:
            continue
        for item in both.references:
            item.data.qpos[:] = item.data.qpos.astype(np.float32)
            item.data.qvel[:] = item.data.qvel.astype(np.float32)
        _, readings = both.step(both.states())
        ours, answers = both.forward()
        for i, (item, answer) in enumerate(zip(both.references, answers, strict=True)):
            mine = ours.acceleration[i][item.slots]
            found["acceleration"].append(relative_error(mine, answer["acceleration"]))
            for name, error in sensor_errors(both, i, readings.sensors):
                found[name].append(error)
    yield "acceleration on trajectories", found.pop("acceleration")
    yield from found.items()


def sensor_errors(both: Oracle, i: int, sensors: Any) -> Iterator[tuple[str, float]]:
    """Relative errors of one body's sensors at C's state; scales no smaller than 1 m/s, 1 N."""
    item = both.references[i]
    data = item.data
    rotation = data.xmat[1].reshape(3, 3)
    up = np.array([0, 0, GRAVITY])
    yield (
        "accelerometer",
        relative_error(sensors.accelerometer[i], rotation.T @ (data.qacc[:3] + up)),
    )
    touch, force = np.zeros(both.sizes.num_bodies), np.zeros(6)
    names = item.body.link_names
    for c in range(data.ncon):
        mujoco.mj_contactForce(item.model, data, c, force)
        for geom in data.contact.geom[c]:
            name = item.model.body(item.model.geom_bodyid[geom]).name
            if name in names:
                touch[names.index(name)] += force[0]
    expected = {"gyro": data.qvel[3:6], "velocimeter": rotation.T @ data.qvel[:3], "touch": touch}
    for name, value in expected.items():
        error = np.abs(np.asarray(getattr(sensors, name)[i]) - value).max()
        yield name, float(error / max(np.abs(value).max(), 1.0))


def rollouts(group: str) -> Iterator[tuple[str, list[float]]]:
    """Positions after 100 and 200 steps from rest (m, rad), with fewer and fewer iterations."""
    for newton in (8, 6, 5, 4, 3):
        both = with_steps(group, newton, 8, touching=True)
        yield from _rolled(both, (100, 200), f"float32, {newton}x8")


def exact_rollouts(group: str) -> Iterator[tuple[str, list[float]]]:
    """The same in float64 at 20 x 16 iterations."""
    with jax.enable_x64(True):
        options = {"newton_steps": 20, "line_search_steps": 16}
        both = Oracle(texts(group), options, contacts=24)
        yield from _rolled(both, (200,), "float64, 20x16")


def _rolled(both: Oracle, steps: tuple[int, ...], how: str) -> Iterator[tuple[str, list[float]]]:
    generator = np.random.default_rng(3)
    for item in both.references:
        mujoco.mj_resetData(item.model, item.data)
    state = both.initial()
    for t in range(1, max(steps) + 1):
        for item in both.references:
            control = generator.uniform(-SCALE, SCALE, item.model.nu)
            item.data.ctrl[:] = control.astype(np.float32)
        state, _ = both.step(state)
        for item in both.references:
            mujoco.mj_step(item.model, item.data)
        if t in steps:
            yield f"position after {t} steps, {how}", both.position_errors(state).tolist()


def inverse_weights(group: str) -> Iterator[tuple[str, list[float]]]:
    """What MuJoCo's compiler makes of a body, made in JAX."""
    both = oracle(group, exact=False, touching=True)
    made = jax.jit(jax.vmap(lambda m: with_invweights(both.sizes, m)))(both.scenes.model)
    errors = []
    for field in ("body_invweight", "dof_invweight"):
        expected, value = getattr(both.scenes.model, field), getattr(made, field)
        used = np.asarray(expected) > 0
        errors += (np.abs(value - expected)[used] / np.asarray(expected)[used]).tolist()
    yield "inverse weights", errors


MEASURES: tuple[Callable[[str], Iterator[tuple[str, list[float]]]], ...] = (
    functools.partial(random_states, height=5.0, what="in the air"),
    rounding_floor,
    functools.partial(random_states, height=0.3, what="in the ground"),
    trajectories,
    rollouts,
    exact_rollouts,
    inverse_weights,
)


def main() -> None:
    """Measures all that the results file lacks."""
    enable_compile_cache()
    settings = {"states": STATES, "steps": STEPS, "scale": SCALE, "mujoco": mujoco.__version__}
    results = ResultsFile(RESULTS, keys=("quantity", "bodies", "seed"), settings=settings)
    for group in ("unimals", "quadruped", "humanoid"):
        if not texts(group):
            print(f"{reference.UNIMALS.name} is absent: no rows of the UNIMALs")
            continue
        if not results.lacks(bodies=group):
            continue
        rows = []
        for measure in MEASURES:
            for quantity, errors in measure(group):
                median, most, largest = np.quantile(errors, [0.5, 0.99, 1.0])
                rows.append(
                    {
                        "quantity": quantity,
                        "bodies": group,
                        "seed": 0,
                        "count": len(errors),
                        "median": float(median),
                        "p99": float(most),
                        "max": float(largest),
                    }
                )
                print(group, quantity, f"{median:.1e} {most:.1e} {largest:.1e}", flush=True)
        results.add(rows)


if __name__ == "__main__":
    main()
