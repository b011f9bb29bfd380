"""The lifelike quadruped on the command line."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl_suite.cli.commands import Loaded, SystemCommands, check_least, load, seeded_key
from jaxrl_suite.cli.lifelike_films import filmed, record
from jaxrl_suite.core import Preset, System, UsageError
from jaxrl_suite.envs import quadruped
from jaxrl_suite.envs.quadruped import playground
from jaxrl_suite.files import write_atomically
from jaxrl_suite.report import figures, film, stats, viewer
from jaxrl_suite.report.html import Page
from jaxrl_suite.runtime.jsonable import from_jsonable, to_jsonable
from jaxrl_suite.runtime.metrics import read_metrics
from jaxrl_suite.runtime.rundir import Run, open_run
from jaxrl_suite.systems import lifelike

_EVALUATION = "evaluation.json"
_FILM, _PAGE = "episodes.gif", "episodes.html"


@dataclasses.dataclass(frozen=True)
class EvalOptions:
    """Episodes without noise, by kind of motion or terrain; of the strategic level, games.

    Attributes:
      episodes: of each kind of motion or terrain, or games; 0 for the run's own number over all.
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


# What one that is distilled has of its experts.
_OF_EXPERTS = ("skills", *lifelike.STANDS_ON["sepmc"][1])
_MADE_BY = {
    "epmc": "jaxrl train lifelike quick",
    "sepmc": "jaxrl train lifelike terrain --config.skills RUN",
}


def _run_of(name: str, levels: tuple[str, ...], option: str) -> tuple[Run, lifelike.Config]:
    """A run that another one needs, with its configuration."""
    run = open_run(name)
    if run.record.system != "lifelike":
        raise UsageError(f"{run.path} is a run of {run.record.system}; {option} needs lifelike's")
    config = from_jsonable(lifelike.Config, run.record.config, "config")
    if config.level not in levels:
        raise UsageError(
            f"{run.path} is of the level {config.level}; {option} needs one of {', '.join(levels)}"
        )
    return run, config


def _below_run(config: lifelike.Config) -> tuple[Run, lifelike.Config]:
    levels, _ = lifelike.STANDS_ON[config.level]
    if not config.skills:
        raise UsageError(
            f"the level {config.level} stands on another: --config.skills RUN, made for instance "
            f"with: {_MADE_BY[config.level]}"
        )
    return _run_of(config.skills, levels, "config.skills")


def settle(config: lifelike.Config, evaluates: bool) -> lifelike.Config:
    """With the digest of the clips, absolute paths, and what follows from the runs below."""
    if config.level == "pmc":
        if config.motion_dir:
            config = dataclasses.replace(config, motion_dir=str(Path(config.motion_dir).resolve()))
        config.check()
        return lifelike.settled(config)
    if config.level == "distil":
        config = _like_experts(config)
    else:
        run, below = _below_run(config)
        alike = lifelike.STANDS_ON[config.level][1]
        inherited = {name: getattr(below, name) for name in alike}
        config = dataclasses.replace(config, skills=str(run.path.resolve()), **inherited)
    config.check()
    return config


def _expert_runs(config: lifelike.Config) -> list[tuple[Run, lifelike.Config]]:
    if not config.experts:
        raise UsageError(
            "there is nobody to learn from: --config.experts RUN RUN, made for instance with: "
            f"{_MADE_BY['sepmc']} --config.terrains hurdle"
        )
    return [_run_of(name, ("epmc",), "config.experts") for name in config.experts]


def _like_experts(config: lifelike.Config) -> lifelike.Config:
    """With what experts must have in common, a code meaning the same to all of them."""
    runs = _expert_runs(config)
    first, shared = runs[0]
    for run, other in runs[1:]:
        for name in _OF_EXPERTS:
            ours, theirs = getattr(shared, name), getattr(other, name)
            if ours != theirs:
                raise UsageError(
                    f"{name} of {first.path} and {run.path} differ, {ours} and {theirs}; distil "
                    "experts that are alike in that"
                )
    if config.skills and str(open_run(config.skills).path.resolve()) != shared.skills:
        raise UsageError(
            f"{first.path} commands the skills of {shared.skills}, not of {config.skills}; leave "
            "config.skills out"
        )
    told = {name: getattr(shared, name) for name in _OF_EXPERTS}
    experts = tuple(str(run.path.resolve()) for run, _ in runs)
    return dataclasses.replace(config, experts=experts, **told)


def make(config: lifelike.Config, hyper: lifelike.Hyper, seed: int) -> System:
    """The system of its configuration, on the levels that it stands on."""
    config.check()
    if config.level == "pmc":
        return lifelike.make(config, hyper)
    if config.level != "distil":
        loaded = load(_below_run(config)[0], COMMANDS)
        return lifelike.make(config, hyper, lifelike.below_of(loaded.config, loaded.state))
    experts = [load(run, COMMANDS) for run, _ in _expert_runs(config)]
    # As the experts have them: the skills' run may have learned on since.
    skills = [expert.state.learner.params.frozen for expert in experts]
    for expert, other in zip(experts[1:], skills[1:], strict=True):
        if not jax.tree.all(jax.tree.map(np.array_equal, skills[0], other)):
            raise UsageError(
                f"{config.skills} has learned on between {experts[0].run.path} and "
                f"{expert.run.path}; train one of them anew"
            )
    told = tuple(lifelike.expert_of(expert.config, expert.state) for expert in experts)
    below = lifelike.below_in(experts[0].config, experts[0].state)
    return lifelike.make(config, hyper, below, told)


def _kinds(loaded: Loaded, count: int, key: jax.Array) -> dict[str, dict[str, np.ndarray]]:
    """Scores and lengths of episodes [count] by kind of motion, or of terrain."""
    config = loaded.config
    if config.level == "pmc":
        world = lifelike.following(config)
        kinds = {kind: _shares(world.groups, kind) for kind in dict.fromkeys(world.groups)}

        def play(state: Any, share: jax.Array, key: jax.Array) -> tuple[jax.Array, jax.Array]:
            learner = state.learner
            told = lifelike.follow(config, world, learner.params, learner.hyper, share, count, key)
            return lifelike.scores(told)
    else:
        env = playground.playground(config.mechanics, config.playground)
        kinds = {
            kind: lifelike.calm_course(dataclasses.replace(config, terrains=(kind,)))
            for kind in config.terrains
        }

        def play(state: Any, course: Any, key: jax.Array) -> tuple[jax.Array, jax.Array]:
            told = lifelike.roam(config, env, state.learner.params, course, count, key)
            limit = round(config.eval_seconds / quadruped.PERIOD)
            return told.outcomes["score"], told.outcomes["length"] / limit

    run, found = jax.jit(play), {}
    for kind, given in kinds.items():
        key, playing = jax.random.split(key)
        score, length = run(loaded.state, given, playing)
        found[kind] = {"score": np.asarray(score), "length": np.asarray(length)}
    return found


def _shares(groups: tuple[str, ...], group: str) -> jax.Array:
    """Of the segments of a kind of motion, all alike."""
    own = np.array([name == group for name in groups], np.float32)
    return jnp.asarray(own / own.sum())


def evaluate(loaded: Loaded, options: EvalOptions) -> list[str]:
    """Plays, measures, and writes what came of it into the run."""
    check_least(options, episodes=0, seed=0)
    config, key, system = loaded.config, seeded_key(options.seed), loaded.system
    if config.level == "sepmc" and options.episodes:
        config = dataclasses.replace(config, eval_episodes=options.episodes)
        below = lifelike.below_in(config, loaded.state)
        system = lifelike.make(config, loaded.hyper, below)
    overall = jax.device_get(jax.jit(system.evaluate)(loaded.state, key))
    row: dict[str, Any] = {name: float(x) for name, x in overall.items()}
    if "level" in row:  # of terrains
        row["difficulty"] = row.pop("level")
    row |= {"update": int(loaded.state.num_updates), "seed": options.seed, "level": config.level}
    if config.level == "sepmc":
        row["episodes"] = config.eval_episodes
        lines = [
            f"won {row['won']:.0%} of {config.eval_episodes} games against "
            f"{int(row['snapshots'])} snapshots; {row['switches']:.1f} flags a game, "
            f"{row['tagged']:.0%} end with a tag, {row['fallen']:.0%} with a fall"
        ]
    else:
        groups = set(lifelike.library_of(config).groups) if config.level == "pmc" else ()
        kinds = len(groups or config.terrains)
        count = options.episodes or -(-config.eval_episodes // kinds)
        found = _kinds(loaded, count, key)
        row["episodes"] = count
        row["kinds"] = {
            kind: {name: [round(float(y), 4) for y in x] for name, x in told.items()}
            for kind, told in found.items()
        }
        lines = [f"score {row['score']:.3f} of 1"]
        if "difficulty" in row:
            lines[0] += f" on terrains of level {row['difficulty']:.2f}; of level 1, by kind:"
        lines += [f"  {kind}: {told['score'].mean():.3f}" for kind, told in found.items()]
    if "perplexity" in row:
        lines.append(
            f"codes: perplexity {row['perplexity']:.1f} of {config.networks.num_codes}, "
            f"{row['used']:.0%} in use, kept for {row['dwell']:.1f} steps"
        )
    text = json.dumps(to_jsonable(row)) + "\n"
    path = write_atomically(loaded.run.path / _EVALUATION, text.encode())
    return [*lines, f"written: {path}"]


def render(loaded: Loaded, options: RenderOptions) -> Path:
    """Writes the page, and a GIF with a tile a robot."""
    check_least(options, count=1, seed=0)
    if not (np.isfinite(options.seconds) and options.seconds > 0 and options.fps > 0):
        raise UsageError(f"seconds and fps must be above 0, not {options.seconds}, {options.fps}")
    key = seeded_key(options.seed)
    recordings = record(loaded.config, loaded.state, options.count, options.seconds, key)
    viewer.write_viewer(loaded.run.figures / _PAGE, loaded.run.path.name, recordings)
    tiles = filmed(recordings, options.fps)
    return film.write_film(tiles, loaded.run.figures / _FILM, options.fps)


_TITLES = {
    "pmc": "following clips",
    "epmc": "across terrains",
    "distil": "many experts in one policy",
    "sepmc": "chase tag",
}
_CURVES = (
    ("score", "score of an episode", "Score"),
    ("length", "length of an episode", "Length of episodes"),
    ("kl", "nats", "Divergence: from the policy that acted, or from the experts"),
    ("won", "share of games", "Won games"),
    ("perplexity", "codes", "Codes in use: perplexity"),
    ("dwell", "steps", "How long a code is kept"),
)


def report(page: Page, run: Run) -> None:
    """Learning, what it can do by kind, the film."""
    config = from_jsonable(lifelike.Config, run.record.config, "config")
    page.section(f"{_TITLES[config.level]}: {run.path.name}")
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
    if row["level"] == "sepmc":
        page.tiles(
            [
                (f"{row['won']:.0%}", "of games won", f"against {row['snapshots']:.0f} snapshots"),
                (f"{row['switches']:.1f}", "flags a game", "each swaps the roles"),
                (f"{row['tagged']:.0%}", "end with a tag", f"{row['fallen']:.0%} with a fall"),
            ]
        )
        return
    level = f" on terrains of level {row['difficulty']:.2f}" if "difficulty" in row else ""
    tiles = [(f"{row['score']:.2f}", "score, of 1", f"mean of episodes{level}")]
    if "perplexity" in row:
        tiles.append((f"{row['perplexity']:.0f}", "codes in use", "perplexity"))
    page.tiles(tiles)
    kinds = row["kinds"]
    scores = np.stack([kinds[kind]["score"] for kind in kinds], axis=1)
    drawn = figures.bars(
        list(kinds),
        {"score": stats.mean_interval(scores)},
        x_label="score of an episode (0 to 1)",
        title="By kind",
    )
    figures.save(drawn, run.figures / "kinds")
    told = ", on terrains of level 1" if level else ""
    page.figure(drawn, f"Newest evaluation, {row['episodes']} episodes of each kind{told}.")


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
    summary="coded skills of a four-legged robot, across terrains and in a game of tag",
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
