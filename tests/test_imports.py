"""The arrows between the rooms of the house, and names that must not come back."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import jaxrl_suite

PACKAGE = "jaxrl_suite"
ROOT = Path(jaxrl_suite.__file__).parent

_MIDDLE = ("nets", "envs", "data", "physics")
# What a room may import besides itself. The package's own __init__ only shows core's names.
ALLOWED = {
    "core": (),
    # For the rooms that write to the disk.
    "files": ("core",),
    "xla_flags": (),
    "ops": ("core",),
    **dict.fromkeys(_MIDDLE, ("ops", "core")),
    "envs": ("physics", "ops", "core"),
    # Data are collected by playing.
    "data": ("envs", "ops", "files", "core"),
    "systems": (*_MIDDLE, "ops", "core"),
    "runtime": ("files", "core"),
    "report": ("files", "core"),
    "cli": (*_MIDDLE, "ops", "files", "core", "systems", "runtime", "report"),
    "": ("core", "xla_flags"),
}

# Removed from jax, uninitialised, or of the old kind of keys.
FORBIDDEN = {"jax.pmap", "jax.tree_map", "jnp.empty", "jax.numpy.empty"}
FORBIDDEN_ENDINGS = (".PRNGKey",)


def imported_modules(tree: ast.AST, module: tuple[str, ...], is_package: bool) -> Iterator[str]:
    """Full names of everything that a module imports, wherever in it the import stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ()
            if node.level:
                base = module[: len(module) - node.level + is_package]
            base = (*base, *(node.module or "").split(".")) if node.module else base
            # `from a import b` may mean the module a.b, so b counts as well.
            yield from (".".join((*base, alias.name)) for alias in node.names)


def forbidden_arrows(path: str, source: str) -> list[str]:
    """Imports in the file at `path` (relative to the package) that the design does not allow."""
    parts = Path(path).with_suffix("").parts
    is_package = parts[-1] == "__init__"
    own = parts[:-1] if is_package else parts
    room = own[0] if own else ""
    found = []
    for name in imported_modules(ast.parse(source), (PACKAGE, *own), is_package):
        names = name.split(".")
        if names[0] != PACKAGE:
            continue
        # The names that the package itself shows (UsageError, __version__) are core's.
        target = names[1] if len(names) > 1 and names[1] in ALLOWED else "core"
        if target == room:
            # One system never imports another.
            if room == "systems" and len(names) > 2 and names[2:3] != list(own[1:2]):
                found.append(name)
        elif target not in ALLOWED[room]:
            found.append(name)
    return found


def dotted(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def forbidden_names(source: str) -> list[str]:
    """Uses of names that the design bans; docstrings and comments may mention them."""
    tree = ast.parse(source)
    used = [dotted(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    used += imported_modules(tree, (), False)
    return [name for name in used if name in FORBIDDEN or name.endswith(FORBIDDEN_ENDINGS)]


def files() -> list[str]:
    return sorted(str(path.relative_to(ROOT)) for path in ROOT.rglob("*.py"))


def test_every_file_is_in_a_known_room():
    assert {Path(path).with_suffix("").parts[0] for path in files()} <= {*ALLOWED, "__init__"}
    assert len(files()) > 20  # the walk did find the package


@pytest.mark.parametrize("path", files())
def test_imports_point_one_way(path):
    assert forbidden_arrows(path, (ROOT / path).read_text()) == []


@pytest.mark.parametrize("path", files())
def test_no_removed_or_dangerous_names(path):
    assert forbidden_names((ROOT / path).read_text()) == []


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("ops/gae.py", "from jaxrl_suite.nets import actor_critic"),
        ("ops/gae.py", "def f():\n    import jaxrl_suite.envs.base"),
        ("core.py", "from jaxrl_suite.ops.vtrace import vtrace"),
        ("nets/mlp.py", "from jaxrl_suite import envs"),
        ("envs/hopper.py", "from ..nets import mlp"),
        ("envs/arcade/__init__.py", "from ...systems import impala"),
        ("runtime/loop.py", "from jaxrl_suite.systems.impala import make"),
        ("report/html.py", "from jaxrl_suite.runtime import loop"),
        ("files.py", "from jaxrl_suite.runtime import checkpoint"),
        ("systems/ase/losses.py", "from jaxrl_suite import files"),
        ("systems/ase/losses.py", "from jaxrl_suite.systems.impala import losses"),
        ("systems/ase/losses.py", "from jaxrl_suite.systems import impala"),
        ("systems/__init__.py", "from jaxrl_suite.systems import impala"),
        ("systems/impala/run.py", "from jaxrl_suite.runtime import loop"),
        ("__init__.py", "from jaxrl_suite.systems import impala"),
    ],
)
def test_the_walk_sees_forbidden_arrows(path, source):
    assert len(forbidden_arrows(path, source)) == 1


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("ops/gae.py", "from jaxrl_suite.ops.vtrace import vtrace\nimport jax"),
        ("envs/arcade/breakout.py", "from jaxrl_suite.envs.base import Environment"),
        ("envs/arcade/breakout.py", "from . import board\nfrom ..base import Environment"),
        ("systems/ase/losses.py", "from jaxrl_suite.systems.ase import config"),
        ("systems/ase/__init__.py", "from .config import Config"),
        ("runtime/rundir.py", "import jaxrl_suite\nfrom jaxrl_suite import UsageError"),
        ("data/trajectories.py", "from jaxrl_suite.files import write_atomically"),
        ("cli/main.py", "from jaxrl_suite.systems import impala"),
    ],
)
def test_the_walk_lets_legal_arrows_pass(path, source):
    assert forbidden_arrows(path, source) == []


@pytest.mark.parametrize(
    "source",
    [
        "jax.pmap(f)",
        "x = jnp.empty((3,))",
        "jax.random.PRNGKey(0)",
        "from jax.random import PRNGKey",
        "jax.tree_map(f, x)",
        "from jax import pmap",
    ],
)
def test_the_walk_sees_forbidden_names(source):
    assert len(forbidden_names(source)) == 1


def test_forbidden_names_may_be_talked_about():
    assert forbidden_names('"""Not jax.pmap, nor jnp.empty(3)."""\njax.tree.map(f, x)') == []
