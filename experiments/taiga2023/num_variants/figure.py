"""Scores on unseen Atari variants against the number of pretraining ones, and one by one.

python -m experiments.taiga2023.num_variants.figure      (seconds; reads results/)
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from experiments import publish
from experiments.impala.num_variants import figure as arcade
from experiments.publish import Row, select, values
from experiments.taiga2023.num_variants.sweep import RESULTS, UPDATES, experiment_config
from jaxrl_suite.report import figures, stats, style
from jaxrl_suite.systems import impala

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PRESET = "atari_quick"
FRAMES = UPDATES[PRESET][1] * experiment_config(impala.PRESETS[PRESET].config).frames_per_update


def draw(rows: Sequence[Row]) -> dict[str, "Figure"]:
    """Scores against N, fine-tuning curves, and bars."""
    return arcade.draw(rows, FRAMES) | {"variants": _bars(rows)}


def _bars(rows: Sequence[Row]) -> "Figure":
    """Zero-shot return on every unseen variant."""
    counts = [n for n in values(rows, "num_variants") if n]
    series = {f"N = {n}": select(rows, "zero_shot", num_variants=n) for n in counts}
    series["random"] = select(rows, "random", num_variants=counts[0])
    return figures.bars(
        list(rows[0]["unseen"]),
        series,
        x_label="zero-shot return of a game",
        title="Unseen variants one by one",
        subtitle=f"mean of {len(series['random'])} seeds; 95% interval (Student's t)",
        colours={"random": style.REFERENCE},
    )


def sections(rows: Sequence[Row]) -> dict[str, str]:
    """Scores and raw returns; zero-shot returns variant by variant."""
    counts = [n for n in values(rows, "num_variants") if n]
    body = []
    for place, name in enumerate(rows[0]["unseen"]):
        returns = [select(rows, "random", num_variants=counts[0])]
        returns += [select(rows, "zero_shot", num_variants=n) for n in counts]
        shown = [publish.plus_minus(stats.mean_interval(r[:, place]), ".1f") for r in returns]
        body.append([name, *shown])
    head = ["unseen variant", "random", *(f"N = {n}" for n in counts)]
    return {"numbers": arcade.numbers(rows), "variants": publish.table(head, body)}


STUDY = publish.Study("taiga2023/num_variants", RESULTS, draw, sections, arcade.finding)

if __name__ == "__main__":
    publish.publish(STUDY)
