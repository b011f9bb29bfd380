"""``jaxrl demo``: every system, trained, evaluated, filmed and reported on."""

import dataclasses
from pathlib import Path

from jaxrl_suite.cli import commands as room
from jaxrl_suite.cli.inspecting import write_report
from jaxrl_suite.cli.options import parse
from jaxrl_suite.cli.systems import SYSTEMS
from jaxrl_suite.cli.training import LoopOptions, continue_run, launch
from jaxrl_suite.runtime.progress import make_console, say
from jaxrl_suite.runtime.rundir import ROOT, Run, open_run


@dataclasses.dataclass(frozen=True)
class DemoOptions:
    """Train the quick preset of every system, evaluate, and write one HTML page.

    An interrupted demo goes on where it stopped; delete its directory to begin anew.

    Attributes:
      short: seconds rather than minutes: it shows that everything works, not that it learns.
      root: directory for the demo's runs and page; empty for runs/demo or runs/demo-short.
    """

    short: bool = False
    root: str = ""


def demo(arguments: list[str]) -> None:
    """``jaxrl demo``."""
    options = parse(DemoOptions, arguments, "jaxrl demo")
    root = Path(options.root or ROOT / ("demo-short" if options.short else "demo"))
    loop = LoopOptions(root=root)
    console = make_console()
    runs: list[Run] = []
    for system, commands in SYSTEMS.items():
        for name, preset in commands.demo(options.short).items():
            if (root / system / name).exists():
                run = continue_run(open_run(f"{system}/{name}", root=root), loop)
            else:
                run = launch(system, "quick", preset, seed=0, name=name, loop=loop)
            loaded = room.load(run, commands)
            for line in commands.evaluate(loaded, commands.eval_options()):
                say(console, line)
            say(console, f"written: {commands.render(loaded, commands.render_options())}")
            runs.append(run)
    say(console, f"the report: {write_report(runs, root / 'report.html')}")
