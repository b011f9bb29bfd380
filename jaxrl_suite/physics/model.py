"""Bodies as arrays: what is static, what is data, and how bodies of different shape share a batch.

A body is a tree of rigid links on a floating base. The tree itself is data: `parent` and the masks
say which slots are in use, so one compiled program steps any mix of bodies that fit its
:class:`Sizes`. Link 0 is the root; a parent comes before its children; link b >= 1 owns the
degree-of-freedom slots 6 + H (b - 1) + s, s = 0..H-1, used or not.
"""

import dataclasses
from typing import Any, NamedTuple

import numpy as np

from jaxrl_suite.core import UsageError

ROOT_DOFS = 6  # slots of the floating base
UNLIMITED = 1e3  # rad, a joint range that is never reached


@dataclasses.dataclass(frozen=True)
class Sizes:
    """Padded sizes: they fix the program.

    Attributes:
      num_bodies: NB, links, the root included.
      hinges: H, hinge slots in front of every link but the root, in series; 1 to 3.
      segments: G, collision segments (spheres and capsules) of a link.
      contacts: K, contacts that are kept, the deepest.
      balls: whether links may hang on ball joints, which take three slots.
      obstacles: boxes that are part of the world.
      boxes: boxes that move freely.
    """

    num_bodies: int
    hinges: int = 2
    segments: int = 1
    contacts: int = 8
    balls: bool = False
    obstacles: int = 0
    boxes: int = 0

    def __post_init__(self) -> None:
        """Raises UsageError for sizes that no body can have."""
        if self.num_bodies < 1 or self.segments < 1 or self.contacts < 1:
            raise UsageError(f"num_bodies, segments and contacts must be at least 1: {self}")
        if not 1 <= self.hinges <= 3:
            raise UsageError(f"hinges must be 1, 2 or 3, not {self.hinges}")
        if self.balls and self.hinges != 3:
            raise UsageError("ball joints take three slots: balls needs hinges=3")

    @property
    def num_joints(self) -> int:
        """NJ, hinge slots in all."""
        return self.hinges * (self.num_bodies - 1)

    @property
    def num_dofs(self) -> int:
        """NV, velocity slots of the body."""
        return ROOT_DOFS + self.num_joints

    @property
    def num_accelerations(self) -> int:
        """NV + 6 NF, what the solver solves for: the body's slots, then those of free boxes."""
        return self.num_dofs + ROOT_DOFS * self.boxes

    @property
    def num_positions(self) -> int:
        """NQ, position slots without those of ball joints."""
        return self.num_dofs + 1

    @property
    def dof_body(self) -> np.ndarray:
        """int [NV], the link that a slot moves."""
        links = np.repeat(np.arange(1, self.num_bodies), self.hinges)
        return np.concatenate([np.zeros(ROOT_DOFS, int), links])

    def covers(self, other: "Sizes") -> bool:
        """Whether a body of the other sizes fits; how many contacts are kept is free."""
        names = [f.name for f in _FIELDS if f.name != "contacts"]
        return all(getattr(self, name) >= getattr(other, name) for name in names)

    def union(self, other: "Sizes") -> "Sizes":
        """The smallest sizes that cover both."""
        return Sizes(
            **{f.name: max(getattr(self, f.name), getattr(other, f.name)) for f in _FIELDS}
        )


_FIELDS = dataclasses.fields(Sizes)


@dataclasses.dataclass(frozen=True)
class Options:
    """How time is stepped and constraints are solved; MuJoCo's defaults where it has one.

    Attributes:
      timestep: s.
      gravity: m/s^2, downwards.
      newton_steps: iterations of the solver; below 6 rollouts leave MuJoCo's.
      line_search_steps: of each.
      start: of the solver: "warm" for the last step's answer, as its fixed counts were measured;
        "cheaper" for that or the smooth acceleration, whichever costs less, as in MuJoCo.
      self_collision: whether the links of a body may touch each other.
      solref: time constant (s) and damping ratio of contacts and of limits.
      solimp_contact: dmin, dmax, width, midpoint, power of contacts.
      solimp_limit: of joint limits.
    """

    timestep: float = 0.002
    gravity: float = 9.81
    newton_steps: int = 8
    line_search_steps: int = 8
    start: str = "warm"
    self_collision: bool = True
    solref: tuple[float, float] = (0.02, 1.0)
    solimp_contact: tuple[float, ...] = (0.9, 0.95, 0.001, 0.5, 2.0)
    solimp_limit: tuple[float, ...] = (0.9, 0.95, 0.001, 0.5, 2.0)

    def __post_init__(self) -> None:
        """Raises UsageError for what no solver can do."""
        if self.start not in ("warm", "cheaper"):
            raise UsageError(f"start must be warm or cheaper, not {self.start!r}")
        if self.newton_steps < 1 or self.line_search_steps < 1 or not self.timestep > 0:
            raise UsageError(
                "newton_steps and line_search_steps must be at least 1, timestep above 0"
            )


class Model(NamedTuple):
    """One body, padded. Vmapped over a population it has a leading axis [P].

    parent: int32 [NB], the root's is 0.
    exists: float [NB], 1 for links that are there.
    position, quaternion: [NB, 3], [NB, 4], frame of the link in its parent's (m).
    joint_position, joint_axis: [NB-1, H, 3], anchor (m) and unit axis in the link's frame.
    dof_mask: [NV], 1 for slots in use.
    ball: [NB-1], 1 for links on a ball joint.
    mass: [NB] (kg).
    com: [NB, 3], centre of mass in the link's frame (m).
    inertia: [NB, 3, 3], about the centre of mass in the link's axes (kg m^2).
    segment: [NB, G, 2, 3], end points of the capsules' axes in the link's frame (m).
    radius: [NB, G] (m).
    segment_mask: [NB, G, 2], ends in use: a capsule has two, a sphere the first.
    friction: [NB, G], sliding.
    pair_mask: [NB, NB], symmetric, 1 where two links may collide.
    gear: [NV], force a unit of control (N m).
    control_range: [NV, 2], controls are clipped to it.
    kp, kv: [NV], of position actuators: minus kp angle minus kv rate; 0 for motors.
    force_range: [NV, 2], actuator forces are clipped to it (N m).
    damping, stiffness, armature: [NV].
    range: [NV-6, 2], joint limits (rad); of a ball, [0, largest angle] in its first slot.
    start: [3], of the root in the reference pose (m, world).
    body_invweight, dof_invweight: [NB], [NV-6], see :func:`reference_pose.with_invweights`.
    """

    parent: Any
    exists: Any
    position: Any
    quaternion: Any
    joint_position: Any
    joint_axis: Any
    dof_mask: Any
    ball: Any
    mass: Any
    com: Any
    inertia: Any
    segment: Any
    radius: Any
    segment_mask: Any
    friction: Any
    pair_mask: Any
    gear: Any
    control_range: Any
    kp: Any
    kv: Any
    force_range: Any
    damping: Any
    stiffness: Any
    armature: Any
    range: Any
    start: Any
    body_invweight: Any
    dof_invweight: Any


class State(NamedTuple):
    """Where a body is and how it moves.

    q: [NQ], root position (m, world), root quaternion (w, x, y, z), joint angles (rad).
    v: [NV], root velocity (m/s, world), root angular velocity (rad/s, root frame), joint rates.
    acceleration: [NV + 6 NF], the solver's last answer, its next start.
    ball_q: [NB-1, 4], quaternions of ball joints; [0, 4] without `balls`.
    box_q: [NF, 7], position (m, world) and quaternion of free boxes.
    box_v: [NF, 6], velocity (m/s, world) and angular velocity (rad/s, the box's frame).
    """

    q: Any
    v: Any
    acceleration: Any
    ball_q: Any
    box_q: Any
    box_v: Any


def empty(sizes: Sizes) -> Model:
    """A model without any link in use, NumPy float64: what padding consists of."""
    bodies, joints, dofs = sizes.num_bodies, sizes.num_bodies - 1, sizes.num_dofs
    segments, hinges = sizes.segments, sizes.hinges
    zeros, ones = np.zeros, np.ones
    wide = np.tile([-np.inf, np.inf], (dofs, 1))
    return Model(
        parent=zeros(bodies, np.int32),
        exists=zeros(bodies),
        position=zeros((bodies, 3)),
        quaternion=np.tile([1.0, 0, 0, 0], (bodies, 1)),
        joint_position=zeros((joints, hinges, 3)),
        joint_axis=np.tile([0.0, 0, 1], (joints, hinges, 1)),
        dof_mask=zeros(dofs),
        ball=zeros(joints),
        mass=zeros(bodies),
        com=zeros((bodies, 3)),
        inertia=zeros((bodies, 3, 3)),
        segment=zeros((bodies, segments, 2, 3)),
        radius=zeros((bodies, segments)),
        segment_mask=zeros((bodies, segments, 2)),
        friction=ones((bodies, segments)),
        pair_mask=zeros((bodies, bodies)),
        gear=zeros(dofs),
        control_range=wide,
        kp=zeros(dofs),
        kv=zeros(dofs),
        force_range=wide.copy(),
        damping=zeros(dofs),
        stiffness=zeros(dofs),
        armature=zeros(dofs),
        range=np.tile([-UNLIMITED, UNLIMITED], (sizes.num_joints, 1)),
        start=zeros(3),
        body_invweight=zeros(bodies),
        dof_invweight=zeros(sizes.num_joints),
    )


# How a field is indexed: by link, by link but the root, by dof, by joint slot, or link and link.
_BY_DOF = ("dof_mask", "gear", "control_range", "kp", "kv", "force_range", "damping", "stiffness")
_BY_DOF = (*_BY_DOF, "armature")
_BY_JOINT = ("range", "dof_invweight")


def pad(model: Model, sizes: Sizes, to: Sizes) -> Model:
    """The same body in larger arrays.

    Args:
      model: one body of `sizes`, NumPy.
      sizes: its own.
      to: at least as large in everything.

    Raises:
      UsageError: the body does not fit.
    """
    if not to.covers(sizes):
        raise UsageError(f"a body of {sizes} does not fit {to}")
    old_joints = _slots(sizes)
    new_joints = _slots(to)[: sizes.num_bodies - 1, : sizes.hinges]
    result = {}
    for name, target in empty(to)._asdict().items():
        value = np.asarray(getattr(model, name))
        if name in _BY_JOINT:
            target[new_joints.ravel()] = value[old_joints.ravel()]
        elif name in _BY_DOF:
            target[:ROOT_DOFS] = value[:ROOT_DOFS]
            target[ROOT_DOFS + new_joints.ravel()] = value[ROOT_DOFS + old_joints.ravel()]
        else:
            target[tuple(slice(size) for size in value.shape)] = value  # [()] of a scalar
        result[name] = target
    return Model(**result)


def _slots(sizes: Sizes) -> np.ndarray:
    """int [NB-1, H], joint slot of a link's hinges."""
    return np.arange(sizes.num_joints).reshape(sizes.num_bodies - 1, sizes.hinges)
