"""Locomotion on variable terrain: the second of the environments that bodies evolve in."""

import dataclasses

import jax

from jaxrl_suite import physics
from jaxrl_suite.envs.base import ControlEnvironment
from jaxrl_suite.envs.unimal.arena import Arena, beyond_sides, bounded, under, within_walls
from jaxrl_suite.envs.unimal.body import OPTIONS, SIZES
from jaxrl_suite.envs.unimal.episode import Motion
from jaxrl_suite.envs.unimal.heights import NUM_HEIGHTS, height_field
from jaxrl_suite.envs.unimal.rules import (
    Rules,
    Verdict,
    above_gap,
    environment,
    forward_speed,
)
from jaxrl_suite.envs.unimal.terrain import Corridor, corridor

ARENA = Arena(-3, 97, 50)


def on_corridor(
    arena: Arena, scene: physics.Scene, ground: Corridor, place: jax.Array
) -> physics.Scene:
    """The scene on a corridor, with its nearest wall."""
    return within_walls(arena, scene._replace(ground=ground), place)


def corridor_height(arena: Arena, ground: Corridor, place: jax.Array) -> jax.Array:
    """From which a fall is counted (m)."""
    return above_gap(under(bounded(arena, ground.of_cell), place))


def see_corridor(arena: Arena, ground: Corridor, state: physics.State) -> dict[str, jax.Array]:
    """The heights around the head."""
    return {"hfield": height_field(bounded(arena, ground.of_cell), state)}


def variable_terrain(options: physics.Options = OPTIONS) -> ControlEnvironment:
    """Run along +x over slopes, steps and rugged ground, see :func:`corridor`.

    The reward is the forward speed (m/s) over the 0.02 s of an action, less 0.001 times the sum of
    the squared action, which is not clipped for that. An episode ends when the head is down to
    half of its start height less 0.2 m above the ground, or within 1 m of the arena's side edges,
    and is cut off after 1000 actions. Its score is the sum of the speeds, 50 times the metres; its
    metric is how far it came (m). The arena is 100 m by 100 m and has walls. Observations are
    "proprioceptive" [86] and "hfield" [1410].

    Source: Gupta et al. 2021, "Variable terrain", released code. differs: the floor is at z = 0,
    not 1 m; only the ends of limbs touch the ground, not what is between them; of the walls only
    the nearest is there.

    Returns:
      An environment whose task is a :class:`physics.Scene` of :data:`SIZES`, whose ground is not
      used.
    """

    def judge(scene: physics.Scene, drawn: Corridor, motion: Motion) -> Verdict:
        speed = forward_speed(motion, options)
        return Verdict(drawn, speed, motion.after.q[0], beyond_sides(ARENA, motion.after))

    rules = Rules(
        draw=lambda key: corridor(key, ARENA),
        furnish=lambda scene, drawn, place: on_corridor(ARENA, scene, drawn, place),
        ground=lambda drawn, place: corridor_height(ARENA, drawn, place),
        judge=judge,
        see=lambda drawn, state: see_corridor(ARENA, drawn, state),
        seen={"hfield": NUM_HEIGHTS},
        sizes=dataclasses.replace(SIZES, obstacles=1),
    )
    return environment(rules, options)
