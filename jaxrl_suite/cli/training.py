"""``jaxrl train`` and ``jaxrl resume``."""

import dataclasses
import datetime
from pathlib import Path

import jax
import tyro
from jax.sharding import Mesh

from jaxrl_suite.cli import commands as room
from jaxrl_suite.cli.systems import commands_of
from jaxrl_suite.core import Preset, System, SystemState, UsageError
from jaxrl_suite.runtime import hosts
from jaxrl_suite.runtime.loop import fit
from jaxrl_suite.runtime.mesh import init_state, make_mesh
from jaxrl_suite.runtime.metrics import Sink, TensorBoardSink, WandbSink
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

    log_every: updates in one row of metrics; 0 for a fortieth of the run.
    checkpoint_every: updates between checkpoints; 0 for a quarter of the run.
    evaluate_every: updates between evaluations; 0 for none.
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
        ("num_updates", int, preset.num_updates),
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

    config: what fixes the compiled program.
    hyper: numbers of the learning rule.
    num_updates: length of the run.
    seed: of everything random.
    name: of the run's directory; empty for preset and time.
    init_from: run whose newest parameters are the first ones (fine-tuning).
    reset_heads: with init_from, keep fresh policy and value heads.
    """
    options = tyro.cli(options_type, args=rest, prog=f"jaxrl train {name} {preset_name}")
    launch(
        name,
        preset_name,
        Preset(options.config, options.hyper, options.num_updates),
        seed=options.seed,
        name=options.name or f"{preset_name}-{datetime.datetime.now():%Y%m%d-%H%M%S}",
        loop=options.loop,
        init_from=options.init_from,
        reset_heads=options.reset_heads,
    )


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
    mesh = _devices(loop)
    commands = commands_of(system_name)
    system = commands.make(preset.config, preset.hyper)
    parent = open_run(init_from, root=loop.root) if init_from else None
    # All this before the directory is made: bad input leaves nothing behind.
    state = init_state(system, jax.random.key(seed), preset.hyper, mesh)
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
        parent=str(parent.path) if parent else None,
    )
    run = create_run(record, name, root=loop.root)
    _fit(run, system, state, loop, mesh, commands.headline)
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

    num_updates: a new length of the whole run; 0 keeps the one it was started with.
    """
    options = tyro.cli(options_type, args=rest, prog="jaxrl resume RUN")
    mesh = _devices(options.loop)
    run = open_run(reference, root=options.loop.root)
    if options.num_updates:
        run = extend_run(run, options.num_updates)
    continue_run(run, options.loop, mesh)


def continue_run(run: Run, loop: LoopOptions, mesh: Mesh | None = None) -> Run:
    """Trains a run on from its newest checkpoint to its end."""
    commands = commands_of(run.record.system)
    loaded = room.load(run, commands, mesh)
    _fit(run, loaded.system, loaded.state, loop, mesh, commands.headline)
    return run


def _devices(loop: LoopOptions) -> Mesh | None:
    """The mesh of the run, None for a single device."""
    if loop.coordinator:
        hosts.initialize_distributed(loop.coordinator, loop.num_processes, loop.process_id)
        return make_mesh()
    return make_mesh(loop.devices) if loop.devices else None


def _fit(
    run: Run,
    system: System,
    state: SystemState,
    loop: LoopOptions,
    mesh: Mesh | None,
    headline: str,
) -> None:
    total = run.record.num_updates
    log_every = loop.log_every or max(1, total // 40)
    # Rounded up to whole log steps, because a checkpoint falls on one.
    wanted = loop.checkpoint_every or max(1, total // 4)
    checkpoint_every = -(-wanted // log_every) * log_every
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
        log_every=log_every,
        checkpoint_every=checkpoint_every,
        evaluate_every=-(-loop.evaluate_every // log_every) * log_every,
        mesh=mesh,
        sinks=sinks,
        headline=headline,
        console=console,
    )
    say(console, f"done: {run.path}; look at it with: jaxrl report {run.path}")
