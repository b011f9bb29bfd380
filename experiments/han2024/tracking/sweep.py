"""Is motion followed through a codebook as well as through other bottlenecks? On procedural gaits.

python -m experiments.han2024.tracking.sweep      (about 75 minutes, one process a core)

Every method learns as the preset `quick` does, from the clips that ship of six kinds of gaits and
their mirror images. Before, and after each quarter of it, it follows clips of every kind without
noise, 16 episodes of at most 5 s each. At the end robots also move without a clip to follow, by
latents from a prior, for 5 s: codes from the learned prior or all alike, normal latents from
N(0, 1) or following each other.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.learning import learn
from experiments.results import ResultsFile, settings_of
from jaxrl_suite.core import Preset, SystemState
from jaxrl_suite.envs.quadruped.tracking import fallen
from jaxrl_suite.runtime.compile_cache import enable_compile_cache
from jaxrl_suite.systems import lifelike
from jaxrl_suite.systems.lifelike import Config, Following, Networks

RESULTS = Path(__file__).parent / "results" / "seeds.jsonl"
SEEDS, EPISODES, ROBOTS = 3, 16, 64
PRESET = lifelike.PRESETS["quick"]
CURVES = ("score", "perplexity", "used", "dwell")


def normal(latent: str) -> Networks:
    """Of a normal latent; 8 numbers, as published."""
    networks = PRESET.config.networks
    return dataclasses.replace(networks, latent=latent, width=8, averaged=False)


# (networks, changes of numbers, priors to move by) of each.
METHODS: dict[str, tuple[Networks, dict[str, float], tuple[str, ...]]] = {
    "VQ": (PRESET.config.networks, {}, ("learned", "uniform")),
    "Gaussian": (normal("gaussian"), {}, ("normal",)),
    "AR(1) Gaussian": (normal("ar1"), {}, ("normal",)),
    "no bottleneck": (
        dataclasses.replace(PRESET.config.networks, latent="none", averaged=False),
        {},
        (),
    ),
    "plain VQ": (
        dataclasses.replace(PRESET.config.networks, averaged=False),
        {"least": 0.0},
        ("learned", "uniform"),
    ),
    "VQ, hard starts": (PRESET.config.networks, {"sharpness": 3.0}, ()),
}


def by_kind(config: Config, world: Following) -> Any:
    """Compiled ``(params, hyper, key) -> scores [G, E]`` of every kind of motion."""
    kinds = list(dict.fromkeys(world.groups))
    own = np.array([[group == kind for group in world.groups] for kind in kinds], np.float32)
    shares = jnp.asarray(own / own.sum(axis=1, keepdims=True))

    def play(params: Any, hyper: Any, key: jax.Array) -> jax.Array:
        def one(share: jax.Array, key: jax.Array) -> jax.Array:
            told = lifelike.follow(config, world, params, hyper, share, EPISODES, key)
            return lifelike.scores(told)[0]

        return jax.vmap(one)(shares, jax.random.split(key, len(kinds)))

    return jax.jit(play)


def moved(config: Config, world: Following, prior: str) -> Any:
    """Compiled ``(params, hyper, key) -> (share fallen, speed m/s, distance of motions rad)``.

    The distance is between two robots' joint angles at the same time, root mean square over joints.
    """

    def play(params: Any, hyper: Any, key: jax.Array) -> tuple[jax.Array, ...]:
        watch = lambda episode: (episode.state.q[7:], jnp.linalg.norm(episode.state.v[:2]))  # noqa: E731
        down = lambda episode: fallen(episode.state)  # noqa: E731
        steps = round(config.eval_seconds / 0.02)
        told = lifelike.generate(
            config, world, params, hyper, prior, ROBOTS, steps, key, watch, down
        )
        angles, speed = told.seen
        both = told.going & jnp.roll(told.going, 1, axis=1)
        apart = jnp.sqrt(jnp.mean((angles - jnp.roll(angles, 1, axis=1)) ** 2, axis=-1))
        mean = lambda x, where: jnp.sum(x * where) / jnp.sum(where)  # noqa: E731
        return 1.0 - jnp.mean(told.going[-1]), mean(speed, told.going), mean(apart, both)

    return jax.jit(play)


class Learned(NamedTuple):
    """A primitive level that has learned.

    world: what it has followed.
    state: at the end.
    scores: means over episodes, [M, G], of every kind of motion, at moments of learning.
    curves: of metrics while learning.
    """

    world: Following
    state: SystemState
    scores: list[list[float]]
    curves: dict[str, list[float]]

    @property
    def kinds(self) -> list[str]:
        """Of motion, [G]."""
        return list(dict.fromkeys(self.world.groups))


def learned(preset: Preset, seed: int, names: Sequence[str], label: str) -> Learned:
    """What a preset comes to: looked at before, and after each quarter of its updates."""
    config, hyper, updates = preset
    system, world = lifelike.make(config, hyper), lifelike.following(config)
    follow, key = by_kind(config, world), jax.random.key(1000 + seed)
    scores = []

    def look(state: SystemState) -> None:
        learner = state.learner
        found = jax.device_get(follow(learner.params, learner.hyper, key))
        scores.append([round(float(x), 4) for x in found.mean(axis=1)])

    state, curves = learn(system, hyper, updates, seed, names, label, look=look, every=updates // 4)
    return Learned(world, state, scores, curves)


def row_of(method: str, seed: int) -> dict[str, Any]:
    """What a seed came to."""
    networks, changes, priors = METHODS[method]
    config = dataclasses.replace(PRESET.config, networks=networks)
    preset = PRESET._replace(config=config, hyper=PRESET.hyper._replace(**changes))
    names = [name for name in CURVES if name == "score" or networks.coded]
    found = learned(preset, seed, names, method)
    row: dict[str, Any] = {"method": method, "seed": seed}
    row |= {"actions": preset.num_updates * config.frames_per_update}
    row |= {"kinds": found.kinds, "scores": found.scores}
    learner = found.state.learner
    for prior in priors:
        move, key = moved(config, found.world, prior), jax.random.key(1000 + seed)
        told = move(learner.params, learner.hyper, key)
        names = ("fallen", "speed", "distance")
        row |= {f"{prior}_{name}": round(float(x), 4) for name, x in zip(names, told, strict=True)}
    return row | {f"curve_{name}": curve for name, curve in found.curves.items()}


def main() -> None:
    """Runs whatever the results file lacks."""
    enable_compile_cache()
    settings = settings_of(
        PRESET, updates=PRESET.num_updates, seeds=SEEDS, episodes=EPISODES, robots=ROBOTS
    )
    results = ResultsFile(RESULTS, keys=("method", "seed"), settings=settings)
    for method in METHODS:
        for seed in range(SEEDS):
            if results.lacks(method=method, seed=seed):
                row = row_of(method, seed)
                results.add([row])
                ends = np.mean(row["scores"], axis=1)
                print(method, seed, "scores", np.round(ends, 3), flush=True)


if __name__ == "__main__":
    main()
