"""Figure and README of getting across terrains, from made-up rows: not all methods need be run."""

import shutil

import numpy as np
import pytest

from experiments import publish
from experiments.han2024.terrain import figure
from experiments.han2024.terrain.sweep import (
    COMPARED,
    CURVES,
    LEVELS,
    METHODS,
    OUTCOMES,
    SEEDS,
    SKILLED,
    TERRAINS,
    terrains_of,
)
from experiments.results import ResultsFile, read_rows

PLACES = [(method, terrain) for method in METHODS for terrain in terrains_of(method)]
CASES = {
    "all": PLACES,
    "skills": [place for place in PLACES if place[0] == SKILLED],
    "joystick": [(SKILLED, COMPARED)],
}


def made_up(method, terrain, seed):
    draw = np.random.default_rng([*method.encode(), *terrain.encode(), seed])
    row = {"method": method, "terrain": terrain, "seed": seed, "actions": 819_200, "level": 0.0}
    for when, about in (("untrained", 0.2), ("learned", 0.6)):
        for level in LEVELS:
            row |= {f"{when}_{level}_{x}": about + draw.uniform(0, 0.2) for x in OUTCOMES}
    return row | {f"curve_{name}": draw.uniform(0.2, 0.8, 10).tolist() for name in CURVES}


@pytest.fixture(params=CASES)
def case(request):
    return request.param


@pytest.fixture
def study(case, tmp_path, monkeypatch):
    for page in (figure.STUDY.folder / "README.md", publish.INDEX):
        kept = tmp_path / page.relative_to(publish.INDEX.parent)
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(page, kept)
    monkeypatch.setattr(publish, "INDEX", tmp_path / "README.md")
    path = tmp_path / figure.STUDY.results.relative_to(figure.STUDY.folder.parents[1])
    file = ResultsFile(path, keys=("method", "terrain", "seed"), settings={"seeds": SEEDS})
    file.add([made_up(*place, seed) for place in CASES[case] for seed in range(SEEDS)])
    return figure.STUDY._replace(results=path)


def test_figure_and_readme_are_made_of_what_has_been_run(study, case):
    publish.publish(study)
    assert not publish.stale(study)
    assert (study.folder / "figure.png").read_bytes().startswith(b"\x89PNG")


def test_panels_and_rows_are_of_what_has_been_run(study, case):
    rows = read_rows(study.results)
    methods = list(dict.fromkeys(method for method, _ in CASES[case]))
    ways = [x for x in TERRAINS if x != COMPARED and (SKILLED, x) in CASES[case]]
    axes = study.draw(rows)["figure"].axes
    assert len(axes) == 2 + len(ways) + bool(ways)
    assert [len(ax.lines) for ax in axes[1 : 1 + len(ways)]] == [1] * len(ways)
    numbers, to_targets = (study.sections(rows)[x].splitlines()[2:] for x in ("numbers", "ways"))
    assert [line.split(" | ")[0] for line in numbers] == [f"| {method}" for method in methods]
    assert [line.split(" | ")[0] for line in to_targets] == [f"| {x}" for x in ways for _ in LEVELS]
    told = study.finding(rows)
    assert "nan" not in told + "".join(numbers + to_targets)
    for name in (figure.SCRATCH, *TERRAINS):
        assert (name in told) == (name in (*methods, COMPARED, *ways))
