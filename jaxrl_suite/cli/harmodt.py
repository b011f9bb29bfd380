"""HarmoDT on the command line: tasks evaluated in Meta-World, filmed and reported on."""

import dataclasses
import json
from pathlib import Path

import numpy as np

from jaxrl_suite.cli.commands import Loaded, SystemCommands, check_least
from jaxrl_suite.core import Preset, System, UsageError
from jaxrl_suite.data import load
from jaxrl_suite.envs import metaworld
from jaxrl_suite.report import figures, stats, tabletop, video
from jaxrl_suite.report.files import write_atomically
from jaxrl_suite.report.html import Page
from jaxrl_suite.runtime.jsonable import to_jsonable
from jaxrl_suite.runtime.metrics import read_metrics
from jaxrl_suite.runtime.progress import make_console, say
from jaxrl_suite.runtime.rundir import Run
from jaxrl_suite.systems import harmodt
from jaxrl_suite.systems.harmodt.config import Config, Hyper
from jaxrl_suite.systems.harmodt.dataset import Dataset
from jaxrl_suite.systems.harmodt.evaluate import Played, make_policy, play

_EVALUATION, _FILM = "evaluation.json", "tasks.gif"
_STATE = {"hand": slice(0, 3), "one": slice(4, 7), "other": slice(11, 14), "goal": slice(18, 21)}


@dataclasses.dataclass(frozen=True)
class EvalOptions:
    """Episodes of every task in Meta-World, each task under its mask and with its prompt.

    Attributes:
      episodes: of each task; 0 for the run's own number.
      seed: of goals and places of objects; the same for every run, so that runs can be compared.
      target: return that every task is asked for; 0 for the 0.9 quantile of each task's data.
    """

    episodes: int = 0
    seed: int = 0
    target: float = 0.0


@dataclasses.dataclass(frozen=True)
class RenderOptions:
    """A schematic film, from above and from the side: hand, objects, goal; framed while solved.

    Attributes:
      count: at most so many tasks.
      steps: of an episode.
      fps: frames per second; a frame is two steps.
      seed: of goals and places of objects.
    """

    count: int = 8
    steps: int = 200
    fps: int = 20
    seed: int = 0


def dataset_of(config: Config) -> Dataset:
    """The trajectories of a configuration, on the device.

    Raises:
      UsageError: no directory was given, or it holds no sound data.
    """
    if not config.data.directory:
        raise UsageError(
            "say what to learn from: --config.data.directory DIR, made for instance with: "
            "jaxrl data collect DIR --tasks mt5"
        )
    return harmodt.build(config.data, load(config.data.directory))


def make(config: Config, hyper: Hyper, seed: int) -> System:
    """The system over the data of its configuration."""
    return harmodt.make(config, hyper, dataset_of(config))


def _play(loaded: Loaded, made: Dataset, episodes: int, seed: int, **options: object) -> Played:
    """Episodes of all tasks of the run."""
    target = options.pop("target", 0.0)
    own = np.asarray(made.data.target)
    targets = np.full(len(made.tasks), target, np.float32) if target else own
    for name, wanted, most in zip(made.tasks, targets, np.asarray(made.data.scale), strict=True):
        if wanted > most:
            say(
                make_console(),
                f"warning: {name} is asked for {wanted:.0f}, its data hold at most {most:.0f}",
            )
    pools = [metaworld.Pool(name, episodes, (seed, i)) for i, name in enumerate(made.tasks)]
    policy = make_policy(loaded.config, made)
    options = {"num_steps": metaworld.EPISODE_LENGTH} | options
    return play(policy, loaded.state.learner, pools, targets, **options)


def evaluate(loaded: Loaded, options: EvalOptions) -> list[str]:
    """Plays all tasks and writes what came of it into the run."""
    check_least(options, episodes=0, seed=0)
    made = dataset_of(loaded.config)
    episodes = options.episodes or loaded.config.eval_episodes
    found = _play(loaded, made, episodes, options.seed, target=options.target)
    row = {
        "update": int(loaded.state.num_updates),
        "seed": options.seed,
        "tasks": made.tasks,
        **found._asdict(),
    }
    text = json.dumps(to_jsonable(row)) + "\n"
    path = write_atomically(loaded.run.path / _EVALUATION, text.encode())
    lines = [
        f"{name}: solved in {x.mean():.0%} of {episodes} episodes, at the end {y.mean():.0%}, "
        f"return {z.mean():.0f}"
        for name, x, y, z in zip(made.tasks, *found, strict=True)
    ]
    return [
        *lines,
        f"all {len(made.tasks)} tasks: solved {found.any.mean():.1%}, at the end "
        f"{found.last.mean():.1%}",
        f"written: {path}",
    ]


def render(loaded: Loaded, options: RenderOptions) -> Path:
    """Writes a GIF with a tile a task."""
    check_least(options, count=1, steps=2, fps=1, seed=0)
    made = dataset_of(loaded.config)
    seen: list[tuple[np.ndarray, np.ndarray]] = []
    _play(
        loaded,
        made,
        1,
        options.seed,
        num_steps=options.steps,
        watch=lambda states, solved: seen.append((states[:, 0].copy(), solved[:, 0])),
    )
    states, solved = (np.stack(part, axis=1)[:, ::2] for part in zip(*seen, strict=True))
    films = []
    for path, framed in zip(states[: options.count], solved, strict=False):
        parts = {name: path[:, where] for name, where in _STATE.items()}
        things = tuple(parts[name] for name in ("one", "other") if np.any(parts[name]))
        scene = tabletop.Scene(parts["hand"], things, parts["goal"], framed)
        films.append(tabletop.frames(scene))
    tiles = video.tile(np.stack(films), labels=list(made.tasks[: options.count]))
    return video.write_gif(tiles, loaded.run.figures / _FILM, options.fps)


def report(page: Page, run: Run) -> None:
    """Loss and harmony, success by task, the film."""
    page.section(f"multi-task: {run.path.name}")
    rows = read_metrics(run.metrics)
    for name, label, title in (
        ("loss", "mean squared error of actions", "Loss"),
        ("harmony", "harmony score (1: all tasks agree)", "Agreement of the tasks' gradients"),
    ):
        points = [(row["update"], row[name]) for row in rows if row.get(name) is not None]
        if points:
            x, y = map(np.array, zip(*points, strict=True))
            drawn = figures.curves(
                {run.path.name: (x, y[None])}, x_label="update", y_label=label, title=title
            )
            figures.save(drawn, run.figures / name)
            page.figure(drawn, f"{title} while training.")
    if (run.path / _EVALUATION).is_file():
        _report_tasks(page, run, json.loads((run.path / _EVALUATION).read_text()))
    if (run.figures / _FILM).is_file():
        page.gif(
            run.figures / _FILM,
            "An episode of every task, from above and from the side: hand (round), objects "
            "(square), goal (ring).",
        )
    page.facts(dataclasses.asdict(run.record), title=f"Run facts of {run.path.name}")


def _report_tasks(page: Page, run: Run, row: dict) -> None:
    solved = {"at any step": row["any"], "at the last step": row["last"]}
    series = {label: stats.mean_interval(np.array(x, float).T) for label, x in solved.items()}
    drawn = figures.bars(
        row["tasks"],
        series,
        x_label="share of episodes in which the task is solved",
        title="Success by task",
    )
    figures.save(drawn, run.figures / "success")
    page.figure(drawn, "Success of the newest evaluation; intervals over episodes.")
    page.table(
        ["task", "solved", "at the end", "return"],
        [
            [name, f"{np.mean(x):.0%}", f"{np.mean(y):.0%}", round(float(np.mean(z)), 1)]
            for name, x, y, z in zip(
                row["tasks"], row["any"], row["last"], row["returns"], strict=True
            )
        ],
        "Episodes of the newest evaluation.",
    )


def demo(short: bool) -> dict[str, Preset]:
    """Nothing yet: what there is to learn from has to be collected first."""
    return {}


def _length(config: Config) -> int:
    config.check()
    return config.updates


def inventory() -> list[str]:
    """What there is to learn from."""
    sets = ", ".join(f"{name} ({len(x)})" for name, x in metaworld.TASK_SETS.items())
    return [f"Meta-World tasks (extra: metaworld): {sets}"]


COMMANDS = SystemCommands(
    summary="one decision transformer for many tasks, with a mask of its weights for each",
    presets=harmodt.PRESETS,
    make=make,
    headline="loss",
    warm_start=None,
    eval_options=EvalOptions,
    evaluate=evaluate,
    render_options=RenderOptions,
    render=render,
    report=report,
    demo=demo,
    inventory=inventory,
    length=_length,
)
