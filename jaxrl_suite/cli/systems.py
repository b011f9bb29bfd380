"""The systems that the command line knows."""

from jaxrl_suite.cli import ase, derl, harmodt, impala, lifelike
from jaxrl_suite.cli.commands import SystemCommands
from jaxrl_suite.core import UsageError

SYSTEMS: dict[str, SystemCommands] = {
    "impala": impala.COMMANDS,
    "harmodt": harmodt.COMMANDS,
    "ase": ase.COMMANDS,
    "lifelike": lifelike.COMMANDS,
    "derl": derl.COMMANDS,
}


def commands_of(name: str) -> SystemCommands:
    """The commands of a system.

    Raises:
      UsageError: there is no such system.
    """
    if name not in SYSTEMS:
        raise UsageError(f"unknown system {name!r}; legal: {', '.join(SYSTEMS)}")
    return SYSTEMS[name]
