"""Directions, lengths and the whole centimetres they end on.

A UNIMAL's offsets are spherical coordinates, each rounded to 1 cm, so that all positions lie on a
lattice and symmetry and overlap can be decided exactly. Directions are numbered: 0 is down
(phi = 180 degrees), 1 to 8 are level (phi = 90, theta = 0, 45, .. 315), 9 to 16 slope down
(phi = 135, the same thetas). x is forward, y to the left.
"""

import numpy as np

NUM_DIRECTIONS = 17
NUM_THETAS = 8
LEVEL, SLOPING = 1, 9  # first of the two rings of directions
STEP = 5  # cm, between the lengths that are tabulated
HEAD_RADIUS, LIMB_RADIUS = 10, 5  # cm
LENGTHS = np.array([20, 30, 40])  # cm, of the cylinder
# Offsets along a limb of each length, in steps of 5 cm: where limbs may grow, where the axis of the
# capsule ends, and the lowest point below it.
MIDDLE, END, LOWEST = ((LENGTHS / 2 + 5) // 5, (LENGTHS + 5) // 5, (LENGTHS + 10) // 5)
MIDDLE, END, LOWEST = (x.astype(np.int32) for x in (MIDDLE, END, LOWEST))

# Shadow of L cm along a direction at 45 degrees, L = 0, 5, .. 50, rounded.
_SHADOW = np.array([0, 4, 7, 11, 14, 18, 21, 25, 28, 32, 35])
# Half of an odd L is a tie; the original's went either way. (x, y) of the sloping diagonals at
# L = 5, 15, 25, 35, 45 for theta = 45, 135, 225, 315, as in the bodies it made.
_TIES = {
    1: ((3, 2), (-2, 3), (-3, -2), (2, -3)),
    3: ((8, 8), (-8, 8), (-8, -8), (8, -8)),
    5: ((13, 12), (-12, 13), (-13, -12), (12, -13)),
    7: ((18, 18), (-18, 18), (-18, -18), (17, -18)),
    9: ((23, 22), (-22, 23), (-23, -22), (22, -23)),
}
_SIGNS = np.array([(1, 0), (1, 1), (0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1)])


def _offsets(*, ties: bool) -> np.ndarray:
    """int32 [17, 11, 3] (cm), of L = 0, 5, .. 50 cm along each direction."""
    table = np.zeros((NUM_DIRECTIONS, len(_SHADOW), 3), np.int32)
    lengths = STEP * np.arange(len(_SHADOW))
    table[0, :, 2] = -lengths
    for theta, sign in enumerate(_SIGNS):
        diagonal = theta % 2 == 1
        table[LEVEL + theta, :, :2] = np.outer(_SHADOW if diagonal else lengths, sign)
        half = (lengths + 1) // 2  # ties away from zero
        table[SLOPING + theta, :, :2] = np.outer(half if diagonal else _SHADOW, sign)
        table[SLOPING + theta, :, 2] = -_SHADOW
        if diagonal and ties:
            for step, values in _TIES.items():
                table[SLOPING + theta, step, :2] = values[theta // 2]
    return table


def _pivots(offsets: np.ndarray, *, ties: bool) -> np.ndarray:
    """int32 [17, 3] (cm), of a limb's joint from its own origin: 5 cm back."""
    table = -offsets[:, LIMB_RADIUS // STEP]
    if ties:
        table[SLOPING + 5] = (2, 2, 4)  # one more tie that went the other way
    return table


def _axes(offsets: np.ndarray) -> np.ndarray:
    """[17, 3, 2, 3], unit x and y axes of a limb's frame.

    z points from its end to its origin, the frame is the smallest rotation that takes z there;
    columns are stored to 4 decimals.
    """
    ends = offsets[:, END].astype(float)
    back = -ends / np.linalg.norm(ends, axis=-1, keepdims=True)
    x, y, z = np.moveaxis(back, -1, 0)
    first = np.stack([1 - x * x / (1 + z), -x * y / (1 + z), -x], axis=-1)
    second = np.stack([-x * y / (1 + z), 1 - y * y / (1 + z), -y], axis=-1)
    axes = np.round(np.stack([first, second], axis=2), 4)
    return axes / np.linalg.norm(axes, axis=-1, keepdims=True)


def _mirror() -> np.ndarray:
    """int32 [17], the direction on the other side of the x-z plane."""
    opposite = (-np.arange(NUM_THETAS)) % NUM_THETAS
    return np.concatenate([[0], LEVEL + opposite, SLOPING + opposite]).astype(np.int32)


OFFSETS = {name: _offsets(ties=name == "original") for name in ("original", "clean")}
PIVOTS = {name: _pivots(table, ties=name == "original") for name, table in OFFSETS.items()}
AXES = {name: _axes(table) for name, table in OFFSETS.items()}
MIRROR = _mirror()
# The mirror image of a turn about an axis: about y as it was, about the others backwards.
MIRRORED_TURN = np.array([-1.0, 1.0, -1.0])
