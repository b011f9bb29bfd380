"""Schematic films of an arm's hand over a table: from above and from the side, as flat drawings.

For worlds that cannot be drawn themselves: all that is known are positions.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from jaxrl_suite.report import style

SIZE = 120  # pixels of a view
_X, _Y, _Z = (-0.6, 0.6), (0.2, 1.1), (-0.05, 0.65)  # m, what is shown
_GROUND, _TABLE, _TRAIL = (250, 250, 251), (226, 229, 233), (190, 205, 222)


class Scene(NamedTuple):
    """Positions [T, 3] (m): x to the right, y away, z up.

    hand: of the gripper.
    things: of up to two objects.
    goal: where something shall go.
    solved: bool [T].
    """

    hand: NDArray
    things: tuple[NDArray, ...]
    goal: NDArray
    solved: NDArray


def frames(scene: Scene) -> NDArray[np.uint8]:
    """uint8 [T, SIZE, 2 SIZE, 3]: from above on the left, from the side on the right."""
    return np.stack([_frame(scene, t) for t in range(len(scene.hand))])


def _frame(scene: Scene, t: int) -> NDArray[np.uint8]:
    from PIL import Image, ImageDraw

    image = Image.new("RGB", (2 * SIZE, SIZE), _GROUND)
    draw = ImageDraw.Draw(image)
    floor = _pixel(0.0, _Z, flip=True)
    draw.rectangle((SIZE, floor, 2 * SIZE, SIZE), fill=_TABLE)
    draw.line((SIZE, 0, SIZE, SIZE), fill=_TABLE)
    for view in (0, 1):
        trail = [_place(p, view) for p in scene.hand[max(0, t - 30) : t + 1]]
        if len(trail) > 1:
            draw.line(trail, fill=_TRAIL, width=2)
        goal = _place(scene.goal[t], view)
        draw.ellipse(_around(goal, 6), outline=_colour(2), width=2)
        for thing in scene.things:
            draw.rectangle(_around(_place(thing[t], view), 4), fill=_colour(1))
        draw.ellipse(_around(_place(scene.hand[t], view), 4), fill=_colour(0))
    if scene.solved[t]:
        draw.rectangle((0, 0, 2 * SIZE - 1, SIZE - 1), outline=_colour(2), width=3)
    return np.asarray(image)


def _place(point: NDArray, view: int) -> tuple[float, float]:
    """Pixels of a point: x and y from above, x and z from the side."""
    along = _pixel(point[0], _X, flip=False) + view * SIZE
    return along, _pixel(point[1 + view], (_Y, _Z)[view], flip=True)


def _pixel(value: float, span: tuple[float, float], *, flip: bool) -> float:
    share = float(np.clip((value - span[0]) / (span[1] - span[0]), 0.0, 1.0))
    return (SIZE - 1) * (1.0 - share if flip else share)


def _around(at: tuple[float, float], radius: float) -> tuple[float, float, float, float]:
    return at[0] - radius, at[1] - radius, at[0] + radius, at[1] + radius


def _colour(place: int) -> str:
    return style.PALETTE[place]
