"""Motion clips of the quadruped: procedural gaits that ship with the package, and your own. ::

library = default()                             # 30 clips, 251 s
walks = subset(library, ["walk", "arc_walk"])   # clips or groups of clips
mine = read_directory("dog_mocap")              # .npz, JSON text of two releases
both = with_mirrors(mine)                       # and left and right exchanged
"""

import functools

from jaxrl_suite.data.gaits.dog import DOG, SHIPPED, mirror, with_mirrors
from jaxrl_suite.data.gaits.importing import FORMATS, examined, read_directory, recognised
from jaxrl_suite.data.gaits.measures import Quality, quality, table
from jaxrl_suite.data.motion import Library, load, subset

__all__ = [
    "DOG",
    "FORMATS",
    "Library",
    "Quality",
    "default",
    "examined",
    "mirror",
    "quality",
    "read_directory",
    "recognised",
    "subset",
    "table",
    "with_mirrors",
]


@functools.cache
def default() -> Library:
    """The shipped clips, all of them procedural."""
    return load(SHIPPED, DOG)
