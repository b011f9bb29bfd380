"""Figure and numbers of the generator experiment, from its results alone.

python -m experiments.gupta2021.generator.figure
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from experiments import publish
from experiments.gupta2021.generator.sweep import RESULTS
from experiments.publish import Row
from jaxrl_suite.report import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHARES = ("proposals", "growths", "limbs", "pairs on one site")


def wilson(count: float, of: int) -> tuple[float, float]:
    """95% interval of a share (Wilson 1927)."""
    z, p = 1.96, count / of
    centre, spread = p + z * z / (2 * of), z * math.sqrt(p * (1 - p) / of + z * z / (4 * of * of))
    return tuple((centre + side * spread) / (1 + z * z / of) for side in (-1, 1))


def _interval(row: Row, who: str) -> tuple[float, float]:
    """Of ours, where the sweep has sampled bodies, what samples as large as the original's give."""
    if who == "ours" and "low" in row:
        return row["low"], row["high"]
    return wilson(row[who], row[f"{who}_of"])


def _of(rows: Sequence[Row], group: str) -> list[Row]:
    return [row for row in rows if row["group"] == group]


def draw(rows: Sequence[Row]) -> dict[str, "Figure"]:
    """Shares, ours beside the original's, with intervals."""
    with style.house():
        from matplotlib import pyplot

        figure, axes = pyplot.subplots(
            1, len(SHARES), figsize=(11, 3.6), width_ratios=[3, 1.4, 8, 5]
        )
        looks = style.looks(["ours", "original"])
        for ax, group in zip(axes, SHARES, strict=True):
            found = _of(rows, group)
            for shift, who, look in zip((-0.18, 0.18), ("ours", "original"), looks, strict=True):
                for x, row in enumerate(found):
                    low, high = _interval(row, who)
                    share = row[who] / row[f"{who}_of"]
                    label = who if x == 0 else None
                    ax.bar(x + shift, share, 0.34, color=look["color"], alpha=0.55, label=label)
                    ax.vlines(x + shift, low, high, color="black", lw=1)
            ax.set_xticks(range(len(found)), [row["name"] for row in found], rotation=35)
            ax.set_title(group, fontsize=9)
        axes[0].set_ylabel("share, 95% interval")
        axes[0].legend(fontsize=8)
        figure.tight_layout()
    return {"figure": figure}


def _share(row: Row, who: str) -> str:
    low, high = _interval(row, who)
    of = row[f"{who}_of"]
    return f"{row[who] / of:.3f} [{low:.3f}, {high:.3f}] of {of:,}"


def sections(rows: Sequence[Row]) -> dict[str, str]:
    """All shares, then the counts."""
    body = [
        [group, row["name"], *(_share(row, who) for who in ("ours", "original"))]
        for group in SHARES
        for row in _of(rows, group)
    ]
    body += [
        [
            "species",
            f"{row['name']} ({row['ours_of']} bodies)",
            f"{row['ours']}",
            str(row["original"]),
        ]
        for row in _of(rows, "species")
    ]
    body += [
        ["clean mutations", "invalid", f"{row['ours']} of {row['ours_of']:,}", "no such mode"]
        for row in _of(rows, "clean mutations")
    ]
    return {"numbers": publish.table(["of", "which", "ours", "original"], body)}


def finding(rows: Sequence[Row]) -> str:
    """Acceptance and the clean mode."""
    share = {row["name"]: row for row in _of(rows, "proposals")}
    percent = lambda row, who: f"{row[who] / row[f'{who}_of']:.0%}"  # noqa: E731
    text = ", ".join(
        f"{name} {percent(row, 'ours')} (original {percent(row, 'original')})"
        for name, row in share.items()
    )
    (clean,) = _of(rows, "clean mutations")
    return f"Proposals: {text}; {clean['ours']} of {clean['ours_of']:,} clean mutations invalid"


STUDY = publish.Study("gupta2021/generator", RESULTS, draw, sections, finding)

if __name__ == "__main__":
    publish.publish(STUDY)
