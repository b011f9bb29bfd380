"""Up a slope of 10 degrees: running, and pushing a box."""

import math

import jax
import jax.numpy as jnp

from jaxrl_suite import physics
from jaxrl_suite.envs.base import ControlEnvironment
from jaxrl_suite.envs.unimal.arena import CELLS, FLOOR, Arena, beyond_sides, under
from jaxrl_suite.envs.unimal.body import OPTIONS
from jaxrl_suite.envs.unimal.episode import Motion
from jaxrl_suite.envs.unimal.goals import gap
from jaxrl_suite.envs.unimal.pushing import (
    HALF_EDGE,
    NUM_OBJECT,
    PUSHING,
    Push,
    above,
    begin_push,
    box,
    faces,
    goal_above,
    object_state,
    push_gain,
    with_object,
)
from jaxrl_suite.envs.unimal.rules import (
    Rules,
    Verdict,
    blind,
    environment,
    forward_speed,
    moved_start,
    nothing,
)

ANGLE = math.radians(10.0)
RUNNING = Arena(-75, 75, 20)
_PUSHING = Arena(-40, 40, 20)
_FROM_END = 2.0  # m, along the slope, of the start
_RATIO = 0.2  # of the head's height, where a body has fallen
_BOX, _GOAL = (-35.0, 0.0), (35.0, 0.0)  # m, on the map
_MASS = 2.0  # kg
_MARGIN = 0.5  # m


def slope(i: jax.Array, j: jax.Array) -> jax.Array:
    """Height (m) of a cell of 0.1 m, at its lower end, as in the original."""
    return i / CELLS * math.tan(ANGLE)


def start(arena: Arena) -> tuple[float, float, float]:
    """(m), of a body that would start at the origin: 2 m from the lower end.

    The original's floor is a slab 1 m thick above the middle about which it is turned, by which
    its surface is 1 m / cos(10 degrees) there; a body starts 1.5 cm nearer to it than on the level.
    """
    along = arena.back + _FROM_END
    sunk = FLOOR * (1.0 - 1.0 / math.cos(ANGLE))
    return along * math.cos(ANGLE), 0.0, along * math.sin(ANGLE) + sunk


def on_slope(arena: Arena, scene: physics.Scene) -> physics.Scene:
    """The scene on a plane without end, the body at its start."""
    return moved_start(scene._replace(ground=physics.inclined(ANGLE)), jnp.array(start(arena)))


def incline(options: physics.Options = OPTIONS) -> ControlEnvironment:
    """Run up a slope of 10 degrees, 150 m long and 40 m wide, from 2 m above its lower end.

    The reward is the forward speed (m/s) along the slope over the 0.02 s of an action, less 0.001
    times the sum of the squared action. An episode ends when the head is down to a fifth of its
    start height less 0.2 m above the ground, or within 1 m of the slope's sides, and is cut off
    after 1000 actions. Its score is the sum of the speeds, 50 times the metres; its metric is how
    far it came along the slope (m). The observation is "proprioceptive" [86].

    Source: Gupta et al. 2021, "Incline", released code. differs: the slope has no ends.

    Returns:
      An environment whose task is a :class:`physics.Scene` of :data:`SIZES`, whose ground is not
      used.
    """

    def judge(scene: physics.Scene, drawn: tuple, motion: Motion) -> Verdict:
        speed = forward_speed(motion, options) / math.cos(ANGLE)
        far = (motion.after.q[0] - start(RUNNING)[0]) / math.cos(ANGLE)
        return Verdict(drawn, speed, far, beyond_sides(RUNNING, motion.after))

    rules = Rules(
        draw=nothing,
        furnish=lambda scene, drawn, place: on_slope(RUNNING, scene),
        ground=lambda drawn, place: under(slope, place),
        judge=judge,
        see=blind,
        seen={},
        fall_ratio=_RATIO,
        pitch=ANGLE,
    )
    return environment(rules, options)


def push_box_incline(options: physics.Options = OPTIONS) -> ControlEnvironment:
    """Push a box up a slope of 10 degrees, 80 m long, from near its lower end to near its upper.

    The box is a cube with edges of 0.4 m and of 2 kg, at x = -35 m; the goal is at x = 35 m, and
    the body starts at x = -37.4 m. For the reward, of which the cost of control is 0.001 times the
    sum of the squared action, see :func:`push_gain`, with a margin of 0.5 m. An episode ends when
    the head is down to a fifth of its start height less 0.2 m above the ground, and is cut off
    after 1000 actions. Its score is the sum of rewards without the cost of control; its metric is
    how far the box was moved, along the slope (m). Observations are "proprioceptive" [86] and "obj"
    [12] (:func:`object_state`).

    Source: Gupta et al. 2021, "Push box incline", released code. differs: the slope has no ends and
    no sides; only corners of the box touch it.

    Returns:
      An environment whose task is a :class:`physics.Scene` of :data:`SIZES`, whose ground is not
      used.
    """
    thing = box(_MASS)

    def draw(key: jax.Array) -> Push:
        placed = above(slope, jnp.array(_BOX), HALF_EDGE, HALF_EDGE)
        return begin_push((), placed, goal_above(slope, jnp.array(_GOAL)))

    def judge(scene: physics.Scene, drawn: Push, motion: Motion) -> Verdict:
        drawn, gain = push_gain(scene, drawn, motion, faces, _MARGIN)
        far = gap(drawn.start, motion.after.box_q[0]) / math.cos(ANGLE)
        return Verdict(drawn, gain, far, False)

    rules = Rules(
        draw=draw,
        furnish=lambda scene, drawn, place: with_object(on_slope(_PUSHING, scene), thing, drawn),
        ground=lambda drawn, place: under(slope, place),
        judge=judge,
        see=lambda drawn, state: {"obj": object_state(drawn, state)},
        seen={"obj": NUM_OBJECT},
        sizes=PUSHING,
        fall_ratio=_RATIO,
        pitch=ANGLE,
    )
    return environment(rules, options)
