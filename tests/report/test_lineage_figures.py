import numpy as np
import pytest

from jaxrl_suite.core import UsageError
from jaxrl_suite.report import figures, lineage
from jaxrl_suite.report import lineage_figures as draw
from jaxrl_suite.report import lineage_learning as grown
from tests.report.toy_lineage import evolve, learn

RUNS = {
    "usual": (evolve(0), 64),
    "tiny": (evolve(3, population=4, bodies=12, slots=2, group=1), 4),
    "broken": (evolve(1, broken=0.1), 64),
    "large": (evolve(0, population=576, bodies=4000, slots=288, group=8), 576),
    "young": (evolve(0, bodies=70), 100),
}
ONE = lineage.Lineage([-1], [""], [1.0], [2], [0])


def learned(table, seed=0):
    return table, learn(table, lineage.generation(table), seed)


DRAW = {
    "fitness": lambda table, window: draw.fitness({"evolution": [table]}, window),
    "muller": draw.muller,
    "phylogeny": draw.phylogeny,
    "by_generation": lambda table, window: draw.by_generation(table),
    "learning": lambda table, window: grown.learning({"flat": [learned(table)]}),
    "operators": lambda table, window: draw.operators(table),
    "panels_by_generation": lambda table, window: grown.panels_by_generation(
        {"fitness": [(table, table.fitness)], "limbs": [(table, table.limbs)]}
    ),
}


def words(figure):
    texts = [text.get_text() for ax in figure.axes for text in ax.texts]
    return " | ".join([*texts, figure.get_supxlabel()])


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("kind", DRAW)
def test_draws(kind, run, recwarn):
    figure = DRAW[kind](*RUNS[run])
    figure.draw_without_rendering()
    for ax in figure.axes[: 1 if kind in ("phylogeny", "muller") else None]:
        assert ax.get_xlabel() or kind == "muller"
        assert ax.texts
    assert not [w for w in recwarn if issubclass(w.category, RuntimeWarning | UserWarning)]


@pytest.mark.parametrize("kind", sorted(DRAW.keys() - {"operators"}))
def test_draws_a_single_body(kind):
    DRAW[kind](ONE, 1).draw_without_rendering()


@pytest.mark.parametrize("kind", ["muller", "phylogeny", "by_generation"])
def test_saved_twice_gives_the_same_bytes(kind):
    run = RUNS["broken"]
    assert figures.svg(DRAW[kind](*run)) == figures.svg(DRAW[kind](*run))


def test_no_lasting_settings():
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    for kind in DRAW.values():
        kind(*RUNS["tiny"])
    assert dict(mpl.rcParams) == before


def test_several_schemes_and_seeds():
    runs = {
        "evolution": [evolve(seed, bodies=200 + 50 * seed, broken=0.02) for seed in range(3)],
        "random search": [evolve(seed, bodies=150, selection=False) for seed in range(3)],
    }
    figure = draw.fitness(runs, 64, value="fitness (m)")
    assert [ax.get_ylabel() for ax in figure.axes] == ["fitness (m)"] * 2
    assert "3 seeds" in words(figure)
    best, mean = figure.axes
    for ax in (best, mean):  # each to its shortest run
        assert [line.get_xdata()[-1] for line in ax.lines] == [200, 150]
    broken = sum(np.isneginf(run.fitness[:200]).sum() for run in runs["evolution"])
    assert f"without {broken} bodies that failed" in words(figure)
    left = [
        np.nanmax(np.where(np.isfinite(r.fitness), r.fitness, np.nan)[:200])
        for r in runs["evolution"]
    ]
    assert best.lines[0].get_ydata()[-1] == pytest.approx(np.mean(left))


def test_muller_names_survivors():
    table, window = RUNS["usual"]
    figure = draw.muller(table, window, most=3)
    share = lineage.founder_shares(table, window).share
    chosen = np.sort(np.argsort(-share[window - 1 :].mean(0))[:3])
    assert f"in colour from below: {', '.join(map(str, chosen))}" in words(figure)
    alive, effective = (line.get_ydata()[-1] for line in figure.axes[1].lines)
    assert alive == lineage.survivors(share)[-1]
    assert 1 <= effective <= alive


def test_phylogeny_says_what_it_leaves_out():
    table, window = RUNS["usual"]
    assert "not shown" not in words(draw.phylogeny(table, window))
    assert "384 not shown" in words(draw.phylogeny(evolve(0, selection=False), 64))
    assert "crosses" in words(draw.phylogeny(*RUNS["broken"]))


def test_learning_over_runs():
    runs = [learned(evolve(seed), seed) for seed in range(3)]
    figure = grown.learning({"flat": runs, "steps": runs[:1]}, fraction=0.7, smooth=3, last=5)
    text = words(figure)
    assert "1 to 3 runs" in text
    assert "122 iterations" in text
    assert "AdaControl" in text
    speed = figure.axes[0].lines[0].get_ydata()
    assert speed[0] > speed[5]  # the toy learns sooner in later generations
    assert "too few" in words(grown.learning({"flat": runs[:2]}))


def test_a_body_that_never_arrives_counts_with_the_budget():
    table = lineage.Lineage([-1] * 4, [""] * 4, [1, 1, 1, 0], [2] * 4, [0] * 4)
    curve = np.array([[0, 1, 1, 1]] * 3 + [[0, 0, 0, 0]], float)
    figure = grown.learning({"flat": [(table, curve)]}, last=1)
    assert figure.axes[0].lines[0].get_ydata()[0] == pytest.approx((2 + 2 + 2 + 4) / 4)
    assert "(25%)" in words(figure)


def test_bad_input():
    table, _ = RUNS["tiny"]
    broken = lineage.Lineage([-1], [""], [-np.inf], [2], [0])
    for wrong, message in (
        (lambda: draw.fitness({}, 4), "at least one"),
        (lambda: draw.fitness({"a": []}, 4), "'a' has no run"),
        (lambda: grown.learning({"a": []}), "'a' has no run"),
        (lambda: grown.learning({}), "at least one"),
        (lambda: grown.panels_by_generation({}), "at least one"),
        (lambda: grown.learning({"a": [(table, np.zeros((3, 9)))]}), r"\[12, 9\]"),
        (lambda: grown.learning({"a": [(broken, np.zeros((1, 9)))]}), "every founder"),
        (lambda: draw.operators(evolve(0, selection=False)), "no body has a parent"),
        (lambda: draw.muller(table, 0), "window"),
    ):
        with pytest.raises(UsageError, match=message):
            wrong()
