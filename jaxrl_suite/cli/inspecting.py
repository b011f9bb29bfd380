"""``jaxrl list``, ``eval``, ``render`` and ``report``: looking at runs without changing them."""

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import tyro

from jaxrl_suite.cli import commands as room
from jaxrl_suite.cli.options import parse, parse_known
from jaxrl_suite.cli.systems import SYSTEMS, commands_of
from jaxrl_suite.core import UsageError
from jaxrl_suite.report.html import Page
from jaxrl_suite.runtime.progress import make_console, say
from jaxrl_suite.runtime.rundir import ROOT, Run, list_runs, open_run


@dataclasses.dataclass(frozen=True)
class ListOptions:
    """Systems, their presets and what they play, then the runs made so far.

    Attributes:
      root: directory that holds all runs.
    """

    root: Path = ROOT


def list_everything(arguments: list[str]) -> None:
    """``jaxrl list``."""
    options = parse(ListOptions, arguments, "jaxrl list")
    console = make_console()
    for name, commands in SYSTEMS.items():
        say(console, f"{name}: {commands.summary}")
        say(console, f"  presets: {', '.join(commands.presets)}")
        for line in commands.inventory():
            say(console, f"  {line}")
    runs = list_runs(options.root)
    say(console, f"{len(runs)} runs under {options.root}")
    for run in runs:
        say(console, f"  {run.path}  {run.record.preset}, seed {run.record.seed}, {run.status}")


@dataclasses.dataclass(frozen=True)
class _Place:
    """Where runs are."""

    root: Path = ROOT


def _run_options(
    arguments: list[str], command: str, options_of: Any
) -> tuple[room.SystemCommands, room.Loaded, Any]:
    """Parses ``RUN ...`` with the options that the run's system has for this command."""
    if not arguments or arguments[0].startswith("-"):
        raise UsageError(f"say which run: jaxrl {command} RUN; see `jaxrl list`")
    reference, *rest = arguments
    # The run is needed to know its system's options, and --root to find the run.
    prog = f"jaxrl {command} {reference}"
    run = open_run(reference, root=parse_known(_Place, rest, prog).root)
    commands = commands_of(run.record.system)
    chosen = options_of(commands)
    both = dataclasses.make_dataclass("Options", [], bases=(_Place, chosen), frozen=True)
    both.__doc__ = f"{chosen.__doc__.rstrip()}\n      root: directory that holds all runs.\n    "
    options = parse(both, rest, prog)
    return commands, room.load(run, commands), options


def evaluate(arguments: list[str]) -> None:
    """``jaxrl eval RUN ...``."""
    commands, loaded, options = _run_options(arguments, "eval", lambda c: c.eval_options)
    for line in commands.evaluate(loaded, options):
        say(make_console(), line)


def render(arguments: list[str]) -> None:
    """``jaxrl render RUN ...``."""
    commands, loaded, options = _run_options(arguments, "render", lambda c: c.render_options)
    say(make_console(), f"written: {commands.render(loaded, options)}")


@dataclasses.dataclass(frozen=True)
class ReportOptions:
    """One HTML page about runs; it works offline.

    Attributes:
      runs: the runs, in the order of the page.
      output: the page; empty for report.html in the first run.
      root: directory that holds all runs.
    """

    runs: Annotated[tuple[str, ...], tyro.conf.Positional]
    output: str = ""
    root: Path = ROOT


def report(arguments: list[str]) -> None:
    """``jaxrl report RUN [RUN ...]``."""
    options = parse(ReportOptions, arguments, "jaxrl report")
    if not options.runs:
        raise UsageError("say which run: jaxrl report RUN [RUN ...]; see `jaxrl list`")
    runs = [open_run(reference, root=options.root) for reference in options.runs]
    path = write_report(runs, Path(options.output) if options.output else runs[0].report)
    say(make_console(), f"written: {path}")


def write_report(runs: list[Run], path: Path) -> Path:
    """Writes the page about `runs` and returns its path."""
    titles = sorted({run.record.system for run in runs})
    page = Page(", ".join(titles), f"{len(runs)} run{'s' if len(runs) > 1 else ''}")
    for run in runs:
        commands_of(run.record.system).report(page, run)
    return page.write(path)
