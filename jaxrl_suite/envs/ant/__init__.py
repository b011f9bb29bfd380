"""A four-legged body on the device whose tasks are the directions to run in."""

from jaxrl_suite.envs.ant.environment import (
    ACTION_SIZE,
    EPISODE_LENGTH,
    STATE_SIZE,
    TASKS,
    UNSEEN,
    Run,
    Task,
    ant,
    body,
    mjcf,
    relative,
    state_of,
)
from jaxrl_suite.envs.ant.expert import expert
from jaxrl_suite.envs.ant.pool import AntPool

__all__ = [
    "ACTION_SIZE",
    "EPISODE_LENGTH",
    "STATE_SIZE",
    "TASKS",
    "UNSEEN",
    "AntPool",
    "Run",
    "Task",
    "ant",
    "body",
    "expert",
    "mjcf",
    "relative",
    "state_of",
]
