"""The command `jaxrl`: the only room that sees all others."""

from jaxrl_suite.cli.main import main

__all__ = ["main"]
