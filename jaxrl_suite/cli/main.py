"""Entry point: chooses the command, and turns errors into one line and an exit code."""

import os
import sys
from collections.abc import Callable, Sequence

from jaxrl_suite.core import UsageError
from jaxrl_suite.runtime.actors import ActorError
from jaxrl_suite.runtime.interrupt import Interrupted, leave

_HELP = """\
usage: jaxrl COMMAND ...

  list                          systems, presets, games and the runs made so far
  train SYSTEM [PRESET] ...     train; `jaxrl train SYSTEM PRESET --help` lists every setting
  resume RUN ...                go on with a stopped run, bit for bit
  eval RUN ...                  evaluate the newest checkpoint
  render RUN ...                write a video of the newest checkpoint
  report RUN [RUN ...]          write one HTML page about runs
  view FILE [FILE ...]          simulate bodies from MJCF files and show them
  data collect DIR ...          play Meta-World's scripted experts into a data set
  data check DIR                verify a data set, and print what is in it
  demo [--short]                train the quick preset of every system and report on it

RUN is a directory, or SYSTEM/NAME or NAME under runs/ (another place: --root).
`jaxrl COMMAND ... --help` lists the options of a command.
"""


# Commands whose options depend on what their first argument names.
_NEED_A_NAME = ("train", "resume", "eval", "render")


def _commands() -> dict[str, Callable[[list[str]], None]]:
    # Imported here: `jaxrl --help` should not wait for everything that a run needs.
    from jaxrl_suite.cli import data, demo, inspecting, training, view

    return {
        "list": inspecting.list_everything,
        "train": training.train,
        "resume": training.resume,
        "eval": inspecting.evaluate,
        "render": inspecting.render,
        "report": inspecting.report,
        "view": view.view,
        "data": data.data,
        "demo": demo.demo,
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
      argv: arguments without the program's name; None for those of the process.

    Returns:
      The exit code: 0; 1 when an actor has failed, with its traceback; 2 for bad input, with one
      line that says how to mend it; 130 or 143 after Ctrl-C or SIGTERM; 141 when the reader of its
      output has left.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    help_wanted = not arguments or arguments[0] in ("-h", "--help", "help")
    # `jaxrl eval --help`: which options there are depends on the system of the run.
    help_wanted |= arguments[1:] in (["-h"], ["--help"]) and arguments[0] in _NEED_A_NAME
    if help_wanted:
        print(_HELP, end="")
        return 0 if arguments else 2
    name, *rest = arguments
    try:
        commands = _commands()
        if name not in commands:
            raise UsageError(f"unknown command {name!r}; legal: {', '.join(commands)}")
        from jaxrl_suite.runtime.compile_cache import enable_compile_cache

        enable_compile_cache()
        commands[name](rest)
    except UsageError as error:
        print("jaxrl:", " ".join(str(error).splitlines()), file=sys.stderr)
        return 2
    except ActorError as error:
        print(f"{error}", file=sys.stderr)
        return 1
    except Interrupted as interrupted:
        leave(interrupted)
    except BrokenPipeError:  # `... --help | head`: the reader has all that it wanted
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is flushed at exit goes nowhere
        return 141
    except KeyboardInterrupt:
        print("jaxrl: interrupted", file=sys.stderr)
        return 130
    return 0
