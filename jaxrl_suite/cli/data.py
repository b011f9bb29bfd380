"""``jaxrl data``: collects trajectories of scripted experts; checks trajectories and clips."""

import dataclasses
import shlex
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import tyro

from jaxrl_suite.cli.options import parse
from jaxrl_suite.core import UsageError
from jaxrl_suite.data import Progress, collect, gaits, load, motion, summary
from jaxrl_suite.data.collecting import Tier
from jaxrl_suite.data.trajectories import MANIFEST
from jaxrl_suite.runtime.interrupt import Interrupted, Signals
from jaxrl_suite.runtime.progress import Shown, make_console, say

_HELP = """\
usage: jaxrl data COMMAND DIR ...

  collect DIR ...               play Meta-World's scripted experts into DIR, or go on with that
  check DIR                     verify trajectories or motion clips, and print what is in DIR
"""


@dataclasses.dataclass(frozen=True)
class CollectOptions:
    """Play Meta-World's scripted experts into a directory, or go on where that was stopped.

    Attributes:
      directory: of the data set; tasks can be added to one, all else must stay the same.
      tasks: names of tasks or of the sets mt5, mt30, mt50.
      tier: near plays the experts; sub mixes them with random movement, so that a task succeeds
        as often as target-success says.
      episodes: a task.
      seed: of environments and of what is random about acting.
      keep_after_success: steps after the first success with which an episode ends.
      full_episodes: keep all 500 steps of every episode, whatever keep-after-success says.
      target_success: share of the episodes that succeed at any step; of the tier sub.
    """

    directory: Annotated[Path, tyro.conf.Positional]
    tasks: tuple[str, ...] = ("mt5",)
    tier: Tier = "near"
    episodes: int = 200
    seed: int = 0
    keep_after_success: int = 25
    full_episodes: bool = False
    target_success: float = 0.5


@dataclasses.dataclass(frozen=True)
class CheckOptions:
    """Verify every checksum of a data set, or every motion clip, and print what there is.

    Attributes:
      directory: of a data set, or of motion files of the humanoid or the quadruped.
    """

    directory: Annotated[Path, tyro.conf.Positional]


def data(arguments: list[str]) -> None:
    """``jaxrl data collect DIR ...`` and ``jaxrl data check DIR``."""
    commands = {"collect": _collect, "check": _check}
    name, *rest = arguments or [""]
    if name in ("-h", "--help"):
        print(_HELP, end="")
        return
    if name not in commands:
        raise UsageError(f"say what to do: jaxrl data {' or '.join(commands)} DIR, not {name!r}")
    if not rest or (rest[0].startswith("-") and rest[0] not in ("-h", "--help")):
        raise UsageError(f"say where: jaxrl data {name} DIR ...")
    commands[name](rest)


def _collect(arguments: list[str]) -> None:
    options = parse(CollectOptions, arguments, "jaxrl data collect")
    again = shlex.join(["jaxrl", "data", "collect", *arguments])
    console = make_console()
    with ExitStack() as stack:
        aborted = f"stopped at once; the finished shards are kept, go on with: {again}"
        signals = stack.enter_context(Signals(aborted))
        shown = stack.enter_context(Shown(console, "{} episodes"))

        def report(progress: Progress) -> None:
            _show(shown, progress)
            if signals.code and progress.done < progress.total:
                raise Interrupted(
                    signals.code,
                    f"{progress.done} of {progress.total} episodes are in {options.directory}; "
                    f"go on with: {again}",
                )
            signals.patient = True

        collect(
            options.directory,
            options.tasks,
            tier=options.tier,
            episodes=options.episodes,
            seed=options.seed,
            keep_after_success=None if options.full_episodes else options.keep_after_success,
            target_success=options.target_success,
            report=report,
        )
    for line in _table(options.directory):
        say(console, line)


def _show(shown: Shown, progress: Progress) -> None:
    """A collection's newest state: episodes/s and time left."""
    label = f"{progress.task}{', calibrating' if progress.calibrating else ''}"
    rate = shown.rate(progress.done)
    numbers = f"{rate:.1f} episodes/s" if rate else ""
    shown.update(label, progress.done, progress.total, numbers, soon=progress.calibrating)


def _check(arguments: list[str]) -> None:
    options = parse(CheckOptions, arguments, "jaxrl data check")
    clips = _clips_in(options.directory)
    if clips:
        _check_clips(options.directory, clips)
        return
    # A task at a time: a whole data set may be larger than the memory.
    for task in summary(options.directory):
        load(options.directory, [task], partial=True)
    console = make_console()
    for line in _table(options.directory):
        say(console, line)
    say(console, "every checksum is right")


def _clips_in(directory: Path) -> list[Path]:
    """Files of motion clips: all that look like some, in a directory that is no data set."""
    if not directory.is_dir() or (directory / MANIFEST).exists():
        return []
    formats = {*motion.FORMATS, *gaits.FORMATS}
    paths = (path for path in sorted(directory.iterdir()) if path.name[0] != ".")
    return [path for path in paths if path.suffix.lower() in formats]


def _check_clips(directory: Path, clips: list[Path]) -> None:
    of_dogs = any(map(gaits.recognised, clips))
    library, table = (gaits if of_dogs else motion).examined(directory)
    console = make_console()
    head, _, *rows = (line.strip("| ").split(" | ") for line in table.splitlines())
    for line in _aligned([head, *rows]):
        say(console, line)
    seconds = ((library.clips.length - 1) / library.clips.fps).sum()
    say(
        console,
        f"{len(library.names)} clips of the {'quadruped' if of_dogs else 'humanoid'}, "
        f"{seconds:.1f} s; episodes may start in {library.valid.mean():.0%} of the frames",
    )


def _table(directory: Path) -> list[str]:
    """What a data set holds, a task a line."""
    head = ("task", "tier", "quality", "episodes", "steps", "any", "final", "returns 0/50/100%")
    rows = [head]
    for task, found in summary(directory).items():
        low, _, median, _, high = found.returns
        rows.append(
            (
                task,
                str(found.facts.get("tier", "-")),
                f"{found.facts.get('quality', float('nan')):.3f}",
                f"{found.episodes}{' (unfinished)' if found.missing else ''}",
                str(found.steps),
                f"{found.success_any:.3f}",
                f"{found.success_final:.3f}",
                f"{low:.0f}/{median:.0f}/{high:.0f}",
            )
        )
    return _aligned(rows)


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """A line a row, its columns below each other."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(x.ljust(w) for x, w in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
