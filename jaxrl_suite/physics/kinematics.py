"""Where the links are: transforms down the tree by pointer doubling, relative to the root."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrl_suite.physics import rotations
from jaxrl_suite.physics.model import ROOT_DOFS, Model, Sizes, State


class Tree(NamedTuple):
    """What follows from `parent` and the masks alone; once a body, outside the step loop.

    moves: [NB, NV], 1 where a slot moves a link: B[b, d] = anc[b, body(d)] mask[d].
    carries: [NV, NV], 1 where slot e turns the axis of slot d: D[d, e]. Within a link the slots
      before and d itself; the root's rotation and a ball as a whole, for w x w must cancel.
    """

    moves: jax.Array
    carries: jax.Array


class Kinematics(NamedTuple):
    """Poses in world axes, positions relative to the root's origin.

    quaternion, rotation: [NB, 4], [NB, 3, 3].
    position: [NB, 3] (m).
    columns: [NV, 6], spatial velocity (angular, linear) about the root's origin of a unit rate.
    """

    quaternion: jax.Array
    rotation: jax.Array
    position: jax.Array
    columns: jax.Array


def _doublings(num_bodies: int) -> int:
    return max(num_bodies - 1, 1).bit_length()


def ancestors(parent: jax.Array) -> jax.Array:
    """[NB, NB], 1 where c is b or above it: (I + P) squared until nothing changes."""
    size = parent.shape[0]
    reach = jnp.minimum(jnp.eye(size) + (parent[:, None] == jnp.arange(size)[None]), 1.0)
    for _ in range(_doublings(size)):
        reach = jnp.minimum(reach @ reach, 1.0)
    return reach


def prepare(sizes: Sizes, model: Model) -> Tree:
    """The masks of a body."""
    body = sizes.dof_body
    reach = ancestors(model.parent)
    moves = reach[:, body] * model.dof_mask[None]
    same = body[:, None] == body[None, :]
    lower = jnp.tril(jnp.ones((sizes.num_dofs, sizes.num_dofs)))
    rotation = jnp.arange(ROOT_DOFS) >= 3  # of the root
    is_ball = jnp.concatenate([rotation, jnp.repeat(model.ball > 0, sizes.hinges)])
    whole = is_ball[:, None] & is_ball[None, :]
    within = jnp.where(same, jnp.where(whole, 1.0, lower), 1.0)
    carries = reach[body][:, body] * within * model.dof_mask[:, None] * model.dof_mask[None]
    return Tree(moves, carries)


def kinematics(sizes: Sizes, model: Model, state: State) -> Kinematics:
    """Poses of all links.

    In a link's parent frame its hinges act in series: slot s turns about the axis n_s through the
    anchor a_s. Global poses follow by composing ceil(log2 NB) times with the transform of the
    parent's parent, and so on. The root's origin is the origin throughout, which keeps float32
    exact however far from the world's the body is.
    """
    joints, hinges = sizes.num_bodies - 1, sizes.hinges
    angle = state.q[7:].reshape(joints, hinges)
    q, p = model.quaternion[1:], model.position[1:]
    axes, anchors = [], []
    for s in range(hinges):
        anchor = p + rotations.rotate(q, model.joint_position[:, s])
        axes.append(rotations.rotate(q, model.joint_axis[:, s]))
        anchors.append(anchor)
        q = rotations.multiply(q, rotations.from_axis_angle(model.joint_axis[:, s], angle[:, s]))
        p = anchor - rotations.rotate(q, model.joint_position[:, s])
    axis, anchor = jnp.stack(axes, 1), jnp.stack(anchors, 1)  # [NB-1, H, 3]
    if sizes.balls:
        ball = model.ball[:, None] > 0
        at = model.position[1:] + rotations.rotate(model.quaternion[1:], model.joint_position[:, 0])
        turned = rotations.multiply(model.quaternion[1:], state.ball_q)
        q = jnp.where(ball, turned, q)
        p = jnp.where(ball, at - rotations.rotate(turned, model.joint_position[:, 0]), p)
        columns = jnp.swapaxes(rotations.to_matrix(turned), -1, -2)
        axis = jnp.where(ball[..., None], columns, axis)
        anchor = jnp.where(ball[..., None], at[:, None], anchor)
    root = rotations.normalise(state.q[3:7])
    # Slot NB is a sentinel: the identity, its own parent, and the root's.
    identity = jnp.zeros(4, q.dtype).at[0].set(1.0)
    quaternion = jnp.concatenate([root[None], q, identity[None]])
    position = jnp.concatenate([jnp.zeros_like(root[None, :3]), p, jnp.zeros_like(root[None, :3])])
    sentinel = sizes.num_bodies
    parent = jnp.concatenate(
        [jnp.full(1, sentinel), model.parent[1:], jnp.full(1, sentinel)]
    ).astype(jnp.int32)
    for _ in range(_doublings(sizes.num_bodies)):
        above = quaternion[parent]
        position = position[parent] + rotations.rotate(above, position)
        quaternion = rotations.multiply(above, quaternion)
        parent = parent[parent]
    quaternion, position = rotations.normalise(quaternion[:-1]), position[:-1]
    rotation = rotations.to_matrix(quaternion)
    # Axes and anchors were those of the parent's frame.
    turn, origin = rotation[model.parent[1:]], position[model.parent[1:]]
    axis = jnp.einsum("bij,bsj->bsi", turn, axis).reshape(-1, 3)
    anchor = (origin[:, None] + jnp.einsum("bij,bsj->bsi", turn, anchor)).reshape(-1, 3)
    hinge = jnp.concatenate([axis, jnp.cross(anchor, axis)], axis=1)
    zeros, eye = jnp.zeros((3, 3), q.dtype), jnp.eye(3, dtype=q.dtype)
    free = jnp.concatenate(
        [jnp.concatenate([zeros, eye], 1), jnp.concatenate([rotation[0].T, zeros], 1)]
    )
    columns = jnp.concatenate([free, hinge]) * model.dof_mask[:, None]
    assert columns.shape == (ROOT_DOFS + sizes.num_joints, 6)
    return Kinematics(quaternion, rotation, position, columns)
