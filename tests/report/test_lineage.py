import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxrl_suite.core import UsageError
from jaxrl_suite.report import lineage, lineage_tree, stats
from jaxrl_suite.report.lineage import Lineage
from tests.report.toy_lineage import evolve

INF = np.inf

#   0       1     founders
#   2 3     4     2 and 3 from 0, 4 from 1
#     5           from 3
FAMILY = Lineage(
    parent=[-1, -1, 0, 0, 1, 3],
    operator=["", "", "grow", "gear", "grow", "gear"],
    fitness=[1.0, 2.0, 4.0, -INF, 3.0, 5.0],
    limbs=[2, 3, 3, 2, 4, 2],
    born=[0, 0, 1, 1, 2, 3],
)


@st.composite
def lineages(draw):
    parent = [-1]
    for number in range(1, draw(st.integers(1, 40))):
        parent.append(draw(st.integers(-1, number - 1)))
    fitness = [draw(st.sampled_from([-INF, -2.0, 0.5, 1.0, 3.0])) for _ in parent]
    operator = ["" if p < 0 else draw(st.sampled_from("abc")) for p in parent]
    return Lineage(parent, operator, fitness, [2] * len(parent), list(range(len(parent))))


def test_family():
    assert lineage.generation(FAMILY).tolist() == [0, 0, 1, 1, 1, 2]
    assert lineage.founder(FAMILY).tolist() == [0, 1, 0, 0, 1, 0]
    assert lineage.ancestors(FAMILY, 5).tolist() == [3, 0]
    assert lineage.ancestors(FAMILY, 1).tolist() == []
    assert lineage.best_so_far(FAMILY).tolist() == [1, 2, 4, 4, 4, 5]
    mean, ignored = lineage.running_mean(FAMILY, 2)
    np.testing.assert_allclose(mean, [1, 1.5, 3, 4, 3, 4])
    assert ignored.tolist() == [0, 0, 0, 1, 1, 0]
    shares = lineage.founder_shares(FAMILY, 4, [1, 4, 6])
    assert shares.founders.tolist() == [0, 1]
    np.testing.assert_allclose(shares.share, [[1, 0], [0.75, 0.25], [0.75, 0.25]])
    assert lineage.survivors(shares.share).tolist() == [1, 2, 2]


@given(lineages(), st.integers(1, 50))
def test_definitions_in_a_slow_loop(table, window):
    n = len(table.parent)
    lines = [[number, *lineage.ancestors(table, number)] for number in range(n)]
    for line in lines:
        assert all(table.parent[a] == b for a, b in itertools.pairwise(line))
        assert table.parent[line[-1]] == -1
    assert lineage.generation(table).tolist() == [len(line) - 1 for line in lines]
    assert lineage.founder(table).tolist() == [line[-1] for line in lines]
    shares = lineage.founder_shares(table, window)
    means = lineage.running_mean(table, window)
    for count in range(1, n + 1):
        living = range(max(0, count - window), count)
        for founder, share in zip(shares.founders, shares.share[count - 1], strict=True):
            assert share == pytest.approx(np.mean([lines[i][-1] == founder for i in living]))
        fitness = [table.fitness[i] for i in living if table.fitness[i] > -INF]
        assert means.ignored[count - 1] == len(living) - len(fitness)
        wanted = np.mean(fitness) if fitness else np.nan
        np.testing.assert_allclose(means.mean[count - 1], wanted, atol=1e-12)
        assert lineage.best_so_far(table)[count - 1] == max(table.fitness[:count])
    effective = lineage.effective_founders(shares.share)
    assert np.all((effective >= 1 - 1e-9) & (effective <= lineage.survivors(shares.share) + 1e-9))


def test_running_mean_keeps_its_digits_on_a_high_level():
    fitness = 1e9 + np.arange(1000) % 7 / 8
    table = Lineage(np.full(1000, -1), [""] * 1000, fitness, np.full(1000, 2), np.zeros(1000, int))
    np.testing.assert_allclose(
        lineage.running_mean(table, 10).mean[-1] - 1e9, np.mean(fitness[-10:] - 1e9), atol=1e-6
    )


def test_effective_founders_of_known_shares():
    assert lineage.effective_founders([0.25] * 4) == pytest.approx(4)
    assert lineage.effective_founders([1, 0, 0]) == pytest.approx(1)
    # H = ln 2 / 2 + 2 ln 4 / 4 = 1.5 ln 2
    assert lineage.effective_founders([[0.5, 0.25, 0.25]]) == pytest.approx([2**1.5])


def test_toy_evolution_matches_the_published_scale():
    # 288 slots in 36 groups of 8 from 576 founders to 4000 bodies: about 27 founders survive,
    # 13 effective, generation 7; one seed scatters around it.
    table = evolve(0, population=576, bodies=4000, slots=288, group=8)
    share = lineage.founder_shares(table, 576, [4000]).share
    assert 15 <= lineage.survivors(share)[0] <= 40
    assert 7 <= lineage.effective_founders(share)[0] <= 22
    assert 6 <= lineage.generation(table)[-576:].mean() <= 8


def test_operator_effects():
    effects = lineage.operator_effects(FAMILY)
    assert list(effects) == ["grow", "gear"]
    grow, gear = effects["grow"], effects["gear"]
    assert (grow.children, grow.ignored, grow.interval.point) == (2, 0, 2.0)  # 4 - 1 and 3 - 2
    assert np.isnan(grow.interval.low)  # two parents: too few
    assert (gear.children, gear.ignored) == (0, 2)  # a broken child, a broken parent
    assert np.isnan(gear.interval.point)


def test_operator_effects_find_the_better_operator_and_pool_runs():
    runs = [evolve(seed) for seed in range(4)]
    effects = lineage.operator_effects(*runs, num=200)
    # The toy's last operator adds 0.3 to the trait, its first takes 0.3.
    assert effects["length"].interval.point > effects["angle"].interval.point
    assert sum(e.children for e in effects.values()) == 4 * (448 - 64)
    one = lineage.operator_effects(runs[0], num=200)["length"].interval
    pooled = effects["length"].interval
    assert pooled.high - pooled.low < one.high - one.low
    assert lineage.operator_effects(evolve(0, selection=False)) == {}


def test_operator_effects_draw_families():
    # Two families of 50 alike children, two more of one: as wide as four draws, not as 102.
    family = np.repeat([0, 1, 2, 3], [50, 50, 1, 1])
    parent = np.concatenate([np.full(4, -1), family])
    fitness = np.concatenate([np.zeros(4), np.where(family % 2, 1.0, -1.0)])
    n = len(parent)
    table = Lineage(parent, [""] * 4 + ["grow"] * 102, fitness, [2] * n, [0] * 4 + [1] * 102)
    interval = lineage.operator_effects(table)["grow"].interval
    assert interval.point == pytest.approx(0)
    assert interval.high - interval.low > 1.5


def test_per_generation_one_run_and_several():
    one = lineage.per_generation((FAMILY, FAMILY.fitness))
    assert one.generation.tolist() == [0, 1, 2]
    assert one.bodies.tolist() == [2, 2, 1]  # without the broken body
    np.testing.assert_allclose(one.interval.point, [1.5, 3.5, 5])
    runs = [(FAMILY, np.array(FAMILY.fitness) + shift) for shift in (0, 1, 5)]
    several = lineage.per_generation(*runs)
    np.testing.assert_allclose(several.interval, _by_run(runs))
    assert several.bodies.tolist() == [6, 6, 3]


def _by_run(runs):
    means = [[value[:2].mean(), value[[2, 4]].mean(), value[5]] for _, value in runs]
    return stats.mean_interval(means)


def test_iterations_to():
    curve = np.array([[0, 1, 2, 3], [3, 0, 0, 0], [0, 0, 0, 0], [np.nan, 2, 2, 2]])
    assert lineage.iterations_to(curve, 2).tolist() == [3, 1, INF, 2]
    assert lineage.iterations_to(curve, 1.5, smooth=2).tolist() == [3, 2, INF, 3]
    assert lineage.iterations_to(curve, [0, 5, 0, 2]).tolist() == [1, INF, 1, 2]


def test_asymptote_and_milestone():
    curve = np.tile(np.arange(1220.0), (3, 1))
    np.testing.assert_allclose(lineage.asymptote(curve), np.arange(1120, 1220).mean())
    assert lineage.asymptote(curve[:, :5], last=2).tolist() == [3.5] * 3
    curve = np.array([[np.nan, -4, 0, 6], [-2, 0, 0, 6], [-8, 0, 0, 10]])
    assert lineage.milestone(curve, 0.5, last=1) == 1  # half way from -4 to 6
    assert lineage.milestone(curve, 1, last=1) == 6


BAD = {
    "row 3: parent 3 is neither": {"parent": [-1, -1, 0, 3, 1, 3]},
    "row 1: parent -2 is neither": {"parent": [-1, -2, 0, 0, 1, 3]},
    "row 2: fitness nan": {"fitness": [1, 2, np.nan, np.nan, 3, 5]},
    "row 0: fitness inf": {"fitness": [INF, 2, 4, 4, 3, 5]},
    "row 1: operator 'gear', but a founder": {"operator": ["", "gear", "a", "a", "a", "a"]},
    "row 4: no operator, but a parent": {"operator": ["", "", "a", "a", "", "a"]},
    "row 2: born in phase 1, before": {"born": [0, 2, 1, 3, 4, 5]},
    "limbs \\[5\\]": {"limbs": [2] * 5},
    "parent must be integers": {"parent": [-1.0, -1, 0, 0, 1, 3]},
    "at least 1": dict.fromkeys(Lineage._fields, ()),
}


@pytest.mark.parametrize("message", BAD)
def test_bad_lineages_name_the_row(message):
    with pytest.raises(UsageError, match=message) as error:
        lineage.generation(FAMILY._replace(**BAD[message]))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: lineage.running_mean(FAMILY, 0), "window"),
        (lambda: lineage.founder_shares(FAMILY, 4, [0]), r"1\.\.6"),
        (lambda: lineage.founder_shares(FAMILY, 4, [7]), r"1\.\.6"),
        (lambda: lineage.ancestors(FAMILY, 6), "no body 6"),
        (lambda: lineage.survivors([0.5, 0.4]), "sum to 1"),
        (lambda: lineage.per_generation((FAMILY, [1, 2])), "6 bodies"),
        (lambda: lineage.per_generation((FAMILY, [np.nan] * 6)), "no body"),
        (lambda: lineage.iterations_to([1, 2], 1), "bodies, iterations"),
        (lambda: lineage.iterations_to([[1, 2]], 1, smooth=3), "smooth"),
        (lambda: lineage.asymptote([[1, 2]], last=0), "last"),
        (lambda: lineage_tree.layout(FAMILY, 0), "window"),
    ],
)
def test_bad_arguments(wrong, message):
    with pytest.raises(UsageError, match=message):
        wrong()


def _crossings(tree, parent):
    """Connectors (from parent's row to child's, at the child's birth) and lines they cross."""
    row = dict(zip(tree.numbers.tolist(), tree.row.tolist(), strict=True))
    found = []
    for child in row:
        if parent[child] < 0:
            continue
        low, high = sorted((row[child], row[parent[child]]))
        for other, end in zip(tree.numbers.tolist(), tree.end.tolist(), strict=True):
            if low < row[other] < high and other <= child <= end:
                found.append((child, other))
    return found


@given(lineages(), st.integers(1, 50), st.integers(1, 40))
def test_trees_do_not_cross_or_overlap(table, window, most):
    tree, n = lineage_tree.layout(table, window, most), len(table.parent)
    assert _crossings(tree, table.parent) == []
    for row in range(tree.row.max() + 1):  # every row is used, by one line after the other
        on_row = tree.row == row
        assert on_row.any()
        assert np.all(tree.end[on_row][:-1] <= tree.numbers[on_row][1:])
    living = set(range(max(0, n - window), n))
    wanted = living.union(*(lineage.ancestors(table, i).tolist() for i in living))
    assert set(tree.numbers[tree.living]) == living
    assert set(tree.numbers[~tree.extinct]) == wanted
    assert tree.dropped == n - len(tree.numbers)
    assert tree.row.max() < most or not tree.extinct.any()
    assert {table.parent[i] for i in tree.numbers} <= {-1, *tree.numbers.tolist()}


def test_a_tree_with_room_shows_everything():
    table = evolve(0)
    tree = lineage_tree.layout(table, 64, most=448)
    assert tree.dropped == 0
    small = lineage_tree.layout(table, 64, most=100)
    assert 0 < small.dropped < 448 - 64
    assert small.extinct.any()


def test_a_line_of_descent_of_thousands():
    n = 5000
    chain = Lineage(np.arange(n) - 1, ["", *["a"] * (n - 1)], np.zeros(n), [2] * n, range(n))
    assert lineage.generation(chain)[-1] == n - 1
    assert set(lineage_tree.layout(chain, 10).row.tolist()) == {0}
