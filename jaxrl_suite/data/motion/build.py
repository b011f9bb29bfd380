"""Makes the shipped clips, mix51.npz, from two packages of the Python Package Index.

::

  pip download --no-deps --python-version 3.11 --only-binary :all: \\
    pybullet==3.2.7 envpool_assets==0.4.1
  python -m jaxrl_suite.data.motion.build --deepmimic pybullet-3.2.7-*.whl \\
    --cmu envpool_assets-0.4.1-*.whl

The packages are read as archives and never installed. The same archives give the same bytes.
"""

import argparse
import hashlib
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from jaxrl_suite.core import UsageError
from jaxrl_suite.data.motion import deepmimic, epmocap, library, measures, retarget
from jaxrl_suite.data.motion.clip import Clip
from jaxrl_suite.envs import turns
from jaxrl_suite.envs.humanoid import skeleton
from jaxrl_suite.files import write_atomically

DEEPMIMIC_SHA256 = "5d858abf7c12a21ef3ed351cf81dac1b5e486ec25c9ab59bfc84beb89034edff"
CMU_SHA256 = "3c3f2f85865854b6ccbcd9765c277d883a440193a40785aa7f7c4ed96b58fcea"
DEEPMIMIC_SOURCE = "DeepMimic, by pybullet 3.2.7"
CMU_SOURCE = "CMU Graphics Lab Motion Capture Database, by dm_control and envpool_assets 0.4.1"
_MOTIONS = "pybullet_data/data/motions/humanoid3d_"
_RECORDINGS = "envpool_assets/mujoco/locomotion/assets_dm_control/mocap_2020.bin"
_QUALITY = Path(__file__).with_name("QUALITY.md")

# What the walks of the CMU database show, by subject and trial; all others go straight on.
_GROUPS = {
    "slow_stop": ("016_33", "016_34"),
    "veer": ("016_23", "016_24", "016_25", "016_26"),
    "turn": (*(f"016_{i}" for i in range(27, 31)), *(f"069_{i}" for i in range(22, 34))),
    "circle": ("047_01", "056_01"),
}
GROUP_OF = {trial: group for group, trials in _GROUPS.items() for trial in trials}
# Frames between which a joint's marker was lost, as the ankle's leap of 60 degrees and back shows.
LOST = {"016_29": ("left_ankle", 24, 31)}


def build(deepmimic_wheel: Path, cmu_wheel: Path) -> library.Library:
    """All 51 clips.

    Args:
      deepmimic_wheel: pybullet 3.2.7 for CPython 3.11 on Linux.
      cmu_wheel: envpool_assets 0.4.1.

    Raises:
      UsageError: a file that is missing or another one.
    """
    clips = [*_of_deepmimic(deepmimic_wheel), *_of_cmu(cmu_wheel)]
    return library.gather(clips)


def _of_deepmimic(wheel: Path) -> list[Clip]:
    """Their heights are left as they are: the feet are within 3 cm of the ground."""
    with _opened(wheel, DEEPMIMIC_SHA256) as archive:
        files = sorted(name for name in archive.namelist() if name.startswith(_MOTIONS))
        clips = []
        for file in files:
            name = file.removeprefix(_MOTIONS).removesuffix(".txt")
            clips.append(deepmimic.read(archive.read(file), name, name, DEEPMIMIC_SOURCE, file))
        return clips


def _of_cmu(wheel: Path) -> list[Clip]:
    with _opened(wheel, CMU_SHA256) as archive:
        recordings = epmocap.read(archive.read(_RECORDINGS), _RECORDINGS)
    clips = []
    for recording in recordings:
        trial = recording.name.removeprefix("CMU_")
        group = GROUP_OF.get(trial, "straight")
        clip = retarget.retarget(recording, f"cmu_{trial}", group, CMU_SOURCE, _RECORDINGS)
        clips.append(_mended(clip, *LOST[trial]) if trial in LOST else clip)
    return clips


def _mended(clip: Clip, joint: str, first: int, last: int) -> Clip:
    """With a ball that turns evenly from frame `first` to frame `last`."""
    ball = [skeleton.JOINTS[i].name for i in skeleton.BALLS].index(joint)
    balls = clip.balls.copy()
    share = np.linspace(0.0, 1.0, last - first + 1)
    balls[first : last + 1, ball] = turns.slerp(balls[first, ball], balls[last, ball], share)
    return clip._replace(balls=balls)


def _opened(wheel: Path, sha256: str) -> zipfile.ZipFile:
    try:
        with wheel.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UsageError(f"{wheel} cannot be read: {error.strerror}") from error
    if found != sha256:
        raise UsageError(f"{wheel} is another file: its SHA-256 is {found}, it must be {sha256}")
    return zipfile.ZipFile(wheel)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--deepmimic", type=Path, required=True, metavar="WHEEL")
    parser.add_argument("--cmu", type=Path, required=True, metavar="WHEEL")
    parser.add_argument("--out", type=Path, default=library.SHIPPED, metavar="FILE")
    given = parser.parse_args(arguments)
    try:
        made = build(given.deepmimic, given.cmu)
        library.save(made, given.out)
        rows = measures.quality(library.load(given.out))
        text = measures.table(rows)
        page = given.out.with_name(_QUALITY.name)
        write_atomically(page, (_HEADING + text).encode(), remedy=library.REMEDY)
    except UsageError as error:
        print(error, file=sys.stderr)
        return 2
    print(text)
    return 0


_HEADING = """# The shipped clips in numbers

Written by `python -m jaxrl_suite.data.motion.build`. Angles beyond limits are those of three hinges
about x, y and z in series, a ball's of which jump near a quarter turn about y; joint jumps are of
the rotations themselves.

"""

if __name__ == "__main__":
    sys.exit(main())
