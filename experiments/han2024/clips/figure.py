"""A picture strip of shipped gaits, a row a clip: to be looked at after every build of them.

python -m experiments.han2024.clips.figure                   (about a minute; needs EGL or OSMesa)
python -m experiments.han2024.clips.figure --motion-dir ../shared/data/dog_mocap --out /tmp/dog.png
"""

import argparse
from pathlib import Path

import jax
import numpy as np

from jaxrl_suite.data import gaits
from jaxrl_suite.envs import clips
from jaxrl_suite.envs.quadruped import machine, recording
from jaxrl_suite.report import film, video

# From when on a clip is shown, and how much of it (s).
SHOWN = {
    "walk_0.55": (2.0, 0.8),
    "pace_0.8": (2.0, 0.55),
    "trot_1.0": (2.0, 0.53),
    "bound_2.0": (2.0, 0.39),
    "gallop_2.5": (2.0, 0.33),
    "crouch_walk": (2.0, 0.83),
    "turn": (0.6, 1.6),
    "sit_1": (0.6, 2.0),
    "rear_up": (0.6, 2.2),
    "hop": (4.4, 0.9),
    "jump_0.6": (0.7, 1.0),
    "start_stop_gallop": (4.0, 1.4),
}
STILLS = 9
STRIP = Path(__file__).parent / "strip.png"


def stills(library: gaits.Library, name: str, begin: float, seconds: float) -> np.ndarray:
    """A part of a clip as evenly spaced stills, one image."""
    known = jax.tree.map(jax.numpy.asarray, library.clips)
    index = library.names.index(name)
    mechanics = machine.Mechanics()
    simulate = machine.simulation(mechanics)
    rest = simulate.init(machine.scene_of(mechanics, simulate.sizes))
    state = lambda time: machine.state_of(rest, clips.at(known, index, time))  # noqa: E731
    times = np.linspace(begin, begin + seconds, STILLS, dtype=np.float32)
    mjcf, qpos = recording.recorded(jax.device_get(jax.vmap(state)(times)))
    shot = {"width": 200, "height": 160, "azimuth": 70.0, "elevation": -10.0, "zoom": 1.3}
    return film.strip(film.film(mjcf, qpos, timestep=1.0, fps=1.0, **shot), STILLS)


def main() -> None:
    """Writes the strip."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--motion-dir", type=Path, help="other clips, one a group")
    parser.add_argument("--out", type=Path, default=STRIP, metavar="FILE")
    given = parser.parse_args()
    if given.motion_dir:
        library = gaits.examined(given.motion_dir)[0]
        firsts = dict(zip(library.groups[::-1], library.names[::-1], strict=True))
        shown = {name: _highest(library, name) for name in firsts.values()}
    else:
        library = gaits.default()
        shown = {f"procedural/{name}": when for name, when in SHOWN.items()}
    rows = [
        video.tile(stills(library, name, *when)[None, None], labels=[name])[0]
        for name, when in shown.items()
    ]
    print(film.write_film(np.stack([np.concatenate(rows)]), given.out, 1.0))


def _highest(library: gaits.Library, name: str) -> tuple[float, float]:
    """A second of a clip around the highest place of its base."""
    clip = library.clip(library.names.index(name))
    high = int(clip.position[:, 2].argmax())
    last = (len(clip.position) - 1) / clip.fps - 1.0
    return float(np.clip(high / clip.fps - 0.5, 0.0, last)), 1.0


if __name__ == "__main__":
    main()
