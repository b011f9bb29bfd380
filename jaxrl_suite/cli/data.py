"""``jaxrl data``: collects trajectories from scripted experts, and checks what was collected."""

import dataclasses
import shlex
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from jaxrl_suite.cli.options import parse
from jaxrl_suite.core import UsageError
from jaxrl_suite.data import Progress, collect, load, summary
from jaxrl_suite.data.collecting import Tier
from jaxrl_suite.runtime.interrupt import Interrupted, Signals
from jaxrl_suite.runtime.progress import LINE_INTERVAL, make_console, say

_HELP = """\
usage: jaxrl data COMMAND DIR ...

  collect DIR ...               play Meta-World's scripted experts into DIR, or go on with that
  check DIR                     verify every checksum, and print what is in DIR
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
    """Verify every checksum of a data set, and print what is in it.

    Attributes:
      directory: of the data set.
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
        shown = stack.enter_context(_Shown(console))

        def report(progress: Progress) -> None:
            shown.update(progress)
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


class _Shown:
    """A bar on a terminal, a line now and then anywhere else: episodes/s and time left."""

    def __init__(self, console: Console):
        self._console = console
        self._bar: Bar | None = None
        self._first: tuple[float, int] | None = None  # when it began, and with how many
        self._next_line = 0.0
        if console.is_terminal and not console.quiet:
            self._bar = Bar(
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.completed}/{task.total}"),
                TimeRemainingColumn(),
                TextColumn("{task.fields[numbers]}"),
                console=console,
            )
            self._task = self._bar.add_task("collecting", total=None, numbers="")

    def __enter__(self) -> "_Shown":
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def update(self, progress: Progress) -> None:
        """Takes the newest state; prints a line only when the last one is old."""
        now = time.monotonic()
        begun, had = self._first = self._first or (now, progress.done)
        rate = (progress.done - had) / max(now - begun, 1e-9)
        label = f"{progress.task}{', calibrating' if progress.calibrating else ''}"
        numbers = f"{rate:.1f} episodes/s" if rate else ""
        if self._bar is not None:
            self._bar.update(
                self._task,
                description=label,
                completed=progress.done,
                total=progress.total,
                numbers=numbers,
            )
            return
        worth_a_line = progress.calibrating or progress.done == progress.total
        if now < self._next_line and not worth_a_line:
            return
        self._next_line = now + LINE_INTERVAL
        left = f", {(progress.total - progress.done) / rate:.0f} s left" if rate else ""
        between = ", " if numbers else ""
        episodes = f"{progress.done}/{progress.total} episodes"
        say(self._console, f"{label}: {episodes}{between}{numbers}{left}")


def _check(arguments: list[str]) -> None:
    options = parse(CheckOptions, arguments, "jaxrl data check")
    # A task at a time: a whole data set may be larger than the memory.
    for task in summary(options.directory):
        load(options.directory, [task], partial=True)
    console = make_console()
    for line in _table(options.directory):
        say(console, line)
    say(console, "every checksum is right")


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
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    return [
        "  ".join(x.ljust(w) for x, w in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
