"""The lifelike quadruped on the command line."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl_suite.cli.commands import Loaded, SystemCommands, check_least, seeded_key
from jaxrl_suite.core import Preset, System, UsageError
from jaxrl_suite.envs import quadruped
from jaxrl_suite.files import write_atomically
from jaxrl_suite.report import figures, film, stats, video, viewer
from jaxrl_suite.report.html import Page
from jaxrl_suite.runtime.jsonable import to_jsonable
from jaxrl_suite.runtime.metrics import read_metrics
from jaxrl_suite.runtime.rundir import Run
from jaxrl_suite.systems import lifelike

_EVALUATION = "evaluation.json"
_FILM, _PAGE = "episodes.gif", "episodes.html"


@dataclasses.dataclass(frozen=True)
class EvalOptions:
    """Episodes without noise, by kind of motion.

    Attributes:
      episodes: of each kind of motion; 0 for the run's own number over all of them.
      seed: of their starts.
    """

    episodes: int = 0
    seed: int = 0


@dataclasses.dataclass(frozen=True)
class RenderOptions:
    """A film of several robots, and a page in which they can be turned, zoomed and played.

    Attributes:
      count: of robots.
      seconds: of every episode; it stops where the episode ends.
      fps: frames per second of the film.
      seed: of starts.
    """

    count: int = 4
    seconds: float = 5.0
    fps: float = 15.0
    seed: int = 0


def settle(config: lifelike.Config, evaluates: bool) -> lifelike.Config:
    """With the digest of the clips, and an absolute path to those of the user."""
    if config.motion_dir:
        config = dataclasses.replace(config, motion_dir=str(Path(config.motion_dir).resolve()))
    config.check()
    return lifelike.settled(config)


def make(config: lifelike.Config, hyper: lifelike.Hyper, seed: int) -> System:
    """The system of its configuration."""
    return lifelike.make(config, hyper)


def _shares(groups: tuple[str, ...], group: str) -> jax.Array:
    """Of the segments of a kind of motion, all alike."""
    own = np.array([name == group for name in groups], np.float32)
    return jnp.asarray(own / own.sum())


def evaluate(loaded: Loaded, options: EvalOptions) -> list[str]:
    """Plays, measures, and writes what came of it into the run."""
    check_least(options, episodes=0, seed=0)
    config, key = loaded.config, seeded_key(options.seed)
    world = lifelike.following(config)
    kinds = list(dict.fromkeys(world.groups))
    count = options.episodes or -(-config.eval_episodes // len(kinds))

    @jax.jit
    def play(state: Any, share: jax.Array, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        learner = state.learner
        told = lifelike.follow(config, world, learner.params, learner.hyper, share, count, key)
        return lifelike.scores(told)

    by_kind = {}
    for kind in kinds:
        key, playing = jax.random.split(key)
        score, length = play(loaded.state, _shares(world.groups, kind), playing)
        by_kind[kind] = {"score": np.asarray(score), "length": np.asarray(length)}
    overall = jax.device_get(jax.jit(loaded.system.evaluate)(loaded.state, key))
    row: dict[str, Any] = {"update": int(loaded.state.num_updates), "seed": options.seed}
    row |= {"episodes": count, "level": config.level}
    row |= {name: float(x) for name, x in overall.items()}
    row["kinds"] = {
        kind: {name: [round(float(y), 4) for y in x] for name, x in told.items()}
        for kind, told in by_kind.items()
    }
    path = write_atomically(
        loaded.run.path / _EVALUATION, (json.dumps(to_jsonable(row)) + "\n").encode()
    )
    lines = [
        f"return {row['score']:.3f} of 1, followed for {row['length']:.0%} of the time",
        *(f"  {kind}: return {told['score'].mean():.3f}" for kind, told in by_kind.items()),
    ]
    if config.networks.coded:
        lines.append(
            f"codes: perplexity {row['perplexity']:.1f} of {config.networks.num_codes}, "
            f"{row['used']:.0%} in use, kept for {row['dwell']:.1f} steps"
        )
    return [*lines, f"written: {path}"]


def render(loaded: Loaded, options: RenderOptions) -> Path:
    """Writes the page, and a GIF with a tile a robot."""
    check_least(options, count=1, seed=0)
    if not (np.isfinite(options.seconds) and options.seconds > 0 and options.fps > 0):
        raise UsageError(f"seconds and fps must be above 0, not {options.seconds}, {options.fps}")
    recordings = record(loaded, options)
    viewer.write_viewer(loaded.run.figures / _PAGE, loaded.run.path.name, recordings)
    films = [
        film.film(one.mjcf, one.qpos, timestep=one.timestep, fps=options.fps) for one in recordings
    ]
    # An episode that has ended stands still until the longest is over.
    length = max(map(len, films))
    films = [np.concatenate([f, np.repeat(f[-1:], length - len(f), 0)]) for f in films]
    tiles = video.tile(np.stack(films), labels=[one.title for one in recordings])
    return film.write_film(tiles, loaded.run.figures / _FILM, options.fps)


def record(loaded: Loaded, options: RenderOptions) -> list[viewer.Recording]:
    """An episode of each robot."""
    config = dataclasses.replace(loaded.config, eval_seconds=options.seconds)
    world = lifelike.following(config)
    size = len(world.groups)

    @jax.jit
    def play(state: Any, key: jax.Array) -> lifelike.Followed:
        params, hyper = state.learner.params, state.learner.hyper
        even = jnp.full(size, 1.0 / size)
        watch = lambda episode: episode.state  # noqa: E731
        return lifelike.follow(config, world, params, hyper, even, options.count, key, watch)

    told = jax.device_get(play(loaded.state, seeded_key(options.seed)))
    score, _ = lifelike.scores(told)
    found = []
    for i in range(options.count):
        steps = max(2, int(told.going[:, i].sum()))
        own = jax.tree.map(lambda x, i=i, steps=steps: x[:steps, i], told.seen)
        clip = world.library.names[world.starts.clip[told.segment[i]]]
        caption = f"{steps * quadruped.PERIOD:.1f} s, return {score[i]:.2f} of 1"
        mjcf, qpos = quadruped.recorded(own)
        found.append(viewer.Recording(clip, caption, mjcf, qpos, quadruped.PERIOD))
    return found


_CURVES = (
    ("score", "return of an episode (0 to 1)", "Following clips"),
    ("length", "share of an episode's time", "Length of episodes"),
    ("perplexity", "codes", "Codes in use: perplexity"),
    ("dwell", "steps", "How long a code is kept"),
)


def report(page: Page, run: Run) -> None:
    """Learning, which motions are followed, the film."""
    page.section(f"following clips: {run.path.name}")
    rows = read_metrics(run.metrics)
    for name, label, title in _CURVES:
        points = [(row["frames"], row[name]) for row in rows if row.get(name) is not None]
        values = np.array([y for _, y in points], float)
        if not len(points) or not np.isfinite(values).any():
            continue
        x = np.array([x for x, _ in points])
        drawn = figures.curves(
            {run.path.name: (x, values[None])}, x_label="actions", y_label=label, title=title
        )
        figures.save(drawn, run.figures / name)
        page.figure(drawn, f"{title}, while training.")
    if (run.path / _EVALUATION).is_file():
        _report_evaluation(page, run, json.loads((run.path / _EVALUATION).read_text()))
    if (run.figures / _FILM).is_file():
        page.gif(
            run.figures / _FILM,
            f"Episodes without noise; to turn and play them open `{run.figures / _PAGE}`.",
        )
    page.facts(dataclasses.asdict(run.record), title=f"Run facts of {run.path.name}")


def _report_evaluation(page: Page, run: Run, row: dict) -> None:
    tiles = [
        (f"{row['score']:.2f}", "return, of 1", "means of episodes that begin anywhere"),
        (f"{row['length']:.0%}", "of the time followed", "until a fall, or too far away"),
    ]
    if "perplexity" in row:
        tiles.append((f"{row['perplexity']:.0f}", "codes in use", "perplexity"))
    page.tiles(tiles)
    kinds = row["kinds"]
    scores = np.stack([kinds[kind]["score"] for kind in kinds], axis=1)
    drawn = figures.bars(
        list(kinds),
        {"return": stats.mean_interval(scores)},
        x_label="return of an episode (0 to 1)",
        title="By kind of motion",
    )
    figures.save(drawn, run.figures / "kinds")
    page.figure(drawn, f"Newest evaluation, {row['episodes']} episodes of each kind.")


def demo(short: bool) -> dict[str, Preset]:
    """Skills from gaits, for a few minutes; when short, to show that everything works."""
    preset = lifelike.PRESETS["quick"]
    config, updates = preset.config, 100
    if short:
        small = dataclasses.replace(
            config.networks, codes=8, width=4, hidden=(16,), sensed=8, told=4
        )
        config, updates = dataclasses.replace(
            config,
            networks=small,
            num_envs=4,
            num_steps=8,
            epochs=1,
            minibatches=2,
            eval_episodes=4,
            eval_seconds=0.5,
        ), 2  # fmt: skip
    return {"primitives": Preset(config, preset.hyper, updates)}


def inventory() -> list[str]:
    """What there is to follow."""
    library = lifelike.library_of(dataclasses.replace(lifelike.Config(), mirrored=False))
    groups = dict.fromkeys(library.groups)
    return [f"clips: {len(library.names)} in {len(groups)} groups: {', '.join(groups)}"]


COMMANDS = SystemCommands(
    summary="coded skills of a four-legged robot from motion clips",
    presets=lifelike.PRESETS,
    make=make,
    headline="score",
    warm_start=None,
    eval_options=EvalOptions,
    evaluate=evaluate,
    render_options=RenderOptions,
    render=render,
    report=report,
    demo=demo,
    inventory=inventory,
    settle=settle,
)
