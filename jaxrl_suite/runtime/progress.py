"""What a run prints: a progress bar on a terminal, a line now and then anywhere else."""

import time

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from jaxrl_suite.runtime import hosts

LINE_INTERVAL = 10.0  # s, between two lines of a log file


def make_console() -> Console:
    """A console on stdout, silent on all processes but the first."""
    return Console(quiet=not hosts.is_main(), highlight=False)


def say(console: Console, text: str) -> None:
    """One line as it is: not wrapped, not coloured, ``[...]`` is no markup."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)


class Shown:
    """How far something is: a bar on a terminal, a line now and then anywhere else.

    A context manager: the bar is drawn while it is entered.
    """

    def __init__(self, console: Console, unit: str, done: int | None = None):
        """Nothing is shown before the first update.

        Args:
          console: to write to.
          unit: how a line tells the count, "update {}" or "{} episodes".
          done: so far, from which on the time left is told; None: the first update tells that, and
            is shown at once.
        """
        self._console, self._unit = console, unit
        self._first = None if done is None else (time.monotonic(), done)
        self._next_line = 0.0 if done is None else time.monotonic() + LINE_INTERVAL
        self._bar: Progress | None = None
        if console.is_terminal and not console.quiet:
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.completed}/{task.total}"),
                TimeRemainingColumn(),
                TextColumn("{task.fields[numbers]}"),
                console=console,
            )
            self._task = self._bar.add_task("", total=None, completed=done or 0, numbers="")

    def __enter__(self) -> "Shown":
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def rate(self, done: int) -> float:
        """Units a second so far, 0 before there were any."""
        begun, had = self._first = self._first or (time.monotonic(), done)
        return (done - had) / max(time.monotonic() - begun, 1e-9)

    def update(
        self, label: str, done: int, total: int, numbers: str = "", *, soon: bool = False
    ) -> None:
        """Takes the newest state; prints a line only if the last one is old, the end or `soon`."""
        rate = self.rate(done)
        if self._bar is not None:
            self._bar.update(
                self._task, description=label, completed=done, total=total, numbers=numbers
            )
            return
        now = time.monotonic()
        if now < self._next_line and done < total and not soon:
            return
        self._next_line = now + LINE_INTERVAL
        left = f"{(total - done) / rate:.0f} s left" if rate else ""
        told = [self._unit.format(f"{done}/{total}"), numbers, left]
        say(self._console, f"{label}: {', '.join(filter(None, told))}")


def told(row: dict, headline: str) -> str:
    """A run's newest row in short: frames, frames/s and one metric."""
    numbers = f"{row['frames']:,} frames, {row['frames_per_second']:,.0f}/s"
    values = np.asarray(row.get(headline, np.nan), np.float64)
    if np.isfinite(values).any():  # of an array, one number a task, the mean
        numbers += f", {headline} {values[np.isfinite(values)].mean():.4g}"
    return numbers
