"""Pushing a ball, or what stands for one."""

import dataclasses
import math

import jax
import jax.numpy as jnp

from jaxrl_suite import physics
from jaxrl_suite.envs.base import ControlEnvironment
from jaxrl_suite.envs.unimal.arena import Arena, within_walls
from jaxrl_suite.envs.unimal.body import OPTIONS
from jaxrl_suite.envs.unimal.episode import Motion
from jaxrl_suite.envs.unimal.pushing import (
    NUM_OBJECT,
    PUSHING,
    Push,
    middle,
    object_state,
    place_push,
    push_gain,
    push_metric,
    with_object,
)
from jaxrl_suite.envs.unimal.rules import Rules, Verdict, environment, level

ARENA = Arena(-2, 28, 15)
_RADIUS = 0.2  # m
_DENSITY = 600.0  # kg / m^3
_ROLLING = 0.005  # m, c, MuJoCo's coefficient of rolling friction
_INERTIA = 7.0 / 5.0  # of a rolling ball, per mass
_MARGIN = 0.5  # m
_NEWTON_STEPS = 12  # with 6 a cube of so little friction jumps by metres when it turns


def stand_in() -> physics.Boxes:
    """[1]: a cube as wide as the ball, that is pushed and loses speed as the ball does.

    differs: a ball that rolls. The engine's free bodies are boxes. Rolling without slip takes 7/5
    of a ball's mass to get going, and rolling friction slows it by 5/7 of c g / r; so the cube has
    that mass, and slides with that friction. It does not bounce as the ball does, weighs more on
    what lies below it, and has edges.
    """
    mass = _INERTIA * _DENSITY * 4.0 / 3.0 * math.pi * _RADIUS**3
    friction = _ROLLING / _RADIUS / _INERTIA
    return physics.box((0, 0, 0), (_RADIUS,) * 3, mass=mass, friction=friction)


def manipulate_ball(options: physics.Options = OPTIONS) -> ControlEnvironment:
    """Push a heavy ball to a goal, on level ground of 30 m by 30 m.

    The ball has a radius of 0.2 m and 20 kg and is 15 to 21.8 m ahead, the goal at x = 21.5 m. For
    the reward, of which the cost of control is 0.001 times the sum of the squared action, see
    :func:`push_gain`, with a margin of 0.5 m and the ball's centre as the target. An episode ends
    when the head is down to half of its start height less 0.2 m, and is cut off after 1000 actions.
    Its score is the sum of rewards without the cost of control; for its metric see
    :func:`push_metric`. The arena has walls. Observations are "proprioceptive" [86] and "obj" [12]
    (:func:`object_state`).

    Source: Gupta et al. 2021, "Manipulate ball", released code. differs: the ball is a cube that
    slides, see :func:`stand_in`; of the walls only the nearest is there, and the ball does not
    touch it.

    Returns:
      An environment whose task is a :class:`physics.Scene` of :data:`SIZES` on level ground.
    """
    thing = stand_in()
    steps = max(options.newton_steps, _NEWTON_STEPS)

    def furnish(scene: physics.Scene, drawn: Push, place: jax.Array) -> physics.Scene:
        scene = with_object(within_walls(ARENA, scene, place), thing, drawn)
        # Of two frictions the larger counts, and limbs have their own.
        return scene._replace(ground_friction=jnp.asarray(thing.friction[0]))

    def judge(scene: physics.Scene, drawn: Push, motion: Motion) -> Verdict:
        drawn, gain = push_gain(scene, drawn, motion, middle, _MARGIN)
        return Verdict(drawn, gain, push_metric(scene, drawn, motion, middle), False)

    rules = Rules(
        draw=lambda key: place_push(key, ARENA, (), lambda i, j: jnp.zeros(())),
        furnish=furnish,
        ground=level,
        judge=judge,
        see=lambda drawn, state: {"obj": object_state(drawn, state)},
        seen={"obj": NUM_OBJECT},
        sizes=dataclasses.replace(PUSHING, obstacles=1),
    )
    return environment(rules, dataclasses.replace(options, newton_steps=steps))
