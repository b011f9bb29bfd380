"""Real Atari games, as a parameter of tests."""

import pytest

from jaxrl_suite.envs import atari

each_game = pytest.mark.parametrize("game", atari.GAMES.values(), ids=atari.GAMES)
