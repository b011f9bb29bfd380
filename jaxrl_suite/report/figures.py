"""Figures: a few kinds of chart, each showing what several seeds say and how sure it is.

A series is ``label: (x, y)`` with `y` either [seeds, x], from which the mean and Student's t
interval follow (:func:`stats.mean_interval`), or a :class:`stats.Interval` of arrays [x] that
the caller computed. Every function returns a matplotlib Figure; given axes (of
:func:`panels`) it draws there instead of making a figure.
"""

import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from jaxrl_suite import files
from jaxrl_suite.core import UsageError
from jaxrl_suite.report import series as data
from jaxrl_suite.report import stats, style
from jaxrl_suite.report.series import Series

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

WIDTH, HEIGHT = 6.4, 3.8  # inches, of one panel
MAX_DIRECT_LABELS = 8  # beyond, labels at the lines' ends would fill the axes' height


def panels(
    count: int, *, columns: int = 2, width: float = 4.6, height: float = 3.6, **subplots: object
) -> tuple["Figure", list["Axes"]]:
    """An empty figure of `count` panels; draw into each with ``ax=``.

    Args:
      count: panels.
      columns: panels a row.
      width: of a panel, in inches.
      height: of a panel, in inches.
      **subplots: of matplotlib's ``Figure.subplots``, for instance ``sharey=True``.

    Returns:
      The figure and its axes, in reading order.
    """
    from matplotlib.figure import Figure

    columns = min(columns, count)
    rows = -(-count // columns)
    with style.house():
        figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
        figure.get_layout_engine().set(w_pad=0.12, h_pad=0.12)
        axes = figure.subplots(rows, columns, squeeze=False, **subplots).ravel()
        for ax in axes[count:]:
            ax.remove()
    return figure, list(axes[:count])


def curves(
    series: Series,
    *,
    x_label: str,
    y_label: str | None,
    title: str | None = None,
    subtitle: str | None = None,
    colours: Mapping[str, str] | None = None,
    ax: "Axes | None" = None,
) -> "Figure":
    """Learning curves: a line a series, its interval a band, its name at its end.

    Args:
      series: see the module. NaN leaves a gap.
      x_label: with the unit, for instance "environment frames".
      y_label: with the unit; None beside a panel that says it.
      title: what is to be seen.
      subtitle: default: which statistic, how many seeds.
      colours: see :func:`style.looks`.
      ax: axes to draw into.

    Returns:
      The figure.
    """
    summary = data.summarise(series)
    looks = style.looks(list(series), colours)
    with style.house():
        ax = ax or panels(1, width=WIDTH, height=HEIGHT)[1][0]
        for (label, (x, interval)), look in zip(summary.items(), looks, strict=True):
            line = {"color": look["color"], "linestyle": look["linestyle"]}
            ax.plot(x, interval.point, label=label, **line)
            ax.fill_between(
                x, interval.low, interval.high, color=look["color"], alpha=0.16, linewidth=0
            )
        _abbreviate(ax.xaxis)
        _finish(ax, x_label, y_label, title, subtitle or data.caption(series, "bands"))
        _name_series(ax, [(x, i.point) for x, i in summary.values()], list(series), looks)
    return ax.figure


def intervals(
    series: Series,
    *,
    x_label: str,
    y_label: str | None,
    x_scale: str = "categorical",
    title: str | None = None,
    subtitle: str | None = None,
    colours: Mapping[str, str] | None = None,
    ax: "Axes | None" = None,
) -> "Figure":
    """Points with whiskers against a setting, for instance the return against the policy lag.

    Args:
      series: see the module.
      x_label: with the unit.
      y_label: with the unit; None beside a panel that says it.
      x_scale: "categorical" puts every setting (a name, or a number such as the lags 0, 1, 4,
        16) at the same distance from the next, in order of first appearance; "linear"; "log"
        is logarithmic to the base 2.
      title: what is to be seen.
      subtitle: default: which statistic, how many seeds.
      colours: see :func:`style.looks`.
      ax: axes to draw into.

    Returns:
      The figure.
    """
    if x_scale not in ("categorical", "linear", "log"):
        raise UsageError(f'x_scale must be "categorical", "linear" or "log", not {x_scale!r}')
    names = list(dict.fromkeys(x for xs, _ in series.values() for x in data.listed(xs)))
    summary = data.summarise(series)
    looks = style.looks(list(series), colours)
    with style.house():
        ax = ax or panels(1, width=WIDTH, height=HEIGHT)[1][0]
        if x_scale == "log":
            ax.set_xscale("log", base=2)
        lines = []
        for i, (label, look) in enumerate(zip(series, looks, strict=True)):
            interval = summary[label][1]
            x = data.dodged(
                data.listed(series[label][0]), names, x_scale, i - (len(series) - 1) / 2
            )
            ax.plot(x, interval.point, color=look["color"], linewidth=1.1, alpha=0.55)
            _whiskers(ax, x, interval, look, label=label)
            lines.append((x, interval.point))
        if x_scale == "categorical":
            ax.set_xticks(range(len(names)), [str(name) for name in names])
        else:
            ax.set_xticks(names, [f"{name:g}" for name in names])
        _finish(ax, x_label, y_label, title, subtitle or data.caption(series, "whiskers"))
        _name_series(ax, lines, list(series), looks)
    return ax.figure


def bars(
    groups: Sequence[str],
    series: Mapping[str, ArrayLike | stats.Interval],
    *,
    x_label: str,
    sections: Sequence[str] | None = None,
    title: str | None = None,
    subtitle: str | None = None,
    colours: Mapping[str, str] | None = None,
    ax: "Axes | None" = None,
) -> "Figure":
    """Horizontal bars with whiskers: the return on each variant, trained against random.

    Args:
      groups: one name a row, for instance of the variants.
      series: ``label: y`` with y [seeds, groups] or an Interval of arrays [groups].
      x_label: what the bars measure, with the unit.
      sections: one name a group; a heading is set where it changes ("train", "unseen").
      title: what is to be seen.
      subtitle: default: which statistic, how many seeds.
      colours: see :func:`style.looks`.
      ax: axes to draw into.

    Returns:
      The figure, as tall as its rows and as wide as its names need.
    """
    if sections is not None and len(sections) != len(groups):
        raise UsageError(f"{len(groups)} groups need as many sections, not {len(sections)}")
    with_x = {label: (groups, y) for label, y in series.items()}
    summary = data.summarise(with_x)
    looks = style.looks(list(series), colours)
    rows, headings = data.rows(sections or [""] * len(groups))
    thickness = 0.78 / len(series)
    with style.house():
        height = 1.3 + rows[-1] * max(0.24, 0.13 * len(series))
        # Room for long names: about 0.08 inches a letter beyond what a panel has beside its axes.
        width = WIDTH + 0.08 * max(0, max(len(str(group)) for group in groups) - 24)
        ax = ax or panels(1, width=width, height=height)[1][0]
        for i, (label, look) in enumerate(zip(series, looks, strict=True)):
            interval = summary[label][1]
            y = rows + (i - (len(series) - 1) / 2) * thickness
            ax.barh(y, interval.point, 0.86 * thickness, color=look["color"], label=label)
            dark = {"ecolor": style.INK, "elinewidth": 0.9, "fmt": "none", "alpha": 0.75}
            ax.errorbar(interval.point, y, xerr=data.arms(interval), **dark)
        for row, heading in headings:
            ax.annotate(
                heading,
                xy=(0, row),
                xycoords=("axes fraction", "data"),
                xytext=(-6, 0),
                textcoords="offset points",
                ha="right",
                va="center",
                weight="bold",
            )
        ax.set_yticks(rows, groups)
        ax.set_ylim(rows[-1] + 0.6, min([row for row, _ in headings], default=rows[0]) - 0.6)
        ax.grid(axis="y", visible=False)
        ax.grid(axis="x")
        ax.axvline(0, color=style.MUTED, linewidth=0.8)
        ax.spines["left"].set_visible(False)
        if len(series) > 1:  # on top, where a tall chart is read first
            ax.legend(
                loc="lower left", bbox_to_anchor=(-0.01, 1), ncols=4, frameon=False, handlelength=1
            )
        lift = 20 * -(-len(series) // 4) if len(series) > 1 else 0
        _finish(ax, x_label, None, title, subtitle or data.caption(with_x, "whiskers"), lift)
    return ax.figure


def heatmap(
    values: ArrayLike,
    rows: Sequence[object],
    columns: Sequence[object],
    *,
    x_label: str,
    y_label: str,
    title: str | None = None,
    subtitle: str | None = None,
    form: str = ".3g",
    ax: "Axes | None" = None,
) -> "Figure":
    """A table that is also a picture, for instance returns by network width and variants.

    Args:
      values: [rows, columns]; NaN is left blank.
      rows: their names, top to bottom.
      columns: their names.
      x_label: what the columns are.
      y_label: what the rows are.
      title: what is to be seen.
      subtitle: which statistic, how many seeds; there is no default, for a mean shows neither.
      form: format of the numbers in the cells.
      ax: axes to draw into.

    Returns:
      The figure.
    """
    values = np.asarray(values, float)
    if values.shape != (len(rows), len(columns)):
        raise UsageError(
            f"values must be [{len(rows)} rows, {len(columns)} columns], not {list(values.shape)}"
        )
    with style.house():
        size = {"width": 2.2 + 0.72 * len(columns), "height": 1.4 + 0.42 * len(rows)}
        ax = ax or panels(1, **size)[1][0]
        mesh = ax.pcolormesh(values, cmap=style.ramp(), edgecolors=style.PAPER, linewidth=1.5)
        for (row, column), value in np.ndenumerate(values):
            if np.isfinite(value):
                ink = "#16181d" if mesh.norm(value) < 0.5 else "#f7f7f4"
                place = {"ha": "center", "va": "center"}
                ax.text(column + 0.5, row + 0.5, format(value, form), color=ink, **place)
        ax.set_xticks(np.arange(len(columns)) + 0.5, [str(name) for name in columns])
        ax.set_yticks(np.arange(len(rows)) + 0.5, [str(name) for name in rows])
        ax.tick_params(length=0)
        ax.invert_yaxis()
        ax.grid(False)
        ax.spines[:].set_visible(False)
        _finish(ax, x_label, y_label, title, subtitle)
    return ax.figure


def svg(figure: "Figure") -> bytes:
    """The figure as SVG, the same bytes for the same figure: no date, no random identifiers."""
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    return _encoded(figure, "svg", nothing)


def png(figure: "Figure") -> bytes:
    """The figure as PNG, 150 dots an inch, the same bytes for the same figure."""
    return _encoded(figure, "png", {"Software": None})


def save(figure: "Figure", path: str | os.PathLike) -> tuple[Path, Path]:
    """Writes the figure beside `path` as .png and .svg, whatever ending `path` has.

    Returns:
      Both paths.
    """
    path = Path(path)
    return (
        files.write_atomically(path.with_suffix(".png"), png(figure)),
        files.write_atomically(path.with_suffix(".svg"), svg(figure)),
    )


def _encoded(figure: "Figure", kind: str, metadata: dict) -> bytes:
    buffer = io.BytesIO()
    with style.house():
        figure.savefig(buffer, format=kind, metadata=metadata)
    return buffer.getvalue()


def _whiskers(
    ax: "Axes", x: np.ndarray, interval: stats.Interval, look: dict, *, label: str
) -> None:
    ax.errorbar(
        x,
        interval.point,
        yerr=data.arms(interval),
        color=look["color"],
        marker=look["marker"],
        linestyle="none",
        elinewidth=1.3,
        markeredgecolor=style.PAPER if look["marker"] != "x" else look["color"],
        markeredgewidth=0.8,
        markersize=6,
        label=label,
    )


def _finish(
    ax: "Axes",
    x_label: str,
    y_label: str | None,
    title: str | None,
    subtitle: str | None,
    lift: float = 0,
) -> None:
    ax.set_xlabel(x_label)
    if y_label:
        ax.set_ylabel(y_label)
    style.head(ax, title, subtitle, lift)


def _abbreviate(axis: "Axis") -> None:
    """Ticks such as 2M for two million; small numbers stay as they are."""
    from matplotlib.ticker import EngFormatter

    if np.abs(axis.get_view_interval()).max() >= 10_000:
        axis.set_major_formatter(EngFormatter(sep=""))


def _name_series(
    ax: "Axes", lines: Sequence[tuple[np.ndarray, np.ndarray]], labels: list[str], looks: list[dict]
) -> None:
    """Labels at the lines' ends if they fit there, else a legend; none for a single line."""
    if len(lines) == 1:
        return
    ends = []
    for x, y in lines:
        finite = np.flatnonzero(np.isfinite(y))
        if finite.size:
            ends.append((x[finite[-1]], y[finite[-1]]))
    if len(lines) > MAX_DIRECT_LABELS or len(ends) < len(lines):
        _legend(ax)
        return
    ax.autoscale_view()
    style.end_labels(ax, labels, ends, looks)


def _legend(ax: "Axes") -> None:
    """One legend a figure: its panels show the same series."""
    if ax.figure.legends:
        return
    ax.figure.legend(
        *ax.get_legend_handles_labels(),
        loc="outside lower left",
        ncols=4,
        frameon=False,
        handlelength=1.4,
        columnspacing=1.6,
    )
