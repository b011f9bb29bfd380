"""What a run prints: a progress bar on a terminal, a line now and then anywhere else."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

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


class Reporter:
    """Shows how far a run is: frames, frames/s, time left and one metric."""

    def __init__(self, console: Console, label: str, *, done: int, total: int, headline: str):
        self._console, self._label, self._headline = console, label, headline
        self._total, self._first = total, done
        self._start = time.monotonic()
        self._next_line = self._start + LINE_INTERVAL
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
            self._task = self._bar.add_task(label, total=total, completed=done, numbers="")

    @contextmanager
    def live(self) -> Iterator["Reporter"]:
        """Draws the bar while entered."""
        if self._bar is None:
            yield self
        else:
            with self._bar:
                yield self

    def update(self, row: dict) -> None:
        """Takes the newest row; prints a line only when the last one is old."""
        numbers = f"{row['frames']:,} frames, {row['frames_per_second']:,.0f}/s"
        values = np.asarray(row.get(self._headline, np.nan), np.float64)
        if np.isfinite(values).any():  # of an array, one number a task, the mean
            numbers += f", {self._headline} {values[np.isfinite(values)].mean():.4g}"
        if self._bar is not None:
            self._bar.update(self._task, completed=row["update"], numbers=numbers)
            return
        now = time.monotonic()
        if now < self._next_line and row["update"] < self._total:
            return
        self._next_line = now + LINE_INTERVAL
        left = (now - self._start) / (row["update"] - self._first) * (self._total - row["update"])
        numbers += f", {left:.0f} s left"
        say(self._console, f"{self._label}: update {row['update']}/{self._total}, {numbers}")
