"""Reads EPMOCAP1: motions of dm_control's CMU humanoid as one binary file.

Little endian: the magic, u32 number of clips; of each clip its id (u32 length and text), u32
frames, f64 seconds per frame, u32 keys; of each key its name, u32 width, and float32 numbers frame
by frame.
"""

import struct
from typing import NamedTuple

import numpy as np

from jaxrl_suite.core import UsageError

MAGIC = b"EPMOCAP1"
# The keys that a clip has, and numbers of each a frame.
WIDTHS = {
    "angular_velocity": 3,
    "appendages": 15,
    "body_positions": 93,
    "body_quaternions": 124,
    "center_of_mass": 3,
    "end_effectors": 12,
    "joints": 56,
    "joints_velocity": 56,
    "position": 3,
    "quaternion": 4,
    "velocity": 3,
}
_LEG = ("hipjoint", "femur", "tibia", "foot", "toes")
_ARM = ("clavicle", "humerus", "radius", "wrist", "hand", "fingers", "thumb")
_SPINE = ("lowerback", "upperback", "thorax", "lowerneck", "upperneck", "head", "face")
BODIES = (
    *(f"{side}{name}" for side in "lr" for name in _LEG),
    *_SPINE,
    *(f"{side}{name}" for side in "lr" for name in _ARM),
)
# Places in `joints` of those that turn about one axis in our skeleton, too.
KNEES = {"left": 3, "right": 10}  # tibiarx
ELBOWS = {"left": 37, "right": 49}  # radiusrx


class Recording(NamedTuple):
    """A clip of the file.

    name: its id.
    seconds: per frame.
    numbers: arrays [F, width] of every key, float64.
    """

    name: str
    seconds: float
    numbers: dict[str, np.ndarray]


class _Reader:
    """Takes a file's bytes from front to back."""

    def __init__(self, content: bytes, where: object):
        self.content, self.where, self.place = content, where, 0

    def take(self, count: int, what: str) -> bytes:
        end = self.place + count
        if end > len(self.content):
            raise UsageError(
                f"{self.where}: ends within {what}: it has {len(self.content)} bytes and needs "
                f"{end}; copy it again"
            )
        part = self.content[self.place : end]
        self.place = end
        return part

    def number(self, what: str, kind: str = "<I") -> float:
        return struct.unpack(kind, self.take(struct.calcsize(kind), what))[0]

    def text(self, what: str) -> str:
        part = self.take(self.number(what), what)
        try:
            return part.decode("ascii")
        except UnicodeDecodeError as error:
            raise UsageError(f"{self.where}: {what} is no text; copy the file again") from error


def read(content: bytes, where: object) -> list[Recording]:
    """All clips of a file's bytes.

    Args:
      content: of the file.
      where: what a message calls the file.

    Raises:
      UsageError: not of this format, cut short, or with bytes left over.
    """
    if not content.startswith(MAGIC):
        raise UsageError(
            f"{where}: is no EPMOCAP1 file: it begins with {content[:8]!r}, not {MAGIC!r}"
        )
    reader = _Reader(content, where)
    reader.take(len(MAGIC), "the magic")
    count = reader.number("the number of clips")
    recordings = [_recording(reader, i) for i in range(count)]
    if not recordings:
        raise UsageError(f"{where}: has no clips")
    if reader.place != len(content):
        raise UsageError(
            f"{where}: has {len(content) - reader.place} bytes after its last clip; copy it again"
        )
    return recordings


def _recording(reader: _Reader, index: int) -> Recording:
    name = reader.text(f"the name of clip {index}")
    what = f"clip {name}"
    frames, seconds = reader.number(what), reader.number(what, "<d")
    if not (np.isfinite(seconds) and seconds > 0):
        raise UsageError(
            f"{reader.where}: {what}: a frame lasts {seconds:g} s; frame times must be above 0"
        )
    numbers = {}
    for _ in range(reader.number(what)):
        key = reader.text(f"the name of a key of {what}")
        width = reader.number(f"{key} of {what}")
        if WIDTHS.get(key) != width:
            legal = ", ".join(f"{k} {n}" for k, n in WIDTHS.items())
            raise UsageError(
                f"{reader.where}: {what}: key {key!r} of {width} numbers; it must be one of {legal}"
            )
        part = reader.take(4 * frames * width, f"{key} of {what}")
        numbers[key] = np.frombuffer(part, "<f4").reshape(frames, width).astype(np.float64)
    absent = [key for key in WIDTHS if key not in numbers]
    if absent:
        raise UsageError(f"{reader.where}: {what}: lacks {', '.join(absent)}")
    return Recording(name, seconds, numbers)
