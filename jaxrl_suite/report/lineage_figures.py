"""Figures of a lineage: does evolution search, what descends from whom, what do mutations do.

Every function returns a matplotlib Figure in the house style. `value` names what the fitness
is, with its unit, for the axes. Definitions and sources are those of :mod:`lineage`.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from jaxrl_suite.core import UsageError
from jaxrl_suite.report import figures, lineage_tree, stats, style
from jaxrl_suite.report import lineage as data
from jaxrl_suite.report import lineage_marks as marks
from jaxrl_suite.report.lineage import Lineage

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SEARCHED = "bodies searched"
VALUE = "fitness (episode return)"
POINTS = 400  # along a curve: more than a panel has room to tell apart


def fitness(
    runs: Mapping[str, Sequence[Lineage]],
    window: int,
    *,
    value: str = VALUE,
    colours: Mapping[str, str] | None = None,
) -> "Figure":
    """Best fitness so far and mean fitness of the living against bodies searched.

    Args:
      runs: seeds by scheme, for instance "evolution" and "random search". A scheme is drawn up
        to its shortest run.
      window: bodies alive at a time.
      value: what the fitness is, with its unit.
      colours: see :func:`style.looks`.

    Returns:
      The figure: two panels, bands over seeds.
    """
    best, mean, left_out = {}, {}, 0
    for label, seeds in runs.items():
        if not seeds:
            raise UsageError(f"scheme {label!r} has no run")
        seeds = [data.checked(run) for run in seeds]
        length = min(len(run.parent) for run in seeds)
        shown = _spread(0, length - 1)
        bests = np.array([data.best_so_far(run)[shown] for run in seeds])
        means = np.array([data.running_mean(run, window).mean[shown] for run in seeds])
        best[label] = shown + 1, np.where(np.isfinite(bests), bests, np.nan)
        mean[label] = shown + 1, means
        left_out += sum(int(np.isneginf(run.fitness[:length]).sum()) for run in seeds)
    figure, axes = figures.panels(2)
    common = {"x_label": SEARCHED, "colours": colours}
    figures.curves(best, y_label=value, title="Best so far", ax=axes[0], **common)
    figures.curves(
        mean,
        y_label=value,
        title=f"Mean of the last {window}",
        subtitle=marks.without(left_out) if left_out else None,
        ax=axes[1],
        **common,
    )
    return figure


def muller(lineage: Lineage, window: int, *, most: int = 8, title: str | None = None) -> "Figure":
    """Muller plot: the living by founder, and below how many founders still count.

    Args:
      lineage: of one run.
      window: bodies alive at a time.
      most: founders in colour, those with the largest mean share; the rest is grey.
      title: what is to be seen.

    Returns:
      The figure: shares from the first full window on, then founders alive and effective.
    """
    from matplotlib.ticker import LogLocator, NullLocator

    n = len(lineage.parent)
    counts = _spread(window if window < n else 1, n)
    founders, _, share = data.founder_shares(lineage, window, counts)
    named = np.sort(np.argsort(-share.mean(0), kind="stable")[:most])
    rest = np.delete(share, named, 1).sum(1)
    colours = [marks.tint(i) for i in range(len(named))]
    with style.house():
        figure, (top, low) = figures.panels(
            2, columns=1, width=figures.WIDTH, height=2.9, sharex=True, height_ratios=[2.6, 1]
        )
        top.stackplot(
            counts,
            *share[:, named].T,
            rest,
            colors=[*colours, "#d4d8dd"],
            edgecolor=style.PAPER,
            linewidth=0.5,
        )
        top.set(xlim=(counts[0], counts[-1] + (n == 1)), ylim=(0, 1))
        top.set_ylabel(f"share of the last {window} bodies")
        top.grid(False)
        top.tick_params(labelbottom=False)
        marks.name_bands(top, counts, share[:, named], founders[named], rest, colours)
        style.head(
            top,
            title or "Founders whose descendants live",
            f"of {len(founders)} founders, in colour from below: "
            + ", ".join(map(str, founders[named])),
        )
        looks = style.looks(["a", "b"])
        lines = {"alive": data.survivors(share), "effective": data.effective_founders(share)}
        for (label, line), look in zip(lines.items(), looks, strict=True):
            low.plot(counts, line, color=look["color"], label=label)
        low.set_yscale("log")
        low.set_ylim(0.9, 1.15 * max(line.max() for line in lines.values()))
        low.yaxis.set_major_locator(LogLocator(subs=(1, 3)))
        low.yaxis.set_minor_locator(NullLocator())
        low.yaxis.set_major_formatter("{x:g}")
        low.set_xlabel(SEARCHED)
        low.set_ylabel("founders")
        low.legend(loc="upper right", ncols=2, frameon=False, handlelength=1.4)
    return figure


def phylogeny(
    lineage: Lineage,
    window: int,
    *,
    most: int = 300,
    value: str = VALUE,
    title: str | None = None,
) -> "Figure":
    """Tree of the living and their ancestors in the colour of their fitness.

    Args:
      lineage: of one run.
      window: bodies alive at a time.
      most: see :func:`lineage_tree.layout`; extinct branches are thin and grey.
      value: what the fitness is, with its unit.
      title: what is to be seen.

    Returns:
      The figure: birth to the right, a line a body, surviving founders numbered.
    """
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    lineage = data.checked(lineage)
    tree = lineage_tree.layout(lineage, window, most)
    n, rows = len(lineage.parent), tree.row.max() + 1
    score = lineage.fitness[tree.numbers]
    finite = score[np.isfinite(score) & ~tree.extinct]
    norm = Normalize(*((finite.min(), finite.max()) if finite.size else (0, 1)))
    with style.house():
        height = float(np.clip(1.5 + 0.16 * rows, 3.2, 8.0))
        figure, (ax,) = figures.panels(1, width=7.2, height=height)
        width = float(np.clip(160 / rows, 0.7, 1.8))
        marks.branches(ax, tree, lineage.parent, score, norm, width)
        ax.set(xlim=(-0.02 * n, 1.01 * n), ylim=(rows - 0.4, -0.6), yticks=[])
        ax.set_xlabel(f"birth ({SEARCHED})")
        ax.grid(False)
        ax.spines["left"].set_visible(False)
        marks.name_roots(ax, tree, data.founder(lineage), rows / (72 * 0.8 * height))
        bar = figure.colorbar(
            ScalarMappable(norm, marks.visible_ramp()), ax=ax, shrink=0.6, aspect=30, pad=0.02
        )
        bar.set_label(value)
        bar.outline.set_visible(False)
        style.head(ax, title or "Descent of the living", _shown(tree, score))
    return figure


def by_generation(lineage: Lineage, *, value: str = VALUE, title: str | None = None) -> "Figure":
    """Fitness by mutations since the founder: every body, and the mean of each generation.

    Args:
      lineage: of one run.
      value: what the fitness is, with its unit.
      title: what is to be seen.

    Returns:
      The figure.
    """
    score, depth = data.checked(lineage).fitness, data.generation(lineage)
    finite = np.isfinite(score)
    found = data.per_generation((lineage, score))
    # Aside by a fixed sequence that never clusters (multiples of the golden ratio).
    aside = 0.56 * ((np.arange(len(score)) * 0.618034) % 1 - 0.5)
    with style.house():
        _, (ax,) = figures.panels(1, width=figures.WIDTH, height=figures.HEIGHT)
        ax.scatter(
            (depth + aside)[finite],
            score[finite],
            s=float(np.clip(3000 / len(score), 6, 20)),
            color=style.PALETTE[5],
            alpha=0.5,
            linewidth=0,
            rasterized=len(score) > 500,  # thousands of vector marks would weigh on a page
        )
        figures.intervals(
            {"mean": (found.generation, found.interval)},
            x_label="generation (mutations since the founder)",
            y_label=value,
            x_scale="linear",
            title=title or "Fitness by generation",
            subtitle="points: bodies of one run; whiskers: 95% interval over these bodies, which\n"
            f"are relatives: other runs vary more (Student's t){_also_without(~finite)}",
            ax=ax,
        )
    return ax.figure


def operators(*lineages: Lineage, value: str = VALUE, title: str | None = None) -> "Figure":
    """Child's fitness minus its parent's, by the operator that made the child.

    Args:
      *lineages: of one run or several, pooled.
      value: what the fitness is, with its unit.
      title: what is to be seen.

    Returns:
      The figure: a bar an operator, the best on top.
    """
    effects = data.operator_effects(*lineages)
    if not effects:
        raise UsageError("no body has a parent: there is no operator to show")
    parts = zip(*(effect.interval for effect in effects.values()), strict=True)
    interval = stats.Interval(*(np.array(part, float) for part in parts))
    left_out = sum(effect.ignored for effect in effects.values())
    return figures.bars(
        [f"{name} ({effect.children})" for name, effect in effects.items()],
        {"effect": interval},
        x_label=f"child minus parent: {value}",
        title=title or "Effect of each operator",
        subtitle="mean over (children); whiskers: 95% bootstrap interval over parents, 3 or more\n"
        "winners of tournaments are lucky: compare operators, not with 0"
        + (f"\n{marks.without(left_out)}" if left_out else ""),
    )


def _shown(tree: lineage_tree.Tree, score: NDArray) -> str:
    """Who is in the tree and who is not."""
    ancestors = np.count_nonzero(~tree.living & ~tree.extinct)
    told = f"the last {np.count_nonzero(tree.living)} bodies and their {ancestors} ancestors"
    if np.any(~np.isfinite(score) & ~tree.extinct):
        told += "; crosses: failed"
    extinct = {"thin and grey": np.count_nonzero(tree.extinct), "not shown": tree.dropped}
    rest = "; ".join(f"{many} {how}" for how, many in extinct.items() if many)
    return f"{told}\nextinct bodies: {rest}" if rest else told


def _spread(first: int, last: int) -> NDArray:
    """At most POINTS whole numbers from first to last, both included."""
    return np.unique(np.linspace(first, last, min(POINTS, last - first + 1)).round().astype(int))


def _also_without(broken: NDArray) -> str:
    return f"\n{marks.without(int(broken.sum()))}" if broken.any() else ""
