"""Do skills help to get across terrains? By codes of a frozen decoder, and by what else there is.

python -m experiments.han2024.terrain.sweep      (about 100 minutes, one process a core)

All stand on one run of the preset `quick`; what stands on it is the preset `terrain`, for one kind
of terrain, whose level rises while it learns. "From scratch" puts out actions itself; all networks
but the last layer are the same, and so are observations, numbers of actions and of gradient steps.
Only skills learn for all terrains, the others for the joystick. Who learns for creep or hurdle has
the joystick in half of the episodes: of the reward for creep and hurdle most is at the
target, which hardly anyone comes to who cannot walk yet.
Before learning and after it, episodes without noise and pushes, at the easiest and hardest level,
on the terrain alone.
"""

import dataclasses
from pathlib import Path
from typing import Any

import jax

from experiments.han2024.levels import SKILLS, Level, learned, skills, summary
from experiments.results import ResultsFile, settings_of
from jaxrl_suite.core import Preset, SystemState
from jaxrl_suite.envs.quadruped.playground import playground
from jaxrl_suite.runtime.compile_cache import enable_compile_cache
from jaxrl_suite.systems import lifelike
from jaxrl_suite.systems.lifelike import Command, Config

RESULTS = Path(__file__).parent / "results" / "seeds.jsonl"
SEEDS = 3
COMPARED = "joystick"  # what all methods learn on
TERRAINS = (COMPARED, "creep", "hurdle")  # one after the other, by SKILLED alone
LEVELS = {"easiest": 0.0, "hardest": 1.0}
PRESET = lifelike.PRESETS["terrain"]
_BY_CODES = PRESET.config.command
SKILLED = "skills"
METHODS = {
    SKILLED: _BY_CODES,
    "from scratch": Command(by="actions"),
    "unfrozen": dataclasses.replace(_BY_CODES, frozen=False),
    "not held": dataclasses.replace(_BY_CODES, hold=1),
    "no prior": dataclasses.replace(_BY_CODES, prior=False),
}
CURVES = ("score", "return", "length")
OUTCOMES = ("score", "return", "length", "reached")


def terrains_of(method: str) -> tuple[str, ...]:
    """What a method learns for."""
    return TERRAINS if method == SKILLED else (COMPARED,)


def learned_on(terrain: str) -> tuple[str, ...]:
    """What is learned on for a terrain, in equal shares."""
    return (COMPARED,) if terrain == COMPARED else (COMPARED, terrain)


def preset_of(method: str, terrain: str) -> Preset:
    """Who learns what."""
    config = dataclasses.replace(
        PRESET.config, command=METHODS[method], terrains=learned_on(terrain)
    )
    return PRESET._replace(config=config)


def walker_of(method: str, terrain: str, seed: int) -> Level:
    """What a seed's environmental level comes to on a terrain."""
    preset, label = preset_of(method, terrain), f"{terrain}, {method}"
    return learned(preset, seed, CURVES, label, skills())


def tested(config: Config, state: SystemState, key: jax.Array) -> dict[str, float]:
    """Means of episodes on a configuration's terrains, by level."""
    env, found = playground(config.mechanics, config.playground), {}

    @jax.jit
    def play(params: Any, level: jax.Array) -> dict[str, jax.Array]:
        course = lifelike.calm_course(config, level)
        told = lifelike.roam(config, env, params, course, config.eval_episodes, key)
        return {name: told.outcomes[name].mean() for name in OUTCOMES}

    for level, hard in LEVELS.items():
        told = summary(play(state.learner.params, hard))
        found |= {f"{level}_{name}": x for name, x in told.items()}
    return found


def alone(config: Config, terrain: str) -> Config:
    """With one of the terrains."""
    return dataclasses.replace(config, terrains=(terrain,))


def row_of(method: str, terrain: str, seed: int) -> dict[str, Any]:
    """What a seed came to."""
    preset, state, curves, _ = walker_of(method, terrain, seed)
    config, key = preset.config, jax.random.key(1000 + seed)
    on = alone(config, terrain)
    system = lifelike.make(config, preset.hyper, skills().below)
    before = jax.jit(system.init)(jax.random.key(seed))
    row: dict[str, Any] = {"method": method, "terrain": terrain, "seed": seed}
    row["actions"] = preset.num_updates * config.frames_per_update
    row["level"] = round(float(state.source.table.level), 4)
    for when, at in (("untrained", before), ("learned", state)):
        row |= {f"{when}_{name}": x for name, x in tested(on, at, key).items()}
    return row | {f"curve_{name}": curve for name, curve in curves.items()}


def main() -> None:
    """Runs whatever the results file lacks."""
    enable_compile_cache()
    settings = settings_of(
        PRESET,
        updates=PRESET.num_updates,
        skills=settings_of(SKILLS, updates=SKILLS.num_updates),
        methods={name: dataclasses.asdict(command) for name, command in METHODS.items()},
        terrains={method: [learned_on(kind) for kind in terrains_of(method)] for method in METHODS},
        seeds=SEEDS,
        levels=LEVELS,
    )
    results = ResultsFile(RESULTS, keys=("method", "terrain", "seed"), settings=settings)
    for method in METHODS:
        for terrain in terrains_of(method):
            for seed in range(SEEDS):
                if results.lacks(method=method, terrain=terrain, seed=seed):
                    row = row_of(method, terrain, seed)
                    results.add([row])
                    print({k: v for k, v in row.items() if "curve" not in k}, flush=True)


if __name__ == "__main__":
    main()
