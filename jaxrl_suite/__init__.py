"""Five published learning systems as pure, compiled JAX programs, environments included."""

from jaxrl_suite.core import (
    Learner,
    Preset,
    Source,
    System,
    SystemState,
    UsageError,
    fuse,
    train,
)
from jaxrl_suite.xla_flags import set_xla_flags

set_xla_flags()

__all__ = ["Learner", "Preset", "Source", "System", "SystemState", "UsageError", "fuse", "train"]
__version__ = "0.1.0"
