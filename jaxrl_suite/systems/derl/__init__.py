"""DERL: bodies that evolve, each of which learns to move by PPO from scratch."""

from jaxrl_suite.systems.derl.config import TERRAINS, Config, Hyper, Life, cut_off
from jaxrl_suite.systems.derl.evaluate import Policy, episode, passive_stability
from jaxrl_suite.systems.derl.ppo import Body, BodyState, fitness, init, iterate
from jaxrl_suite.systems.derl.presets import PRESETS
from jaxrl_suite.systems.derl.system import body_of, make

__all__ = [
    "PRESETS",
    "TERRAINS",
    "Body",
    "BodyState",
    "Config",
    "Hyper",
    "Life",
    "Policy",
    "body_of",
    "cut_off",
    "episode",
    "fitness",
    "init",
    "iterate",
    "make",
    "passive_stability",
]
