"""What is seen of the humanoid, in the frame of its heading: where it faces does not matter.

differs: the released policy observation has the root's rotation in the world, by a test that is
inverted; here, as in the paper, everything is relative to the heading.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl_suite import physics
from jaxrl_suite.envs.humanoid import skeleton
from jaxrl_suite.physics import kinematics, rotations

SENSE_SIZE = 1 + 14 * 3 + 15 * (6 + 3 + 3)  # 223
FRAME_SIZE = 1 + 6 + 3 + 3 + 12 * 6 + skeleton.ACTION_SIZE + 4 * 3  # 125

_HANDED = [skeleton.LINKS.index(link) for link in skeleton.LOWER_ARMS]
_FEET = [skeleton.LINKS.index(link) for link in skeleton.FEET]
# The 15 bodies, each hand after its lower arm; the links come first, then the two hands.
_ORDER = np.argsort([*range(13), *(link + 0.5 for link in _HANDED)])


class Bodies(NamedTuple):
    """The 13 links and then the two hands, in the frame of the heading.

    position: [15, 3], relative to the root (m).
    rotation: [15, 3, 3].
    velocity: [15, 3] (m/s).
    spin: [15, 3], angular velocity (rad/s).
    """

    position: jax.Array
    rotation: jax.Array
    velocity: jax.Array
    spin: jax.Array


def heading(quaternion: jax.Array) -> jax.Array:
    """Turns world axes into those of the heading, [3, 3]: yaw alone is taken away.

    The heading is where the root's x axis points on the ground.
    """
    ahead = rotations.rotate(quaternion, jnp.zeros(3).at[0].set(1.0))[:2]
    # Where x points straight up or down there is no heading; the world's will do.
    square = ahead @ ahead
    ahead = jnp.where(square > 1e-12, ahead, jnp.array([1.0, 0.0]))
    c, s = ahead / jnp.sqrt(jnp.where(square > 1e-12, square, 1.0))
    zero, one = jnp.zeros(()), jnp.ones(())
    return jnp.stack(
        [jnp.stack([c, s, zero]), jnp.stack([-s, c, zero]), jnp.stack([zero, zero, one])]
    )


def bodies(sizes: physics.Sizes, scene: physics.Scene, state: physics.State) -> Bodies:
    """Poses and velocities of all bodies."""
    with jax.default_matmul_precision("highest"):
        kin = kinematics.kinematics(sizes, scene.model, state)
        # Of a link the velocities of all slots above it, about the root's origin.
        spatial = scene.tree.moves @ (kin.columns * state.v[:, None])
        spin, velocity = spatial[:, :3], spatial[:, 3:]
        velocity = velocity + jnp.cross(spin, kin.position)
        hand = kin.rotation[np.array(_HANDED)] @ jnp.array(skeleton.HAND)
        own = [x[np.array(_HANDED)] for x in (kin.position, kin.rotation, velocity, spin)]
        hands = (own[0] + hand, own[1], own[2] + jnp.cross(own[3], hand), own[3])
        links = (kin.position, kin.rotation, velocity, spin)
        every = [jnp.concatenate([a, b]) for a, b in zip(links, hands, strict=True)]
        frame = heading(state.q[3:7])
        return Bodies(*(jnp.einsum("ij,bj...->bi...", frame, x) for x in every))


def six(rotation: jax.Array) -> jax.Array:
    """Six numbers of a rotation, [..., 3, 3] -> [..., 6]: its x axis, then its z axis."""
    return jnp.concatenate([rotation[..., :, 0], rotation[..., :, 2]], axis=-1)


def heights(sizes: physics.Sizes, scene: physics.Scene, state: physics.State) -> jax.Array:
    """Of the origins of the 13 links, then of the hands, above the ground, [15] (m)."""
    return state.q[2] + bodies(sizes, scene, state).position[:, 2]


def sense_of(sizes: physics.Sizes, scene: physics.Scene, state: physics.State) -> jax.Array:
    """What the policy sees, [223].

    Height of the root (1, m), positions of the 14 other bodies (42, m), rotations of the 15 (90),
    their velocities (45, m/s) and angular velocities (45, rad/s).
    """
    seen = bodies(sizes, scene, state)
    seen = jax.tree.map(lambda x: x[_ORDER], seen)
    parts = [state.q[2:3], seen.position[1:], six(seen.rotation), seen.velocity, seen.spin]
    return jnp.concatenate([part.reshape(-1) for part in parts])


def joint_rotations(state: physics.State) -> jax.Array:
    """Of the 12 joints, child in parent, [12, 4]; hinges turn about y."""
    angle = state.q[7 + 3 * skeleton.HINGES]
    axis = jnp.zeros((len(skeleton.HINGES), 3)).at[:, 1].set(1.0)
    return state.ball_q.at[skeleton.HINGES].set(rotations.from_axis_angle(axis, angle))


def joint_rates(state: physics.State) -> jax.Array:
    """Of the 28 degrees of freedom, in the order of actions (rad/s)."""
    slots = [
        6 + 3 * i + axis
        for i, joint in enumerate(skeleton.JOINTS)
        for axis in range(3 if joint.is_ball else 1)
    ]
    return state.v[np.array(slots)]


def ends(seen: Bodies) -> jax.Array:
    """Hands and feet, right ones first, [4, 3] (m)."""
    return jnp.concatenate([seen.position[13:], seen.position[np.array(_FEET)]])


def frame_of(sizes: physics.Sizes, scene: physics.Scene, state: physics.State) -> jax.Array:
    """What a discriminator sees of one instant, [125].

    Height of the root (1, m), its rotation (6), velocity (3, m/s) and angular velocity (3, rad/s,
    of the heading's frame, not the root's), rotations of the 12 joints (72), their rates (28,
    rad/s), hands and feet relative to the root (12, m).
    """
    seen = bodies(sizes, scene, state)
    joints = rotations.to_matrix(joint_rotations(state))
    parts = [
        state.q[2:3],
        six(seen.rotation[0]),
        seen.velocity[0],
        seen.spin[0],
        six(joints),
        joint_rates(state),
        ends(seen),
    ]
    return jnp.concatenate([part.reshape(-1) for part in parts])
