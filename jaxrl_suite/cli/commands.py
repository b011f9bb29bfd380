"""What the command line needs to know of a system, whichever it is."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
from jax.sharding import Mesh

from jaxrl_suite.core import HostSystem, Preset, System, SystemState, UsageError
from jaxrl_suite.report.html import Page
from jaxrl_suite.runtime import checkpoint
from jaxrl_suite.runtime.jsonable import from_jsonable
from jaxrl_suite.runtime.mesh import init_state, shardings
from jaxrl_suite.runtime.rundir import Run


class Loaded(NamedTuple):
    """A run with what its record describes, and its newest state."""

    run: Run
    config: Any
    hyper: Any
    system: System | HostSystem
    state: SystemState


class SystemCommands(NamedTuple):
    """One system on the command line.

    summary: one line for ``jaxrl list``.
    presets: name -> preset.
    make: ``(config, hyper, seed) -> System or HostSystem``; the seed is for what lives outside of
        the state.
    headline: the metric to show while training.
    warm_start: ``(state, params, reset_heads=False) -> state``, for ``--init-from``; None where a
      run cannot begin with another's parameters.
    eval_options: dataclass of the options of ``jaxrl eval``.
    evaluate: ``(Loaded, options) -> list of lines``; prints nothing, writes into the run.
    render_options: dataclass of the options of ``jaxrl render``.
    render: ``(Loaded, options) -> path`` of the video that was written.
    report: ``(Page, Run) -> None``, adds the sections of one run.
    demo: ``short -> {name of a run: its setting}``.
    inventory: lines for ``jaxrl list``.
    length: ``config -> updates`` that a run takes to its end; None where it may be of any length.
    settle: ``(config, evaluates) -> config`` as the run's record is to have it, before anything is
      written; raises UsageError for what the run, or evaluating while it trains, needs and this
      machine lacks. None where there is nothing to settle.
    log_every: updates in one row of metrics unless a run says otherwise; 0 for a fortieth of it.
    """

    summary: str
    presets: dict[str, Preset]
    make: Callable[[Any, Any, int], System | HostSystem]
    headline: str
    warm_start: Callable[..., SystemState] | None
    eval_options: type
    evaluate: Callable[[Loaded, Any], list[str]]
    render_options: type
    render: Callable[[Loaded, Any], Path]
    report: Callable[[Page, Run], None]
    demo: Callable[[bool], dict[str, Preset]]
    inventory: Callable[[], list[str]]
    length: Callable[[Any], int] | None = None
    settle: Callable[[Any, bool], Any] | None = None
    log_every: int = 0


def _without_checkpoint(run: Run) -> str:
    why = f"{run.path} stopped before its first checkpoint"
    if run.record.parent is None:
        return f"{why}; train it: jaxrl resume {run.path}"
    return f"{why}; delete it and start it again from {run.record.parent}"


def check_least(options: Any, **least: int) -> None:
    """Raises UsageError for an option below its least value."""
    for name, bound in least.items():
        if getattr(options, name) < bound:
            raise UsageError(f"{name} must be at least {bound}, not {getattr(options, name)}")


def seeded_key(seed: int) -> jax.Array:
    """A random key.

    Raises:
      UsageError: a seed that would be another one in disguise, for a key has 32 bits of it.
    """
    if not 0 <= seed < 2**32:
        raise UsageError(f"seed must lie in 0 .. {2**32 - 1}, not {seed}")
    return jax.random.key(seed)


def load(
    run: Run, commands: SystemCommands, mesh: Mesh | None = None, *, fresh: bool = False
) -> Loaded:
    """The newest state of a run, with its configuration.

    Args:
      run: the run.
      commands: of its system.
      mesh: devices to split the state over; None for a single one.
      fresh: a run that was stopped before its first checkpoint starts from update 0; without
        this, or if its first parameters were another run's, that is an error.

    Raises:
      UsageError: no checkpoint yet, a damaged one, or one of another configuration.
    """
    preset = next(iter(commands.presets.values()))
    config = from_jsonable(type(preset.config), run.record.config, "config")
    hyper = from_jsonable(type(preset.hyper), run.record.hyper, "hyper")
    system = commands.make(config, hyper, run.record.seed)
    if checkpoint.latest_step(run.checkpoints) is None:
        if fresh and run.record.parent is None:
            state = init_state(system, jax.random.key(run.record.seed), hyper, mesh)
            return Loaded(run, config, hyper, system, state)
        raise UsageError(_without_checkpoint(run))
    template = jax.eval_shape(lambda: system.init(jax.random.key(run.record.seed), hyper))
    split = None if mesh is None else shardings(system, mesh, template)
    state = checkpoint.restore(run.checkpoints, template, shardings=split)
    return Loaded(run, config, hyper, system, state)
