"""Figure and numbers of the ablations, from their results and those of the preset.

python -m experiments.hu2024.ablations.figure
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from experiments import publish
from experiments.hu2024.ablations.sweep import CONFIGS, RESULTS, SEEDS
from experiments.hu2024.directions import sweep as directions
from experiments.hu2024.directions.figure import SIDES, score
from experiments.publish import Row, difference, plus_minus, select, stacked, values
from experiments.results import read_rows
from jaxrl_suite.report import figures

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PRESET_VALUES = {
    "density": f"{directions.PRESET.config.masks.density:g}",
    "swaps at most": str(directions.PRESET.config.masks.most),
    "steps between mask updates": str(directions.PRESET.config.interval),
    "lambda": f"{directions.PRESET.hyper.importance_weight:g}",
    "mode": directions.PRESET.config.masks.mode,
    "recovery": directions.PRESET.config.masks.recovery,
    "context": str(directions.PRESET.config.data.context),
}


def preset() -> list[Row]:
    """Rows of the preset, as many seeds as here."""
    rows = read_rows(directions.RESULTS)
    return [r for r in rows if r["method"] == "HarmoDT-F" and r["seed"] < SEEDS]


def groups(rows: Sequence[Row]) -> dict[str, dict[str, list[Row]]]:
    """What is varied -> value -> rows, the preset's among them."""
    found: dict[str, dict[str, list[Row]]] = {}
    for varied in CONFIGS:
        of = [row for row in rows if row["varied"] == varied]
        each = {value: [r for r in of if r["value"] == value] for value in values(of, "value")}
        each[PRESET_VALUES[varied]] = preset()
        numbers = all(value.replace(".", "").isdigit() for value in each)
        order = sorted(each, key=float) if numbers else sorted(each)
        found[varied] = {value: each[value] for value in order}
    return found


def draw(rows: Sequence[Row]) -> dict[str, "Figure"]:
    """Return by setting."""
    found = groups(rows)
    names = [value for each in found.values() for value in each]
    headings = [varied for varied, each in found.items() for _ in each]
    bars = {
        label: stacked([score(of, side) for each in found.values() for of in each.values()])
        for side, label in SIDES.items()
    }
    drawn = figures.bars(
        names,
        bars,
        x_label="return of an episode (25 x m), mean of directions",
        sections=headings,
        title="HarmoDT with one setting changed",
    )
    return {"figure": drawn}


def sections(rows: Sequence[Row]) -> dict[str, str]:
    """A row a setting."""
    body = []
    for varied, each in groups(rows).items():
        for value, of in each.items():
            cells = [plus_minus(score(of, side), ".0f") for side in SIDES]
            mark = " (preset)" if value == PRESET_VALUES[varied] else ""
            body.append([varied, value + mark, str(len(of)), *cells])
    return {"numbers": publish.table(["setting", "value", "seeds", *SIDES.values()], body)}


def finding(rows: Sequence[Row]) -> str:
    """What differs from the preset beyond its interval, on learned directions."""
    base, words, count = select(preset(), "seen").mean(axis=1), [], 0
    for varied, each in groups(rows).items():
        for value, of in each.items():
            if value == PRESET_VALUES[varied]:
                continue
            count += 1
            gap = difference(select(of, "seen").mean(axis=1), base)
            if gap.low > 0 or gap.high < 0:
                words.append(f"{varied} {value} {publish.bracketed(gap, '+.0f')}")
    told = ", ".join(words) or "none"
    return (
        f"Against the preset's {base.mean():.0f} on learned directions, of {count} changes these "
        f"differ beyond Welch's 95% interval, taken one by one: {told}"
    )


STUDY = publish.Study("hu2024/ablations", RESULTS, draw, sections, finding)

if __name__ == "__main__":
    publish.publish(STUDY)
