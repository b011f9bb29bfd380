"""Puts motions of dm_control's CMU humanoid on ours: closed form, frame by frame.

Every link of ours takes the attitude of the link of the source that it stands for; only axes are
named anew. Joints follow as attitudes of children in their parents. Legs differ in length, so the
root's path is scaled by them, and then shifted so that the feet stand on the ground.
"""

import itertools

import numpy as np

from jaxrl_suite.core import UsageError
from jaxrl_suite.data.motion import checking, epmocap, measures
from jaxrl_suite.data.motion.clip import Clip
from jaxrl_suite.envs import turns
from jaxrl_suite.envs.humanoid import skeleton

# Our axes x, y, z in the axes of a link of the source, as quaternions.
_TRUNK = np.array([0.5, -0.5, -0.5, -0.5])  # z, x, y: root, thorax, head, femurs
_ARM = np.array([0.5, -0.5, 0.5, 0.5])  # -z, -x, y: humeri
_FOOT = np.array([1.0, 0.0, 0.0, -1.0]) / np.sqrt(2.0)  # -y, x, z: feet
# The source's ankle points the toes down by so much when its sole is level with ours (rad).
_SOLE = -0.145
_USED = ("position", "quaternion", "joints", "body_positions", "body_quaternions")


def retarget(
    recording: epmocap.Recording, name: str, group: str, source: str, where: object
) -> Clip:
    """A clip of ours, checked.

    Args:
      recording: of the CMU humanoid.
      name: of the clip.
      group: of the clip.
      source: of the clip.
      where: what a message calls the file.

    Raises:
      UsageError: an unsound recording or clip, named with the frame.
    """
    _check_source(recording, name, where)
    numbers = recording.numbers
    attitude = numbers["body_quaternions"].reshape(-1, len(epmocap.BODIES), 4)
    place = numbers["body_positions"].reshape(-1, len(epmocap.BODIES), 3)
    of = lambda link, axes: turns.multiply(turns.normalise(attitude[:, _at(link)]), axes)  # noqa: E731
    root = turns.multiply(turns.normalise(numbers["quaternion"]), _TRUNK)
    thorax, head = of("thorax", _TRUNK), of("head", _TRUNK)
    balls = {"abdomen": turns.between(root, thorax), "neck": turns.between(thorax, head)}
    hinges = {}
    for side in ("right", "left"):
        femur, foot = of(f"{side[0]}femur", _TRUNK), of(f"{side[0]}foot", _FOOT)
        knee = numbers["joints"][:, epmocap.KNEES[side]]
        shin = turns.multiply(femur, turns.about_y(knee))
        sole = turns.multiply(foot, turns.about_y(np.array(_SOLE)))
        balls[f"{side}_shoulder"] = turns.between(thorax, of(f"{side[0]}humerus", _ARM))
        balls[f"{side}_hip"] = turns.between(root, femur)
        balls[f"{side}_ankle"] = turns.between(shin, sole)
        hinges[f"{side}_knee"] = knee
        hinges[f"{side}_elbow"] = -numbers["joints"][:, epmocap.ELBOWS[side]]
    clip = Clip(
        name,
        group,
        source,
        (place[:, _at("lfemur")] + place[:, _at("rfemur")]) / 2 * leg_ratio(place[0]),
        root,
        np.stack([balls[skeleton.JOINTS[i].name] for i in skeleton.BALLS], axis=1),
        np.stack([hinges[skeleton.JOINTS[i].name] for i in skeleton.HINGES], axis=1),
        1.0 / recording.seconds,
        False,
    )
    checking.check(clip, where)
    # The source's feet sink into the ground, by how much differs between recordings. Ours are the
    # spheres that touch; the box that they stand for reaches 0.4 cm lower when it tilts.
    rise = np.array([0.0, 0.0, -np.median(measures.lowest_foot(clip))])
    return clip._replace(position=clip.position + rise)


def leg_ratio(place: np.ndarray) -> float:
    """Length of our legs by the source's, of whose links `place` [31, 3] has the positions (m)."""
    points = [place[_at(name)] for name in ("lfemur", "ltibia", "lfoot")]
    theirs = sum(np.linalg.norm(b - a) for a, b in itertools.pairwise(points))
    ours = sum(-skeleton.part(name).offset[2] for name in ("left_shin", "left_foot"))
    return float(ours / theirs)


def _at(link: str) -> int:
    return epmocap.BODIES.index(link)


def _check_source(recording: epmocap.Recording, name: str, where: object) -> None:
    """Refuses numbers from which nothing could be made."""
    if len(recording.numbers["position"]) < 2:
        raise UsageError(f"{where}: clip {name}: has fewer than 2 frames")
    for key in _USED:
        checking.check_finite(recording.numbers[key], f"{where}: clip {name}", key)
    for key in ("quaternion", "body_quaternions"):
        quaternions = recording.numbers[key].reshape(len(recording.numbers[key]), -1, 4)
        checking.check_unit(quaternions, f"{where}: clip {name}", lambda _, key=key: key)
