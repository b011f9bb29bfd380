"""``jaxrl view``: bodies from MJCF files, simulated in one program and shown."""

import dataclasses
from pathlib import Path
from typing import Annotated, Literal

import jax
import jax.numpy as jnp
import numpy as np
import tyro

from jaxrl_suite import physics
from jaxrl_suite.cli.commands import seeded_key
from jaxrl_suite.cli.options import parse
from jaxrl_suite.core import UsageError
from jaxrl_suite.report import film, video, viewer
from jaxrl_suite.runtime.progress import make_console, say

_FILMS = (".gif", ".mp4", ".png")


@dataclasses.dataclass(frozen=True)
class ViewOptions:
    """Simulate bodies from MJCF files, all in one compiled program, and show what they do.

    Attributes:
      files: MJCF files of the supported subset, see docs/physics.md.
      output: .html for a page to rotate, zoom and play in, .gif or .mp4 a film, .png stills.
      seconds: simulated time.
      controls: what drives the actuators; random ones change every 0.1 s, over the whole range.
      seed: of the random controls.
      fps: frames a second of a film.
    """

    files: Annotated[tuple[Path, ...], tyro.conf.Positional]
    output: Path = Path("view.html")
    seconds: float = 5.0
    controls: Literal["random", "zero"] = "random"
    seed: int = 0
    fps: float = 25.0


def view(arguments: list[str]) -> None:
    """``jaxrl view FILE [FILE ...]``."""
    options = parse(ViewOptions, arguments, "jaxrl view")
    suffix = options.output.suffix
    if not options.files:
        raise UsageError("say which body: jaxrl view FILE.xml [FILE.xml ...]")
    if suffix not in (".html", *_FILMS):
        raise UsageError(f"--output must end in .html, {', '.join(_FILMS)}, not {suffix!r}")
    if not (np.isfinite(options.seconds) and options.seconds > 0):
        raise UsageError(f"seconds must be above 0, not {options.seconds}")
    bodies = [physics.from_mjcf(path) for path in options.files]
    if len({body.options for body in bodies}) > 1:
        raise UsageError("the files differ in timestep or constraint settings; view them apart")
    recordings = _record(bodies, options)
    say(make_console(), f"written: {_write(recordings, options)}")


def _record(bodies: list[physics.Body], options: ViewOptions) -> list[viewer.Recording]:
    """Plays all bodies at once."""
    setting = bodies[0].options
    scenes, sizes = physics.stack(bodies)
    sizes = dataclasses.replace(sizes, contacts=16)
    simulated = physics.simulator(sizes, setting)
    num_steps = max(1, round(options.seconds / setting.timestep))
    hold = max(1, round(0.1 / setting.timestep))
    model = scenes.model
    finite = jnp.isfinite(model.control_range)
    low, high = jnp.moveaxis(
        jnp.where(finite, model.control_range, jnp.array([-1.0, 1.0])[None, None]), -1, 0
    )

    @jax.jit
    def play(key: jax.Array) -> tuple:
        def one(carry: tuple, t: jax.Array) -> tuple:
            state, control = carry
            drawn = jax.random.uniform(jax.random.fold_in(key, t // hold), low.shape)
            control = low + drawn * (high - low) if options.controls == "random" else 0.0 * low
            after, readings = jax.vmap(simulated.step)(scenes, state, control)
            return (after, control), (state, readings.diverged)

        start = (jax.vmap(simulated.init)(scenes), jnp.zeros_like(low))
        return jax.lax.scan(one, start, jnp.arange(num_steps))[1]

    states, diverged = jax.device_get(play(seeded_key(options.seed)))
    recordings = []
    for i, (path, body) in enumerate(zip(options.files, bodies, strict=True)):
        scene = jax.tree.map(lambda x, i=i: x[i], scenes)
        own = jax.tree.map(lambda x, i=i: x[:, i], states)
        places = physics.layout(sizes, scene.model, body.sizes.boxes)
        text = physics.to_mjcf(sizes, setting, scene, names=body.link_names)
        resets = int(diverged[:, i].sum())
        note = f"; begun again {resets} times, as its state was not finite" if resets else ""
        links, dofs = body.sizes.num_bodies, int(body.model.dof_mask.sum())
        recordings.append(
            viewer.Recording(
                title=path.stem,
                caption=f"{links} links, {dofs} degrees of freedom{note}",
                mjcf=text,
                qpos=np.asarray(places.to_mujoco(own)[0]),
                timestep=setting.timestep,
            )
        )
    return recordings


def _write(recordings: list[viewer.Recording], options: ViewOptions) -> Path:
    if options.output.suffix == ".html":
        return viewer.write_viewer(options.output, "jaxrl view", recordings)
    films = [
        film.film(one.mjcf, one.qpos, timestep=one.timestep, fps=options.fps) for one in recordings
    ]
    if len(films) == 1:
        return film.write_film(films[0], options.output, options.fps)
    tiles = video.tile(np.stack(films), labels=[one.title for one in recordings])
    return film.write_film(tiles, options.output, options.fps)
