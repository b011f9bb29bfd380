"""Ctrl-C and SIGTERM: finish the running chunk and save; the second Ctrl-C stops at once."""

import os
import signal
import sys
import threading
import types
from typing import NoReturn


class Interrupted(BaseException):
    """A run was stopped from outside; no ``except Exception`` on its way may swallow it.

    code: what the process should exit with, 128 + the signal (130 Ctrl-C, 143 SIGTERM).
    at_once: whether a chunk was left running on the device.
    """

    def __init__(self, code: int, message: str, *, at_once: bool = False):
        super().__init__(message)
        self.code = code
        self.at_once = at_once


def leave(interrupted: Interrupted) -> NoReturn:
    """Ends the process as the signal asked for; for entry points."""
    print(interrupted, file=sys.stderr, flush=True)
    if interrupted.at_once:
        # A normal exit would wait for the running chunk: JAX clears its devices then.
        sys.stdout.flush()
        os._exit(interrupted.code)
    sys.exit(interrupted.code)


class Signals:
    """While entered, remembers a signal instead of dying of it.

    code: 0, or the exit code that the first signal asks for.
    patient: whether there is a chunk to finish; if not, a signal acts at once.
    """

    def __init__(self, aborted: str) -> None:
        self._aborted = aborted  # what to say when there is no time to save
        self.code = 0
        self.patient = False
        self._before: dict[int, object] = {}

    def __enter__(self) -> "Signals":
        # Python lets only the main thread handle signals; a notebook's thread goes without.
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, _: types.FrameType | None) -> None:
        if self.code or not self.patient:
            raise Interrupted(128 + number, self._aborted, at_once=True)
        self.code = 128 + number
