"""Unit quaternions (w, x, y, z) and what they turn; all functions broadcast over leading axes."""

import jax
import jax.numpy as jnp

_SMALL = 1e-12


def multiply(q: jax.Array, r: jax.Array) -> jax.Array:
    """Hamilton product: first the rotation r, then q, [..., 4]."""
    qw, qx, qy, qz = (q[..., i] for i in range(4))
    rw, rx, ry, rz = (r[..., i] for i in range(4))
    return jnp.stack(
        [
            qw * rw - qx * rx - qy * ry - qz * rz,
            qw * rx + qx * rw + qy * rz - qz * ry,
            qw * ry - qx * rz + qy * rw + qz * rx,
            qw * rz + qx * ry - qy * rx + qz * rw,
        ],
        axis=-1,
    )


def conjugate(q: jax.Array) -> jax.Array:
    """The inverse rotation, [..., 4]."""
    return jnp.concatenate([q[..., :1], -q[..., 1:]], axis=-1)


def rotate(q: jax.Array, v: jax.Array) -> jax.Array:
    """q v q*, [..., 3]."""
    u = q[..., 1:]
    t = 2.0 * jnp.cross(u, v)
    return v + q[..., :1] * t + jnp.cross(u, t)


def from_axis_angle(axis: jax.Array, angle: jax.Array) -> jax.Array:
    """Rotation by `angle` [...] (rad) about the unit `axis` [..., 3]."""
    half = 0.5 * angle[..., None]
    return jnp.concatenate([jnp.cos(half), jnp.sin(half) * axis], axis=-1)


def from_vector(v: jax.Array) -> jax.Array:
    """Exponential map: the rotation by |v| (rad) about v, [..., 3] -> [..., 4]."""
    square = jnp.sum(v * v, axis=-1, keepdims=True)
    small = square < _SMALL
    angle = jnp.sqrt(jnp.where(small, 1.0, square))
    factor = jnp.where(small, 0.5 - square / 48.0, jnp.sin(0.5 * angle) / angle)
    scalar = jnp.where(small, 1.0 - square / 8.0, jnp.cos(0.5 * angle))
    return jnp.concatenate([scalar, factor * v], axis=-1)


def to_vector(q: jax.Array) -> jax.Array:
    """Logarithm: the rotation vector of length at most pi, [..., 4] -> [..., 3]."""
    q = jnp.where(q[..., :1] < 0, -q, q)
    square = jnp.sum(q[..., 1:] ** 2, axis=-1, keepdims=True)
    small = square < _SMALL
    length = jnp.sqrt(jnp.where(small, 1.0, square))
    factor = 2.0 * jnp.arctan2(length, q[..., :1]) / length
    return jnp.where(small, 2.0, factor) * q[..., 1:]


def slerp(q: jax.Array, r: jax.Array, share: jax.Array) -> jax.Array:
    """The rotation that share [] of the shorter way from q leads towards r, [..., 4]."""
    way = to_vector(multiply(conjugate(q), r))
    return multiply(q, from_vector(share * way))


def to_matrix(q: jax.Array) -> jax.Array:
    """[..., 4] -> [..., 3, 3], whose columns are the turned axes."""
    w, x, y, z = (q[..., i] for i in range(4))
    entries = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return jnp.stack([jnp.stack(row, axis=-1) for row in entries], axis=-2)


def normalise(v: jax.Array) -> jax.Array:
    """v / |v| along the last axis; zero stays zero."""
    square = jnp.sum(v * v, axis=-1, keepdims=True)
    return jnp.where(square > 0, v / jnp.sqrt(jnp.where(square > 0, square, 1.0)), 0.0)
