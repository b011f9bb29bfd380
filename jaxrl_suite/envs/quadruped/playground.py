"""Going somewhere across a terrain: the tasks that the environmental level is learned from.

Source: Han et al. 2024 and its released code.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrl_suite import physics
from jaxrl_suite.core import UsageError
from jaxrl_suite.envs.base import ControlEnvironment, TimeStep
from jaxrl_suite.envs.quadruped import machine, perception
from jaxrl_suite.envs.quadruped import observation as seeing
from jaxrl_suite.envs.quadruped import terrain as terrains
from jaxrl_suite.envs.quadruped.machine import Mechanics
from jaxrl_suite.envs.quadruped.observation import History
from jaxrl_suite.envs.quadruped.robot import STAND_HEIGHT
from jaxrl_suite.envs.quadruped.terrain import JOYSTICK, KINDS, NUM_BLOCKS, Terrain
from jaxrl_suite.envs.quadruped.tracking import fallen
from jaxrl_suite.physics import rotations

MECHANICS = Mechanics(torque=16.0)
TIME_LIMIT = 1000  # actions, 20 s
SPEED = (0.5, 3.0)  # m/s, wanted
# differs: up to 3. Wide pyramids of friction, here and in MuJoCo, make contacts soft: the standing
# robot's feet sink by 2 mm at 1, 6 mm at 1.5, 15 mm at 2 and 60 mm at 3.
FRICTION = (0.4, 1.5)  # when learning
TEST_FRICTION = (0.4, 1.0)
PUSH = (50.0, 10.0)  # N, largest, horizontal and vertical
DROP = 0.5  # m, height of the base at the start
_THERE = 0.5  # m, from the target, on the map
_FIRST_PUSH, _PUSH_EVERY, _PUSH_FOR = 25, 50, 10  # actions: 0.5 s, 1 s and 0.2 s
_KEPT = (25, 200)  # actions that joystick keeps a target for, the last number excluded

SIZES = {
    "body": seeing.PROPRIOCEPTION_SIZE,
    "height": perception.NUM_POINTS,
    "depth": perception.NUM_POINTS,
    "rays": perception.NUM_RAYS,
    "target": perception.TARGET_SIZE,
}


@dataclasses.dataclass(frozen=True)
class Rules:
    """Of episodes.

    Attributes:
      window: boxes that the robot can touch, those nearest to its base; stairs need 4, all others
        3, which are a tenth faster.
      resample: whether the joystick's target changes, to any direction, on ground without walls;
        else it is along x all the time.
      absolute_speed: whether moving away from the target at the wanted speed is worth as much as
        moving towards it, as in the original.
      drop: height of the base at the start (m), from that of the stand, 0.334, on; higher ones are
        for skills that know how to land.
      aside: largest angle at the start between where the robot is headed and the target (rad); pi
        for anywhere, as in the original.
    """

    window: int = 4
    resample: bool = False
    absolute_speed: bool = False
    drop: float = DROP
    aside: float = math.pi

    def check(self) -> None:
        """Raises UsageError for a number outside its range."""
        if not 0 <= self.aside <= math.pi:
            raise UsageError(f"rules.aside must lie in 0 .. pi, not {self.aside:g}")
        if not 1 <= self.window <= NUM_BLOCKS:
            raise UsageError(f"rules.window must lie in 1 .. {NUM_BLOCKS}, not {self.window}")
        check_drop(self.drop)


def check_drop(height: float) -> None:
    """Raises UsageError for a height (m) at which the robot would stand within the ground."""
    if not STAND_HEIGHT <= height < math.inf:
        raise UsageError(f"rules.drop must be at least {STAND_HEIGHT:g} m, not {height:g}")


class Course(NamedTuple):
    """What episodes are drawn from.

    share: [7], of the kinds of terrains.
    level: [], how hard they are, 0 to 1.
    speed: [2], least and largest that is wanted (m/s).
    friction: [2], least and largest, of whatever touches.
    push: [2], largest, horizontal and vertical (N).
    """

    share: jax.Array
    level: jax.Array
    speed: jax.Array
    friction: jax.Array
    push: jax.Array


def course(
    shares: Mapping[str, float],
    level: float = 1.0,
    *,
    speed: tuple[float, float] = SPEED,
    friction: tuple[float, float] = FRICTION,
    push: tuple[float, float] = PUSH,
) -> Course:
    """A course of terrains by name, ``{"hurdle": 1.0}`` for one kind.

    Raises:
      UsageError: a kind that does not exist, or a number that makes no course.
    """
    unknown = [kind for kind in shares if kind not in KINDS]
    if unknown:
        raise UsageError(f"unknown terrain {unknown[0]!r}; legal: {', '.join(KINDS)}")
    if not all(share >= 0 for share in shares.values()) or not 0 < sum(shares.values()) < jnp.inf:
        raise UsageError(f"shares of terrains must be at least 0, and one above it, not {shares}")
    if not 0 <= level <= 1:
        raise UsageError(f"level must lie in 0 .. 1, not {level:g}")
    for name, (low, high) in (("speed", speed), ("friction", friction)):
        if not 0 < low <= high < jnp.inf:
            raise UsageError(f"{name} must be (least, largest) above 0, not {low:g}, {high:g}")
    if not all(0 <= force < jnp.inf for force in push):
        raise UsageError(f"push must be two forces of at least 0 N, not {push}")
    total = sum(shares.values())
    share = jnp.array([shares.get(kind, 0.0) / total for kind in KINDS])
    return Course(share, *(jnp.asarray(x, jnp.float32) for x in (level, speed, friction, push)))


class Episode(NamedTuple):
    """One episode.

    state: of the physics.
    history: what the robot remembers.
    terrain: where it is.
    friction: [], of whatever touches.
    push: [3], force on the base in the last action (N, world).
    first, distance: [], to the target on the map, at the start and now (m).
    covered: [], sum of the speeds towards it (m/s).
    change: int32 [], action after which joystick's target changes next.
    step: int32 [], actions so far.
    total: [], sum of rewards.
    reached: bool [], the robot is at its target, which ended it.
    diverged: bool [], the state was not finite, which ended it.
    dropped: int32 [], contacts that found no room.
    """

    state: physics.State
    history: History
    terrain: Terrain
    friction: jax.Array
    push: jax.Array
    first: jax.Array
    distance: jax.Array
    covered: jax.Array
    change: jax.Array
    step: jax.Array
    total: jax.Array
    reached: jax.Array
    diverged: jax.Array
    dropped: jax.Array


class Going(NamedTuple):
    """How the robot stands to its target, on the map.

    distance: [] (m).
    facing: [], cosine of the angle between where it heads and where the target is.
    speed: [], of the base towards the target (m/s), or however it moves on that line.
    """

    distance: jax.Array
    facing: jax.Array
    speed: jax.Array


def going(target: jax.Array, state: physics.State, absolute: bool = False) -> Going:
    """See :class:`Going`; the target is [2] (m), and `absolute` takes the sign from the speed."""
    away = target - state.q[:2]
    direction = rotations.normalise(away)
    ahead = rotations.normalise(rotations.to_matrix(state.q[3:7])[:2, 0])
    speed = state.v[:2] @ direction
    return Going(jnp.linalg.norm(away), ahead @ direction, jnp.abs(speed) if absolute else speed)


def reward_of(
    terrain: Terrain, first: jax.Array, before: jax.Array, now: Going, mean_speed: jax.Array
) -> jax.Array:
    r"""Reward of an action.

    .. math::

      r &= e^{-|v - v^*|} e^{5 (\cos\Delta - 1)} / 1000 \quad \text{(joystick)} \\
      r &= 0.2 e^{5 (\cos\Delta - 1)} / 1000 + 0.1 (d_{t-1} - d_t) / d_0
        + [d_t < 0.5] e^{-|\bar v - v^*|} \quad \text{(all others)}

    with v the speed towards the target, v* the wanted one, Delta the angle between where the robot
    heads and where the target is, and d the distance to it.

    Args:
      terrain: has kind and wanted speed.
      first: d_0 (m).
      before: d_{t-1} (m).
      now: after the action.
      mean_speed: of the episode so far (m/s).
    """
    facing = jnp.exp(5.0 * (now.facing - 1.0)) / TIME_LIMIT
    joystick = jnp.exp(-jnp.abs(now.speed - terrain.speed)) * facing
    arrived = (now.distance < _THERE) * jnp.exp(-jnp.abs(mean_speed - terrain.speed))
    others = 0.2 * facing + 0.1 * (before - now.distance) / first + arrived
    return jnp.where(terrain.kind == JOYSTICK, joystick, others)


def pushed(key: jax.Array, step: jax.Array, last: jax.Array, largest: jax.Array) -> jax.Array:
    """Force on the base [3] (N, world): from 0.5 s on, each second for 0.2 s, drawn anew each time.

    U(0, largest[0]) in any direction on the map, and U(0, largest[1]) upwards.

    differs: the original pushes a hip, in that link's frame.

    Args:
      key: of this action.
      step: int32 [], actions before it.
      last: [3], force of the action before.
      largest: [2] (N).
    """
    u = jax.random.uniform(key, (3,))
    angle = 2.0 * jnp.pi * u[0]
    level = u[1] * largest[0]
    new = jnp.stack([level * jnp.cos(angle), level * jnp.sin(angle), u[2] * largest[1]])
    since = (step - _FIRST_PUSH) % _PUSH_EVERY
    under_way = (step >= _FIRST_PUSH) & (since < _PUSH_FOR)
    return jnp.where(under_way, jnp.where(since == 0, new, last), 0.0)


def meets(scene: physics.Scene, episode: Episode, window: int) -> physics.Scene:
    """The scene with what the robot can touch where it is now: floor, walls and the nearest boxes.

    The friction of two that touch is the larger of theirs, so all have the episode's.
    """
    blocks, friction = episode.terrain.blocks, episode.friction
    feet = jnp.full_like(scene.model.friction, friction)
    return scene._replace(
        model=scene.model._replace(friction=feet),
        ground=terrains.Corridor(episode.terrain.half_width),
        ground_friction=friction,
        obstacles=terrains.nearest(blocks, episode.state.q[0], window, friction),
    )


def observe(episode: Episode) -> dict[str, jax.Array]:
    """What the robot senses and sees; see :func:`playground`."""
    state, terrain = episode.state, episode.terrain
    blocks = terrains.seen(terrain)
    return {
        "body": seeing.proprioception(episode.history),
        "height": perception.height_map(blocks, state).reshape(-1),
        "depth": perception.front_depth(blocks, state).reshape(-1),
        "rays": perception.rays(blocks, state),
        "target": perception.target(terrain.target, terrain.speed, state),
    }


def outcomes(episode: Episode) -> dict[str, jax.Array]:
    """What an episode has come to: see :class:`Episode`.

    The score lies in 0 .. 1: joystick's sum of rewards, of which the most is 1, else the share of
    the way to the target that has been covered.
    """
    covered = jnp.clip(1.0 - episode.distance / episode.first, 0.0, 1.0)
    way = jnp.where(episode.reached, 1.0, covered)
    counts = {
        "length": episode.step,
        "reached": episode.reached,
        "diverged": episode.diverged,
        "dropped": episode.dropped,
    }
    return {
        "score": jnp.where(episode.terrain.kind == JOYSTICK, episode.total, way),
        "return": episode.total,
    } | {name: x.astype(jnp.float32) for name, x in counts.items()}


def _begin(key: jax.Array, rest: physics.State, task: Course, rules: Rules) -> Episode:
    """An episode: a terrain, and the robot in its stand above it."""
    choosing, laying, drawing, waiting = jax.random.split(key, 4)
    kind = jax.random.categorical(choosing, jnp.log(task.share))
    u = jax.random.uniform(drawing, (2,))
    terrain = terrains.draw(laying, kind, task.level, task.speed, rules.resample)
    angle = jnp.asarray([0.0, 0.0, rules.aside]) * (2.0 * u[0] - 1.0)
    pose = machine.stand(rules.drop)
    turned = rotations.multiply(rotations.from_vector(angle), pose.quaternion)
    state = machine.state_of(rest, pose._replace(quaternion=turned))
    distance = going(terrain.target, state).distance
    zero, none, no = jnp.zeros(()), jnp.zeros((), jnp.int32), jnp.zeros((), bool)
    return Episode(
        state,
        seeing.begin(state),
        terrain,
        task.friction[0] + u[1] * (task.friction[1] - task.friction[0]),
        jnp.zeros(3),
        distance,
        distance,
        zero,
        jax.random.randint(waiting, (), *_KEPT),
        none,
        zero,
        no,
        no,
        none,
    )


def retargeted(key: jax.Array, episode: Episode) -> Episode:
    """Joystick's target moved to any direction, when its time has come; again after U{25..199}."""
    aiming, waiting = jax.random.split(key)
    angle = jax.random.uniform(aiming, maxval=2.0 * jnp.pi)
    aim = episode.state.q[:2] + terrains.FAR * jnp.stack([jnp.cos(angle), jnp.sin(angle)])
    now = (episode.terrain.kind == JOYSTICK) & (episode.step >= episode.change)
    target = jnp.where(now, aim, episode.terrain.target)
    later = episode.step + jax.random.randint(waiting, (), *_KEPT)
    return episode._replace(
        terrain=episode.terrain._replace(target=target),
        change=jnp.where(now, later, episode.change),
    )


def playground(mechanics: Mechanics = MECHANICS, rules: Rules | None = None) -> ControlEnvironment:
    """Goes to a target at a wanted speed, across a terrain; its `task` is a :class:`Course`.

    Actions are those of the joints, see :func:`machine.act`. Observations are "body" [135],
    "height" [325] and "depth" [325], both grids [25, 13] row by row, "rays" [128] and "target" [3].
    Episodes begin with the robot as high as `rules.drop`, headed as `rules.aside` says, and end
    with a fall and, but for the joystick, at the target; they are cut off after 1000 actions. For
    the reward see :func:`reward_of`, for pushes :func:`pushed`.

    differs: the joystick's first target is 100 m away as all others, not 8 m; perception has no
    bias of place, yaw and height, which the original can draw for an episode.

    Raises:
      UsageError: a setting that no simulation can have, such as a backend without obstacles.
    """
    rules = rules or Rules()
    rules.check()
    simulate = machine.simulation(mechanics, rules.window)
    scene = machine.scene_of(mechanics, simulate.sizes)

    def reset(key: jax.Array, task: Course) -> tuple[Episode, dict[str, jax.Array]]:
        episode = _begin(key, simulate.init(scene), task, rules)
        return episode, observe(episode)

    def step(
        episode: Episode, action: jax.Array, key: jax.Array, task: Course
    ) -> tuple[Episode, TimeStep]:
        pushing, turning = jax.random.split(key)
        push = pushed(pushing, episode.step, episode.push, task.push)
        around = meets(scene, episode, rules.window)
        moved = machine.act(simulate, mechanics.substeps, around, episode.state, action, push)
        now = going(episode.terrain.target, moved.state, rules.absolute_speed)
        count, covered = episode.step + 1, episode.covered + now.speed
        mean = covered / count
        reward = reward_of(episode.terrain, episode.first, episode.distance, now, mean)
        reward = jnp.where(moved.diverged, 0.0, reward)
        reached = (now.distance < _THERE) & (episode.terrain.kind != JOYSTICK) & ~moved.diverged
        terminated = fallen(moved.state) | reached | moved.diverged
        episode = episode._replace(
            state=moved.state,
            history=seeing.remember(episode.history, action, moved.state),
            push=push,
            # That of a state which is no longer to be trusted says nothing of the way.
            distance=jnp.where(moved.diverged, episode.distance, now.distance),
            covered=covered,
            step=count,
            total=episode.total + reward,
            reached=reached,
            diverged=moved.diverged,
            dropped=episode.dropped + moved.dropped,
        )
        if rules.resample:
            episode = retargeted(turning, episode)
        truncated = (count >= TIME_LIMIT) & ~terminated
        return episode, TimeStep(observe(episode), reward, terminated, truncated)

    return ControlEnvironment(reset, step, SIZES, seeing.ACTION_SIZE, outcomes)
