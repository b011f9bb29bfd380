"""The eight tasks on which evolved bodies are compared, by name."""

from collections.abc import Callable

from jaxrl_suite.envs.base import ControlEnvironment
from jaxrl_suite.envs.unimal.ball import manipulate_ball
from jaxrl_suite.envs.unimal.bowl import escape
from jaxrl_suite.envs.unimal.exploring import exploration
from jaxrl_suite.envs.unimal.goals import patrol, point_nav
from jaxrl_suite.envs.unimal.incline import incline, push_box_incline
from jaxrl_suite.envs.unimal.obstacles import obstacle

TASKS: dict[str, Callable[[], ControlEnvironment]] = {
    "patrol": patrol,
    "point_nav": point_nav,
    "obstacle": obstacle,
    "exploration": exploration,
    "escape": escape,
    "push_box_incline": push_box_incline,
    "manipulate_ball": manipulate_ball,
    "incline": incline,
}
