"""Atari: the splits of a game's variants, those that are committed and a user's own."""

import json

import pytest

from jaxrl_suite.core import UsageError
from jaxrl_suite.envs import atari
from jaxrl_suite.envs.atari import make_splits
from tests.envs.atari_games import each_game


def modes_of(game, names):
    return [game.variants[name].mode for name in names]


@each_game
def test_committed_splits_are_those_that_are_proposed(game):
    proposed = make_splits.propose(game)
    assert list(proposed) == (["value"] if game.name == "hero" else ["combination", "value"])
    assert set(json.loads((atari.SPLITS / f"{game.name}.json").read_text())) == set(proposed)
    for name, split in proposed.items():
        assert atari.load_split(game, name) == split
        assert atari.load_split(game.name, name) == split


@each_game
def test_splits_of_a_game(game):
    for name, split in make_splits.propose(game).items():
        assert set(split.train) | set(split.unseen) <= set(game.variants)
        assert not set(split.train) & set(split.unseen)
        assert len(split.train) <= make_splits.MAX_TRAIN
        shown, hidden = set(modes_of(game, split.train)), set(modes_of(game, split.unseen))
        if name == "value":
            assert not shown & hidden
            every = {n for n, v in game.variants.items() if v.mode in hidden}
            assert every == set(split.unseen)
        else:
            assert shown == {variant.mode for variant in game.variants.values()}
            assert set(split.train) | set(split.unseen) == set(game.variants)


def test_hero_keeps_one_of_its_five_modes():
    split = atari.load_split("hero", "value")
    assert (len(split.train), split.unseen) == (4, ("m04d0",))


@each_game
def test_prefixes_of_a_split_are_spread(game):
    for split in make_splits.propose(game).values():
        modes = modes_of(game, split.train)
        shown = sorted(set(modes))
        assert split.train[0] == "m00d0"
        assert modes[:2] == [shown[0], shown[-1]]
        difficulties = [game.variants[name].difficulty for name in split.train]
        for length in range(1, len(modes) + 1):
            assert len(set(modes[:length])) == min(length, len(shown))
            if game.name != "hero":
                assert abs(2 * sum(difficulties[:length]) - length) <= 1


def test_unknown_game_names_the_legal_ones():
    with pytest.raises(UsageError, match="'pong'; legal are breakout, freeway, hero, space_inv"):
        atari.load_split("pong", "value")


def test_unknown_split_names_the_legal_ones():
    with pytest.raises(UsageError, match="hero has no split 'combination'; legal are value, or"):
        atari.load_split("hero", "combination")


@pytest.mark.parametrize(
    ("game", "name", "legal"),
    [
        ("breakout", "m05d0", r"modes m00, m04, m08, .*, m44, each with d0 or d1"),
        ("freeway", "m08d0", "modes m00 to m07, each with d0 or d1"),
        ("hero", "m00d1", "modes m00 to m04, each with d0$"),
        ("space_invaders", "m16d0", "modes m00 to m15, each with d0 or d1"),
    ],
)
def test_illegal_variant_of_a_users_file_names_the_legal_modes(tmp_path, game, name, legal):
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({"train": ["m00d0"], "unseen": [name]}))
    with pytest.raises(UsageError, match=f"{game} has no variant '{name}'; .*{legal}") as error:
        atari.load_split(game, str(path))
    assert "\n" not in str(error.value)


def test_users_split_file(tmp_path):
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({"train": ["m00d0", "m44d1"], "unseen": ["m04d0"]}))
    assert atari.load_split("breakout", str(path)) == atari.Split(("m00d0", "m44d1"), ("m04d0",))
