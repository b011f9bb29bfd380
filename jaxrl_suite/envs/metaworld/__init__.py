"""Meta-World's fifty manipulation tasks (v3) through EnvPool, and their scripted experts.

Both come with the extra ``metaworld``; without it everything here can be imported, and the first
pool or expert that is made says what to install. One pool plays one task in N environments::

  pool = metaworld.Pool("reach", 10, seed=0)
  expert = metaworld.Expert("reach", 10)
  observation = pool.reset()
  for _ in range(metaworld.EPISODE_LENGTH):
      observation, reward, success, truncated = pool.step(expert.act(pool.full))

:func:`play` records whole episodes of a pool.
"""

from jaxrl_suite.envs.metaworld.experts import Calibration, Expert, SubOptimal, calibrate, versions
from jaxrl_suite.envs.metaworld.playing import Played, play
from jaxrl_suite.envs.metaworld.pool import Pool, Step
from jaxrl_suite.envs.metaworld.tasks import (
    ACTION_SIZE,
    EPISODE_LENGTH,
    MT5,
    MT30,
    MT50,
    STATE_SIZE,
    TASK_SETS,
    parse_tasks,
)

__all__ = [
    "ACTION_SIZE",
    "EPISODE_LENGTH",
    "MT5",
    "MT30",
    "MT50",
    "STATE_SIZE",
    "TASK_SETS",
    "Calibration",
    "Expert",
    "Played",
    "Pool",
    "Step",
    "SubOptimal",
    "calibrate",
    "parse_tasks",
    "play",
    "versions",
]
