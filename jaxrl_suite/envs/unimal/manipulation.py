"""Pushing a box over variable terrain: the third of the environments that bodies evolve in."""

import dataclasses

import jax

from jaxrl_suite import physics
from jaxrl_suite.envs.base import ControlEnvironment
from jaxrl_suite.envs.unimal.arena import Arena, bounded
from jaxrl_suite.envs.unimal.body import OPTIONS
from jaxrl_suite.envs.unimal.episode import Motion
from jaxrl_suite.envs.unimal.goals import goal_ahead
from jaxrl_suite.envs.unimal.heights import NUM_HEIGHTS
from jaxrl_suite.envs.unimal.pushing import (
    NUM_OBJECT,
    PUSHING,
    Push,
    box,
    faces,
    object_state,
    place_push,
    push_gain,
    push_metric,
    with_object,
)
from jaxrl_suite.envs.unimal.rules import Rules, Verdict, environment
from jaxrl_suite.envs.unimal.terrain import corridor
from jaxrl_suite.envs.unimal.variable import corridor_height, on_corridor, see_corridor

ARENA = Arena(-3, 57, 20)
_MASS = 1.0  # kg
_MARGIN = 0.75  # m


def manipulation(options: physics.Options = OPTIONS) -> ControlEnvironment:
    """Reach a box and push it to a goal, over slopes, steps and rugged ground.

    The box is a cube with edges of 0.4 m and of 1 kg, 15 to 24 m ahead; the goal is 15 to 24 m
    further. For the reward, of which the cost of control is 0.001 times the sum of the squared
    action, see :func:`push_gain`, with a margin of 0.75 m. An episode ends when the head is down to
    half of its start height less 0.2 m above the ground, and is cut off after 1000 actions. Its
    score is the sum of rewards without that cost; for its metric see :func:`push_metric`. The arena
    is 60 m by 40 m and has walls. Observations are "proprioceptive" [86], "obj" [12]
    (:func:`object_state`), "goal" [3] and "hfield" [1410].

    Source: Gupta et al. 2021, "Manipulation in variable terrain", released code. differs: the
    released code shows only "proprioceptive" and "obj", whatever is configured; the floor is at
    z = 0, not 1 m; only the ends of limbs and the corners of the box touch the ground; of the walls
    only the nearest is there, and the box does not touch it.

    Returns:
      An environment whose task is a :class:`physics.Scene` of :data:`SIZES`, whose ground is not
      used.
    """
    thing = box(_MASS)

    def draw(key: jax.Array) -> Push:
        laying, placing = jax.random.split(key)
        ground = corridor(laying, ARENA)
        return place_push(placing, ARENA, ground, bounded(ARENA, ground.of_cell))

    def furnish(scene: physics.Scene, drawn: Push, place: jax.Array) -> physics.Scene:
        return with_object(on_corridor(ARENA, scene, drawn.ground, place), thing, drawn)

    def judge(scene: physics.Scene, drawn: Push, motion: Motion) -> Verdict:
        drawn, gain = push_gain(scene, drawn, motion, faces, _MARGIN)
        return Verdict(drawn, gain, push_metric(scene, drawn, motion, faces), False)

    def see(drawn: Push, state: physics.State) -> dict[str, jax.Array]:
        seen = {"obj": object_state(drawn, state), "goal": goal_ahead(drawn.goal, state)}
        return seen | see_corridor(ARENA, drawn.ground, state)

    rules = Rules(
        draw=draw,
        furnish=furnish,
        ground=lambda drawn, place: corridor_height(ARENA, drawn.ground, place),
        judge=judge,
        see=see,
        seen={"obj": NUM_OBJECT, "goal": 3, "hfield": NUM_HEIGHTS},
        sizes=dataclasses.replace(PUSHING, obstacles=1),
    )
    return environment(rules, options)
