"""Where latents lie, and how many numbers they have: on the point whose right answer is known.

python -m experiments.peng2022.latent.sweep      (about 4 minutes on two CPU cores)

ASE on the point of `peng2022/planar`, measured and put to a task as there, five seeds side by side
in one program: latents of 2, 4, 8 and 16 numbers on the sphere, and of 4 and 16 in a Gaussian
space, z ~ N(0, I / Z), where nothing is projected. All else is the preset `planar`, whose latents
have 4 numbers, on the sphere.
"""

import dataclasses
from pathlib import Path

from experiments.peng2022.planar.sweep import PRESET, rows_by_skills, settings, show
from experiments.results import ResultsFile
from jaxrl_suite.core import Preset
from jaxrl_suite.runtime.compile_cache import enable_compile_cache

RESULTS = Path(__file__).parent / "results" / "seeds.jsonl"
SIZES = {"sphere": (2, 4, 8, 16), "gaussian": (4, 16)}


def preset_of(space: str, size: int) -> Preset:
    """The preset with other latents."""
    networks = dataclasses.replace(PRESET.config.networks, latent=size, space=space)
    return PRESET._replace(config=dataclasses.replace(PRESET.config, networks=networks))


def main() -> None:
    """Runs whatever the results file lacks."""
    enable_compile_cache()
    results = ResultsFile(RESULTS, keys=("space", "latent", "seed"), settings=settings())
    for space, sizes in SIZES.items():
        for size in sizes:
            if results.lacks(space=space, latent=size):
                rows = rows_by_skills(preset_of(space, size), space=space, latent=size)
                results.add(rows)
                show(f"{space}, {size}", rows)


if __name__ == "__main__":
    main()
