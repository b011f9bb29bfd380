"""Do policies trained with fewer solver iterations keep their return in MuJoCo C?

python -m experiments.physics.cheap_start.sweep      (about 30 minutes on two CPU cores)
python -m experiments.physics.cheap_start.sweep --smoke      (a minute; records nothing)
"""

import argparse
import functools
import itertools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from experiments.physics.cheap_start import bodies, episodes
from experiments.physics.cheap_start.bodies import Robot
from experiments.physics.cheap_start.search import Search, train
from experiments.results import ResultsFile
from jaxrl_suite.physics import State
from jaxrl_suite.runtime.compile_cache import enable_compile_cache

RESULTS = Path(__file__).parent / "results" / "returns.jsonl"
SEEDS = 3
STARTS = 256  # that a trained policy is played from: 2 % has to show above the spread of episodes
CONVERGED_STARTS = 64  # the first of them, played at CONVERGED as well, which is slow
# Newton steps, line-search steps, start; the first is the reference.
SETTINGS = {
    "6x8 warm": (6, 8, "warm"),
    "4x8 cheaper": (4, 8, "cheaper"),
}
CONVERGED = (20, 20, "warm")


class Programs(NamedTuple):
    """Compiled once, used for every seed.

    robot: what is driven.
    train: ``(key) -> weights, curve``, compiled ahead so that timing it times training.
    play: ``(weights, states) -> Played`` in the training setting.
    play_converged: the same at CONVERGED.
    """

    robot: Robot
    train: Callable
    play: Callable
    play_converged: Callable


@functools.cache
def programs(body: str, setting: str, search: Search) -> Programs:
    """Of a body and a setting of the solver."""
    robot = bodies.ROBOTS[body]()
    options = episodes.with_counts(robot, *SETTINGS[setting])
    training = jax.jit(functools.partial(train, robot, options, search))
    return Programs(
        robot,
        training.lower(jax.random.key(0)).compile(),
        jax.jit(functools.partial(episodes.play, robot, options)),
        _converged(body),
    )


@functools.cache
def _converged(body: str) -> Callable:
    """One program for all settings."""
    robot = bodies.ROBOTS[body]()
    options = episodes.with_counts(robot, *CONVERGED)
    return jax.jit(functools.partial(episodes.play, robot, options))


def _ratio(above: np.ndarray, below: np.ndarray) -> tuple[float, float]:
    """Mean over mean of paired returns [starts], and its standard error (delta method)."""
    ratio = float(above.mean() / below.mean())
    rest = above - ratio * below
    return ratio, float(rest.std(ddof=1) / np.sqrt(len(rest)) / abs(below.mean()))


def _first(states: State, count: int) -> State:
    return jax.tree.map(lambda leaf: leaf[:count], states)


def evaluate(made: Programs, weights: jax.Array, states: State) -> dict[str, Any]:
    """Returns (m/s) of one policy from the same starts, three ways, with standard errors."""
    few = min(CONVERGED_STARTS, len(states.q))
    played = jax.block_until_ready(made.play(weights, states))
    returns = {
        "training": np.asarray(played.returns, float),
        "converged": np.asarray(made.play_converged(weights, _first(states, few)).returns, float),
        "c": episodes.play_in_c(made.robot, weights, states),
    }
    row: dict[str, Any] = {}
    for name, of in returns.items():
        row[name] = round(float(of.mean()), 5)
        row[f"{name}_error"] = round(float(of.std(ddof=1) / np.sqrt(len(of))), 5)
    for name in ("converged", "c"):
        other = returns[name]
        ratio, error = _ratio(other, returns["training"][: len(other)])
        row |= {f"ratio_{name}": round(ratio, 5), f"ratio_{name}_error": round(error, 5)}
    counts = {"diverged": int(played.diverged.sum()), "dropped": int(played.dropped.sum())}
    return row | counts


def run(body: str, setting: str, seed: int, search: Search, num_starts: int) -> dict[str, Any]:
    """Trains one policy and plays it: a row of the results."""
    made = programs(body, setting, search)
    # Directions and starts are the same in every setting; what differs is due to the solver.
    key = jax.random.key(seed)
    wall, cpu = time.perf_counter(), time.process_time()
    weights, curve = jax.block_until_ready(made.train(key))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    states = episodes.starts(made.robot, jax.random.key(1000), num_starts)
    few = _first(states, CONVERGED_STARTS)
    untrained = episodes.play_in_c(made.robot, jax.numpy.zeros_like(weights), few)
    return {
        "body": body,
        "setting": setting,
        "seed": seed,
        "untrained": round(float(untrained.mean()), 5),
        **evaluate(made, weights, states),
        "physics_steps": search.physics_steps,
        "steps_per_second": round(search.physics_steps / wall),
        "steps_per_cpu_second": round(search.physics_steps / cpu),
        "curve": [round(float(x), 4) for x in curve[:: max(1, search.iterations // 50)]],
    }


def smoke() -> None:
    """One body and one setting, made tiny: shows that all parts fit."""
    row = run("walker", "4x8 cheaper", 0, Search(iterations=2, pairs=2), num_starts=4)
    print(row)


def main() -> None:
    """Runs every setting that the results file lacks."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--smoke", action="store_true", help="tiny; records nothing")
    enable_compile_cache()
    if parser.parse_args().smoke:
        smoke()
        return
    search = Search()
    settings = {
        "search": search._asdict(),
        "control_steps": episodes.CONTROL_STEPS,
        "physics_steps": episodes.PHYSICS_STEPS,
        "starts": STARTS,
        "converged": CONVERGED,
        "converged_starts": CONVERGED_STARTS,
        "solver": SETTINGS,
        "seeds": SEEDS,
    }
    results = ResultsFile(RESULTS, keys=("body", "setting", "seed"), settings=settings)
    # Seeds outermost: a machine that slows down slows down all settings.
    for seed, body, setting in itertools.product(range(SEEDS), bodies.ROBOTS, SETTINGS):
        if not results.lacks(body=body, setting=setting, seed=seed):
            continue
        row = run(body, setting, seed, search, STARTS)
        results.add([row])
        shown = ("untrained", "training", "converged", "c", "ratio_c", "steps_per_cpu_second")
        print(seed, body, setting, *(f"{name} {row[name]}" for name in shown), flush=True)


if __name__ == "__main__":
    main()
