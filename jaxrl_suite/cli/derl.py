"""DERL on the command line: its bodies evaluated, shown and reported on."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxrl_suite.cli.commands import Loaded, SystemCommands, check_least, seeded_key
from jaxrl_suite.core import Preset, UsageError
from jaxrl_suite.envs import unimal
from jaxrl_suite.envs.unimal.episode import PHYSICS_STEPS
from jaxrl_suite.envs.unimal.scenery import recorded
from jaxrl_suite.files import write_atomically
from jaxrl_suite.report import figures, film, lineage_figures, stats, video, viewer
from jaxrl_suite.report.html import Page
from jaxrl_suite.report.lineage import Lineage, generation
from jaxrl_suite.runtime import history
from jaxrl_suite.runtime.jsonable import from_jsonable, to_jsonable
from jaxrl_suite.runtime.rundir import Run
from jaxrl_suite.systems import derl
from jaxrl_suite.systems.derl.config import Config

_EVALUATION = "evaluation.json"
_FILM, _GALLERY = "bodies.gif", "bodies.html"
_OUTCOMES = ("score", "length", "work", "effort")
_SPEED = "forward speed summed over an episode (50 x m)"
_APPROACH = "reward of an episode (100 x m nearer, and bonuses)"


@dataclasses.dataclass(frozen=True)
class EvalOptions:
    """Episodes of the best bodies with the policies they died with, beside random actions.

    Attributes:
      episodes: of each body; 0 for the run's own number.
      seed: of the episodes.
    """

    episodes: int = 0
    seed: int = 0


@dataclasses.dataclass(frozen=True)
class RenderOptions:
    """A film of the best bodies and a page in which they can be turned, zoomed and played.

    Attributes:
      count: at most so many bodies.
      seconds: of every episode; it stops where the episode ends.
      fps: frames per second of the film.
      seed: of the episodes.
    """

    count: int = 4
    seconds: float = 8.0
    fps: float = 12.5
    seed: int = 0


def _score_label(config: Config) -> str:
    return _APPROACH if config.terrain == "manipulation" else _SPEED


def _best(loaded: Loaded) -> Any:
    """The best bodies so far that there are, fittest first."""
    best = jax.device_get(loaded.state.learner.best)
    there = int((best.number < loaded.config.bodies).sum())
    if not there:
        raise UsageError(
            f"{loaded.run.path}: no body has ended its life yet; go on with: "
            f"jaxrl resume {loaded.run.path}"
        )
    return jax.tree.map(lambda x: x[:there], best)


def _finished(loaded: Loaded) -> int:
    """Bodies whose lives have ended."""
    return int((~np.isnan(loaded.state.learner.lineage.fitness)).sum())


def evaluate(loaded: Loaded, options: EvalOptions) -> list[str]:
    """Plays the best bodies and writes what came of it into the run."""
    check_least(options, episodes=0)
    best = _best(loaded)
    config = loaded.config
    episodes = options.episodes or config.eval_episodes
    system = derl.make(dataclasses.replace(config, eval_episodes=episodes), loaded.hyper)
    told = jax.device_get(jax.jit(system.evaluate)(loaded.state, seeded_key(options.seed)))
    names = [*_OUTCOMES, *(f"random_{name}" for name in _OUTCOMES)]
    row = {
        "update": int(loaded.state.num_updates),
        "seed": options.seed,
        "number": best.number,
        "fitness": best.fitness,
        **{name: told[name][: len(best.number)] for name in names},
    }
    text = json.dumps(to_jsonable(row)) + "\n"
    path = write_atomically(loaded.run.path / _EVALUATION, text.encode())
    ours, theirs = (stats.mean_interval(row[n].mean(axis=0)) for n in ("score", "random_score"))
    bounds = f" [{ours.low:.1f}, {ours.high:.1f}]" if np.isfinite(ours.low) else ""
    return [
        f"{config.terrain} terrain, the best {len(best.number)} of "
        f"{_finished(loaded)} bodies: score {ours.point:.1f}{bounds}, random actions "
        f"{theirs.point:.1f} "
        f"({episodes} episodes a body)",
        f"written: {path}",
    ]


def render(loaded: Loaded, options: RenderOptions) -> Path:
    """Writes the gallery page, and a GIF with a tile a body."""
    check_least(options, count=1)
    if not (np.isfinite(options.seconds) and options.seconds > 0 and options.fps > 0):
        raise UsageError(f"seconds and fps must be above 0, not {options.seconds}, {options.fps}")
    best = jax.tree.map(lambda x: x[: options.count], _best(loaded))
    recordings = _record(loaded, best, options)
    viewer.write_viewer(loaded.run.figures / _GALLERY, f"{loaded.run.path.name}", recordings)
    films = [
        film.film(one.mjcf, one.qpos, timestep=one.timestep, fps=options.fps) for one in recordings
    ]
    # An episode that has ended stands still until the longest is over.
    length = max(map(len, films))
    films = [np.concatenate([f, np.repeat(f[-1:], length - len(f), 0)]) for f in films]
    tiles = video.tile(np.stack(films), labels=[one.title for one in recordings])
    return film.write_film(tiles, loaded.run.figures / _FILM, options.fps)


def _record(loaded: Loaded, best: Any, options: RenderOptions) -> list[viewer.Recording]:
    """An episode of each of these bodies."""
    config, env = loaded.config, loaded.config.make_environment()
    period = PHYSICS_STEPS * unimal.OPTIONS.timestep
    num_steps = max(2, round(options.seconds / period))
    genotypes = jax.tree.map(lambda x: x[best.number], loaded.state.learner.lineage.genotype)

    @jax.jit
    def play(genotypes: unimal.Genotype, key: jax.Array) -> tuple:
        def one(genotype: unimal.Genotype, params: Any, inputs: Any, key: jax.Array) -> tuple:
            body, policy = derl.body_of(config, genotype), derl.Policy(params, inputs)
            watch = lambda state: (state.physics, state.task.drawn)  # noqa: E731
            return derl.episode(env, config, loaded.hyper, body, policy, key, num_steps, watch)

        keys = jax.random.split(key, len(best.number))
        return jax.vmap(one)(genotypes, best.params, best.inputs, keys)

    _, (states, drawn), going = jax.device_get(play(genotypes, seeded_key(options.seed)))
    recordings = []
    for i, number in enumerate(best.number):
        genotype = jax.tree.map(lambda x, i=i: x[i], genotypes)
        own = jax.tree.map(lambda x, i=i: x[i, : int(going[i].sum())], states)
        first = jax.tree.map(lambda x, i=i: x[i, 0], drawn)
        mjcf, qpos = recorded(config.design, genotype, first, own)
        limbs, hinges = int(unimal.num_limbs(genotype)), int(unimal.num_hinges(genotype))
        metres = float(own.q[-1, 0] - own.q[0, 0])
        recordings.append(
            viewer.Recording(
                title=f"body {int(number)}",
                caption=f"{limbs} limbs, {hinges} hinges, fitness {best.fitness[i]:.1f}; here "
                f"{metres:.2f} m in {len(own.q) * period:.1f} s",
                mjcf=mjcf,
                qpos=qpos,
                timestep=period,
            )
        )
    return recordings


def read_lineage(run: Run) -> tuple[Lineage, dict[str, np.ndarray]]:
    """The lineage of a run from its file, and all of the file's columns."""
    config = from_jsonable(Config, run.record.config, "config")
    rows = history.read_history(run.path / history.NAME)
    names = ("", *unimal.OPERATORS)
    count = len(rows["parent"])
    lineage = Lineage(
        parent=rows["parent"],
        operator=[names[i + 1] for i in rows["operator"]],
        fitness=rows["fitness"],
        limbs=rows["gene_alive"].sum(axis=1) - 1,
        born=np.arange(count) // config.group,
    )
    return lineage, rows


def report(page: Page, run: Run) -> None:
    """Fitness, lineage, learning, the best bodies."""
    page.section(f"evolution: {run.path.name}")
    config = from_jsonable(Config, run.record.config, "config")
    there = (run.path / history.NAME).is_file()
    lineage, rows = read_lineage(run) if there else (None, {})
    if lineage is not None and len(rows["parent"]):
        _report_lineage(page, run, config, lineage, rows)
    if (run.figures / _FILM).is_file():
        page.gif(
            run.figures / _FILM,
            f"The best bodies with the policies they died with; to turn and play them open "
            f"`{run.figures / _GALLERY}`.",
        )
    page.facts(dataclasses.asdict(run.record), title=f"Run facts of {run.path.name}")


def _report_lineage(
    page: Page, run: Run, config: Config, lineage: Lineage, rows: dict[str, np.ndarray]
) -> None:
    fitness, score = np.asarray(lineage.fitness), _score_label(config)
    living = fitness[-config.population :]
    finite = living[np.isfinite(living)]
    page.tiles(
        [
            (f"{len(fitness)}", "bodies trained", f"of {config.bodies}"),
            (f"{fitness.max():.1f}", "best fitness", score),
            (f"{finite.mean() if len(finite) else np.nan:.1f}", "mean of the living", "the same"),
            (f"{generation(lineage).max()}", "generations", "most of any body"),
        ]
    )
    drawn = {
        "fitness": (
            lineage_figures.fitness({config.scheme: [lineage]}, config.population, value=score),
            "Fitness against bodies searched: the best so far, and the mean of the living.",
        ),
    }
    if config.scheme != "random":
        drawn["muller"] = (
            lineage_figures.muller(lineage, config.population),
            "Whose descendants live.",
        )
        drawn["phylogeny"] = (
            lineage_figures.phylogeny(lineage, config.population, value=score),
            "The living and their ancestors.",
        )
        drawn["operators"] = (
            lineage_figures.operators(lineage, value=score),
            "A child's fitness less its parent's. A parent has won a tournament, by luck too, so "
            "that all bars lie low: compare them with each other.",
        )
    for name, (figure, caption) in drawn.items():
        figures.save(figure, run.figures / name)
        page.figure(figure, caption)
    order = np.argsort(-fitness, kind="stable")[: config.keep]
    page.table(
        ["body", "fitness", "generation", "limbs", "made by", "parent"],
        [
            [
                int(i),
                round(float(fitness[i]), 1),
                int(rows["generation"][i]),
                int(lineage.limbs[i]),
                lineage.operator[i] or "founder",
                int(lineage.parent[i]) if lineage.parent[i] >= 0 else "",
            ]
            for i in order
        ],
        "The best bodies.",
    )


def demo(short: bool) -> dict[str, Preset]:
    """A small evolution on flat terrain; when short, one that only shows that everything works."""
    quick = derl.PRESETS["quick"]
    life = dataclasses.replace(quick.config.life, iterations=32, window=4)
    small = {"bodies": 24, "population": 8, "slots": 4, "phases": 2, "life": life, "keep": 4}
    if short:
        life = derl.Life(num_envs=4, num_steps=16, iterations=4, minibatches=2, window=2)
        small = {"bodies": 8, "population": 4, "slots": 4, "phases": 2, "life": life, "keep": 2}
        small["eval_episodes"] = 1
    config = dataclasses.replace(quick.config, **small)
    return {"flat": Preset(config, quick.hyper, config.num_updates)}


def _length(config: Config) -> int:
    config.check()
    return config.num_updates


def inventory() -> list[str]:
    """Terrains and schemes."""
    return [
        f"terrains: {', '.join(derl.TERRAINS)}",
        "schemes: tournament (evolution), random (search at equal budget)",
    ]


COMMANDS = SystemCommands(
    summary="evolution of UNIMAL bodies, each of which learns to move by PPO from scratch",
    presets=derl.PRESETS,
    make=lambda config, hyper, seed: derl.make(config, hyper),
    headline="fitness_mean",
    warm_start=None,
    eval_options=EvalOptions,
    evaluate=evaluate,
    render_options=RenderOptions,
    render=render,
    report=report,
    demo=demo,
    inventory=inventory,
    log_every=1,
    length=_length,
)
