"""How well are recordings of a dog followed, kind by kind?

python -m experiments.han2024.dogs.sweep DIR      (about 45 minutes, one process a core)

DIR holds the clips that Han et al. 2024 released, which are not part of this project: dog_*.txt.
The preset `quick`, for twice its updates. Before, at moments of learning, and at the end it follows
clips of every category without noise, 16 episodes of at most 5 s each.
"""

import dataclasses
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from experiments.han2024.tracking.sweep import CURVES, PRESET, learned
from experiments.results import ResultsFile, settings_of
from jaxrl_suite.core import UsageError
from jaxrl_suite.runtime.compile_cache import enable_compile_cache
from jaxrl_suite.runtime.rundir import ROOT
from jaxrl_suite.systems import lifelike
from jaxrl_suite.systems.lifelike import Config

RESULTS = Path(__file__).parent / "results" / "seeds.jsonl"
SEEDS, UPDATES = 3, 2 * PRESET.num_updates


def linked(directory: Path) -> Path:
    """A folder of links to the clips, for what is kept beside them to be kept elsewhere."""
    clips = sorted(directory.glob("dog_*.txt"))
    if not clips:
        raise UsageError(f"{directory} has no clips dog_*.txt; give the folder that has them")
    folder = ROOT / "han2024" / "dogs"
    folder.mkdir(parents=True, exist_ok=True)
    for clip in clips:
        link = folder / clip.name
        if not link.is_symlink():
            link.symlink_to(clip.resolve())
    return folder


def config_of(directory: Path) -> Config:
    """The preset's, of all of these clips."""
    return dataclasses.replace(PRESET.config, clips=(), motion_dir=str(linked(directory)))


def row_of(config: Config, seed: int) -> dict[str, Any]:
    """What a seed came to."""
    preset = PRESET._replace(config=config, num_updates=UPDATES)
    found = learned(preset, seed, CURVES, "dogs")
    row: dict[str, Any] = {"seed": seed, "actions": preset.num_updates * config.frames_per_update}
    library = lifelike.library_of(dataclasses.replace(config, mirrored=False))
    counts = Counter(library.groups)
    row |= {"clips": {kind: counts[kind] for kind in found.kinds}, "scores": found.scores}
    return row | {f"curve_{name}": curve for name, curve in found.curves.items()}


def main() -> None:
    """Runs whatever the results file lacks."""
    enable_compile_cache()
    if len(sys.argv) != 2:
        raise SystemExit(f"say where the clips are: python -m {__spec__.name} DIR")
    config = config_of(Path(sys.argv[1]))
    settings = settings_of(
        PRESET, motion=lifelike.settled(config).motion, updates=UPDATES, seeds=SEEDS
    )
    results = ResultsFile(RESULTS, keys=("seed",), settings=settings)
    for seed in range(SEEDS):
        if results.lacks(seed=seed):
            row = row_of(config, seed)
            results.add([row])
            print(seed, np.round(np.mean(row["scores"], axis=1), 3).tolist(), flush=True)


if __name__ == "__main__":
    main()
