"""Figure and numbers of the expert of the four-legged body, from its results alone.

python -m experiments.hu2024.ant_expert.figure
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from experiments import publish
from experiments.hu2024.ant_expert.sweep import RESULTS
from experiments.publish import Row, plus_minus, select
from jaxrl_suite.report import figures
from jaxrl_suite.report.stats import mean_interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw(rows: Sequence[Row]) -> dict[str, "Figure"]:
    """Learning curves of all seeds."""
    curve, steps = select(rows, "curve"), rows[0]["steps"]
    x = steps / curve.shape[1] * np.arange(1, curve.shape[1] + 1)
    shown = np.unique(np.linspace(0, len(x) - 1, 80).astype(int))
    figure = figures.curves(
        {"PPO": (x[shown], curve[:, shown])},
        x_label="environment steps",
        y_label="score of an episode (25 x m)",
        title="Running in any direction",
        subtitle=f"mean of the last 10 episodes, with noise; band: 95% over {len(curve)} seeds",
    )
    return {"figure": figure}


def sections(rows: Sequence[Row]) -> dict[str, str]:
    """A row a seed."""
    body = [
        [str(row["seed"]), f"{row['steps']:,}", f"{row['learned']:.1f}", f"{row['random']:.1f}",
         "yes" if row["shipped"] else ""]
        for row in rows
    ]  # fmt: skip
    return {"numbers": publish.table(["seed", "steps", "learned", "random", "shipped"], body)}


def finding(rows: Sequence[Row]) -> str:
    """Learned beside random, and which one ships."""
    learned, random = (mean_interval(select(rows, name)) for name in ("learned", "random"))
    shipped = next(row for row in rows if row["shipped"])
    return (
        f"Score (25 x m): {plus_minus(learned, '.1f')} learned, {plus_minus(random, '.1f')} at "
        f"random, {shipped['learned']:.1f} of the seed that ships; {len(rows)} seeds"
    )


STUDY = publish.Study("hu2024/ant_expert", RESULTS, draw, sections, finding)

if __name__ == "__main__":
    publish.publish(STUDY)
