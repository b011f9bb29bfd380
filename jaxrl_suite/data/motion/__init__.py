"""Motion clips of the humanoid: the shipped ones, and those of a user's directory. ::

library = default()                          # 51 clips, 166 s
walks = subset(library, ["walk", "straight"])  # clips or groups of clips
mine = read_directory("motions")             # .npz, DeepMimic's .txt, EPMOCAP1 .bin
"""

from jaxrl_suite.data.motion.checking import check
from jaxrl_suite.data.motion.clip import Clip
from jaxrl_suite.data.motion.importing import FORMATS, examined, read_directory
from jaxrl_suite.data.motion.library import (
    Library,
    default,
    gather,
    join,
    load,
    save,
    subset,
    weights_by_group,
)
from jaxrl_suite.data.motion.measures import Quality, quality, table
from jaxrl_suite.data.motion.skeleton import HUMANOID, Skeleton

__all__ = [
    "FORMATS",
    "HUMANOID",
    "Clip",
    "Library",
    "Quality",
    "Skeleton",
    "check",
    "default",
    "examined",
    "gather",
    "join",
    "load",
    "quality",
    "read_directory",
    "save",
    "subset",
    "table",
    "weights_by_group",
]
