"""Figures and README numbers of an experiment, made from its committed results alone.

A README marks what is generated, in a paragraph or in a table's cell::

  <!-- begin numbers -->
  | lag | return |
  ...
  <!-- end numbers -->

:func:`publish` writes the figures and rewrites those parts; :func:`stale` tells what differs,
so that a test can hold every README against the results.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from experiments.results import read_header, read_rows
from jaxrl_suite import files
from jaxrl_suite.report import figures
from jaxrl_suite.report.stats import Interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Row = Mapping[str, Any]

INDEX = Path(__file__).parent / "README.md"


class Study(NamedTuple):
    """How an experiment is shown.

    name: as in the index, for instance "impala/corrections".
    results: the results file, in a folder `results` beside the README.
    draw: ``rows -> {file stem: figure}``.
    sections: ``rows -> {name of a generated part of the README: markdown}``.
    finding: ``rows -> one line`` for the index.
    """

    name: str
    results: Path
    draw: Callable[[Sequence[Row]], dict[str, "Figure"]]
    sections: Callable[[Sequence[Row]], dict[str, str]]
    finding: Callable[[Sequence[Row]], str]

    @property
    def folder(self) -> Path:
        """Where README and figures lie."""
        return self.results.parent.parent


def publish(study: Study) -> None:
    """Writes figures, the README's numbers and the line of the index."""
    if not study.results.exists():
        raise SystemExit(f"{study.results} is missing; run the sweep beside this file first")
    for stem, figure in study.draw(read_rows(study.results)).items():
        print(*figures.save(figure, study.folder / stem))
    for path, text in _rendered(study):
        files.write_atomically(path, text.encode())
        print(path)


def stale(study: Study) -> list[Path]:
    """The files whose generated parts are not what the results give."""
    return [path for path, text in _rendered(study) if path.read_text() != text]


def _rendered(study: Study) -> Iterator[tuple[Path, str]]:
    header, rows = read_header(study.results), read_rows(study.results)
    readme = study.folder / "README.md"
    text = _replaced(readme.read_text(), "made", f"\n{made(header)}\n")
    for name, content in study.sections(rows).items():
        text = _replaced(text, name, f"\n{content}\n")
    yield readme, text
    yield INDEX, _replaced(INDEX.read_text(), study.name, f" {study.finding(rows)} ")


def _replaced(text: str, name: str, content: str) -> str:
    begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
    if text.count(begin) != 1 or text.count(end) != 1:
        raise ValueError(f"the README needs one pair {begin} {end}")
    head, rest = text.split(begin)
    return head + begin + content + end + rest.split(end)[1]


def made(header: Row) -> str:
    """When, where and with what a results file was made, as a sentence."""
    machine = header["machine"]
    return (
        f"Made on {machine['date'][:10]} at revision {machine['revision']} on {machine['cpu']}, "
        f"{machine['cores']} cores, {machine['ram_gib']:.0f} GiB "
        f"(1-minute load {machine['load_1min']} at the start), device {machine['device']}; "
        f"Python {machine['python']}, jax {machine['jax']}, numpy {machine['numpy']}."
    )


def table(head: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    """A markdown table."""
    lines = [head, ["---"] * len(head), *body]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def select(rows: Sequence[Row], field: str, **where: Any) -> np.ndarray:
    """The field of the rows with these values, in order of seed: [seeds, ...]."""
    found = [row for row in rows if all(row[k] == v for k, v in where.items())]
    return np.array([row[field] for row in sorted(found, key=lambda row: row["seed"])])


def values(rows: Sequence[Row], field: str) -> list:
    """The distinct values of a field, in order of first appearance."""
    return list(dict.fromkeys(row[field] for row in rows))


def along(total: float, curve: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A curve [seeds, parts] of means over equal parts of a run, at where the parts end.

    Args:
      total: length of the run, for instance in actions.
      curve: the means.
    """
    parts = curve.shape[1]
    return total / parts * np.arange(1, parts + 1), curve


def stacked(intervals: Sequence[Interval]) -> Interval:
    """Intervals of scalars as one of arrays."""
    return Interval(*np.array(intervals, float).reshape(-1, 3).T)


def difference(x: np.ndarray, y: np.ndarray) -> Interval:
    """Mean of x minus mean of y with Welch's 95% interval."""
    from scipy.special import stdtrit

    spread = np.array([x.var(ddof=1) / len(x), y.var(ddof=1) / len(y)])
    freedom = spread.sum() ** 2 / (spread**2 / [len(x) - 1, len(y) - 1]).sum()
    half = stdtrit(freedom, 0.975) * np.sqrt(spread.sum())
    point = x.mean() - y.mean()
    return Interval(point, point - half, point + half)


def limits(intervals: Iterable[Interval]) -> tuple[float, float]:
    """Axis limits that hold all intervals and zero, with a little room."""
    intervals = list(intervals)
    low = min(0.0, *(np.nanmin(interval.low) for interval in intervals))
    high = max(np.nanmax(interval.high) for interval in intervals)
    return low - 0.04 * (high - low) * (low < 0), high + 0.04 * (high - low)


def plus_minus(interval: Interval, form: str = ".2f") -> str:
    """A symmetric interval: 12.30 ± 0.45."""
    return f"{interval.point:{form}} ± {interval.high - interval.point:{form}}"


def bracketed(interval: Interval, form: str = ".2f") -> str:
    """Any interval: 0.62 [0.55, 0.70]."""
    return f"{interval.point:{form}} [{interval.low:{form}}, {interval.high:{form}}]"
