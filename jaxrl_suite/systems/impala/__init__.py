"""Multi-task IMPALA: V-trace actor-learner on variants of arcade games or of Atari games."""

from jaxrl_suite.systems.impala.config import ActorsConfig, Config, Hyper
from jaxrl_suite.systems.impala.evaluate import evaluate_policy, evaluate_random, record_episodes
from jaxrl_suite.systems.impala.presets import PRESETS
from jaxrl_suite.systems.impala.system import impala_learner, impala_source, make
from jaxrl_suite.systems.impala.transfer import warm_start

__all__ = [
    "PRESETS",
    "ActorsConfig",
    "Config",
    "Hyper",
    "evaluate_policy",
    "evaluate_random",
    "impala_learner",
    "impala_source",
    "make",
    "record_episodes",
    "warm_start",
]
