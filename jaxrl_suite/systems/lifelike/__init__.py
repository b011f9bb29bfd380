"""Lifelike quadruped: coded skills from motion, and policies that command them."""

from jaxrl_suite.systems.lifelike.config import Command, Config, Hyper, Networks
from jaxrl_suite.systems.lifelike.evaluate import Followed, Generated, follow, generate, scores
from jaxrl_suite.systems.lifelike.motions import Following, following, library_of, settled
from jaxrl_suite.systems.lifelike.presets import PRESETS
from jaxrl_suite.systems.lifelike.system import Skills, make, skills_of

__all__ = [
    "PRESETS",
    "Command",
    "Config",
    "Followed",
    "Following",
    "Generated",
    "Hyper",
    "Networks",
    "Skills",
    "follow",
    "following",
    "generate",
    "library_of",
    "make",
    "scores",
    "settled",
    "skills_of",
]
