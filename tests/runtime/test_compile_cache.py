from pathlib import Path
from types import SimpleNamespace

import pytest

from jaxrl_suite.runtime import compile_cache


@pytest.fixture
def config(monkeypatch):
    """A stand-in for JAX's settings, which the other tests of this process keep."""
    config = SimpleNamespace(jax_compilation_cache_dir=None)
    config.update = lambda name, value: setattr(config, name, value)
    monkeypatch.setattr(compile_cache, "jax", SimpleNamespace(config=config))
    monkeypatch.delenv(compile_cache.SWITCH, raising=False)
    return config


def test_default_place(config):
    directory = compile_cache.enable_compile_cache()
    assert directory == Path.home() / ".cache" / "jaxrl_suite" / "xla"
    assert config.jax_compilation_cache_dir == str(directory)


def test_the_variable_of_jax_wins(config):
    config.jax_compilation_cache_dir = "/elsewhere"
    assert compile_cache.enable_compile_cache() == Path("/elsewhere")
    assert config.jax_compilation_cache_dir == "/elsewhere"


def test_switched_off(config, monkeypatch):
    monkeypatch.setenv(compile_cache.SWITCH, "0")
    assert compile_cache.enable_compile_cache() is None
    assert config.jax_enable_compilation_cache is False
