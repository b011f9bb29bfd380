"""ASE on the command line: skills measured, shown and put to tasks."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxrl_suite.cli.commands import Loaded, SystemCommands, check_least, load, seeded_key
from jaxrl_suite.core import Preset, System, UsageError
from jaxrl_suite.envs import humanoid
from jaxrl_suite.envs.character import Episode
from jaxrl_suite.files import write_atomically
from jaxrl_suite.report import figures, film, stats, video, viewer
from jaxrl_suite.report.html import Page
from jaxrl_suite.runtime.jsonable import from_jsonable, to_jsonable
from jaxrl_suite.runtime.metrics import read_metrics
from jaxrl_suite.runtime.rundir import Run, open_run
from jaxrl_suite.systems import ase
from jaxrl_suite.systems.ase import evaluate as evaluating

_EVALUATION = "evaluation.json"
_FILM, _PAGE = "episodes.gif", "episodes.html"


@dataclasses.dataclass(frozen=True)
class EvalOptions:
    """Episodes without noise; of a controller of skills also which of the clips it can do.

    Attributes:
      episodes: how many; 0 for the run's own number.
      seed: of their starts, goals and latents.
    """

    episodes: int = 0
    seed: int = 0


@dataclasses.dataclass(frozen=True)
class RenderOptions:
    """A film of several characters, and a page in which they can be turned, zoomed and played.

    A controller of skills is told a latent a character, a policy of the high level its task.

    Attributes:
      count: of characters.
      seconds: of every episode; it stops where the episode ends.
      fps: frames per second of the film.
      seed: of starts, goals and latents.
    """

    count: int = 4
    seconds: float = 6.0
    fps: float = 15.0
    seed: int = 0


# What a run of the high level has from that of its skills.
_INHERITED = ("networks", "body", "clips", "motion_dir", "skeleton", "motion")


def _skills(config: ase.Config) -> ase.Skills | None:
    """The controller that a configuration of the high level commands."""
    if config.level == "low":
        return None
    run, low = _low_run(config)
    if low.networks != config.networks:
        raise UsageError(
            f"the networks of {run.path} are {low.networks}, not {config.networks}; leave "
            "config.networks alone, they are taken from there"
        )
    loaded = load(run, COMMANDS)
    return ase.skills_of(loaded.config, loaded.state)


def _low_run(config: ase.Config) -> tuple[Run, ase.Config]:
    """The run of the controller, with its configuration."""
    if not config.skills:
        raise UsageError(
            "the high level commands a controller: --config.skills RUN, made for instance with: "
            "jaxrl train ase quick"
        )
    run = open_run(config.skills)
    if run.record.system != "ase":
        raise UsageError(f"{run.path} is a run of {run.record.system}; the skills are to be ase's")
    low = from_jsonable(ase.Config, run.record.config, "config")
    if not (low.level == "low" and low.task == "none" and low.networks.latent) or (
        not low.networks.discriminator
    ):
        raise UsageError(
            f"{run.path} has no skills to command: they need the level low, no task, a latent and "
            "a discriminator, as of the preset quick"
        )
    return run, low


def settle(config: ase.Config, evaluates: bool) -> ase.Config:
    """With the digests of body and clips, and what follows from the skills' run."""
    if config.motion_dir:
        config = dataclasses.replace(config, motion_dir=str(Path(config.motion_dir).resolve()))
    if config.level == "high":
        run, low = _low_run(config)
        config = dataclasses.replace(
            config,
            skills=str(run.path.resolve()),
            rules=dataclasses.replace(config.rules, window=low.rules.window),
            **{name: getattr(low, name) for name in _INHERITED},
        )
    return ase.settled(config)


def make(config: ase.Config, hyper: ase.Hyper, seed: int) -> System:
    """The system of its configuration, with the skills that it commands."""
    config.check()
    return ase.make(config, hyper, _skills(config))


def evaluate(loaded: Loaded, options: EvalOptions) -> list[str]:
    """Plays, measures, and writes what came of it into the run."""
    check_least(options, episodes=0, seed=0)
    config, key = loaded.config, seeded_key(options.seed)
    episodes = options.episodes or config.eval_episodes
    # The state has the skills; those of their run may have learned on since.
    system = ase.make(dataclasses.replace(config, eval_episodes=episodes), loaded.hyper)
    row: dict[str, Any] = {"update": int(loaded.state.num_updates), "seed": options.seed}
    row |= {"episodes": episodes, "level": config.level, "task": config.task}
    found = jax.device_get(jax.jit(system.evaluate)(loaded.state, key))
    lines = _told(config, found)
    if config.discriminates and config.networks.latent:
        measured = jax.device_get(
            jax.jit(lambda state, key: ase.measure_skills(
                config, state.learner.params, state.source.world, key, episodes
            ))(loaded.state, key)
        )  # fmt: skip
        row |= {"clips": ase.clip_names(config), "histogram": measured.histogram}
        row |= {"transitions": measured.transitions}
        found = measured.metrics | found
        lines += _measured(config, found, len(measured.histogram), episodes)
    row |= {name: float(x) for name, x in found.items()}
    text = json.dumps(to_jsonable(row)) + "\n"
    path = write_atomically(loaded.run.path / _EVALUATION, text.encode())
    return [*lines, f"written: {path}"]


def _told(config: ase.Config, found: dict[str, Any]) -> list[str]:
    length = f"episodes last {found['length']:.0%} of their time"
    if config.task != "none":
        return [f"{config.task}: return {found['normalised_return']:.3f} of 1, {length}"]
    return [
        f"style reward {found['style_reward']:.2f} of 18.42, skill reward "
        f"{found['skill_reward']:.2f} of 1, {length}"
    ]


def _measured(config: ase.Config, found: dict[str, Any], num_clips: int, count: int) -> list[str]:
    line = f"{count} latents: {found['coverage']:.0%} of {num_clips} clips covered, entropy "
    line += f"{found['entropy']:.2f} of 1"
    if config.body == "humanoid":  # a point does not fall
        line += f", {found['recovery_rate']:.0%} stand up from a fall"
        if np.isfinite(found["recovery_time"]):
            line += f", after {found['recovery_time']:.1f} s (median)"
    return [line]


def render(loaded: Loaded, options: RenderOptions) -> Path:
    """Writes the page, and a GIF with a tile a character."""
    check_least(options, count=1, seed=0)
    if not (np.isfinite(options.seconds) and options.seconds > 0 and options.fps > 0):
        raise UsageError(f"seconds and fps must be above 0, not {options.seconds}, {options.fps}")
    if loaded.config.body != "humanoid":
        raise UsageError(f"{loaded.run.path}: only the humanoid can be filmed, not a point")
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
    """An episode of each character."""
    config = loaded.config
    env = ase.make_character(config)
    high = config.level == "high"
    actions = config.repeat if high else 1  # of a step
    num_steps = max(2, round(options.seconds / (actions * humanoid.PERIOD)))
    marked = config.task not in ("none", "follow", "strike")

    def watch(episode: Episode) -> tuple:
        mark = humanoid.mark(episode.goal, episode.state) if marked else ()
        return episode.state, mark

    @jax.jit
    def play(state: Any, key: jax.Array) -> ase.Trace:
        begin, telling, playing = jax.random.split(key, 3)
        world, params = state.source.world, state.learner.params
        start = evaluating.starts(env, world, begin, options.count)
        if high:
            skills = state.source.skills
            return ase.play_high(
                env, config, params, skills, world, start, num_steps, playing, watch
            )
        # One latent a character, from first to last.
        z = evaluating.held(telling, config.networks, 1, options.count)
        z = z.repeat(num_steps, axis=0)
        return ase.play_low(env, config, params, world, start, z, playing, watch)

    trace = jax.device_get(play(loaded.state, seeded_key(options.seed)))
    states, marks = trace.seen
    if high:
        flat = lambda x: x.reshape(num_steps * actions, *x.shape[2:])  # noqa: E731
        states, marks = jax.tree.map(flat, (states, marks))
    recordings = []
    for i in range(options.count):
        # What follows the step that ends an episode is not shown.
        steps = max(1, int(trace.going[:, i].sum()))
        length = max(2, steps * actions)
        own = jax.tree.map(lambda x, i=i, length=length: x[:length, i], states)
        mjcf, qpos = humanoid.recorded(own, marks[:length, i] if marked else None)
        what = "latent" if config.networks.latent and not high else "episode"
        caption = f"{length * humanoid.PERIOD:.1f} s"
        if config.task != "none":
            caption += f", mean reward {trace.reward[:steps, i].mean():.2f} of 1"
        recordings.append(viewer.Recording(f"{what} {i}", caption, mjcf, qpos, humanoid.PERIOD))
    return recordings


_CURVES = (
    ("style_reward", "style reward a step (0 to 18.42)", "Style: taken for a clip"),
    ("skill_reward", "skill reward a step (0 to 1)", "Skills: the latent found in the motion"),
    ("task_reward", "task reward a step (0 to 1)", "Task"),
    ("length", "steps of an episode", "Length of episodes"),
)


def report(page: Page, run: Run) -> None:
    """Learning, which clips are covered, the film."""
    config = from_jsonable(ase.Config, run.record.config, "config")
    page.section(f"{'skills' if config.level == 'low' else 'a task by skills'}: {run.path.name}")
    rows = read_metrics(run.metrics)
    for name, label, title in _CURVES:
        points = [(row["frames"], row[name]) for row in rows if row.get(name) is not None]
        values = np.array([y for _, y in points], float)
        if not len(points) or not np.isfinite(values).any() or not values.any():
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
    tiles = [(f"{row['length']:.0%}", "of an episode survived", f"{row['episodes']} episodes")]
    if row["task"] != "none":
        tiles.append((f"{row['normalised_return']:.3f}", row["task"], "return, of 1"))
    if "histogram" in row:
        tiles += [
            (f"{row['coverage']:.0%}", "of the clips covered", f"of {len(row['clips'])}"),
            (f"{row['recovery_rate']:.0%}", "stand up from a fall", "within 4 s"),
        ]
    page.tiles(tiles)
    if "histogram" not in row:
        return
    shares = np.array(row["histogram"], float)
    order = np.argsort(-shares, kind="stable")[:20]
    nothing = np.full(len(order), np.nan)
    drawn = figures.bars(
        [row["clips"][i] for i in order],
        {"share": stats.Interval(shares[order], nothing, nothing)},
        x_label="share of windows whose nearest clip this is",
        title="Which clips the skills are like",
    )
    figures.save(drawn, run.figures / "coverage")
    page.figure(drawn, "Newest evaluation; the twenty clips that are met most.")


def demo(short: bool) -> dict[str, Preset]:
    """Skills from clips, for a few minutes; when short, to show that everything works."""
    preset = ase.PRESETS["quick"]
    config, updates = preset.config, 60
    if short:
        small = ase.Networks(latent=4, hidden=(16,), style=(8,), discriminator=(16,))
        config, updates = dataclasses.replace(
            config,
            clips=("walk", "run"),
            rules=dataclasses.replace(config.rules, falls=4),
            networks=small,
            num_envs=4,
            num_steps=8,
            epochs=1,
            minibatch=32,
            discriminated=16,
            demonstrations=32,
            replay=64,
            kept=4,
            eval_episodes=4,
        ), 2  # fmt: skip
    return {"skills": Preset(config, preset.hyper, updates)}


def inventory() -> list[str]:
    """What there is to learn."""
    library = ase.library_of(ase.Config())
    groups = dict.fromkeys(library.groups)
    return [
        f"clips: {len(library.names)} in {len(groups)} groups: {', '.join(groups)}",
        f"tasks: {', '.join(humanoid.TASKS)}",
    ]


COMMANDS = SystemCommands(
    summary="skills of a humanoid from motion clips, and policies that command them",
    presets=ase.PRESETS,
    make=make,
    headline="style_reward",
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
