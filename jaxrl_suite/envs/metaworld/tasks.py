"""Names of the tasks, and the sets of them that multi-task papers train on."""

import difflib
from collections.abc import Iterable

from jaxrl_suite.core import UsageError

STATE_SIZE = 21  # 18 numbers of arm and objects, 3 of the goal
ACTION_SIZE = 4  # movement of the hand in x, y, z; effort of the gripper
EPISODE_LENGTH = 500  # steps; an episode never ends on success

# The order of HarmoDT's configuration file, whose names bear the suffix -v2.
MT50 = (
    "basketball", "bin-picking", "button-press-topdown", "button-press", "button-press-wall",
    "coffee-button", "coffee-pull", "coffee-push", "dial-turn", "disassemble", "door-close",
    "door-lock", "door-open", "door-unlock", "hand-insert", "drawer-close", "drawer-open",
    "faucet-open", "faucet-close", "handle-press-side", "handle-press", "handle-pull-side",
    "handle-pull", "lever-pull", "peg-insert-side", "pick-place-wall", "pick-out-of-hole", "reach",
    "push-back", "push", "pick-place", "plate-slide", "plate-slide-side", "plate-slide-back",
    "plate-slide-back-side", "soccer", "push-wall", "shelf-place", "sweep-into", "sweep",
    "window-open", "window-close", "assembly", "button-press-topdown-wall", "hammer",
    "peg-unplug-side", "reach-wall", "stick-push", "stick-pull", "box-close",
)  # fmt: skip
MT30 = MT50[:30]
MT5 = MT50[:5]
TASK_SETS = {"mt5": MT5, "mt30": MT30, "mt50": MT50}


def parse_tasks(names: Iterable[str]) -> tuple[str, ...]:
    """The tasks that names of tasks and of sets mean, each once, in order of first mention.

    Args:
      names: for instance ``("mt5", "reach")``.

    Raises:
      UsageError: no name, or one that is neither a task nor a set.
    """
    tasks: dict[str, None] = {}
    for name in names:
        if name not in TASK_SETS and name not in MT50:
            near = difflib.get_close_matches(name, (*TASK_SETS, *MT50), n=1)
            meant = f"perhaps you meant {near[0]}; " if near else ""
            raise UsageError(
                f"no Meta-World task {name!r}; {meant}legal are the sets {', '.join(TASK_SETS)} "
                f"and the tasks {', '.join(MT50)}"
            )
        tasks |= dict.fromkeys(TASK_SETS.get(name, (name,)))
    if not tasks:
        raise UsageError(f"name at least one task; the sets are {', '.join(TASK_SETS)}")
    return tuple(tasks)
