"""``jaxrl train`` and ``jaxrl resume``."""

import dataclasses
import datetime
import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tyro
from jax.sharding import Mesh

from jaxrl_suite.cli import commands as room
from jaxrl_suite.cli.options import parse
from jaxrl_suite.cli.systems import commands_of
from jaxrl_suite.core import HostSystem, Preset, System, SystemState, UsageError
from jaxrl_suite.runtime import hosts
from jaxrl_suite.runtime.loop import fit
from jaxrl_suite.runtime.mesh import init_state, make_mesh
from jaxrl_suite.runtime.metrics import Sink, TensorBoardSink, WandbSink, missing_extra
from jaxrl_suite.runtime.progress import make_console, say
from jaxrl_suite.runtime.rundir import (
    ROOT,
    Run,
    create_run,
    extend_run,
    make_record,
    open_run,
)


@dataclasses.dataclass(frozen=True)
class LoopOptions:
    """How a run is watched and where it computes; none of it changes the result.

    Attributes:
      log_every: updates in one row of metrics; 0 for a fortieth of the run.
      checkpoint_every: updates between checkpoints, rounded up to whole rows; 0 for a quarter of
        the run.
      evaluate_every: updates between evaluations, rounded up to whole rows; 0 for none. A run that
        is resumed keeps its three intervals unless others are given.
      devices: devices to split the batch over; 0 for a single one without a mesh.
      coordinator: host:port of process 0 of a run over several processes; empty for one process.
      num_processes: processes of the run.
      process_id: which of them this one is.
      tensorboard: write TensorBoard files too (extra: tensorboard).
      wandb: log to Weights & Biases too (extra: wandb).
      root: directory that holds all runs.
    """

    log_every: int = 0
    checkpoint_every: int = 0
    evaluate_every: int = 0
    devices: int = 0
    coordinator: str = ""
    num_processes: int = 1
    process_id: int = 0
    tensorboard: bool = False
    wandb: bool = False
    root: Path = ROOT


def train(arguments: list[str]) -> None:
    """``jaxrl train SYSTEM [PRESET] ...``: a new run."""
    if not arguments or arguments[0].startswith("-"):
        raise UsageError("say which system: jaxrl train SYSTEM [PRESET]; see `jaxrl list`")
    name, *rest = arguments
    commands = commands_of(name)
    preset_name = rest.pop(0) if rest and not rest[0].startswith("-") else "quick"
    if preset_name not in commands.presets:
        raise UsageError(
            f"{name} has no preset {preset_name!r}; legal: {', '.join(commands.presets)}"
        )
    preset = commands.presets[preset_name]

    # The settings of every system differ, so the type of the options is made here.
    fields = [
        ("config", type(preset.config), preset.config),
        ("hyper", type(preset.hyper), preset.hyper),
        ("num_updates", int, 0 if commands.length else preset.num_updates),
        ("seed", int, 0),
        ("name", str, ""),
        ("init_from", str, ""),
        ("reset_heads", bool, False),
        ("loop", tyro.conf.OmitArgPrefixes[LoopOptions], LoopOptions()),
    ]
    options_type = dataclasses.make_dataclass(
        "Train", [(n, t, dataclasses.field(default_factory=lambda d=d: d)) for n, t, d in fields]
    )
    options_type.__doc__ = f"""Train {name} from the preset {preset_name!r}.

    Attributes:
      config: what fixes the compiled program.
      hyper: numbers of the learning rule.
      num_updates: length of the run{"; 0 for all of it" if commands.length else ""}.
      seed: of everything random.
      name: of the run's directory; empty for preset and time.
      init_from: run whose newest parameters are the first ones (fine-tuning).
      reset_heads: with init_from, keep fresh policy and value heads.
    """
    options = parse(options_type, rest, f"jaxrl train {name} {preset_name}")
    launch(
        name,
        preset_name,
        Preset(
            options.config,
            options.hyper,
            _length(commands, options.config, options.num_updates),
        ),
        seed=options.seed,
        name=options.name or f"{preset_name}-{datetime.datetime.now():%Y%m%d-%H%M%S}",
        loop=options.loop,
        init_from=options.init_from,
        reset_heads=options.reset_heads,
    )


def _length(commands: room.SystemCommands, config: Any, asked: int) -> int:
    """Updates of a run: as many as asked for, or all of one that comes to an end by itself."""
    if commands.length is None:
        return asked
    whole = commands.length(config)
    if asked > whole:
        raise UsageError(f"num_updates must be at most {whole}, where the run ends, not {asked}")
    return asked or whole


def launch(
    system_name: str,
    preset_name: str,
    preset: Preset,
    *,
    seed: int,
    name: str,
    loop: LoopOptions,
    init_from: str = "",
    reset_heads: bool = False,
) -> Run:
    """Starts a run and trains it to its end.

    Args:
      system_name: a key of SYSTEMS.
      preset_name: what run.json names as the origin of the setting.
      preset: the setting itself.
      seed: of everything random.
      name: of the run's directory.
      loop: how it is watched and where it computes.
      init_from: run whose newest parameters are the first ones; empty for fresh ones.
      reset_heads: with init_from, keep fresh policy and value heads.

    Returns:
      The finished run.
    """
    if preset.num_updates < 1:
        raise UsageError(f"num_updates must be at least 1, not {preset.num_updates}")
    if reset_heads and not init_from:
        raise UsageError("fresh heads are what a new run has: --reset-heads goes with --init-from")
    commands = commands_of(system_name)
    intervals = _intervals(loop, preset.num_updates, default=commands.log_every)
    if init_from and commands.warm_start is None:
        raise UsageError(f"{system_name} begins from nothing: leave --init-from out")
    _check_sinks(loop)
    if commands.settle is not None:
        settled = commands.settle(preset.config, intervals["evaluate_every"] > 0)
        preset = preset._replace(config=settled)
    mesh = _devices(loop)
    key = room.seeded_key(seed)  # no device may be touched before hosts have met
    system = commands.make(preset.config, preset.hyper, seed)
    parent = open_run(init_from, root=loop.root) if init_from else None
    # All this before the directory is made: bad input leaves nothing behind.
    state = init_state(system, key, preset.hyper, mesh)
    if parent is not None:
        pretrained = room.load(parent, commands, mesh).state.learner.params
        state = commands.warm_start(state, pretrained, reset_heads=reset_heads)
    record = make_record(
        system_name,
        preset_name,
        preset.config,
        preset.hyper,
        seed=seed,
        num_updates=preset.num_updates,
        intervals=intervals,
        parent=str(parent.path) if parent else None,
    )
    run = create_run(record, name, root=loop.root)
    _fit(run, system, state, loop, intervals, mesh, commands.headline)
    return run


def resume(arguments: list[str]) -> None:
    """``jaxrl resume RUN ...``: goes on where the newest checkpoint stands."""
    if not arguments or arguments[0].startswith("-"):
        raise UsageError("say which run: jaxrl resume RUN; see `jaxrl list`")
    reference, *rest = arguments
    options_type = dataclasses.make_dataclass(
        "Resume",
        [
            ("num_updates", int, dataclasses.field(default=0)),
            (
                "loop",
                tyro.conf.OmitArgPrefixes[LoopOptions],
                dataclasses.field(default_factory=LoopOptions),
            ),
        ],
    )
    options_type.__doc__ = """Go on with a run, bit for bit.

    Attributes:
      num_updates: a new length of the whole run; 0 keeps the one it was started with.
    """
    options = parse(options_type, rest, "jaxrl resume RUN")
    if options.num_updates < 0:
        raise UsageError(f"num_updates must be at least 0, not {options.num_updates}")
    mesh = _devices(options.loop)
    run = open_run(reference, root=options.loop.root)
    continue_run(run, options.loop, mesh, num_updates=options.num_updates)


def continue_run(
    run: Run, loop: LoopOptions, mesh: Mesh | None = None, *, num_updates: int = 0
) -> Run:
    """Trains a run on from its newest checkpoint to its end.

    Args:
      run: the run.
      loop: how it is watched; its intervals, where 0, are those that the run has had.
      mesh: devices to split the state over; None for a single one.
      num_updates: a new length of the whole run; 0 keeps the one it has.
    """
    intervals = _intervals(loop, num_updates or run.record.num_updates, run.record.intervals)
    _check_sinks(loop)
    commands = commands_of(run.record.system)
    loaded = room.load(run, commands, mesh, fresh=True)
    if commands.settle is not None:
        commands.settle(loaded.config, intervals["evaluate_every"] > 0)
    if num_updates:
        made = int(loaded.state.num_updates)
        num_updates = _length(commands, loaded.config, num_updates)
        if num_updates < made:
            raise UsageError(f"{run.path} has made {made} updates: num_updates must be larger")
        with run.lock():
            run = extend_run(run, num_updates)
    _fit(run, loaded.system, loaded.state, loop, intervals, mesh, commands.headline)
    return run


def _devices(loop: LoopOptions) -> Mesh | None:
    """The mesh of the run, None for a single device."""
    if loop.coordinator:
        hosts.initialize_distributed(loop.coordinator, loop.num_processes, loop.process_id)
        return make_mesh(loop.devices or None)
    if loop.num_processes != 1 or loop.process_id:
        raise UsageError("several processes need the host:port of process 0: --coordinator")
    return make_mesh(loop.devices) if loop.devices else None


def _intervals(
    loop: LoopOptions,
    num_updates: int,
    before: Mapping[str, int] | None = None,
    default: int = 0,
) -> dict[str, int]:
    """Updates between rows, checkpoints and evaluations.

    `before` are those the run has had, `default` is the system's own for rows.
    """
    before = before or {}
    for name in ("log_every", "checkpoint_every", "evaluate_every"):
        if getattr(loop, name) < 0:
            raise UsageError(f"{name} must be at least 0, not {getattr(loop, name)}")
    log = loop.log_every or before.get("log_every") or default or max(1, num_updates // 40)
    save = loop.checkpoint_every or before.get("checkpoint_every") or max(1, num_updates // 4)
    evaluate = loop.evaluate_every or before.get("evaluate_every") or 0
    # Rounded up to whole rows, because checkpoints and evaluations fall on one.
    whole = lambda updates: -(-updates // log) * log  # noqa: E731
    return {"log_every": log, "checkpoint_every": whole(save), "evaluate_every": whole(evaluate)}


def _check_sinks(loop: LoopOptions) -> None:
    """Raises UsageError for a sink that is not installed, before anything is written."""
    for wanted, module, extra in (
        (loop.tensorboard, "tensorboardX", "tensorboard"),
        (loop.wandb, "wandb", "wandb"),
    ):
        if wanted and importlib.util.find_spec(module) is None:
            raise missing_extra(extra)


def _fit(
    run: Run,
    system: System | HostSystem,
    state: SystemState,
    loop: LoopOptions,
    intervals: dict[str, int],
    mesh: Mesh | None,
    headline: str,
) -> None:
    total = run.record.num_updates
    console = make_console()
    say(console, f"run {run.path}: {total} updates, {total * system.frames_per_update:,} frames")
    sinks: list[Sink] = []
    if hosts.is_main():
        if loop.tensorboard:
            sinks.append(TensorBoardSink(run.path))
        if loop.wandb:
            sinks.append(WandbSink(run.path, run.record.config))
    fit(
        system,
        run,
        state,
        num_updates=total,
        **intervals,
        mesh=mesh,
        sinks=sinks,
        headline=headline,
        console=console,
    )
    say(console, f"done: {run.path}; look at it with: jaxrl report {run.path}")
