"""Offline trajectories: collected from scripted experts, stored with checksums, loaded whole.

Nothing is downloaded. ::

  collect("runs/data/mt5", metaworld.MT5, episodes=200)
  episodes = load("runs/data/mt5")["basketball"]
"""

from jaxrl_suite.data.collecting import Progress, collect
from jaxrl_suite.data.episodes import Episodes
from jaxrl_suite.data.trajectories import Store, TaskSummary, digest, load, summary

__all__ = ["Episodes", "Progress", "Store", "TaskSummary", "collect", "digest", "load", "summary"]
