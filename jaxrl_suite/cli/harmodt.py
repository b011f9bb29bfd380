"""HarmoDT on the command line: tasks evaluated in Meta-World, filmed and reported on."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np

from jaxrl_suite.cli.commands import Loaded, SystemCommands, check_least
from jaxrl_suite.core import Metrics, Preset, System, SystemState, UsageError
from jaxrl_suite.data import digest, load, summary
from jaxrl_suite.data.directions import directions
from jaxrl_suite.envs import ant, metaworld
from jaxrl_suite.envs.metaworld.pool import require_envpool
from jaxrl_suite.files import write_atomically
from jaxrl_suite.report import figures, film, stats, tabletop, video
from jaxrl_suite.report.html import Page
from jaxrl_suite.runtime.jsonable import to_jsonable
from jaxrl_suite.runtime.metrics import read_metrics
from jaxrl_suite.runtime.progress import make_console, say
from jaxrl_suite.runtime.rundir import Run
from jaxrl_suite.systems import harmodt
from jaxrl_suite.systems.harmodt.config import Config, Hyper
from jaxrl_suite.systems.harmodt.dataset import Dataset
from jaxrl_suite.systems.harmodt.evaluate import Played, for_unseen, make_policy, play

_EVALUATION, _FILM = "evaluation.json", "tasks.gif"
_STATE = {"hand": slice(0, 3), "one": slice(4, 7), "other": slice(11, 14), "goal": slice(18, 21)}


@dataclasses.dataclass(frozen=True)
class EvalOptions:
    """Episodes of every task in Meta-World, each task under its mask and with its prompt.

    Attributes:
      episodes: of each task; 0 for the run's own number.
      seed: of goals and places of objects; the same for every run, so that runs can be compared.
      target: return that every task is asked for; none given: the mean of each task's best
        episodes, those solved the soonest, or of the largest return where none is.
    """

    episodes: int = 0
    seed: int = 0
    target: float | None = None


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


def dataset_of(config: Config, like: Dataset | None = None) -> Dataset:
    """The trajectories of a configuration, on the device.

    Args:
      config: of the system.
      like: tasks that were learned; given, the directions that are not among them.

    Raises:
      UsageError: no directory was given, or it holds no sound data.
    """
    data = config.data
    if data.suite == "ant":
        tasks = _unseen(like) if like else data.tasks or _learned()
        data = dataclasses.replace(data, tasks=tasks)
        return harmodt.build(data, directions(tasks, data.episodes), like=like)
    if not data.directory:
        raise UsageError(
            "say what to learn from: --config.data.directory DIR, made for instance with: "
            "jaxrl data collect DIR --tasks mt5"
        )
    tasks = metaworld.parse_tasks(data.tasks) if data.tasks else ()
    found = digest(data.directory, tasks or None)
    if data.digest and found != data.digest:
        raise UsageError(
            f"{data.directory} does not hold the data that were learned from: their digest is "
            f"{found}, not {data.digest}; put those back, or start a new run"
        )
    data = dataclasses.replace(data, tasks=tasks)
    return harmodt.build(data, load(data.directory, tasks or None))


def settle(config: Config, evaluates: bool) -> Config:
    """With tasks and digest of the data, where they are in a directory."""
    data = config.data
    if data.suite != "metaworld":
        return config
    if evaluates:
        require_envpool()
    if data.digest or not data.directory:
        return config
    # By name, so that tasks collected later into the same place are not taken for its own.
    tasks = metaworld.parse_tasks(data.tasks or tuple(summary(data.directory)))
    found = digest(data.directory, tasks)
    data = dataclasses.replace(data, tasks=tasks, digest=found)
    return dataclasses.replace(config, data=data)


def _learned() -> tuple[str, ...]:
    """Directions that are not kept for unseen ones."""
    return tuple(name for name in ant.TASKS if name not in ant.UNSEEN)


def _unseen(made: Dataset) -> tuple[str, ...]:
    """Directions kept for unseen ones that were not learned all the same."""
    return tuple(name for name in ant.UNSEEN if name not in made.tasks)


def make(config: Config, hyper: Hyper, seed: int) -> System:
    """The system over the data of its configuration."""
    config.check()
    made = dataset_of(config)

    def evaluation(state: SystemState, key: Any) -> Metrics:
        # Goals of one seed: what differs between two evaluations is what was learned.
        found = _play(config, state.learner, made, config.eval_episodes, seed=0)
        measures = {"return": found.returns}
        if config.data.suite == "metaworld":
            measures |= {"solved": found.any, "solved_last": found.last}
        return {name: np.float32(x.mean()) for name, x in measures.items()}

    return harmodt.make(config, hyper, made, evaluation)


def _pool(config: Config, name: str, episodes: int, seed: int) -> Any:
    """Environments of a task."""
    if config.data.suite == "ant":
        return ant.AntPool(ant.TASKS[name], episodes, seed)
    return metaworld.Pool(name, episodes, (seed, metaworld.MT50.index(name)))


def _play(
    config: Config,
    state: harmodt.LearnerState,
    made: Dataset,
    episodes: int,
    seed: int,
    *,
    target: float | None = None,
    **options: Any,
) -> Played:
    """Episodes of all tasks of a data set."""
    own = np.asarray(made.data.target)
    targets = own if target is None else np.full_like(own, target)
    ends = np.asarray(made.data.lowest), np.asarray(made.data.highest)
    for name, wanted, low, high in zip(made.tasks, targets, *ends, strict=True):
        if not low <= wanted <= high:
            say(
                make_console(),
                f"warning: {name} is asked for a return of {wanted:.0f}; those of its data are "
                f"{low:.0f} to {high:.0f}",
            )
    pools = [_pool(config, name, episodes, seed) for name in made.tasks]
    suite = ant if config.data.suite == "ant" else metaworld
    options = {"num_steps": suite.EPISODE_LENGTH} | options
    policy = make_policy(config, made)
    found = play(policy, state, pools, targets, **options)
    for pool in pools:
        pool.close()
    return found


def evaluate(loaded: Loaded, options: EvalOptions) -> list[str]:
    """Plays all tasks, and those kept for unseen ones, and writes what came of it into the run."""
    check_least(options, episodes=0, seed=0)
    config = loaded.config
    made = dataset_of(config)
    episodes = options.episodes or config.eval_episodes
    learner = loaded.state.learner
    found = _play(config, learner, made, episodes, options.seed, target=options.target)
    row = {"update": int(loaded.state.num_updates), "seed": options.seed}
    row |= {"suite": config.data.suite, "tasks": made.tasks, **found._asdict()}
    row |= {"data_returns": np.asarray(made.data.target), "unseen": ()}
    # A task that is told by its number must have one, and new ones share the others' mean.
    prompted = config.network.condition == "prompt" and config.data.normalise == "all"
    if config.data.suite == "ant" and prompted and _unseen(made):
        unseen = dataset_of(config, like=made)
        voted = for_unseen(config, learner, len(unseen.tasks))
        more = _play(config, voted, unseen, episodes, options.seed, target=options.target)
        row |= {"unseen": unseen.tasks, "unseen_returns": more.returns}
        row |= {"unseen_data_returns": np.asarray(unseen.data.target)}
    text = json.dumps(to_jsonable(row)) + "\n"
    path = write_atomically(loaded.run.path / _EVALUATION, text.encode())
    return [*_told(row, episodes), f"written: {path}"]


def _told(row: dict[str, Any], episodes: int) -> list[str]:
    """What an evaluation came to, a line a task and one for all."""
    if row["suite"] == "metaworld":
        each = zip(row["tasks"], row["any"], row["last"], row["returns"], strict=True)
        lines = [
            f"{name}: solved in {x.mean():.0%} of {episodes} episodes, at the end {y.mean():.0%}, "
            f"return {z.mean():.0f}"
            for name, x, y, z in each
        ]
        share, end = np.mean(row["any"]), np.mean(row["last"])
        return [*lines, f"all {len(lines)} tasks: solved {share:.1%}, at the end {end:.1%}"]
    lines = []
    for side, prefix in (("tasks", ""), ("unseen", "unseen_")):
        if not row[side]:
            continue
        got, best = (np.asarray(row[f"{prefix}{name}"]) for name in ("returns", "data_returns"))
        lines.append(
            f"{len(row[side])} {'directions' if side == 'tasks' else 'unseen directions'}: return "
            f"{got.mean():.1f}, the expert's best {best.mean():.1f} ({episodes} episodes each)"
        )
    return lines


def render(loaded: Loaded, options: RenderOptions) -> Path:
    """Writes a GIF: a tile a task, or for directions where the bodies run."""
    check_least(options, count=1, steps=2, fps=1, seed=0)
    made = dataset_of(loaded.config)
    if loaded.config.data.suite == "ant":
        return _render_directions(loaded, made, options)
    seen: list[tuple[np.ndarray, np.ndarray]] = []
    _play(
        loaded.config,
        loaded.state.learner,
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


def _render_directions(loaded: Loaded, made: Dataset, options: RenderOptions) -> Path:
    """Bodies of several tasks, each in a tile of its own."""
    config = loaded.config
    pools = [_pool(config, name, 1, options.seed) for name in made.tasks]
    places: list[np.ndarray] = []
    play(
        make_policy(config, made),
        loaded.state.learner,
        pools,
        np.asarray(made.data.target),
        min(options.steps, ant.EPISODE_LENGTH),
        watch=lambda states, solved: places.append(np.stack([pool.qpos()[0] for pool in pools])),
    )
    paths = np.stack(places, axis=1)[: options.count]
    films = [film.film(ant.mjcf(), path, timestep=0.04, fps=options.fps) for path in paths]
    tiles = video.tile(np.stack(films), labels=list(made.tasks[: options.count]))
    return film.write_film(tiles, loaded.run.figures / _FILM, options.fps)


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
        row = json.loads((run.path / _EVALUATION).read_text())
        (_report_tasks if row["suite"] == "metaworld" else _report_directions)(page, run, row)
    if (run.figures / _FILM).is_file():
        page.gif(
            run.figures / _FILM,
            "An episode of each task; of Meta-World's from above and from the side: hand (round), "
            "objects (square), goal (ring).",
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


def _report_directions(page: Page, run: Run, row: dict) -> None:
    names = [*row["tasks"], *row["unseen"]]
    returns = np.array([*row["returns"], *row.get("unseen_returns", ())], float)
    best = np.array([*row["data_returns"], *row.get("unseen_data_returns", ())], float)
    nothing = np.full_like(best, np.nan)
    drawn = figures.bars(
        names,
        {
            "learned": stats.mean_interval(returns.T),
            "expert's best": stats.Interval(best, nothing, nothing),
        },
        x_label="return of an episode",
        sections=["learned"] * len(row["tasks"]) + ["never seen"] * len(row["unseen"]),
        title="Return by direction",
    )
    figures.save(drawn, run.figures / "returns")
    page.figure(
        drawn, "Return of the newest evaluation, intervals over episodes; mean of the data's best."
    )


def demo(short: bool) -> dict[str, Preset]:
    """Directions of the four-legged body; when short, to show that everything works."""
    preset = harmodt.PRESETS["directions"]
    config = preset.config
    if short:
        config = dataclasses.replace(
            config,
            data=dataclasses.replace(config.data, episodes=6, held_out=2),
            network=dataclasses.replace(config.network, layers=1, width=16, heads=2),
            interval=5,
            updates=4,
            eval_episodes=3,
        )
    return {"directions": Preset(config, preset.hyper, config.updates)}


def _length(config: Config) -> int:
    config.check()
    return config.updates


def inventory() -> list[str]:
    """What there is to learn from."""
    sets = ", ".join(f"{name} ({len(x)})" for name, x in metaworld.TASK_SETS.items())
    return [
        f"Meta-World tasks (extra: metaworld): {sets}",
        f"directions of a four-legged body: {len(ant.TASKS)}, {len(ant.UNSEEN)} of them unseen",
    ]


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
    settle=settle,
)
