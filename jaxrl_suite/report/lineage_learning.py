"""Figures of what changes with the generation: how fast bodies learn, how far, and what it costs.

Every function returns a matplotlib Figure in the house style. Definitions and sources are those of
:mod:`lineage`.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jaxrl_suite.core import UsageError
from jaxrl_suite.report import figures, style
from jaxrl_suite.report import lineage as data
from jaxrl_suite.report import lineage_marks as marks
from jaxrl_suite.report.lineage import Lineage

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DEBATE = (
    "Of each body the first {budget} iterations count; one that ends higher also passes a fixed "
    "score sooner. Whether such a change is a Baldwin effect\nis disputed: Song et al. "
    "(AdaControl) argue that it is an artefact of truncated learning, Mertan & Cheney (arXiv "
    "2508.17464) that\nselection undervalues newly mutated bodies."
)


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
      whole budget, and the score at the end of it.
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
        title="Score at the end",
        subtitle=(marks.without(left_out) if left_out else "mean over the last iterations")
        + f"\n{marks.whiskers_over([len(seeds) for seeds in runs.values()])}",
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
            subtitle=marks.whiskers_over([len(runs)]),
            ax=ax,
        )
    return figure


class _Learned(NamedTuple):
    """Of the runs of one label."""

    speed: data.ByGeneration  # iterations to the criterion, at most the budget
    ends: data.ByGeneration  # asymptotes
    criterion: float
    never: NDArray  # [bodies] has not reached it
    left_out: int  # bodies that failed
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
        raise UsageError(f"{label!r}: every founder failed")
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
