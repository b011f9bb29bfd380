"""Going to goals: what is seen of one, patrol between two, and one somewhere in the arena."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrl_suite import physics
from jaxrl_suite.envs.base import ControlEnvironment
from jaxrl_suite.envs.unimal.arena import CELLS, Arena, within_walls
from jaxrl_suite.envs.unimal.body import OPTIONS, SIZES
from jaxrl_suite.envs.unimal.episode import TIME_LIMIT, Motion
from jaxrl_suite.envs.unimal.rules import Rules, Verdict, environment, level, moved_start
from jaxrl_suite.physics import rotations

METRE = 100.0  # reward of a metre nearer
SUCCESS = 10.0  # and of being there
_MARGIN = 0.5  # m, from where a body is there
_POST = 5.0  # m, from the middle, of the ends of a patrol
_POST_HEIGHT = 0.1  # m
_FIELD = Arena(-50, 50, 50)
_FROM_EDGE = (65, 105)  # cells, of a goal from the ends and from the sides
_GOAL_HEIGHT = 0.11  # m


def goal_ahead(goal: jax.Array, state: physics.State) -> jax.Array:
    """[3]: where a goal [3] is in the head's frame (m)."""
    return (goal - state.q[:3]) @ rotations.to_matrix(state.q[3:7])


def gap(goal: jax.Array, pose: jax.Array) -> jax.Array:
    """Distance on the map between a goal [3] and a pose [7 or more] (m)."""
    return jnp.linalg.norm(goal[:2] - pose[:2])


def reach(goal: jax.Array, motion: Motion) -> tuple[jax.Array, jax.Array]:
    """100 per metre that the head comes nearer on the map and 10 within 0.5 m, and the distance."""
    distance = gap(goal, motion.after.q)
    gain = METRE * (gap(goal, motion.before.q) - distance)
    return gain + SUCCESS * (distance <= _MARGIN), distance


class Patrol(NamedTuple):
    """ahead: bool [], the goal is the one in front; toggles: int32 [], goals reached."""

    ahead: jax.Array
    toggles: jax.Array

    @property
    def goal(self) -> jax.Array:
        """[3] (m)."""
        return jnp.stack([jnp.where(self.ahead, _POST, -_POST), 0.0, _POST_HEIGHT])


def patrol(options: physics.Options = OPTIONS) -> ControlEnvironment:
    """Run back and forth between two goals 10 m apart, on level ground, from one to the other.

    The reward is 100 per metre that the head comes nearer to the goal on the map, and 10 within
    0.5 m of it, whereupon the other becomes the goal; less 0.001 times the sum of the squared
    action. An episode ends when the head is down to half of its start height less 0.2 m, and is cut
    off after 1000 actions. Its score is the sum of rewards without the cost of control; its metric
    the number of goals reached before the last action, plus 1, less a tenth of the distance (m)
    to the goal. Observations are "proprioceptive" [86] and "goal" [3], in the head's frame (m).

    Source: Gupta et al. 2021, "Patrol", released code. differs: the new goal is seen at once, not
    one action later.

    Returns:
      An environment whose task is a :class:`physics.Scene` of :data:`SIZES` on level ground.
    """

    def judge(scene: physics.Scene, drawn: Patrol, motion: Motion) -> Verdict:
        gain, distance = reach(drawn.goal, motion)
        metric = drawn.toggles + 1.0 - distance / (2 * _POST)
        there = distance <= _MARGIN
        return Verdict(Patrol(drawn.ahead ^ there, drawn.toggles + there), gain, metric, False)

    rules = Rules(
        draw=lambda key: Patrol(jnp.ones((), bool), jnp.zeros((), jnp.int32)),
        furnish=lambda scene, drawn, place: moved_start(scene, jnp.array([-_POST, 0.0, 0.0])),
        ground=level,
        judge=judge,
        see=lambda drawn, state: {"goal": goal_ahead(drawn.goal, state)},
        seen={"goal": 3},
    )
    return environment(rules, options)


class Goal(NamedTuple):
    """goal: [3] (m); inside: int32 [], actions after which the head was there."""

    goal: jax.Array
    inside: jax.Array


def _anywhere(key: jax.Array) -> Goal:
    """A goal in a cell of 0.1 m, 6.5 m from the ends and 10.5 m from the sides."""
    margin = jnp.array(_FROM_EDGE)
    cells = jnp.array([_FIELD.length, _FIELD.width]) * CELLS
    place = jax.random.randint(key, (2,), margin, cells - margin) / CELLS
    place = place + jnp.array([_FIELD.back, -_FIELD.side])
    return Goal(jnp.append(place, _GOAL_HEIGHT), jnp.zeros((), jnp.int32))


def point_nav(options: physics.Options = OPTIONS) -> ControlEnvironment:
    """Go to a random goal and stay there, from the middle of a level arena of 100 m by 100 m.

    The reward is 100 per metre that the head comes nearer to the goal on the map, and 10 in every
    action after which it is within 0.5 m; less 0.001 times the sum of the squared action. An
    episode ends when the head is down to half of its start height less 0.2 m, and is cut off after
    1000 actions. Its score is the sum of rewards without the cost of control; its metric 1, less
    the distance to the goal over the first one, plus the share of the time limit spent within
    0.5 m, the last action not counted. The arena has walls. Observations are "proprioceptive" [86]
    and "goal" [3], in the head's frame (m).

    Source: Gupta et al. 2021, "Point navigation", released code. differs: of the walls only the
    nearest is there.

    Returns:
      An environment whose task is a :class:`physics.Scene` of :data:`SIZES` on level ground.
    """

    def judge(scene: physics.Scene, drawn: Goal, motion: Motion) -> Verdict:
        gain, distance = reach(drawn.goal, motion)
        first = jnp.linalg.norm(drawn.goal[:2])
        metric = 1.0 - distance / first + drawn.inside / TIME_LIMIT
        inside = drawn.inside + (distance <= _MARGIN)
        return Verdict(drawn._replace(inside=inside), gain, metric, False)

    rules = Rules(
        draw=_anywhere,
        furnish=lambda scene, drawn, place: within_walls(_FIELD, scene, place),
        ground=level,
        judge=judge,
        see=lambda drawn, state: {"goal": goal_ahead(drawn.goal, state)},
        seen={"goal": 3},
        sizes=dataclasses.replace(SIZES, obstacles=1),
    )
    return environment(rules, options)
