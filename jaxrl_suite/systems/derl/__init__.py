"""DERL: bodies that evolve, each of which learns to move by PPO from scratch."""

from jaxrl_suite.systems.derl.config import Config, Hyper
from jaxrl_suite.systems.derl.ppo import BodyState, Masks, fitness, init, iterate

__all__ = ["BodyState", "Config", "Hyper", "Masks", "fitness", "init", "iterate"]
