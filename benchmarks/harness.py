"""The vocabulary of every benchmark here: what is timed, how, and where the rows go.

* Compilation is timed apart (``lower().compile()``), then one call warms up, then >= 5 calls
  are timed and the median is reported with the smallest and the largest.
* Every call is timed twice: wall seconds, and CPU seconds of the whole process
  (``time.process_time`` adds up all threads), as XLA uses every core it finds. A rate per
  CPU-second tells what the work costs, per wall second how long one waits. On an accelerator
  the CPU seconds are the host's and say nothing about the device.
* A ratio comes from :func:`compare` alone: the candidates take turns in one process, A B A B,
  and each round gives one ratio, so that a machine that slows down slows down both.
* Rows are appended to ``benchmarks/results/<name>.jsonl`` with the machine's facts, the load it
  was under included. ``--smoke`` shrinks everything, proves nothing and writes nothing.

``python benchmarks/harness.py NAME`` prints the committed rows of a benchmark as a table.
"""

import argparse
import datetime
import functools
import json
import multiprocessing
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jaxlib
import numpy as np

from jaxrl_suite.core import UsageError

ROOT = Path(__file__).resolve().parent
MIN_REPEATS = 5


class Candidate(NamedTuple):
    """Something to be timed.

    fn: called with `args`; a jitted function is compiled ahead and its compilation timed apart.
        It must not donate its arguments, which every call gets again.
    args: its arguments, the same in every call, so that every call does the same work.
    work: units of work a call does, or a function that counts them in the call's output.
    before: called, untimed, before every timed call.
    """

    fn: Callable[..., Any]
    args: tuple
    work: float | Callable[[Any], float]
    before: Callable[[], None] = lambda: None


class Spread(NamedTuple):
    """Median of the repeats, with the extremes."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:,.4g} ({self.low:,.4g} to {self.high:,.4g})"


class Result(NamedTuple):
    """What was timed of one candidate.

    unit: of the work, plural ("environment steps").
    compile_s: wall seconds to trace, lower and compile; None if `fn` is not jitted.
    first_s: wall seconds of the first call after that (or with it, if `fn` is not jitted).
    wall_s: wall seconds of each timed call.
    cpu_s: CPU seconds of each timed call, all threads.
    """

    name: str
    unit: str
    work: float
    compile_s: float | None
    first_s: float
    wall_s: tuple[float, ...]
    cpu_s: tuple[float, ...]

    def rate(self, clock: str) -> Spread:
        """Units of work a second of `clock`, "wall" or "cpu"."""
        return spread([self.work / seconds for seconds in self._clock(clock)])

    def ratio(self, baseline: "Result", clock: str) -> Spread:
        """How many times the baseline's rate, round by round; above 1 is faster."""
        own, other = self._clock(clock), baseline._clock(clock)
        scale = self.work / baseline.work
        return spread([scale * b / a for a, b in zip(own, other, strict=True)])

    def _clock(self, clock: str) -> tuple[float, ...]:
        return {"wall": self.wall_s, "cpu": self.cpu_s}[clock]


def spread(values: Sequence[float]) -> Spread:
    """Median, minimum and maximum."""
    return Spread(statistics.median(values), min(values), max(values))


def measure(
    fn: Callable[..., Any],
    *args: Any,
    work: float | Callable[[Any], float],
    unit: str,
    name: str = "",
    repeats: int = MIN_REPEATS,
) -> Result:
    """Times one function; see :class:`Candidate` for `fn`, `args` and `work`."""
    (result,) = compare({name: Candidate(fn, args, work)}, unit=unit, repeats=repeats)
    return result


def compare(
    candidates: Mapping[str, Candidate], *, unit: str, repeats: int = MIN_REPEATS
) -> list[Result]:
    """Times several candidates in turns: A B A B ..., one process, `repeats` rounds.

    Args:
      candidates: by name; all are compiled and warmed up before the first round.
      unit: of the work, plural.
      repeats: rounds, at least 5.

    Returns:
      A result each, in the same order; :meth:`Result.ratio` compares two of them.
    """
    if repeats < MIN_REPEATS:
        raise UsageError(f"a median needs at least {MIN_REPEATS} repeats, not {repeats}")
    ready = {name: _prepare(candidate) for name, candidate in candidates.items()}
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in candidates}
    for _ in range(repeats):
        for name, (call, *_) in ready.items():
            candidates[name].before()
            times[name].append(_time(call)[1:])
    return [
        Result(name, unit, work, compile_s, first_s, *zip(*times[name], strict=True))
        for name, (_, work, compile_s, first_s) in ready.items()
    ]


def _prepare(candidate: Candidate) -> tuple[Callable[[], Any], float, float | None, float]:
    """Compiles and warms up; returns the call, its work, compile and first-call seconds."""
    fn, compile_s = candidate.fn, None
    if hasattr(fn, "lower"):
        start = time.perf_counter()
        fn = fn.lower(*candidate.args).compile()
        compile_s = time.perf_counter() - start
    call = functools.partial(fn, *candidate.args)
    output, first_s, _ = _time(call)
    work = candidate.work(output) if callable(candidate.work) else candidate.work
    return call, float(work), compile_s, first_s


def _time(call: Callable[[], Any]) -> tuple[Any, float, float]:
    """Output, wall seconds, CPU seconds of one call, its arrays waited for."""
    wall, cpu = time.perf_counter(), time.process_time()
    output = jax.block_until_ready(call())
    return output, time.perf_counter() - wall, time.process_time() - cpu


def machine() -> dict[str, Any]:
    """What the numbers depend on, and when they were made."""
    device = jax.devices()[0]
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "revision": _revision(),
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "ram_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "load_1min": round(os.getloadavg()[0], 2),
        "device": f"{device.platform}: {device.device_kind}",
        "devices": jax.device_count(),
        "python": platform.python_version(),
        "jax": jax.__version__,
        "jaxlib": jaxlib.__version__,
        "numpy": np.__version__,
    }


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    models = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.machine())


def _revision() -> str:
    """Git revision; "+" says that tracked files were changed since, "unknown" without git."""

    def git(*command: str) -> str:
        run = ["git", "-C", str(ROOT), *command]
        return subprocess.run(run, capture_output=True, text=True, check=True).stdout.strip()

    try:
        changed = git("status", "--porcelain", "--untracked-files=no")
        return git("rev-parse", "--short=12", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def report(
    benchmark: str,
    results: Sequence[Result],
    *,
    settings: Mapping[str, Any],
    facts: Mapping[str, Any],
    baseline: str | None = None,
    smoke: bool = False,
) -> None:
    """Prints a table, and appends the rows to the results file unless it is a smoke test.

    Args:
      benchmark: names the file.
      results: of one :func:`compare` or :func:`measure`.
      settings: what was varied: sizes, names.
      facts: of :func:`machine`, taken before the measurement, for the load it started under.
      baseline: the candidate whose rate the others are divided by.
      smoke: print only.
    """
    named = {result.name: result for result in results}
    rows = []
    for result in results:
        row = {"benchmark": benchmark, "settings": dict(settings), **result._asdict()}
        for clock in ("cpu", "wall"):
            row[f"per_{clock}_s"] = result.rate(clock)._asdict()
            if baseline is not None and result.name != baseline:
                ratio = result.ratio(named[baseline], clock)
                row[f"ratio_{clock}"] = {"to": baseline, **ratio._asdict()}
        rows.append(row | {"machine": dict(facts)})
    print("\n".join(_table(rows)), flush=True)
    append(benchmark, rows, smoke=smoke)


def append(benchmark: str, rows: Sequence[Mapping[str, Any]], *, smoke: bool) -> None:
    """Adds rows to ``results/<benchmark>.jsonl``; a smoke test adds none."""
    if smoke:
        print("smoke test: sizes are tiny, nothing is recorded", flush=True)
        return
    path = ROOT / "results" / f"{benchmark}.jsonl"
    path.parent.mkdir(exist_ok=True)
    with path.open("a") as file:
        file.write("".join(json.dumps(row) + "\n" for row in rows))
    print(f"appended to {path}", flush=True)


def bounded(fn: Callable[..., None], *args: Any, seconds: float) -> bool:
    """Runs ``fn(*args)`` in a process of its own, for at most so long.

    A compilation cannot be interrupted from within its process, and a peer may take for ever.

    Returns:
      Whether it finished. A child that fails has printed why, and ends the parent, too.
    """
    child = multiprocessing.get_context("spawn").Process(target=fn, args=args)
    child.start()
    child.join(seconds)
    if child.is_alive():
        child.kill()
        child.join()
        return False
    if child.exitcode:
        sys.exit(child.exitcode)
    return True


def _repeats(text: str) -> int:
    if not text.isdecimal() or int(text) < MIN_REPEATS:
        raise argparse.ArgumentTypeError(f"must be a number of at least {MIN_REPEATS}: {text}")
    return int(text)


def arguments(description: str) -> argparse.ArgumentParser:
    """The command line that all benchmarks share."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--smoke", action="store_true", help="tiny sizes, nothing recorded")
    parser.add_argument("--repeats", type=_repeats, default=7, help="rounds, at least 5")
    return parser


def _table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Rows as a Markdown table."""
    header = ["settings", "candidate", "compile s", "per CPU-second", "per wall second"]
    header += ["CPU ratio", "wall ratio"]
    lines = [f"| {' | '.join(header)} |", "|---" * len(header) + "|"]
    for row in rows:
        cells = [", ".join(f"{key} {value}" for key, value in row["settings"].items()), row["name"]]
        if "unfinished_after_s" in row:
            cells += [f"did not finish within {row['unfinished_after_s']:g} s", *[""] * 4]
        else:
            cells.append("" if row["compile_s"] is None else f"{row['compile_s']:.1f}")
            for key in ("per_cpu_s", "per_wall_s", "ratio_cpu", "ratio_wall"):
                entry = row.get(key)
                numbers = entry and Spread(entry["median"], entry["low"], entry["high"])
                cells.append(str(numbers) if numbers else "")
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _show(benchmark: str) -> None:
    path = ROOT / "results" / f"{benchmark}.jsonl"
    if not path.exists():
        known = sorted(file.stem for file in path.parent.glob("*.jsonl"))
        sys.exit(f"no results of {benchmark!r}; there are: {', '.join(known) or 'none yet'}")
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for line in _table(rows):
        print(line)
    for facts in {json.dumps(row["machine"]) for row in rows}:
        print(facts)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python benchmarks/harness.py NAME")
    _show(sys.argv[1])
