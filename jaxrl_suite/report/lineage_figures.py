"""Figures of a lineage: does evolution search, what descends from whom, does it learn faster.

Every function returns a matplotlib Figure in the house style. `value` names what the fitness
is, with its unit, for the axes. Definitions and sources are those of :mod:`lineage`.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

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
DEBATE = (
    "Each body learns for {budget} iterations; one that ends higher also passes a fixed score "
    "sooner. Whether such a change is a Baldwin effect is disputed:\nSong et al. (AdaControl) "
    "argue that it is an artefact of truncated learning, Mertan & Cheney (arXiv 2508.17464) that "
    "selection undervalues\nnewly mutated bodies."
)


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
        subtitle=_without(left_out) if left_out else None,
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
            subtitle="points: bodies of one run; whiskers: 95% interval of their mean "
            f"(Student's t){_also_without(~finite)}",
            ax=ax,
        )
    return ax.figure


def learning(
    runs: Mapping[str, Sequence[tuple[Lineage, ArrayLike]]],
    *,
    fraction: float = 0.5,
    smooth: int = 1,
    last: int | None = None,
    value: str = "score (episode return)",
    colours: Mapping[str, str] | None = None,
) -> "Figure":
    """Baldwin figure: do later generations learn sooner, and do they end higher.

    The criterion is one number a label, so that a body which ends higher also passes it sooner:
    read both panels together. Bodies with a fitness of -inf are left out.

    Args:
      runs: by environment, scheme or budget, (lineage, curves [n, iterations]) a seed.
      fraction: see :func:`lineage.milestone`, which makes the criterion of generation 0.
      smooth: see :func:`lineage.iterations_to`.
      last: see :func:`lineage.asymptote`.
      value: what the curves hold, with its unit.
      colours: see :func:`style.looks`.

    Returns:
      The figure: iterations to the criterion, where a body that never reaches it counts with its
      whole budget, and the asymptote.
    """
    if not runs:
        raise UsageError("a figure needs at least one series")
    found = {label: _learned(label, seeds, fraction, smooth, last) for label, seeds in runs.items()}
    never = np.concatenate([label.never for label in found.values()])
    left_out = sum(label.left_out for label in found.values())
    figure, axes = figures.panels(2)
    common = {"x_label": "generation", "x_scale": "linear", "colours": colours}
    figures.intervals(
        {label: (of.speed.generation, of.speed.interval) for label, of in found.items()},
        y_label="training iterations",
        title="Iterations to the criterion",
        subtitle=f"generation 0's score after {fraction:g} of its rise: "
        + ", ".join(f"{of.criterion:.3g}" for of in found.values())
        + f"\nbodies that never reach it ({never.mean():.0%}) count with the budget",
        ax=axes[0],
        **common,
    )
    figures.intervals(
        {label: (of.ends.generation, of.ends.interval) for label, of in found.items()},
        y_label=value,
        title="Asymptote",
        subtitle=(_without(left_out) if left_out else "mean over the last iterations")
        + f"\n{_whiskers_over([len(seeds) for seeds in runs.values()])}",
        ax=axes[1],
        **common,
    )
    budget = " or ".join(map(str, sorted({of.budget for of in found.values()})))
    with style.house():
        figure.supxlabel(
            DEBATE.format(budget=budget), x=0.01, ha="left", size=7.5, color=style.MUTED
        )
    return figure


def panels_by_generation(
    values: Mapping[str, Sequence[tuple[Lineage, ArrayLike]]],
) -> "Figure":
    """Means of several quantities by generation, a panel each.

    Args:
      values: by name, with its unit: of every run its lineage and a value a body [n], see
        :func:`lineage.per_generation`.

    Returns:
      The figure.
    """
    if not values:
        raise UsageError("a figure needs at least one series")
    figure, axes = figures.panels(len(values))
    for ax, (name, runs) in zip(axes, values.items(), strict=True):
        found = data.per_generation(*runs)
        figures.intervals(
            {"mean": (found.generation, found.interval)},
            x_label="generation (mutations since the founder)",
            y_label=None,
            x_scale="linear",
            title=name,
            subtitle=_whiskers_over([len(runs)]),
            ax=ax,
        )
    return figure


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
        + (f"\n{_without(left_out)}" if left_out else ""),
    )


def _shown(tree: lineage_tree.Tree, score: NDArray) -> str:
    """Who is in the tree and who is not."""
    ancestors = np.count_nonzero(~tree.living & ~tree.extinct)
    told = f"the last {np.count_nonzero(tree.living)} bodies and their {ancestors} ancestors"
    if np.any(~np.isfinite(score) & ~tree.extinct):
        told += "; crosses: went non-finite"
    extinct = {"thin and grey": np.count_nonzero(tree.extinct), "not shown": tree.dropped}
    rest = "; ".join(f"{many} {how}" for how, many in extinct.items() if many)
    return f"{told}\nextinct bodies: {rest}" if rest else told


class _Learned(NamedTuple):
    """Of the runs of one label."""

    speed: data.ByGeneration  # iterations to the criterion, at most the budget
    ends: data.ByGeneration  # asymptotes
    criterion: float
    never: NDArray  # [bodies] has not reached it
    left_out: int  # bodies that went non-finite
    budget: int  # iterations


def _learned(
    label: str,
    seeds: Sequence[tuple[Lineage, ArrayLike]],
    fraction: float,
    smooth: int,
    last: int | None,
) -> _Learned:
    lineages = [data.checked(lineage) for lineage, _ in seeds]
    curves = [np.asarray(curve, float) for _, curve in seeds]
    budget = curves[0].shape[-1] if curves else 0
    for lineage, curve in zip(lineages, curves, strict=True):
        if curve.shape != (wanted := (len(lineage.fitness), budget)):
            raise UsageError(f"{label!r}: curves must be {list(wanted)}, not {list(curve.shape)}")
    if not curves:
        raise UsageError(f"{label!r} has no run")
    ends = [data.asymptote(curve, last) for curve in curves]
    alive = [
        np.isfinite(lineage.fitness) & np.isfinite(end)
        for lineage, end in zip(lineages, ends, strict=True)
    ]
    first = [
        lives & (run.parent == data.FOUNDER) for lives, run in zip(alive, lineages, strict=True)
    ]
    founders = np.concatenate([curve[of] for curve, of in zip(curves, first, strict=True)])
    if not len(founders):
        raise UsageError(f"{label!r}: every founder went non-finite")
    criterion = data.milestone(founders, fraction, last)
    speed = [data.iterations_to(curve, criterion, smooth=smooth) for curve in curves]
    lives = np.concatenate(alive)

    def means(values: list[NDArray]) -> data.ByGeneration:
        kept = [np.where(of, value, np.nan) for of, value in zip(alive, values, strict=True)]
        return data.per_generation(*zip(lineages, kept, strict=True))

    return _Learned(
        means([np.minimum(iterations, budget) for iterations in speed]),
        means(ends),
        criterion,
        np.isinf(np.concatenate(speed)[lives]),
        int((~lives).sum()),
        budget,
    )


def _whiskers_over(runs: list[int]) -> str:
    if max(runs) == 1:
        return "whiskers: 95% interval over the bodies of one run (Student's t)"
    if max(runs) < stats.MIN_SEEDS:
        return f"mean of {max(runs)} runs: too few for an interval"
    count = f"{min(runs)} to {max(runs)}" if min(runs) < max(runs) else f"{max(runs)}"
    return f"whiskers: 95% interval over {count} runs (Student's t)"


def _spread(first: int, last: int) -> NDArray:
    """At most POINTS whole numbers from first to last, both included."""
    return np.unique(np.linspace(first, last, min(POINTS, last - first + 1)).round().astype(int))


def _without(bodies: int) -> str:
    return f"without {bodies} {'body' if bodies == 1 else 'bodies'} that went non-finite"


def _also_without(broken: NDArray) -> str:
    return f"\n{_without(int(broken.sum()))}" if broken.any() else ""
