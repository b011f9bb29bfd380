"""DERL: bodies that evolve, each of which learns to move by PPO from scratch."""

from jaxrl_suite.systems.derl.config import Config, Hyper, Life
from jaxrl_suite.systems.derl.ppo import Body, BodyState, fitness, init, iterate

__all__ = ["Body", "BodyState", "Config", "Hyper", "Life", "fitness", "init", "iterate"]
