"""IMPALA on the command line: how its runs are evaluated, shown and reported."""

import dataclasses
import importlib.util
import json
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np

from jaxrl_suite.cli.commands import Loaded, SystemCommands, check_least, seeded_key
from jaxrl_suite.core import Preset, UsageError
from jaxrl_suite.envs import arcade, atari
from jaxrl_suite.files import write_atomically
from jaxrl_suite.report import figures, stats, style, video
from jaxrl_suite.report.html import Page
from jaxrl_suite.runtime.jsonable import from_jsonable, to_jsonable
from jaxrl_suite.runtime.metrics import read_metrics
from jaxrl_suite.runtime.rundir import Run
from jaxrl_suite.systems import impala
from jaxrl_suite.systems.impala.config import Config

_EVALUATION = "evaluation.json"
_VIDEO = "episodes.gif"


@dataclasses.dataclass(frozen=True)
class EvalOptions:
    """Zero-shot evaluation of the newest checkpoint beside the random policy.

    Attributes:
      variants: "all" (both sides of the split), "train", "unseen", or names joined by commas.
      split: split to take the sides from; empty for the run's own.
      episodes: per variant; 0 for the run's own number.
      seed: of the episodes.
    """

    variants: str = "all"
    split: str = ""
    episodes: int = 0
    seed: int = 0


@dataclasses.dataclass(frozen=True)
class RenderOptions:
    """A video of the newest checkpoint, a tile a variant.

    Attributes:
      variants: "train", "unseen", or names joined by commas.
      split: split to take the sides from; empty for the run's own.
      count: at most so many tiles.
      steps: of every environment.
      fps: steps per second.
      seed: of the episodes.
    """

    variants: str = "unseen"
    split: str = ""
    count: int = 8
    steps: int = 150
    fps: int = 12
    seed: int = 0


def _sides(config: Config, variants: str, split_name: str) -> list[tuple[str, str]]:
    """The chosen variants as (side, name): side is what the run did with the variant."""
    split = config.load_split(split_name)
    if variants in ("all", *split._fields):
        chosen = [
            name
            for side, names in zip(split._fields, split, strict=True)
            if variants in ("all", side)
            for name in names
        ]
    else:
        chosen = variants.split(",")
    played = set(config.variants)
    return [("trained on" if name in played else "never seen", name) for name in chosen]


def evaluate(loaded: Loaded, options: EvalOptions) -> list[str]:
    """Plays the chosen variants and writes the returns into the run."""
    config = loaded.config
    check_least(options, episodes=0)
    sides = _sides(config, options.variants, options.split)
    names = [name for _, name in sides]
    config = dataclasses.replace(config, eval_episodes=options.episodes or config.eval_episodes)
    key = seeded_key(options.seed)
    play = _program(config, lambda p, k: impala.evaluate_policy(config, names, p, k))
    baseline = _program(config, lambda k: impala.evaluate_random(config, names, k))
    trained = np.asarray(play(loaded.state.learner.params, key)["episode_returns"])
    random = np.asarray(baseline(key)["episode_returns"])
    row = {
        "update": int(loaded.state.num_updates),
        "seed": options.seed,
        "variants": names,
        "sides": [side for side, _ in sides],
        "factors": [config.game_variants.describe(name) for name in names],
        "trained": trained,
        "random": random,
    }
    text = json.dumps(to_jsonable(row)) + "\n"
    path = write_atomically(loaded.run.path / _EVALUATION, text.encode())
    lines = []
    for side in dict.fromkeys(row["sides"]):
        rows = [i for i, (s, _) in enumerate(sides) if s == side]
        ours, theirs = (stats.mean_interval(x[rows].mean(axis=0)) for x in (trained, random))
        bounds = f" [{ours.low:.2f}, {ours.high:.2f}]" if np.isfinite(ours.low) else ""
        lines.append(
            f"{config.game}, {len(rows)} variants {side}: return {ours.point:.2f}{bounds}, "
            f"random policy {theirs.point:.2f} "
            f"({trained.shape[1]} episodes a variant)"
        )
    return [*lines, f"written: {path}"]


def render(loaded: Loaded, options: RenderOptions) -> Path:
    """Plays the chosen variants side by side and writes a GIF."""
    config = loaded.config
    check_least(options, count=1, steps=1, fps=1)
    names = [name for _, name in _sides(config, options.variants, options.split)]
    names = names[: options.count]
    film = _program(
        config, lambda p, k: impala.record_episodes(config, names, p, k, num_steps=options.steps)
    )
    frames = film(loaded.state.learner.params, seeded_key(options.seed))
    labels = [f"{name} {_words(config, name)}" for name in names]
    path = loaded.run.figures / _VIDEO
    return video.write_gif(video.tile(np.asarray(frames), labels=labels), path, options.fps)


def _program(config: Config, function: Callable) -> Callable:
    """Compiled, unless the environments are emulators on the host."""
    return function if config.is_atari else jax.jit(function)


def _words(config: Config, variant: str) -> str:
    """What sets a variant apart: "fast ball, steerable, paddle 1", or "mode 4, difficulty 1"."""
    chosen = config.game_variants.describe(variant)
    if config.is_atari:
        return ", ".join(f"{name} {value}" for name, value in chosen.items())
    words = []
    for name, values in arcade.make(config.game).factors:
        value = chosen[name]
        if value == values[0]:
            continue
        if value == "yes":
            words.append(name)
        else:
            words.append(f"{name} {value}" if isinstance(value, int) else f"{value} {name}")
    return ", ".join(words) or "default"


def report(page: Page, run: Run) -> None:
    """Learning curve, returns per variant, policy lag, queue, video."""
    config = from_jsonable(Config, run.record.config, "config")
    game = config.game
    rows = [row for row in read_metrics(run.metrics) if row.get("return") is not None]
    evaluation = _read_evaluation(run)
    page.section(f"{game}: {run.path.name}")
    if rows:
        frames = np.array([row["frames"] for row in rows])
        returns = np.array([[row["return"] for row in rows]], dtype=float)
        figure = figures.curves(
            {"training variants": (frames, returns)},
            x_label="environment frames",
            y_label="return of an episode",
            title=f"Learning {game}",
            subtitle=f"mean of {len(rows[-1]['return_per_variant'])} variants, one seed",
        )
        figures.save(figure, run.figures / "learning")
        page.figure(figure, "Return of the last finished episode of every environment.")
    if evaluation is not None:
        _report_evaluation(page, run, config, evaluation)
    if (run.figures / _VIDEO).is_file():
        page.gif(run.figures / _VIDEO, "Episodes of the trained policy, a tile a variant.")
    if rows:
        last = rows[-1]
        header = ["frames", "wall time, s", "frames/s", "entropy, nats", "mean lag, updates"]
        header += ["mean ratio", "effective sample size"]
        names = ["entropy", "lag_mean", "ratio_mean", "effective_sample_size"]
        speed = np.median([row["frames_per_second"] for row in rows])
        values = [last["frames"], round(last["wall_seconds"], 1), round(float(speed))]
        page.table(header, [values + [round(last[name], 4) for name in names]], "The last row.")
        if "queue_length" in last:
            _report_queue(page, rows)
    page.facts(dataclasses.asdict(run.record), title=f"Run facts of {run.path.name}")


def _report_queue(page: Page, rows: list[dict]) -> None:
    columns = {
        "queue_length": "unrolls in the queue",
        "learner_waiting": "learner waiting, share of time",
        "actors_waiting": "actors waiting, share of time",
        "unrolls_discarded": "unrolls discarded a row",
        "lag_max": "largest lag, updates",
    }
    means = [round(float(np.mean([row[name] for row in rows])), 3) for name in columns]
    page.table(list(columns.values()), [means], "Actors and learner, mean of all rows.")


def _read_evaluation(run: Run) -> dict | None:
    path = run.path / _EVALUATION
    if not path.is_file():
        return None
    try:
        return json.loads(path.read_text())
    except ValueError as e:
        raise UsageError(f"{path} is damaged; make it again: jaxrl eval {run.path}") from e


def _report_evaluation(page: Page, run: Run, config: Config, row: dict) -> None:
    trained, random = (np.array(row[name], dtype=float).T for name in ("trained", "random"))
    tiles = []
    for side in dict.fromkeys(row["sides"]):
        rows = [i for i, s in enumerate(row["sides"]) if s == side]
        ours, theirs = trained[:, rows].mean(), random[:, rows].mean()
        what = f"return, {len(rows)} variants {side}"
        tiles.append((f"{ours:.1f}", what, f"random policy {theirs:.2f}"))
    page.tiles(tiles)
    groups = [f"{name}  {_words(config, name)}" for name in row["variants"]]
    figure = figures.bars(
        groups,
        {"trained": trained, "random": random},
        x_label="return of an episode",
        sections=row["sides"],
        title=f"{config.game}: every variant",
        subtitle=f"mean and 95% interval over {trained.shape[0]} episodes of one run",
        colours={"random": style.REFERENCE},
    )
    figures.save(figure, run.figures / "variants")
    page.figure(figure, "Trained policy and random policy on every variant.")


def demo(short: bool) -> dict[str, Preset]:
    """The quick preset on every game; when short, a few updates of a few variants of one."""
    quick, atari_quick = impala.PRESETS["quick"], impala.PRESETS["atari_quick"]
    has_atari = importlib.util.find_spec("envpool") is not None
    if short:
        small = {"num_variants": 4, "time_limit": 60, "eval_episodes": 4}
        runs = {"breakout": (quick, 40)}
        if has_atari:
            runs["atari-breakout"] = (atari_quick, 4)
        return {
            name: preset._replace(
                config=dataclasses.replace(preset.config, **small), num_updates=num_updates
            )
            for name, (preset, num_updates) in runs.items()
        }
    runs = {
        game: quick._replace(config=dataclasses.replace(quick.config, game=game))
        for game in arcade.GAMES
    }
    # A tenth of the preset: it shows the real games, and leaves learning them to the preset.
    few = atari_quick._replace(num_updates=atari_quick.num_updates // 10)
    return runs | ({"atari-breakout": few} if has_atari else {})


def inventory() -> list[str]:
    """The games of both suites and what of them can be varied."""
    lines = []
    for game in arcade.GAMES.values():
        factors = ", ".join(f"{f.name} {'/'.join(map(str, f.values))}" for f in game.factors)
        lines.append(f"{game.name}: {len(game.variants)} variants ({factors})")
    for game in atari.GAMES.values():
        modes = sorted({variant.mode for variant in game.variants.values()})
        levels = sorted({variant.difficulty for variant in game.variants.values()})
        lines.append(
            f"atari {game.name}: {len(game.variants)} variants "
            f"(mode {'/'.join(map(str, modes))}, difficulty {'/'.join(map(str, levels))})"
        )
    return lines


COMMANDS = SystemCommands(
    summary="V-trace actor-learner, pretrained on many variants of a game",
    presets=impala.PRESETS,
    make=impala.make,
    headline="return",
    warm_start=impala.warm_start,
    eval_options=EvalOptions,
    evaluate=evaluate,
    render_options=RenderOptions,
    render=render,
    report=report,
    demo=demo,
    inventory=inventory,
)
