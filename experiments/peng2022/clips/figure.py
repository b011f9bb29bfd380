"""A picture strip of shipped clips, a row a clip: to be looked at after every build of them.

python -m experiments.peng2022.clips.figure      (about a minute; needs EGL or OSMesa)
"""

from pathlib import Path

import jax
import numpy as np

from jaxrl_suite.data import motion
from jaxrl_suite.envs import clips, humanoid
from jaxrl_suite.report import film, video

CLIPS = ("walk", "run", "jump", "spinkick", "roll", "getup_facedown", "cmu_016_27", "cmu_047_01")
STILLS = 9
STRIP = Path(__file__).parent / "strip.png"


def stills(library: motion.Library, name: str) -> np.ndarray:
    """A clip as evenly spaced stills, one image."""
    index = library.names.index(name)
    figure = humanoid.humanoid()
    seconds = float((library.clips.length[index] - 1) / library.clips.fps[index])

    @jax.jit
    def states(times: jax.Array) -> tuple:
        world = figure.scene()
        at = lambda t: figure.pose(world, clips.at(library.clips, index, t))  # noqa: E731
        return jax.vmap(at)(times)

    library = library._replace(clips=jax.tree.map(jax.numpy.asarray, library.clips))
    times = np.linspace(0, seconds, STILLS, dtype=np.float32)
    mjcf, qpos = humanoid.recorded(jax.device_get(states(times)))
    shot = {"width": 200, "height": 200, "azimuth": 60.0, "zoom": 1.25}
    frames = film.film(mjcf, qpos, timestep=1.0, fps=1.0, **shot)
    return film.strip(frames, STILLS)


def main() -> None:
    """Writes the strip."""
    library = motion.default()
    rows = [stills(library, name) for name in CLIPS]
    rows = [
        video.tile(row[None, None], labels=[name]) for row, name in zip(rows, CLIPS, strict=True)
    ]
    image = np.concatenate([row[0] for row in rows])
    print(film.write_film(np.stack([image]), STRIP, 1.0))


if __name__ == "__main__":
    main()
