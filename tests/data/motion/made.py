"""Writers of small motion files, and a clip to put in them."""

import json
import struct

import numpy as np

from jaxrl_suite.data.motion import Clip
from jaxrl_suite.data.motion.epmocap import BODIES, MAGIC, WIDTHS
from jaxrl_suite.data.motion.retarget import _ARM, _FOOT, _SOLE, _TRUNK
from jaxrl_suite.envs import turns

FRAMES, FPS = 20, 30.0


def clip(name: str = "sway", frames: int = FRAMES, fps: float = FPS) -> Clip:
    """Joints that turn slowly about mixed axes while the root walks and climbs."""
    time = np.arange(frames) / fps
    axes = np.random.default_rng(0).normal(size=(9, 3))
    axes /= np.linalg.norm(axes, axis=-1, keepdims=True)
    angle = 0.2 + 0.5 * np.sin(2 * time[:, None] + np.arange(9))
    turn = np.concatenate(
        [np.cos(angle / 2)[..., None], np.sin(angle / 2)[..., None] * axes], axis=-1
    )
    position = np.stack([time, 0.3 * time, 0.9 + 0.1 * time], axis=-1)
    hinges = np.stack([-0.5 - time, -0.4 + 0 * time, 0.3 + time, 0.6 + 0 * time], axis=-1)
    return Clip(name, name, "made", position, turn[:, 0], turn[:, 1:], hinges, fps, True)


# Our joints in DeepMimic's order, as (kind, place among its kind).
DEEPMIMIC_ORDER = (
    *(("ball", 0), ("ball", 1), ("ball", 4), ("hinge", 2), ("ball", 5), ("ball", 2), ("hinge", 0)),
    *(("ball", 6), ("hinge", 3), ("ball", 7), ("ball", 3), ("hinge", 1)),
)


def deepmimic(of: Clip) -> bytes:
    """DeepMimic's text: y up, hinges the other way round."""
    back = lambda q: [q[0], q[1], q[3], -q[2]]  # noqa: E731
    frames = []
    for i in range(len(of.position)):
        x, y, z = of.position[i]
        row = [1 / of.fps, x, z, -y, *back(of.quaternion[i])]
        for kind, j in DEEPMIMIC_ORDER:
            row += back(of.balls[i, j]) if kind == "ball" else [-of.hinges[i, j]]
        frames.append([float(number) for number in row])
    return json.dumps({"Loop": "wrap" if of.loop else "none", "Frames": frames}).encode()


def recording(of: Clip, leg: float = 1.0) -> dict[str, np.ndarray]:
    """The CMU humanoid in our clip's poses, with legs `leg` times ours."""
    count = len(of.position)
    attitude = np.tile([1.0, 0, 0, 0], (count, len(BODIES), 1))
    place = np.zeros((count, len(BODIES), 3))
    joints = np.zeros((count, 56))
    as_source = lambda q, axes: turns.multiply(q, turns.conjugate(axes))  # noqa: E731
    put = lambda link, q: attitude.__setitem__((slice(None), BODIES.index(link)), q)  # noqa: E731
    thorax = turns.multiply(of.quaternion, of.balls[:, 0])
    put("thorax", as_source(thorax, _TRUNK))
    put("head", as_source(turns.multiply(thorax, of.balls[:, 1]), _TRUNK))
    for side, shoulder, hip, ankle, limb in (("r", 2, 4, 5, 0), ("l", 3, 6, 7, 1)):
        femur = turns.multiply(of.quaternion, of.balls[:, hip])
        shin = turns.multiply(femur, turns.about_y(of.hinges[:, 2 + limb]))
        sole = turns.multiply(shin, of.balls[:, ankle])
        foot = turns.multiply(sole, turns.about_y(np.array(-_SOLE)))
        put(f"{side}humerus", as_source(turns.multiply(thorax, of.balls[:, shoulder]), _ARM))
        put(f"{side}femur", as_source(femur, _TRUNK))
        put(f"{side}foot", as_source(foot, _FOOT))
        joints[:, 10 if side == "r" else 3] = of.hinges[:, 2 + limb]
        joints[:, 49 if side == "r" else 37] = -of.hinges[:, limb]
        for link, below in (("femur", 0.0), ("tibia", 0.4215), ("foot", 0.4215 + 0.4099)):
            at = of.position * leg - [0, 0, below * leg]
            place[:, BODIES.index(f"{side}{link}")] = at
    numbers = {key: np.zeros((count, width)) for key, width in WIDTHS.items()}
    numbers |= {"joints": joints, "position": of.position * leg}
    numbers["quaternion"] = as_source(of.quaternion, _TRUNK)
    numbers["body_quaternions"] = attitude.reshape(count, -1)
    numbers["body_positions"] = place.reshape(count, -1)
    return numbers


def epmocap(recordings: dict[str, dict[str, np.ndarray]], seconds: float = 1 / FPS) -> bytes:
    """EPMOCAP1."""
    text = lambda x: struct.pack("<I", len(x)) + x.encode()  # noqa: E731
    parts = [MAGIC, struct.pack("<I", len(recordings))]
    for name, numbers in recordings.items():
        frames = len(numbers["joints"])
        parts += [text(name), struct.pack("<IdI", frames, seconds, len(numbers))]
        for key, values in numbers.items():
            parts += [text(key), struct.pack("<I", values.shape[1]), values.astype("<f4").tobytes()]
    return b"".join(parts)
