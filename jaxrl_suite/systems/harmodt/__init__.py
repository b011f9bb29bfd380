"""HarmoDT: one decision transformer for many tasks, with a mask of its weights for each of them."""

from jaxrl_suite.systems.harmodt.config import Config, DataConfig, Hyper, MaskConfig
from jaxrl_suite.systems.harmodt.dataset import Data, Dataset, build
from jaxrl_suite.systems.harmodt.learner import LearnerState
from jaxrl_suite.systems.harmodt.presets import PRESETS
from jaxrl_suite.systems.harmodt.system import agreement, make

__all__ = [
    "PRESETS",
    "Config",
    "Data",
    "DataConfig",
    "Dataset",
    "Hyper",
    "LearnerState",
    "MaskConfig",
    "agreement",
    "build",
    "make",
]
