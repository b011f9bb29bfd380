"""The four-legged robot: its body, what it senses, and what it is to do."""

from jaxrl_suite.envs.quadruped.machine import BACKENDS, PERIOD, Backend, Mechanics
from jaxrl_suite.envs.quadruped.recording import played, recorded
from jaxrl_suite.envs.quadruped.terrain import KINDS
from jaxrl_suite.envs.quadruped.tracking import Rules, Tracked, follow, starts_of

__all__ = [
    "BACKENDS",
    "KINDS",
    "PERIOD",
    "Backend",
    "Mechanics",
    "Rules",
    "Tracked",
    "follow",
    "played",
    "recorded",
    "starts_of",
]
