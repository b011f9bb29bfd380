"""Robots that have learned by skills, one on each terrain, at the level that they have come to.

python -m experiments.han2024.terrain.film      (about two minutes; needs EGL or OSMesa)
"""

from pathlib import Path

from experiments.han2024.terrain import sweep
from jaxrl_suite.cli.commands import seeded_key
from jaxrl_suite.cli.lifelike_films import filmed, record
from jaxrl_suite.report import film
from jaxrl_suite.runtime.compile_cache import enable_compile_cache

HERE = Path(__file__).parent
SEED, SECONDS, FPS = 0, 6.0, 8.0
SHOT = {"azimuth": 60.0, "elevation": -20.0, "width": 200, "height": 160}


def main() -> None:
    """Writes the film."""
    enable_compile_cache()
    recordings = []
    for terrain in sweep.TERRAINS:
        preset, state, *_ = sweep.walker_of(sweep.SKILLED, terrain, SEED)
        recordings += record(
            sweep.alone(preset.config, terrain), state, 1, SECONDS, seeded_key(SEED)
        )
    pictures = filmed(recordings, FPS, columns=len(recordings), **SHOT)
    print(film.write_film(pictures, HERE / "walkers.gif", FPS))


if __name__ == "__main__":
    main()
