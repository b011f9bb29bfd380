"""Learning curve of the Atari quick preset, beside the random policy.

python -m experiments.taiga2023.quick_learns.figure      (seconds; reads results/)
"""

from collections.abc import Sequence

import numpy as np

from experiments import publish
from experiments.impala.quick_learns import figure as arcade
from experiments.publish import Row, select
from experiments.taiga2023.quick_learns.sweep import RESULTS
from jaxrl_suite.report import stats

_COURSES = {
    "lag_mean": "mean policy lag, updates",
    "lag_max": "largest policy lag, updates",
    "queue_length": "unrolls waiting in the queue",
    "learner_waiting": "learner waiting, share of time",
    "frames_per_second": "environment frames/s, learning included",
}


def sections(rows: Sequence[Row]) -> dict[str, str]:
    """Returns, and how the actors and the learner worked together."""
    body = []
    for name, label in _COURSES.items():
        course = select(rows, f"{name}_course").mean(axis=1)
        body.append([label, publish.plus_minus(stats.mean_interval(course), ",.2f")])
    waiting = {"waiting": publish.table(["mean over the run", "value"], body)}
    gain = {"gain": f"Trained less random: {publish.bracketed(_gain(rows), '+.2f')}."}
    return arcade.sections(rows) | waiting | gain


def finding(rows: Sequence[Row]) -> str:
    """Trained against random, on the variants trained on."""
    trained, random = (
        stats.mean_interval(np.mean(select(rows, f"{who}_train"), axis=1))
        for who in ("trained", "random")
    )
    return (
        f"Breakout, default variant, {rows[0]['frames']:,} frames: return "
        f"{publish.plus_minus(trained)}, random policy {publish.plus_minus(random)}, difference "
        f"{publish.bracketed(_gain(rows), '+.2f')}; {len(rows)} seeds"
    )


def _gain(rows: Sequence[Row]) -> stats.Interval:
    """Trained less random, on the variants trained on; Welch's interval."""
    means = [np.mean(select(rows, f"{who}_train"), axis=1) for who in ("trained", "random")]
    return publish.difference(*means)


STUDY = publish.Study("taiga2023/quick_learns", RESULTS, arcade.draw, sections, finding)

if __name__ == "__main__":
    publish.publish(STUDY)
