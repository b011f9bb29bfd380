"""Unit quaternions (w, x, y, z) in NumPy, float64, for what is done once when clips are made."""

import numpy as np


def multiply(q: np.ndarray, r: np.ndarray) -> np.ndarray:
    """Hamilton product: first the rotation r, then q, [..., 4]."""
    qw, qx, qy, qz = np.moveaxis(q, -1, 0)
    rw, rx, ry, rz = np.moveaxis(r, -1, 0)
    return np.stack(
        [
            qw * rw - qx * rx - qy * ry - qz * rz,
            qw * rx + qx * rw + qy * rz - qz * ry,
            qw * ry - qx * rz + qy * rw + qz * rx,
            qw * rz + qx * ry - qy * rx + qz * rw,
        ],
        axis=-1,
    )


def conjugate(q: np.ndarray) -> np.ndarray:
    """The inverse rotation, [..., 4]."""
    return np.concatenate([q[..., :1], -q[..., 1:]], axis=-1)


def between(q: np.ndarray, r: np.ndarray) -> np.ndarray:
    """q* r: the rotation r as seen from q, [..., 4]."""
    return multiply(conjugate(q), r)


def about_y(angle: np.ndarray) -> np.ndarray:
    """Rotation by `angle` [...] (rad) about y, [..., 4]."""
    half, zero = np.asarray(angle) / 2, np.zeros(np.shape(angle))
    return np.stack([np.cos(half), zero, np.sin(half), zero], axis=-1)


def rotate(q: np.ndarray, v: np.ndarray) -> np.ndarray:
    """q v q*, [..., 3]."""
    u = q[..., 1:]
    t = 2.0 * np.cross(u, v)
    return v + q[..., :1] * t + np.cross(u, t)


def normalise(q: np.ndarray) -> np.ndarray:
    """q / |q|, [..., 4]."""
    return q / np.linalg.norm(q, axis=-1, keepdims=True)


def angle(q: np.ndarray) -> np.ndarray:
    """By which q turns, 0 to pi (rad), [..., 4] -> [...]."""
    return 2.0 * np.arctan2(np.linalg.norm(q[..., 1:], axis=-1), np.abs(q[..., 0]))


def vector(q: np.ndarray) -> np.ndarray:
    """Rotation vector of length at most pi (rad), [..., 4] -> [..., 3]."""
    q = np.where(q[..., :1] < 0, -q, q)
    length = np.linalg.norm(q[..., 1:], axis=-1, keepdims=True)
    small = length < 1e-9
    whole = 2.0 * np.arctan2(length, q[..., :1])
    return np.where(small, 2.0, whole / np.where(small, 1.0, length)) * q[..., 1:]


def slerp(q: np.ndarray, r: np.ndarray, share: np.ndarray) -> np.ndarray:
    """The rotation that `share` [...] of the shorter way from q leads towards r, [..., 4]."""
    r = np.where(np.sum(q * r, axis=-1, keepdims=True) < 0, -r, r)
    share, whole = np.asarray(share)[..., None], angle(between(q, r))[..., None] / 2
    sine = np.where(whole < 1e-6, 1.0, np.sin(whole))
    # Too near for the sines: then the chord is the arc.
    low = np.where(whole < 1e-6, 1.0 - share, np.sin((1.0 - share) * whole) / sine)
    high = np.where(whole < 1e-6, share, np.sin(share * whole) / sine)
    return normalise(low * q + high * r)


def to_matrix(q: np.ndarray) -> np.ndarray:
    """[..., 4] -> [..., 3, 3], whose columns are the turned axes."""
    return np.stack([rotate(q, axis) for axis in np.eye(3)], axis=-1)


def xyz_angles(q: np.ndarray) -> np.ndarray:
    """Angles (x, y, z) of the hinges in series that make q = X(x) Y(y) Z(z), [..., 3] (rad)."""
    m = to_matrix(q)
    return np.stack(
        [
            np.arctan2(-m[..., 1, 2], m[..., 2, 2]),
            np.arcsin(np.clip(m[..., 0, 2], -1.0, 1.0)),
            np.arctan2(-m[..., 0, 1], m[..., 0, 0]),
        ],
        axis=-1,
    )
