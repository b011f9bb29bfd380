"""Lifelike quadruped: coded skills from motion, and policies that command them."""

from jaxrl_suite.systems.lifelike.config import Command, Config, Hyper, Networks
from jaxrl_suite.systems.lifelike.evaluate import Followed, Generated, follow, generate, scores
from jaxrl_suite.systems.lifelike.motions import Following, following, library_of, settled
from jaxrl_suite.systems.lifelike.presets import PRESETS
from jaxrl_suite.systems.lifelike.roaming import Roamed, calm_course, roam
from jaxrl_suite.systems.lifelike.sepmc import policy as strategic
from jaxrl_suite.systems.lifelike.system import (
    STANDS_ON,
    Below,
    Expert,
    below_in,
    below_of,
    expert_of,
    make,
)
from jaxrl_suite.systems.lifelike.tournament import Match, elo, match

__all__ = [
    "PRESETS",
    "STANDS_ON",
    "Below",
    "Command",
    "Config",
    "Expert",
    "Followed",
    "Following",
    "Generated",
    "Hyper",
    "Match",
    "Networks",
    "Roamed",
    "below_in",
    "below_of",
    "calm_course",
    "elo",
    "expert_of",
    "follow",
    "following",
    "generate",
    "library_of",
    "make",
    "match",
    "roam",
    "scores",
    "settled",
    "strategic",
]
