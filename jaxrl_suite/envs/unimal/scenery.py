"""An episode as MuJoCo can show it: the body with the ground and the object that it met."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl_suite import physics
from jaxrl_suite.core import UsageError
from jaxrl_suite.envs.unimal.arena import CELLS, join
from jaxrl_suite.envs.unimal.body import FRICTION, OPTIONS, SIZES, limb_names, phenotype
from jaxrl_suite.envs.unimal.design import Design
from jaxrl_suite.envs.unimal.genotype import Genotype
from jaxrl_suite.envs.unimal.pushing import GOAL_HALF, Push, box
from jaxrl_suite.envs.unimal.terrain import Corridor

AROUND = (3.0, 6.0, 4.0)  # m of ground shown behind, ahead and to the sides of what is shown
STILL = 0.05  # m that a box moves, which it does when it is dropped, and was not pushed


def recorded(
    design: Design, genotype: Genotype, drawn: Any, states: physics.State
) -> tuple[str, np.ndarray]:
    """An episode's MJCF and qpos [T, nq]. On the host, not to be jitted.

    Walls are left out. The object is the box of manipulation, its goal a slab. A box that was not
    pushed belongs to the ground, for a camera would look at the middle between it and the body.

    Args:
      design: rules that the body grew by.
      genotype: the body.
      drawn: what the environment drew at the reset: () on level ground, a :class:`Corridor`, or a
        :class:`Push` on one.
      states: [T, ...], what the body did.

    Raises:
      UsageError: the environment drew something else.
    """
    sizes, things, ground, places = SIZES, {}, drawn, np.asarray(states.q[:, :3])
    if isinstance(drawn, Push):
        ground, goal, way = drawn.ground, np.asarray(drawn.goal), np.asarray(states.box_q[:, 0, :3])
        thing = box(1.0)._replace(position=way[-1:])  # its mass is that of a picture
        slab = physics.box(goal, (GOAL_HALF[0], GOAL_HALF[0], GOAL_HALF[1]))
        pushed = np.ptp(way[:, :2], axis=0).max() > STILL
        things = {"boxes": thing, "obstacles": slab} if pushed else {"obstacles": join(thing, slab)}
        sizes = dataclasses.replace(SIZES, boxes=int(pushed), obstacles=2 - int(pushed))
        places = np.concatenate([places, way, goal[None]])
    if isinstance(ground, Corridor):
        things["ground"] = _field(ground, places[:, :2])
    elif ground != ():
        raise UsageError(f"a ground of type {type(ground).__name__} cannot be shown")
    model = jax.jit(phenotype, static_argnums=0)(design, genotype)
    scene = physics.make_scene(sizes, model, ground_friction=FRICTION, **things)
    mjcf = physics.to_mjcf(sizes, OPTIONS, scene, names=limb_names(genotype))
    layout = physics.layout(sizes, scene.model, sizes.boxes)
    return mjcf, np.asarray(layout.to_mujoco(states)[0])


def _field(ground: Corridor, places: np.ndarray) -> physics.HeightField:
    """The cells around places [T, 2]."""
    behind, ahead, aside = AROUND
    low = np.floor((places.min(0) - np.array([behind, aside])) * CELLS).astype(int)
    high = np.ceil((places.max(0) + np.array([ahead, aside])) * CELLS).astype(int)
    rows, columns = (jnp.arange(a, b) for a, b in zip(low, high, strict=True))
    cells = jax.vmap(jax.vmap(Corridor.of_cell, (None, None, 0)), (None, 0, None))
    heights = jax.jit(cells)(ground, rows, columns)
    return physics.HeightField(heights, (low + 0.5) / CELLS, np.full(2, 1 / CELLS))
