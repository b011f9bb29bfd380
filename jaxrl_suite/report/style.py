"""The house style: quiet axes, colours that everyone can tell apart, labels at the data.

Matplotlib is imported inside the functions, so that importing the package stays quick, and its
object interface is used throughout: no pyplot, hence no global state and no display.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap

# Okabe & Ito 2008 without its yellow, which white paper swallows, in the order in which the
# first four stay apart under every kind of colour blindness. Marks differ in shape as well.
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
MARKERS = ("o", "s", "^", "D", "v", "P")
DASHES = ("-", (0, (4, 1.5)), (0, (1, 1.2)))
REFERENCE = "#8b939e"  # what the others are compared with: a random policy, chance

# The page swaps these four for its own, so that an inlined figure follows light and dark.
INK, MUTED, FAINT, PAPER = "#1f2430", "#667080", "#e3e6ea", "#ffffff"

BODY_POINTS = 9.0


def settings() -> dict:
    """Matplotlib's rcParams of the house."""
    from cycler import cycler

    return {
        "font.family": "DejaVu Sans",  # ships with matplotlib: the same letters everywhere
        "font.size": BODY_POINTS,
        "text.color": INK,
        "axes.edgecolor": MUTED,
        "axes.labelcolor": MUTED,
        "axes.facecolor": PAPER,
        "axes.linewidth": 0.8,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.grid.axis": "y",
        "axes.axisbelow": True,
        "axes.labelpad": 6,
        "axes.xmargin": 0.02,
        "axes.prop_cycle": cycler(color=PALETTE),
        "grid.color": FAINT,
        "grid.linewidth": 0.8,
        "xtick.color": MUTED,
        "ytick.color": MUTED,
        "xtick.major.size": 3,
        "ytick.major.size": 0,
        "xtick.minor.size": 0,
        "ytick.minor.size": 0,
        "figure.facecolor": PAPER,
        "lines.linewidth": 1.8,
        "lines.markersize": 5,
        "svg.hashsalt": "jaxrl",  # identifiers in the file no longer differ from run to run
        "svg.fonttype": "path",
        "path.simplify": True,
        "savefig.dpi": 150,
    }


@contextlib.contextmanager
def house() -> Iterator[None]:
    """Everything matplotlib draws within follows the house style."""
    import matplotlib as mpl

    # Matplotlib's defaults first: a user's own matplotlibrc must not change our bytes.
    with mpl.rc_context(mpl.rcParamsDefault | settings()):
        yield


def looks(labels: Sequence[str], colours: Mapping[str, str] | None = None) -> list[dict]:
    """Colour, marker and dash of each series, in order; dashes change when colours run out.

    Args:
      labels: of the series.
      colours: overrides by label, for instance ``{"random": style.REFERENCE}``; an overridden
        label uses up no colour of the palette.
    """
    chosen, free = [], 0
    for label in labels:
        lap, place = divmod(free, len(PALETTE))
        override = (colours or {}).get(label)
        chosen.append(
            {
                "color": override or PALETTE[place],
                "marker": MARKERS[place] if override is None else "x",
                "linestyle": DASHES[lap % len(DASHES)],
            }
        )
        free += override is None
    return chosen


def ramp() -> "Colormap":
    """Low to high in one hue, evenly darker: reads in grey and under any colour blindness."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("ramp", ["#e6eff7", "#7db2da", "#0072b2", "#08395c"])


def head(ax: "Axes", title: str | None, subtitle: str | None, lift: float = 0) -> None:
    """Title and subtitle, flush left above the axes and `lift` points of something else."""
    at = {"xy": (0, 1), "xycoords": "axes fraction", "textcoords": "offset points"}
    lift += 10
    if subtitle:
        ax.annotate(
            subtitle, xytext=(0, lift), va="bottom", color=MUTED, size=8.5, linespacing=1.4, **at
        )
        lift += 13 * len(subtitle.splitlines())
    if title:
        ax.annotate(title, xytext=(0, lift), va="bottom", weight="bold", size=11, **at)


def end_labels(
    ax: "Axes", labels: Sequence[str], ends: Sequence[tuple[float, float]], looks: Sequence[dict]
) -> None:
    """Names each line at its right end, pushed apart where lines end close together.

    Args:
      ax: the axes, their limits final.
      labels: of the lines.
      ends: the lines' last points, in data coordinates.
      looks: of :func:`looks`, for the leader from line to label.
    """
    to_axes = ax.transData + ax.transAxes.inverted()
    heights = [to_axes.transform(end)[1] for end in ends]
    # Axes fill about three quarters of the figure; the exact layout is not known before drawing.
    rows = ax.get_gridspec().nrows if ax.get_gridspec() else 1
    line = BODY_POINTS * 1.45 / (0.72 * 72 * ax.figure.get_figheight() / rows)
    for i, height in zip(
        sorted(range(len(labels)), key=heights.__getitem__), _apart(heights, line), strict=True
    ):
        ax.annotate(
            labels[i],
            xy=ends[i],
            xytext=(1.045, height),
            textcoords="axes fraction",
            va="center",
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "color": looks[i]["color"],
                "linewidth": 1.0,
                "shrinkA": 2,
                "shrinkB": 2,
                "relpos": (0, 0.5),
            },
        )


def _apart(heights: Sequence[float], line: float) -> list[float]:
    """Heights in ascending order, moved as little as needed to lie `line` apart.

    Neighbours that touch are merged into a block that stays centred on its members' mean.
    """
    blocks: list[list[float]] = []  # of [sum of wanted heights, members]
    for height in sorted(heights):
        blocks.append([height, 1])
        while len(blocks) > 1 and _bottom(blocks[-1], line) < _top(blocks[-2], line) + line:
            total, members = blocks.pop()
            blocks[-1][0] += total
            blocks[-1][1] += members
    return [_bottom(block, line) + i * line for block in blocks for i in range(int(block[1]))]


def _bottom(block: list[float], line: float) -> float:
    return block[0] / block[1] - (block[1] - 1) * line / 2


def _top(block: list[float], line: float) -> float:
    return block[0] / block[1] + (block[1] - 1) * line / 2
