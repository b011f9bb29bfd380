"""``jaxrl view``: bodies from files become pages and pictures."""

import json

import pytest

from tests.command import jaxrl
from tests.physics import reference


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, text in (
        ("quadruped", reference.quadruped_mjcf()),
        ("hurdles", reference.hurdles_mjcf()),
        ("crate", reference.pushed_box_mjcf()),
    ):
        (tmp_path / f"{name}.xml").write_text(text)
    return tmp_path


def test_several_bodies_become_one_page(files, capfd):
    assert jaxrl("view", "quadruped.xml", "hurdles.xml", "--seconds", 0.2) == 0
    assert "written: view.html" in capfd.readouterr().out
    page = (files / "view.html").read_text()
    assert "quadruped" in page
    assert "hurdles" in page
    assert "17 links, 18 degrees of freedom" in page


def test_files_of_different_timesteps_are_viewed_apart(files, capfd):
    assert jaxrl("view", "quadruped.xml", "crate.xml") == 2
    assert "view them apart" in capfd.readouterr().err
    assert not (files / "view.html").exists()


def test_what_does_not_load_is_named_and_nothing_is_written(files, capfd):
    text = reference.quadruped_mjcf().replace('type="hinge"', 'type="hinge" frictionloss="1"')
    (files / "rough.xml").write_text(text)
    assert jaxrl("view", "rough.xml") == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("jaxrl: MJCF: fl0: frictionloss is not supported; legal: 0"), json.dumps(
        line
    )
    assert not (files / "view.html").exists()
