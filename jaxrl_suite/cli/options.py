"""Options of a command, parsed by tyro, with its errors in one line."""

import contextlib
import io
from collections.abc import Iterator, Sequence
from typing import TypeVar

import tyro

from jaxrl_suite.core import UsageError

Options = TypeVar("Options")

_BOX = "╭╮╰╯│─ \t"  # what tyro draws around an error


def parse(options: type[Options], arguments: Sequence[str], prog: str) -> Options:
    """The options that `arguments` ask for; ``--help`` prints them all and exits.

    Args:
      options: dataclass; its docstring holds the help.
      arguments: what follows the name of the command.
      prog: the command as the user typed it.

    Raises:
      UsageError: an unknown option or an illegal value, in one line.
    """
    with _in_one_line(prog):
        return tyro.cli(options, args=list(arguments), prog=prog)


def parse_known(options: type[Options], arguments: Sequence[str], prog: str) -> Options:
    """As :func:`parse`, for some of the options: the others, and ``--help``, are left alone."""
    with _in_one_line(prog):
        known, _ = tyro.cli(
            options, args=list(arguments), prog=prog, return_unknown_args=True, add_help=False
        )
    return known


@contextlib.contextmanager
def _in_one_line(prog: str) -> Iterator[None]:
    drawn = io.StringIO()
    try:
        with contextlib.redirect_stderr(drawn):
            yield
    except SystemExit as leaving:
        if not leaving.code:
            raise
        problem = _first_line(drawn.getvalue())
        raise UsageError(f"{problem}; see {prog} --help") from leaving


def _first_line(drawn: str) -> str:
    """What a box of tyro says before its hints, and the flags that it proposes."""
    parts: list[list[str]] = [[]]
    for row in drawn.splitlines()[1:]:  # row 0 is the upper edge with a title
        text = row.strip(_BOX)
        if text:
            parts[-1].append(text)
        else:
            parts.append([])
    problem = " ".join(parts[0]).rstrip(".") or "illegal options"
    flags = [
        text.split()[0]
        for part in parts[1:]
        if part and part[0].startswith("Perhaps you meant")
        for text in part
        if text.startswith("--")
    ]
    return problem + (f"; perhaps you meant {' or '.join(flags)}" if flags else "")
