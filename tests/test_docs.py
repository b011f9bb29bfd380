"""What the pages say can be typed."""

import dataclasses
import re
from pathlib import Path

import pytest

from jaxrl_suite import cli
from jaxrl_suite.cli import impala
from jaxrl_suite.cli.training import LoopOptions

ROOT = Path(__file__).parent.parent
PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "jaxrl_suite" / "systems").glob("*/README.md")),
]
COMMANDS = ("list", "train", "resume", "eval", "render", "report", "data", "demo", "view")


def blocks(page: Path, language: str) -> list[str]:
    # All fences in turn: what ends one block must not begin another.
    found = re.findall(r"^```(\w*)\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    return [text for of, text in found if of == language]


def command_lines(page: Path) -> list[str]:
    lines = "\n".join(blocks(page, "")).splitlines()
    return [line.split("#")[0].strip() for line in lines if line.startswith("jaxrl ")]


def test_the_readme_code_runs():
    (code,) = blocks(ROOT / "README.md", "python")
    assert "train(system, 100)" in code
    # The same program, shorter and smaller: what is tested is that it runs as it stands.
    code = code.replace("train(system, 100)", "train(system, 2)")
    names: dict = {}
    exec(code, names)
    assert names["metrics"]["return"].shape == (5, 2)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name}/{page.name}")
def test_links_lead_somewhere(page):
    links = re.findall(r"\]\(([^)#]+)\)", page.read_text())
    missing = [x for x in links if "://" not in x and not (page.parent / x).exists()]
    assert not missing


def flags_of(*options: type) -> set[str]:
    fields = [field.name for kind in options for field in dataclasses.fields(kind)]
    return {"--" + name.replace("_", "-") for name in fields}


# These have no help before they know which run: what there is depends on its system.
FLAGS = {
    "resume": flags_of(LoopOptions) | {"--num-updates"},
    "eval": flags_of(impala.EvalOptions) | {"--root"},
    "render": flags_of(impala.RenderOptions) | {"--root"},
}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name}/{page.name}")
def test_commands_and_flags_exist(page, capsys):
    for line in command_lines(page):
        words = line.split()
        command = words[1]
        assert command in COMMANDS, line
        legal = FLAGS.get(command)
        if legal is None:
            more = {"train": words[2:4], "data": words[2:3]}.get(command, [])
            with pytest.raises(SystemExit) as stop:
                cli.main([command, *more, "--help"])
            assert stop.value.code == 0
            legal = capsys.readouterr().out
        for flag in [word for word in words if word.startswith("--")]:
            assert flag in legal, line


def test_the_code_of_the_physics_page_runs():
    (code,) = blocks(ROOT / "docs" / "physics.md", "python")
    names: dict = {}
    exec(code, names)
    assert names["states"].q.shape == (2, names["sizes"].num_positions)
    assert not names["readings"].diverged.any()
