"""Parts of the figures of lineages: branches of a tree, names of bands and roots, captions."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from jaxrl_suite.report import lineage_tree, stats, style
from jaxrl_suite.report.lineage import FOUNDER

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap, Normalize


def branches(
    ax: "Axes",
    tree: lineage_tree.Tree,
    parent: NDArray,
    score: NDArray,
    norm: "Normalize",
    width: float,
) -> None:
    """Lines along the rows, from parent's row to child's, and a mark where a body went wrong."""
    from matplotlib.collections import LineCollection

    place = np.searchsorted(tree.numbers, parent[tree.numbers])
    child = parent[tree.numbers] != FOUNDER
    above = np.where(child, tree.row[np.where(child, place, 0)], tree.row)
    corner = np.stack([tree.numbers, tree.row], -1)
    lines = np.stack(
        [np.stack([tree.numbers, above], -1), corner, np.stack([tree.end, tree.row], -1)], 1
    )
    broken = ~np.isfinite(score)
    grey = {"colors": style.REFERENCE, "linewidths": 0.6 * width, "alpha": 0.65}
    ax.add_collection(LineCollection(lines[tree.extinct], **grey), autolim=False)
    ink = visible_ramp()(norm(np.where(broken, norm.vmin, score)))
    ink[broken] = (*_rgb(style.REFERENCE), 1)
    shown = np.flatnonzero(~tree.extinct)
    shown = shown[np.argsort(ink[shown].sum(-1))[::-1]]  # the dark and fit above the pale
    ax.add_collection(
        LineCollection(lines[shown], colors=ink[shown], linewidths=width, joinstyle="miter"),
        autolim=False,
    )
    bad = broken & ~tree.extinct
    if bad.any():
        ax.plot(*corner[bad].T, "x", color=style.PALETTE[1], markersize=4)


def name_roots(ax: "Axes", tree: lineage_tree.Tree, origin: NDArray, rows_a_point: float) -> None:
    """Numbers of surviving founders left of their rows, largest families first, where room is."""
    of = origin[tree.numbers]
    roots = np.flatnonzero((of == tree.numbers) & ~tree.extinct)
    family = np.bincount(of[tree.living], minlength=len(origin))[tree.numbers[roots]]
    taken: list[float] = []
    for root in roots[np.argsort(-family, kind="stable")]:
        number, row = tree.numbers[root], tree.row[root]
        if all(abs(row - other) >= 8 * rows_a_point for other in taken):
            taken.append(row)
            ax.annotate(
                str(number),
                (number, row),
                xytext=(-3, 0),
                textcoords="offset points",
                ha="right",
                va="center",
                size=7,
                color=style.MUTED,
            )


def name_bands(
    ax: "Axes",
    counts: NDArray,
    share: NDArray,
    names: NDArray,
    rest: NDArray,
    colours: Sequence[str],
) -> None:
    """Founders' numbers: right of the bands that last, in the others where room is."""
    edges = np.cumsum(share, 1)
    middles = edges - share / 2
    last = share[-1] > 0
    ends = [(counts[-1], y) for y in middles[-1, last]]
    labels = [str(name) for name in names[last]]
    looks = [{"color": colour} for colour, lasts in zip(colours, last, strict=True) if lasts]
    if rest[-1] > 0:
        ends.append((counts[-1], 1 - rest[-1] / 2))
        labels.append("others")
        looks.append({"color": style.REFERENCE})
    style.end_labels(ax, labels, ends, looks)
    # A number is about a twentieth of the axes wide: what of a band stays free over such a stretch?
    stretch = 2 * -(-len(counts) // 40) + 1
    if len(counts) < stretch:
        return
    windows = np.lib.stride_tricks.sliding_window_view
    upper = windows(edges, stretch, 0).min(-1)
    lower = windows(edges - share, stretch, 0).max(-1)
    for band in np.flatnonzero(~last):
        widest = (upper - lower)[:, band].argmax()
        low, high = lower[widest, band], upper[widest, band]
        if high - low >= 0.035:  # else the number is taller than the band
            ax.annotate(
                str(names[band]),
                (counts[widest + stretch // 2], (low + high) / 2),
                ha="center",
                va="center",
                size=7,
                color=style.PAPER,
                weight="bold",
            )


def tint(place: int) -> str:
    """The palette, then the palette half way to white."""
    from matplotlib.colors import to_hex

    lap, colour = divmod(place, len(style.PALETTE))
    ink = np.array(_rgb(style.PALETTE[colour]))
    return to_hex(1 - (1 - ink) * 0.5**lap)


def _rgb(colour: str) -> tuple[float, float, float]:
    from matplotlib.colors import to_rgb

    return to_rgb(colour)


def visible_ramp() -> "Colormap":
    """The ramp without its palest quarter, in which a thin line is lost on white."""
    from matplotlib.colors import ListedColormap

    return ListedColormap(style.ramp()(np.linspace(0.25, 1, 192)))


def whiskers_over(runs: list[int]) -> str:
    """What whiskers mean, for series of so many runs."""
    if max(runs) == 1:
        return "whiskers: 95% interval over the bodies of one run (Student's t)"
    if max(runs) < stats.MIN_SEEDS:
        return f"mean of {max(runs)} runs: too few for an interval"
    count = f"{min(runs)} to {max(runs)}" if min(runs) < max(runs) else f"{max(runs)}"
    return f"whiskers: 95% interval over {count} runs (Student's t)"


def without(bodies: int) -> str:
    """That so many bodies were left out."""
    return f"without {bodies} {'body' if bodies == 1 else 'bodies'} that failed"
