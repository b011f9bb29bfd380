"""Do opponents from the past make better players of tag than oneself alone?

python -m experiments.han2024.league.sweep      (about 40 minutes, one process a core)

A seed's players steer what `experiments.han2024.terrain` has learned for "joystick" by codes; they
learn by the preset `tag`, against snapshots of themselves, those more often that they lose to, or,
"self-play", against the newest alone. Both keep the snapshots. Afterwards those of both meet: every
pair of a seed plays the same number of games.
"""

import dataclasses
from itertools import combinations
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.han2024.levels import SKILLS, Level, learned, summary
from experiments.han2024.terrain import sweep as terrain
from experiments.results import ResultsFile, settings_of
from jaxrl_suite.core import SystemState
from jaxrl_suite.envs.quadruped.tag import tag
from jaxrl_suite.runtime.compile_cache import enable_compile_cache
from jaxrl_suite.systems import lifelike
from jaxrl_suite.systems.lifelike.ppo import Params

RESULTS = Path(__file__).parent / "results" / "seeds.jsonl"
SEEDS, GAMES = 3, 8
METHODS = {"league": True, "self-play": False}
WALKER = terrain.preset_of(terrain.SKILLED, terrain.COMPARED)
PRESET = lifelike.PRESETS["tag"]
SNAPSHOTS = PRESET.num_updates // PRESET.config.snapshot_every
CURVES = ("won", "tagged", "fallen", "switches", "length")


def walker_of(seed: int) -> Level:
    """What the players steer."""
    return terrain.walker_of(terrain.SKILLED, terrain.COMPARED, seed)


def player_of(method: str, seed: int) -> Level:
    """What a seed's strategic level comes to."""
    config = dataclasses.replace(PRESET.config, prioritised=METHODS[method])
    return learned(PRESET._replace(config=config), seed, CURVES, method, walker_of(seed))


def snapshots_of(state: SystemState) -> Any:
    """Weights of all snapshots, oldest first, leaves [SNAPSHOTS, ...]."""
    ring = state.source.ring
    if int(ring.count) != SNAPSHOTS or PRESET.config.ring < SNAPSHOTS:
        raise ValueError(f"{int(ring.count)} snapshots, not all {SNAPSHOTS} are in the ring")
    return jax.tree.map(lambda x: x[:SNAPSHOTS], ring.weights)


def met(frozen: Params, players: Any, key: jax.Array) -> tuple[np.ndarray, dict[str, float]]:
    """Games [P, P] that each has won against each, and what they were like; a draw is half a one.

    Args:
      frozen: what they steer.
      players: weights, leaves [P, ...].
      key: of places and roles at the start, and of the players' noise.
    """
    config, count = PRESET.config, len(jax.tree.leaves(players)[0])
    env, policy = tag(config.mechanics, config.game), lifelike.strategic(config)
    pairs = np.array(list(combinations(range(count), 2)))

    @jax.jit
    def play(frozen: Params, players: Any, key: jax.Array) -> dict[str, jax.Array]:
        one, two = (jax.tree.map(lambda x, i=i: x[pairs[:, i]], players) for i in (0, 1))
        return lifelike.match(config, env, policy, frozen, one, two, key).outcomes

    told = [jax.device_get(play(frozen, players, k)) for k in jax.random.split(key, GAMES)]
    won = np.zeros((count, count))
    for outcomes in told:
        won[pairs[:, 0], pairs[:, 1]] += outcomes["won"]
        won[pairs[:, 1], pairs[:, 0]] += 1.0 - outcomes["won"]
    names = ("tagged", "fallen", "switches", "length")
    return won, summary({name: np.mean([x[name] for x in told]) for name in names})


def row_of(seed: int) -> dict[str, Any]:
    """What the players of a seed came to: curves while they learned, and games won [P, P]."""
    row: dict[str, Any] = {"seed": seed}
    row["actions"] = PRESET.num_updates * PRESET.config.frames_per_update
    teams = []
    for method in METHODS:
        _, state, curves, _ = player_of(method, seed)
        row |= {f"curve_{method}_{name}": curve for name, curve in curves.items()}
        row[f"met_{method}"] = np.round(state.source.ring.games, 1).tolist()
        teams.append(snapshots_of(state))
    players = jax.tree.map(lambda *x: jnp.concatenate(x), *teams)
    won, told = met(walker_of(seed).state.learner.params, players, jax.random.key(1000 + seed))
    row["updates"] = [PRESET.config.snapshot_every * (i + 1) for i in range(SNAPSHOTS)]
    return row | {"won": won.tolist()} | told


def main() -> None:
    """Runs whatever the results file lacks."""
    enable_compile_cache()
    settings = settings_of(
        PRESET,
        updates=PRESET.num_updates,
        walker=settings_of(WALKER, updates=WALKER.num_updates),
        skills=settings_of(SKILLS, updates=SKILLS.num_updates),
        games=GAMES,
        seeds=SEEDS,
    )
    results = ResultsFile(RESULTS, keys=("seed",), settings=settings)
    for seed in range(SEEDS):
        if results.lacks(seed=seed):
            row = row_of(seed)
            results.add([row])
            print(seed, np.round(np.sum(row["won"], axis=1), 1).tolist(), flush=True)


if __name__ == "__main__":
    main()
