"""Figures and numbers of the evolution experiment, from its results alone.

python -m experiments.gupta2021.evolution.figure
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from experiments import publish
from experiments.gupta2021.evolution.sweep import PRESET, RESULTS, config_of
from experiments.publish import Row, select, values
from jaxrl_suite.report import lineage_figures, lineage_learning, style
from jaxrl_suite.report.lineage import Lineage, best_so_far, founder
from jaxrl_suite.report.stats import Interval, mean_interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SCORE = "fitness (50 x m)"
BUDGETS = (16, 32, 64)  # iterations of a life that the learning figure looks at
SCORE_A_METRE = 50  # of forward speeds summed over actions of 0.02 s
LABELS = {
    "tournament": "evolution",
    "random": "random search",
    "generations": "synchronous generations",
}
WINDOW = PRESET.config.population
METRES = 0.5  # a body that comes less far spends its work on something else than going
WORK = "Work (J/kg a metre)"
STANDING = "Passive stability (actions of 400)"
ECONOMY = (WORK, STANDING)


def lineage(rows: Sequence[Row], scheme: str, seed: int) -> tuple[Lineage, np.ndarray]:
    """One run, and its learning curves [n, iterations]."""
    found = [row for row in rows if row["scheme"] == scheme and row["seed"] == seed]
    found.sort(key=lambda row: row["number"])
    column = lambda name: [row[name] for row in found]  # noqa: E731
    born = [row["number"] // config_of(scheme).group for row in found]
    one = Lineage(column("parent"), column("operator"), column("fitness"), column("limbs"), born)
    return one, np.array(column("curve"))


def economy(rows: Sequence[Row]) -> list[tuple[Lineage, dict[str, np.ndarray]]]:
    """Every evolution, with what :data:`ECONOMY` names of its bodies [n]; NaN for none."""
    found = []
    evolved = [row for row in rows if row["scheme"] == "tournament"]
    for seed in sorted(values(evolved, "seed")):
        of = sorted((row for row in evolved if row["seed"] == seed), key=lambda row: row["number"])
        metres = np.array([row["fitness"] for row in of]) / SCORE_A_METRE
        work = np.array([row["work"] for row in of])
        goes = np.isfinite(metres) & (metres >= METRES)
        each = np.where(goes, work / np.where(goes, metres, 1.0), np.nan)
        stood = np.mean([row["standing"] for row in of], axis=1)
        found.append((lineage(rows, "tournament", seed)[0], {WORK: each, STANDING: stood}))
    return found


def _runs(rows: Sequence[Row]) -> dict[str, list[tuple[Lineage, np.ndarray]]]:
    """Scheme's label -> its runs."""
    return {
        label: [lineage(rows, scheme, seed) for seed in seeds_of(rows, scheme)]
        for scheme, label in LABELS.items()
        if scheme in values(rows, "scheme")
    }


def draw(rows: Sequence[Row]) -> dict[str, "Figure"]:
    """Fitness of all schemes; the lineage of seed 0; learning by generation; operators."""
    runs = _runs(rows)
    evolved = runs[LABELS["tournament"]]
    first = evolved[0][0]
    lineages = {label: [one for one, _ in found] for label, found in runs.items()}
    grey = {LABELS["random"]: style.REFERENCE}
    return {
        "figure": lineage_figures.fitness(lineages, WINDOW, value=SCORE, colours=grey),
        "muller": lineage_figures.muller(first, WINDOW),
        "phylogeny": lineage_figures.phylogeny(first, WINDOW, value=SCORE),
        "generations": lineage_figures.by_generation(first, value=SCORE),
        "learning": lineage_learning.learning(
            {
                f"first {budget} iterations": [(one, curve[:, :budget]) for one, curve in evolved]
                for budget in BUDGETS
            },
            value=SCORE,
        ),
        "economy": lineage_learning.panels_by_generation(
            {name: [(one, told[name]) for one, told in economy(rows)] for name in ECONOMY}
        ),
        "operators": lineage_figures.operators(*lineages[LABELS["tournament"]], value=SCORE),
    }


def _told(rows: Sequence[Row], scheme: str) -> dict[str, np.ndarray]:
    """By seed: mean of the first window, of the last and of all, the best, founders left."""
    runs = [lineage(rows, scheme, seed)[0] for seed in seeds_of(rows, scheme)]
    fitness = [np.asarray(one.fitness) for one in runs]
    some = lambda x: x[np.isfinite(x)].mean()  # noqa: E731
    return {
        "first": np.array([some(x[:WINDOW]) for x in fitness]),
        "last": np.array([some(x[-WINDOW:]) for x in fitness]),
        "all": np.array([some(x) for x in fitness]),
        "best": np.array([best_so_far(one)[-1] for one in runs]),
        "founders": np.array([len(np.unique(founder(one)[-WINDOW:])) for one in runs], float),
    }


def seeds_of(rows: Sequence[Row], scheme: str) -> list[int]:
    """Ascending, so that those of two schemes go together."""
    return sorted(values([row for row in rows if row["scheme"] == scheme], "seed"))


def _words(x: np.ndarray) -> str:
    """Mean over seeds with its interval, if there are enough."""
    interval: Interval = mean_interval(x)
    if not np.isfinite(interval.low):
        return f"{interval.point:.1f}"
    return f"{interval.point:.1f} [{interval.low:.1f}, {interval.high:.1f}]"


def sections(rows: Sequence[Row]) -> dict[str, str]:
    """A row a scheme, and one a scheme less random search."""
    body, differences = [], []
    random = _told(rows, "random")
    for scheme in values(rows, "scheme"):
        told = _told(rows, scheme)
        count = len(told["best"])
        cells = [_words(told[name]) for name in ("first", "last", "best", "founders")]
        length = select(rows, "length", scheme=scheme).mean()
        limbs = select(rows, "limbs", scheme=scheme).mean()
        body.append([LABELS[scheme], str(count), *cells, f"{length:.0f}", f"{limbs:.1f}"])
        if scheme != "random":
            against = (("last", "last"), ("last", "all"), ("best", "best"))
            less = [told[name] - random[other] for name, other in against]
            ahead = [f"{int((x > 0).sum())} of {count}" for x in less]
            pairs = zip(map(_words, less), ahead, strict=True)
            differences.append([LABELS[scheme], *(cell for pair in pairs for cell in pair)])
    head = ["scheme", "seeds", f"first {WINDOW} bodies", f"last {WINDOW}", "best of all"]
    head.append("founders left")
    less = ["less random search", f"last {WINDOW}", "seeds ahead"]
    less += [
        f"last {WINDOW} less all of random search",
        "seeds ahead",
        "best of all",
        "seeds ahead",
    ]
    return {
        "numbers": publish.table([*head, "actions an episode", "limbs"], body),
        "differences": publish.table(less, differences),
    }


def verdict(x: np.ndarray) -> str:
    """Whether paired differences [seeds] tell two schemes apart, at 95%."""
    interval = mean_interval(x)
    if not np.isfinite(interval.low):
        return "too few seeds"
    if interval.low > 0:
        return "higher"
    return "lower" if interval.high < 0 else "not told apart"


def finding(rows: Sequence[Row]) -> str:
    """Evolution beside random search, as paired differences."""
    evolved, random = (_told(rows, scheme) for scheme in ("tournament", "random"))
    last, best = (evolved[name] - random[name] for name in ("last", "best"))
    whole = evolved["last"] - random["all"]
    return (
        f"Fitness of evolution less that of random search, by seed: mean of the last {WINDOW} "
        f"bodies {_words(last)} ({verdict(last)}), less all of random search {_words(whole)} "
        f"({verdict(whole)}); best of all {_words(best)} ({verdict(best)}); {len(last)} seeds"
    )


STUDY = publish.Study("gupta2021/evolution", RESULTS, draw, sections, finding)

if __name__ == "__main__":
    publish.publish(STUDY)
