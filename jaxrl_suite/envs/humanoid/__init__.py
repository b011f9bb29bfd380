"""A humanoid of 28 degrees of freedom that learns from motion clips."""

from jaxrl_suite.envs.humanoid.figure import BACKENDS, PERIOD, Backend, humanoid, pose_of, state_of
from jaxrl_suite.envs.humanoid.recording import recorded
from jaxrl_suite.envs.humanoid.skeleton import ACTION_SIZE, JOINTS, LINKS, body, mjcf
from jaxrl_suite.envs.humanoid.tasks import TASKS, box, make_task, mark
from jaxrl_suite.envs.humanoid.tracking import follow

__all__ = [
    "ACTION_SIZE",
    "BACKENDS",
    "JOINTS",
    "LINKS",
    "PERIOD",
    "TASKS",
    "Backend",
    "body",
    "box",
    "follow",
    "humanoid",
    "make_task",
    "mark",
    "mjcf",
    "pose_of",
    "recorded",
    "state_of",
]
