"""A body's coordinates here and in MuJoCo, in both directions."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl_suite.physics.model import ROOT_DOFS, Model, Sizes, State


class Layout(NamedTuple):
    """Where MuJoCo keeps what is kept in slots here, for the body's MJCF.

    links: [nbody-1], the link of every body of the tree, in MuJoCo's order.
    positions: [nq], places in q, then ball_q, then box_q, laid end to end.
    dofs: [nv], places in v, then box_v, which is also the order of accelerations.
    controls: [nu], slots of the actuators.
    """

    links: np.ndarray
    positions: np.ndarray
    dofs: np.ndarray
    controls: np.ndarray

    def to_mujoco(self, state: State) -> tuple[jax.Array, jax.Array, jax.Array]:
        """qpos [..., nq], qvel [..., nv] and acceleration [..., nv] of one state or of many."""
        lead = state.q.shape[:-1]
        flat = lambda *parts: jnp.concatenate([x.reshape(*lead, -1) for x in parts], -1)  # noqa: E731
        positions = flat(state.q, state.ball_q, state.box_q)
        velocities = flat(state.v, state.box_v)
        return (
            positions[..., self.positions],
            velocities[..., self.dofs],
            state.acceleration[..., self.dofs],
        )

    def from_mujoco(
        self, rest: State, qpos: jax.Array, qvel: jax.Array, acceleration: jax.Array
    ) -> State:
        """One state; slots that MuJoCo does not have are taken from `rest`."""
        positions = jnp.concatenate([rest.q, rest.ball_q.reshape(-1), rest.box_q.reshape(-1)])
        positions = positions.at[self.positions].set(qpos)
        velocities = jnp.concatenate([rest.v, rest.box_v.reshape(-1)]).at[self.dofs].set(qvel)
        q, ball_q, box_q = jnp.split(positions, np.cumsum([rest.q.size, rest.ball_q.size]), axis=0)
        v, box_v = jnp.split(velocities, [rest.v.size])
        return State(
            q,
            v,
            rest.acceleration.at[self.dofs].set(acceleration),
            ball_q.reshape(rest.ball_q.shape),
            box_q.reshape(rest.box_q.shape),
            box_v.reshape(rest.box_v.shape),
        )


def depth_first(model: Model) -> list[int]:
    """Links that exist, in the order in which MJCF nests them and MuJoCo counts them."""
    links = [int(b) for b in np.flatnonzero(np.asarray(model.exists) > 0)]
    parent = np.asarray(model.parent)

    def below(link: int) -> list[int]:
        children = [b for b in links if b and parent[b] == link]
        return [link, *(b for child in children for b in below(child))]

    return below(0)


def layout(sizes: Sizes, model: Model, num_boxes: int = 0) -> Layout:
    """Of one body, with so many free boxes after it; actuators in the order of the joints.

    Args:
      sizes: of the arrays, padding included.
      model: one body.
      num_boxes: that exist; they are the first ones of :class:`Scene`.
    """
    mask, ball = np.asarray(model.dof_mask), np.asarray(model.ball)
    links = depth_first(model)
    dofs, positions, controls = list(range(ROOT_DOFS)), list(range(7)), []
    for link in links[1:]:
        first = sizes.hinges * (link - 1)
        if ball[link - 1]:
            dofs += [ROOT_DOFS + first + i for i in range(3)]
            positions += [sizes.num_positions + 4 * (link - 1) + i for i in range(4)]
            continue
        used = [s for s in range(sizes.hinges) if mask[ROOT_DOFS + first + s]]
        dofs += [ROOT_DOFS + first + s for s in used]
        positions += [7 + first + s for s in used]
    for link in range(1, sizes.num_bodies):
        for dof in range(ROOT_DOFS + sizes.hinges * (link - 1), ROOT_DOFS + sizes.hinges * link):
            if has_actuator(model, dof):
                controls.append(dof)
    boxes = sizes.num_positions + (4 * (sizes.num_bodies - 1) if sizes.balls else 0)
    positions += [boxes + i for i in range(7 * num_boxes)]
    dofs += [sizes.num_dofs + i for i in range(ROOT_DOFS * num_boxes)]
    return Layout(*(np.array(x, int) for x in (links, positions, dofs, controls)))


def has_actuator(model: Model, dof: int) -> bool:
    """Whether a slot is driven."""
    return bool(model.dof_mask[dof] and (model.gear[dof] or model.kp[dof] or model.kv[dof]))
