"""Figures and READMEs say what the committed results say."""

import re
from collections import Counter

import pytest

from experiments import publish
from experiments.gupta2021.evolution import figure as evolution
from experiments.gupta2021.generator import figure as generator
from experiments.gupta2021.inner_loop import figure as inner_loop
from experiments.gupta2021.transfer import figure as transfer
from experiments.han2024.distil import figure as quadruped_distil
from experiments.han2024.dogs import figure as dogs
from experiments.han2024.league import figure as quadruped_league
from experiments.han2024.terrain import figure as quadruped_terrain
from experiments.han2024.tracking import figure as quadruped_tracking
from experiments.hu2024.ablations import figure as ablations
from experiments.hu2024.ant_expert import figure as ant_expert
from experiments.hu2024.directions import figure as directions
from experiments.hu2024.experts import figure as experts
from experiments.hu2024.mt5 import figure as mt5
from experiments.hu2024.mt50 import figure as mt50
from experiments.impala.capacity import figure as capacity
from experiments.impala.corrections import figure as corrections
from experiments.impala.is_variance import figure as is_variance
from experiments.impala.num_variants import figure as num_variants
from experiments.impala.quick_learns import figure as quick_learns
from experiments.peng2022.latent import figure as latent
from experiments.peng2022.planar import figure as planar
from experiments.peng2022.servos import figure as servos
from experiments.peng2022.skills import figure as skills
from experiments.peng2022.tasks import figure as humanoid_tasks
from experiments.peng2022.tracking import figure as tracking
from experiments.physics.cheap_start import figure as cheap_start
from experiments.physics.parity import figure as parity
from experiments.results import ResultsFile, read_header, read_rows
from experiments.taiga2023.capacity import figure as atari_capacity
from experiments.taiga2023.num_variants import figure as atari_num_variants
from experiments.taiga2023.quick_learns import figure as atari_quick_learns
from experiments.taiga2023.random_policy import figure as random_policy
from jaxrl_suite.report import figures

ARCADE = (quick_learns, is_variance, corrections, num_variants, capacity)
ATARI = (random_policy, atari_quick_learns, atari_num_variants, atari_capacity)
PHYSICS = (parity, cheap_start)
UNIMALS = (generator, inner_loop, evolution, transfer)
TASKS = (experts, mt5, mt50, directions, ablations, ant_expert)
SKILLS = (planar, latent, tracking, skills, humanoid_tasks, servos)
PRIMITIVES = (quadruped_tracking, dogs, quadruped_terrain, quadruped_distil, quadruped_league)
STUDIES = [x.STUDY for x in (*ARCADE, *ATARI, *PHYSICS, *UNIMALS, *TASKS, *SKILLS, *PRIMITIVES)]
# Nothing in them is learned: one row a quantity.
MEASURED = {x.STUDY.name for x in (parity, generator, experts, servos)}
# Their READMEs say so; five everywhere else.
MIN_SEEDS = {"hu2024/mt50": 1} | dict.fromkeys(
    (
        "impala/capacity",
        "physics/cheap_start",
        "gupta2021/evolution",
        "gupta2021/transfer",
        "hu2024/mt5",
        "hu2024/ablations",
        "hu2024/ant_expert",
        "peng2022/tracking",
        "peng2022/skills",
        "peng2022/tasks",
        "han2024/tracking",
        "han2024/dogs",
        "han2024/terrain",
        "han2024/distil",
        "han2024/league",
        *(f"taiga2023/{n}" for n in ("quick_learns", "num_variants", "capacity")),
    ),
    3,
)


@pytest.fixture(params=STUDIES, ids=lambda study: study.name)
def study(request):
    if not (request.param.results.exists() and read_rows(request.param.results)):
        pytest.skip(f"{request.param.name} has no results yet; run its sweep")
    return request.param


def test_every_figure_is_drawn_and_was_committed(study):
    drawn = study.draw(read_rows(study.results))
    readme = (study.folder / "README.md").read_text()
    for stem, figure in drawn.items():
        assert figures.png(figure).startswith(b"\x89PNG")
        assert (study.folder / f"{stem}.svg").exists()
        assert (study.folder / f"{stem}.png").exists()
        assert f"({stem}.png)" in readme


def test_readmes_hold_the_numbers_of_the_results(study):
    module = f"experiments.{study.name.replace('/', '.')}.figure"
    assert not publish.stale(study), f"run python -m {module}"


def test_results_tell_where_they_were_made(study):
    header = read_header(study.results)
    facts = {"date", "revision", "cpu", "cores", "device", "python", "jax", "jaxlib", "numpy"}
    assert facts <= header["machine"].keys()
    assert header["settings"]


def test_every_setting_has_all_its_seeds(study):
    if study.name in MEASURED:
        pytest.skip("nothing in it is learned")
    rows = read_rows(study.results)
    names = (
        "body",
        "setting",
        "game",
        "split",
        "correction",
        "replay",
        "lag",
        "horizon",
        "width",
        "num_variants",
        "times",
        "scheme",
        "number",
        "task",
        "rank",
        "tier",
        "method",
        "terrain",
        "space",
        "latent",
        "varied",
        "value",
        "context",
    )
    count = Counter(tuple(row.get(name) for name in names) for row in rows)
    seeds = read_header(study.results)["settings"].get("seeds", 1)
    assert seeds >= MIN_SEEDS.get(study.name, 5)
    assert set(count.values()) == {seeds}


def test_the_index_names_every_experiment_and_its_command():
    index = publish.INDEX.read_text()
    for study in STUDIES:
        module = "experiments." + study.name.replace("/", ".")
        assert f"python -m {module}.sweep" in index
        assert f"python -m {module}.figure" in (study.folder / "README.md").read_text()


def test_links_lead_somewhere():
    for page in [publish.INDEX, *(study.folder / "README.md" for study in STUDIES)]:
        for link in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            committed = not link.endswith(".png") or (page.parent / link).parent.exists()
            assert committed if link.endswith(".png") else (page.parent / link).exists(), link


def test_without_results_there_is_one_clear_line(tmp_path):
    absent = is_variance.STUDY._replace(results=tmp_path / "results" / "none.jsonl")
    with pytest.raises(SystemExit, match=r"none\.jsonl is missing; run the sweep"):
        publish.publish(absent)


def test_results_of_other_settings_are_refused(tmp_path):
    path = tmp_path / "results" / "rows.jsonl"
    file = ResultsFile(path, keys=("seed",), settings={"seeds": 5})
    file.add([{"seed": 0, "return": 1.5}])
    assert ResultsFile(path, keys=("seed",), settings={"seeds": 5}).has(seed=0)
    with pytest.raises(SystemExit, match="other settings"):
        ResultsFile(path, keys=("seed",), settings={"seeds": 3})
    with pytest.raises(ValueError, match="lacks"):
        file.add([{"return": 1.0}])


def test_two_processes_share_a_sweep(tmp_path):
    path = tmp_path / "results" / "rows.jsonl"
    one, other = (ResultsFile(path, keys=("seed",), settings={"seeds": 5}) for _ in range(2))
    assert one.lacks(seed=0)
    assert not other.lacks(seed=0)  # being made, though no row exists
    assert other.lacks(seed=1)
    one.add([{"seed": 0, "return": 1.5}])
    del one  # its claims end with it, as they do with a process that is killed
    assert not other.lacks(seed=0)
    third = ResultsFile(path, keys=("seed",), settings={"seeds": 5})
    del other
    assert third.lacks(seed=1)
    assert [row["seed"] for row in read_rows(path)] == [0]
