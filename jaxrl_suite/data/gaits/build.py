"""Makes the shipped clips, gaits.npz, from nothing but this package's code.

::

  python -m jaxrl_suite.data.gaits.build
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from jaxrl_suite.core import UsageError
from jaxrl_suite.data.gaits import composing, measures, repertoire
from jaxrl_suite.data.gaits.dog import DOG, SHIPPED
from jaxrl_suite.data.motion import Library, gather, load, save
from jaxrl_suite.data.motion.library import REMEDY
from jaxrl_suite.files import write_atomically

QUALITY = Path(__file__).with_name("QUALITY.md")


def build(seed: int = 0) -> Library:
    """All clips."""
    clips = [composing.composed(plan).clip for plan in repertoire.plans(seed)]
    return gather(clips, skeleton=DOG)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=SHIPPED, metavar="FILE")
    given = parser.parse_args(arguments)
    try:
        save(build(), given.out)
        text = measures.table(measures.quality(load(given.out, DOG)))
        page = given.out.with_name(QUALITY.name)
        write_atomically(page, (_HEADING + text).encode(), remedy=REMEDY)
    except UsageError as error:
        print(error, file=sys.stderr)
        return 2
    print(text)
    return 0


_HEADING = """# The shipped gaits in numbers

Written by `python -m jaxrl_suite.data.gaits.build`. All clips are procedural, none is a recording.

"""

if __name__ == "__main__":
    sys.exit(main())
