"""Figure and numbers of the inner-loop experiment, from its results alone.

python -m experiments.gupta2021.inner_loop.figure
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from experiments import publish
from experiments.gupta2021.inner_loop.sweep import RESULTS
from experiments.publish import Row, difference, plus_minus, select, values
from jaxrl_suite.report import figures, style
from jaxrl_suite.report.stats import mean_interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SCORE = "score of an episode (50 x m)"
COLUMNS = ("fitness", "learned", "random", "learned_length", "random_length")


def draw(rows: Sequence[Row]) -> dict[str, "Figure"]:
    """Learning curves of all lengths of life, and what was learned beside random actions."""
    figure, axes = figures.panels(2)
    curves, ends = {}, {}
    for times in values(rows, "times"):
        curve = select(rows, "curve", times=times)
        steps = select(rows, "steps", times=times)[0] / curve.shape[1]
        label = f"{times}x"
        curves[label] = (steps * np.arange(1, curve.shape[1] + 1), curve)
        ends[label] = select(rows, "learned", times=times)
    figures.curves(
        curves,
        x_label="environment steps",
        y_label=SCORE,
        title="While learning",
        subtitle="mean of the last 10 episodes, with noise; bands: 95% over 8 seeds",
        ax=axes[0],
    )
    with style.house():
        for label, learned in ends.items():
            random = select(rows, "random", times=int(label[:-1]))
            axes[1].plot([f"{label}, learned"] * len(learned), learned, "o", alpha=0.6)
            axes[1].plot([f"{label}, random"] * len(random), random, "x", color=style.REFERENCE)
        axes[1].margins(x=0.5)
        axes[1].set_xlabel("length of life, in the quick preset's")
        style.head(axes[1], "What was learned, without noise", "a mark a seed, 16 episodes each")
    return {"figure": figure}


def sections(rows: Sequence[Row]) -> dict[str, str]:
    """A row a length of life."""
    body = []
    for times in values(rows, "times"):
        found = {n: select(rows, n, times=times) for n in COLUMNS}
        cells = [plus_minus(mean_interval(x), ".1f") for x in found.values()]
        learned, random = found["learned"], found["random"]
        gain = difference(learned, random)
        cells.append(f"{gain.point:+.1f} [{gain.low:+.1f}, {gain.high:+.1f}]")
        cells += [
            f"{np.median(learned):.1f}",
            f"{int((learned > 5 * random.max()).sum())} of {len(random)}",
        ]
        body.append([f"{select(rows, 'steps', times=times)[0]:,}", *cells])
    head = ["steps", "fitness", "learned", "random", "actions, learned", "actions, random"]
    head += ["learned - random", "median learned", "seeds beyond 5 x the best random seed"]
    return {"numbers": publish.table(head, body)}


def finding(rows: Sequence[Row]) -> str:
    """Learned and random scores at every length of life."""
    words = []
    for times in values(rows, "times"):
        learned, random = (select(rows, n, times=times) for n in ("learned", "random"))
        steps = select(rows, "steps", times=times)[0]
        words.append(
            f"{plus_minus(mean_interval(learned), '.1f')} at {steps:,} steps, "
            f"median {np.median(learned):.1f}, lowest seed {learned.min():.1f}; "
            f"{plus_minus(mean_interval(random), '.1f')} at random"
        )
    return f"Score of a four-limb body: {'; '.join(words)}; {len(learned)} seeds"


STUDY = publish.Study("gupta2021/inner_loop", RESULTS, draw, sections, finding)

if __name__ == "__main__":
    publish.publish(STUDY)
