"""The run loop: compiled chunks of updates with everything that has side effects in between."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from rich.console import Console

from jaxrl_suite.core import History, HostSystem, Metrics, PyTree, System, SystemState, UsageError
from jaxrl_suite.runtime import checkpoint, hosts
from jaxrl_suite.runtime import mesh as meshes
from jaxrl_suite.runtime.actors import ActorError
from jaxrl_suite.runtime.chunk import Compiled, Fed
from jaxrl_suite.runtime.history import NAME, HistoryFile
from jaxrl_suite.runtime.interrupt import Interrupted, Signals
from jaxrl_suite.runtime.metrics import MetricsFile, Row, Sink
from jaxrl_suite.runtime.progress import Shown, make_console, say, told
from jaxrl_suite.runtime.rundir import Run


def init_or_restore(
    system: System | HostSystem, run: Run, *, hyper: PyTree = None, mesh: Mesh | None = None
) -> SystemState:
    """The state that :func:`fit` goes on from: the newest checkpoint, else a fresh one.

    Args:
      system: the closed loop.
      run: its seed makes the fresh state.
      hyper: of a fresh state; None for the system's default.
      mesh: devices to place the state on; None for one device.
    """
    key = jax.random.key(run.record.seed)
    if hosts.on_all(lambda: checkpoint.latest_step(run.checkpoints)) is None:
        return meshes.init_state(system, key, hyper, mesh)
    template = jax.eval_shape(system.init, *((key,) if hyper is None else (key, hyper)))
    places = None if mesh is None else meshes.shardings(system, mesh, template)
    return checkpoint.restore(run.checkpoints, template, shardings=places)


def fit(
    system: System | HostSystem,
    run: Run,
    state: SystemState,
    *,
    num_updates: int,
    log_every: int,
    checkpoint_every: int,
    evaluate_every: int = 0,
    mesh: Mesh | None = None,
    sinks: Sequence[Sink] = (),
    headline: str = "",
    console: Console | None = None,
) -> SystemState:
    """Trains until `num_updates` updates have been made in all, starting from `state`.

    Writes metrics and checkpoints into `run`, prints progress, and stops in good order on
    Ctrl-C and SIGTERM. Calling it again with the restored state goes on bit for bit.

    Args:
      system: the closed loop.
      run: where to write; see rundir.
      state: see :func:`init_or_restore`; it is donated.
      num_updates: updates of the whole run, those in `state` included.
      log_every: updates in one row of metrics; evaluation and checkpoints fall on such rows.
      checkpoint_every: updates between checkpoints, a multiple of `log_every`.
      evaluate_every: updates between evaluations, a multiple of `log_every`; 0 for none.
      mesh: devices to split the batch over; None for one device.
      sinks: take each row too, on process 0.
      headline: the metric to show while training.
      console: where to print; None for stdout.

    Returns:
      The state after `num_updates` updates; its checkpoint is on disk.

    Raises:
      UsageError: bad intervals, a full disk or a loss that is not finite.
      ActorError: an actor of a HostSystem failed; what it had come to is saved.
      Interrupted: by Ctrl-C (code 130) or SIGTERM (code 143).
    """
    _check_intervals(log_every, checkpoint_every, evaluate_every)
    session = _Session(system, run, mesh, console or make_console())
    aborted = f"stopped at once; go on from the newest checkpoint with: jaxrl resume {run.path}"
    with ExitStack() as stack:
        stack.enter_context(run.lock())
        stack.enter_context(session.saving_when_an_actor_fails())
        signals = stack.enter_context(Signals(aborted))
        update = int(state.num_updates)
        if update >= num_updates:
            say(session.console, f"{run.path} has made its {update} updates already")
            return state
        if hosts.on_all(lambda: checkpoint.latest_step(run.checkpoints)) is None:
            # A full disk shows itself here and not after the first interval.
            checkpoint.save(run.checkpoints, update, state)
        session.open_sinks(stack, update, sinks)
        session.open_history(stack, state)
        stack.callback(session.close)
        state = session.compile(state, evaluate=evaluate_every > 0)
        label = f"{run.record.system}/{run.path.name}"
        shown = stack.enter_context(Shown(session.console, "update {}", done=update))
        signals.patient = True
        while update < num_updates:
            end = min(num_updates, update - update % log_every + log_every)
            state, row, problem = session.advance(state, update, end)
            update = end
            last = update == num_updates
            if evaluate_every and not problem and (last or update % evaluate_every == 0):
                row |= session.evaluate(state, update)
            session.write(row)
            session.write_history(state)
            shown.update(label, update, num_updates, told(row, headline))
            if problem:
                raise session.divergence(problem)
            code = hosts.any_process(signals.code)
            if code or last or update % checkpoint_every == 0:
                checkpoint.save(run.checkpoints, update, state)
            if code and not last:
                raise Interrupted(
                    code, f"saved update {update}; go on with: jaxrl resume {run.path}"
                )
    return state


def _check_intervals(log_every: int, checkpoint_every: int, evaluate_every: int) -> None:
    if log_every < 1:
        raise UsageError(f"log_every is {log_every}; it must be at least 1")
    if checkpoint_every < 1 or checkpoint_every % log_every:
        raise UsageError(
            f"checkpoint_every is {checkpoint_every}; it must be a multiple of log_every = "
            f"{log_every}"
        )
    if evaluate_every < 0 or evaluate_every % log_every:
        raise UsageError(
            f"evaluate_every is {evaluate_every}; it must be 0 or a multiple of log_every = "
            f"{log_every}"
        )


class _Session:
    """The compiled programs and open files of one call of :func:`fit`."""

    def __init__(self, system: System | HostSystem, run: Run, mesh: Mesh | None, console: Console):
        self.console = console
        self._system, self._run, self._mesh = system, run, mesh
        self._driver = (Fed if isinstance(system, HostSystem) else Compiled)(
            system, mesh, self._compiled
        )
        self._sinks: list[Sink] = []
        self._history: HistoryFile | None = None  # on process 0 alone
        self._wall = 0.0  # s, of earlier sessions

    def open_sinks(self, stack: ExitStack, update: int, more: Sequence[Sink]) -> None:
        """Opens metrics.jsonl on process 0, cut back to `update`."""
        file = hosts.on_main(lambda: MetricsFile(self._run.metrics, after_update=update))
        if file is not None:
            self._sinks = [file, *more]
            self._wall = file.last["wall_seconds"] if file.last else 0.0
            for sink in self._sinks:
                stack.callback(sink.close)

    def open_history(self, stack: ExitStack, state: SystemState) -> None:
        """Opens the mirror of the system's history on process 0, cut back to `state`."""
        history = self._mirrored(state)
        if history is None:
            return
        record = self._run.record
        identity = {"config": record.config, "hyper": record.hyper, "seed": record.seed}
        path = self._run.path / NAME
        self._history = hosts.on_main(lambda: HistoryFile(path, identity, history))
        if self._history is not None:
            stack.callback(self._history.close)

    def write_history(self, state: SystemState) -> None:
        """Adds what the history has more now."""
        history = self._mirrored(state)
        if history is not None:
            hosts.on_main(lambda: self._history.write(history))

    def _mirrored(self, state: SystemState) -> History | None:
        """The history in host memory; gathering it is the work of all processes."""
        of = getattr(self._system, "history", None)
        return None if of is None else hosts.to_numpy(of(state))

    def compile(self, state: SystemState, *, evaluate: bool) -> SystemState:
        """Compiles what the run needs, ahead of time; returns the state on its devices."""
        self._key = jax.random.key(self._run.record.seed)
        state = self._driver.start(state)
        if evaluate:
            self._evaluate = self._evaluation(state)
        self._start = time.monotonic()
        return state

    def _evaluation(self, state: SystemState) -> Callable[[SystemState, jax.Array], Metrics]:
        evaluation = self._system.evaluate
        if isinstance(self._system, HostSystem) or self._system.evaluates_on_host:
            return evaluation
        if self._mesh is None:
            evaluation = jax.jit(evaluation)
        else:
            split = meshes.shardings(self._system, self._mesh, state)
            whole = NamedSharding(self._mesh, PartitionSpec())
            evaluation = jax.jit(evaluation, in_shardings=(split, whole), out_shardings=whole)
        return self._compiled("evaluation", evaluation, state, self._key_at(0))

    def _compiled(self, name: str, function: Any, *arguments: PyTree) -> Any:
        say(self.console, f"compiling the {name} program ...")
        start = time.monotonic()
        compiled = function.lower(*arguments).compile()
        say(self.console, f"compiled in {time.monotonic() - start:.1f} s")
        return compiled

    def _key_at(self, update: int) -> jax.Array:
        """Evaluation's key depends on seed and update alone, so that it disturbs no training."""
        key = jax.random.fold_in(self._key, update)
        return key if self._mesh is None else meshes.replicate(key, self._mesh)

    def advance(
        self, state: SystemState, update: int, end: int
    ) -> tuple[SystemState, Row, str | None]:
        """One chunk; returns the state, its row, and what is not finite, if anything."""
        start = time.monotonic()
        state, result = self._driver.advance(state, end - update)
        while not result.finite.is_ready():
            time.sleep(0.002)  # a blocking wait would keep Python from seeing a second Ctrl-C
        mean, bad, finite = jax.device_get(result)
        now = time.monotonic()
        frames = self._system.frames_per_update
        row = {
            "update": end,
            "frames": end * frames,
            "wall_seconds": self._wall + now - self._start,
            "frames_per_second": (end - update) * frames / max(now - start, 1e-9),
        }
        problem = None
        if bad >= 0:
            problem = f"the loss of update {bad} is not finite"
        elif not finite:
            problem = f"a parameter is not finite after update {end}"
        return state, row | mean | self._driver.host_metrics(), problem

    @contextmanager
    def saving_when_an_actor_fails(self) -> Iterator[None]:
        """Lets an :class:`ActorError` through after saving what there is."""
        try:
            yield
        except ActorError as error:
            if error.state is not None:
                checkpoint.save(self._run.checkpoints, int(error.state.num_updates), error.state)
            last = checkpoint.latest_step(self._run.checkpoints)
            raise ActorError(
                f"{error}\nan actor has failed, as told above; update {last} is saved; go on "
                f"with: jaxrl resume {self._run.path}"
            ) from error

    def close(self) -> None:
        """Ends what the driver has started."""
        self._driver.close()

    def evaluate(self, state: SystemState, update: int) -> Row:
        """Evaluation metrics, each named ``eval/...``."""
        metrics = jax.device_get(self._evaluate(state, self._key_at(update)))
        return {f"eval/{name}": value for name, value in metrics.items()}

    def write(self, row: Row) -> None:
        """Hands a row to every sink."""
        hosts.on_main(lambda: [sink.write(row) for sink in self._sinks])

    def divergence(self, problem: str) -> UsageError:
        """The error of a run that has left the finite numbers; its state was not saved."""
        last = hosts.on_all(lambda: checkpoint.latest_step(self._run.checkpoints))
        return UsageError(
            f"{problem}; the last good checkpoint is {self._run.checkpoints / str(last)}; "
            "resuming repeats this: start a new run with a smaller learning rate or another seed"
        )
