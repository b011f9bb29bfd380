"""Actor threads, a bounded queue, and parameters published to them.

Each actor plays a sequence with the newest published parameters, puts it into the queue and
begins the next. A full queue makes actors wait, an empty one the learner. An actor that fails
ends the run: whoever waits for it gets an :class:`ActorError` with the traceback.
"""

import queue
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from jaxrl_suite.core import Actor, QueueConfig

PyTree = Any

POLL = 0.1  # s, between two looks at whether somebody has failed or wants to stop
STALL = 300.0  # s without an unroll after which the actors are taken for dead


PATIENCE = 10.0  # s that closing waits for a thread to finish its sequence


class ActorError(RuntimeError):
    """An actor failed; the message holds its traceback.

    state: the run's state when this was noticed, None if it had not moved yet.
    """

    state: PyTree = None


class _Published(NamedTuple):
    params: PyTree
    version: int


class ActorThreads:
    """Runs actors on threads of their own."""

    def __init__(
        self,
        actors: Sequence[Actor],
        config: QueueConfig,
        *,
        place: Callable[[PyTree], PyTree],
        stall: float = STALL,
    ):
        """Starts the threads; they wait for the first :meth:`publish`.

        Args:
          actors: one a thread.
          config: of the queue.
          place: moves an unroll to the learner's devices; called on the learner's thread.
          stall: seconds to wait for an unroll before giving up.
        """
        self._actors, self._config, self._place, self._stall = actors, config, place, stall
        self._queue: queue.Queue = queue.Queue(config.size)
        self._published: _Published | None = None
        self._ready = threading.Event()
        self._stop = threading.Event()
        self._error: str | None = None
        self._counting = threading.Lock()
        self._start_count()
        # Daemons: a thread inside an emulator must not keep a dying process alive.
        self._threads = [
            threading.Thread(target=self._run, args=(actor,), daemon=True, name=f"actor-{i}")
            for i, actor in enumerate(actors)
        ]
        for thread in self._threads:
            thread.start()

    def publish(self, params: PyTree, version: int) -> None:
        """Gives the actors new parameters, for the sequences that they begin from now on.

        Args:
          params: a copy that nobody donates.
          version: number of updates that made them.
        """
        self._published = _Published(params, version)  # one reference: read or written whole
        self._ready.set()

    def take(self, version: int) -> tuple[PyTree, ...]:
        """As many unrolls as there are actors, on the learner's devices; waits for them.

        Args:
          version: updates made so far; unrolls much older than that are thrown away.

        Raises:
          ActorError: an actor failed, or none has sent anything for too long.
        """
        unrolls = []
        while len(unrolls) < len(self._actors):
            made_by, unroll = self._get()
            if self._config.max_lag and version - made_by > self._config.max_lag:
                self._discarded += 1
                continue
            unrolls.append(self._place(unroll))
        return tuple(unrolls)

    def _get(self) -> tuple[int, PyTree]:
        start = time.monotonic()
        self._lengths.append(self._queue.qsize())
        while True:
            if self._error is not None:
                raise ActorError(self._error)
            try:
                item = self._queue.get(timeout=POLL)
                self._learner_waited += time.monotonic() - start
                return item
            except queue.Empty:
                if time.monotonic() - start > self._stall:
                    raise ActorError(
                        f"no actor has sent anything for {self._stall:.0f} s"
                    ) from None

    def metrics(self) -> dict[str, float]:
        """Since the last call: mean queue length, shares of time waited, unrolls thrown away."""
        with self._counting:
            seconds = max(time.monotonic() - self._since, 1e-9)
            metrics = {
                "queue_length": sum(self._lengths) / max(len(self._lengths), 1),
                "learner_waiting": self._learner_waited / seconds,
                "actors_waiting": min(1.0, self._actors_waited / seconds / len(self._actors)),
                "unrolls_discarded": float(self._discarded),
            }
            self._start_count()
        return metrics

    def _start_count(self) -> None:
        self._since = time.monotonic()
        self._lengths: list[int] = []
        self._learner_waited = self._actors_waited = 0.0
        self._discarded = 0

    def _run(self, actor: Actor) -> None:
        try:
            while not self._ready.wait(POLL):
                if self._stop.is_set():
                    return
            while not self._stop.is_set():
                params, version = self._published
                self._put((version, actor.unroll(params, version)))
        except BaseException:
            self._error = traceback.format_exc()

    def _put(self, item: tuple[int, PyTree]) -> None:
        waiting = True
        while waiting and not self._stop.is_set():
            start = time.monotonic()
            try:
                self._queue.put(item, timeout=POLL)
                waiting = False
            except queue.Full:
                pass
            # Bit by bit, so that a long wait counts where it was.
            with self._counting:
                self._actors_waited += time.monotonic() - start

    def close(self) -> None:
        """Ends the threads, each after the sequence that it is playing, then the actors."""
        self._stop.set()
        self._ready.set()
        for actor, thread in zip(self._actors, self._threads, strict=True):
            thread.join(PATIENCE)
            if not thread.is_alive():  # an emulator in use must not be pulled away
                actor.close()
