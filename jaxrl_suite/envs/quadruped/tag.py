"""Chase tag: two robots in a square arena, one after the other, and a flag that turns the tables.

Source: Han et al. 2024 and its released code.

differs: robots do not touch each other, nor do they or the flag appear in maps and rays, which show
the arena; in the original all are in one simulation. What is known of them is in the vector.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrl_suite import physics
from jaxrl_suite.core import UsageError
from jaxrl_suite.envs.base import TimeStep
from jaxrl_suite.envs.quadruped import machine, perception, terrain
from jaxrl_suite.envs.quadruped import observation as seeing
from jaxrl_suite.envs.quadruped.arena import Square, arena, visible
from jaxrl_suite.envs.quadruped.game import POST, ROBOTS, Game, Rules, judge, outcomes, rewards_of
from jaxrl_suite.envs.quadruped.machine import Mechanics
from jaxrl_suite.envs.quadruped.observation import History
from jaxrl_suite.envs.quadruped.perception import Blocks
from jaxrl_suite.envs.quadruped.playground import MECHANICS
from jaxrl_suite.physics import rotations

VECTOR_SIZE = 29
_AROUND = 0.4  # m, within which of the base the feet are
_TRIES = 8  # at a start

SIZES = {
    "vector": VECTOR_SIZE,
    "critic": VECTOR_SIZE,
    "body": seeing.PROPRIOCEPTION_SIZE,
    "height": perception.NUM_POINTS,
    "depth": perception.NUM_POINTS,
    "rays": perception.NUM_RAYS,
}


class Tag(NamedTuple):
    """Pure functions of one game; callers vmap.

    reset: ``(key) -> (Game, observation)``.
    step: ``(Game, actions [2, 12], key) -> (Game, TimeStep)``; the reward is [2], the ends are [].
    observation_sizes: of every entry of an observation, [2, size].
    action_size: of a robot.
    outcomes: see :func:`game.outcomes`.
    """

    reset: Callable[[jax.Array], tuple[Game, dict[str, jax.Array]]]
    step: Callable[[Game, jax.Array, jax.Array], tuple[Game, TimeStep]]
    observation_sizes: dict[str, int]
    action_size: int
    outcomes: Callable[[Game], dict[str, jax.Array]]


def command(heading: jax.Array, speed: jax.Array) -> jax.Array:
    """What the environmental level is told instead of a target, [3]: (cos, sin, speed).

    As :func:`perception.target` is a direction in the base's own x and y, so is this one: 0 is
    straight ahead, pi / 2 to the left, wherever the robot heads on the map.

    Args:
      heading: [] (rad).
      speed: [], wanted (m/s).
    """
    return jnp.stack([jnp.cos(heading), jnp.sin(heading), speed])


def vector(
    own: physics.State,
    other: physics.State,
    flag: jax.Array,
    chases: jax.Array,
    seen: jax.Array,
) -> jax.Array:
    """What a robot knows of the game, [29], in this order.

    - own place 3 (m, world), cosine and sine of its yaw 2;
    - of the opponent: 1, its place 3 (m, world), its place seen from the own base 3 (m), cosine and
      sine of its yaw less the own 2, its linear 3 and angular 3 velocity in the own base's axes
      (m/s, rad/s); all 0 when it is not seen;
    - of the flag: 1, its place 3 (m, world), its place seen from the own base 3; all 0 when it is
      not seen;
    - whether it chases 1, whether it evades 1.

    Args:
      own: state of the robot.
      other: state of its opponent.
      flag: [3], its centre (m, world).
      chases: bool [].
      seen: bool [2], opponent and flag.
    """
    turn = rotations.to_matrix(own.q[3:7])
    yaw, apart = perception.yaw(own), perception.yaw(other) - perception.yaw(own)
    one = jnp.ones(1)
    opponent = jnp.concatenate(
        [
            one,
            other.q[:3],
            (other.q[:3] - own.q[:3]) @ turn,
            jnp.stack([jnp.cos(apart), jnp.sin(apart)]),
            other.v[:3] @ turn,
            rotations.rotate(other.q[3:7], other.v[3:6]) @ turn,
        ]
    )
    post = jnp.concatenate([one, flag, (flag - own.q[:3]) @ turn])
    return jnp.concatenate(
        [
            own.q[:3],
            jnp.stack([jnp.cos(yaw), jnp.sin(yaw)]),
            jnp.where(seen[0], opponent, 0.0),
            jnp.where(seen[1], post, 0.0),
            jnp.stack([chases, ~chases]).astype(jnp.float32),
        ]
    )


def observe(game: Game, around: Blocks) -> dict[str, jax.Array]:
    """What each robot senses, sees and knows, [2, size]; see :func:`tag`."""
    ground = perception.heights(around, game.flag[None])
    flag = jnp.concatenate([game.flag, ground + POST[2]])

    def one(
        own: physics.State, other: physics.State, history: History, chases: jax.Array
    ) -> dict[str, jax.Array]:
        seen = visible(around, own.q[:3], jnp.stack([other.q[:3], flag]))
        return {
            "vector": vector(own, other, flag, chases, seen),
            "critic": vector(own, other, flag, chases, jnp.ones(2, bool)),
            "body": seeing.proprioception(history),
            "height": perception.height_map(around, own).reshape(-1),
            "depth": perception.front_depth(around, own).reshape(-1),
            "rays": perception.rays(around, own),
        }

    others = jax.tree.map(lambda x: x[::-1], game.states)
    return jax.vmap(one)(game.states, others, game.histories, game.chaser == jnp.arange(ROBOTS))


def _begin(key: jax.Array, rest: physics.State, rules: Rules, around: Blocks) -> Game:
    """A game: robots dropped in their stand, headed anywhere, roles and flag by chance.

    differs: of places that a tag is decided at, one in fifteen, others are drawn.
    """
    placing, flagging, turning, drawing = jax.random.split(key, 4)
    pairs = jax.random.uniform(
        placing, (_TRIES, ROBOTS, 2), minval=-rules.reach, maxval=rules.reach
    )
    apart = jnp.linalg.norm(pairs[:, 0] - pairs[:, 1], axis=1)
    places = pairs[jnp.argmax(apart >= rules.tag_distance)]
    yaws = jax.random.uniform(turning, (ROBOTS,), maxval=2.0 * jnp.pi)
    u = jax.random.uniform(drawing, (3,))
    between = lambda share, bounds: bounds[0] + (bounds[1] - bounds[0]) * share  # noqa: E731
    # No foot begins within a block.
    grown = around._replace(half=around.half + jnp.array([[_AROUND, _AROUND, 0.0]]))

    def stand(place: jax.Array, yaw: jax.Array) -> physics.State:
        pose = machine.stand()
        turn = rotations.from_vector(yaw * jnp.array([0.0, 0.0, 1.0]))
        height = perception.heights(grown, place[None]) + rules.drop
        return machine.state_of(
            rest,
            pose._replace(
                position=jnp.concatenate([place, height]),
                quaternion=rotations.multiply(turn, pose.quaternion),
            ),
        )

    states = jax.vmap(stand)(places, yaws)
    none, no = jnp.zeros((), jnp.int32), jnp.zeros(ROBOTS, bool)
    return Game(
        states=states,
        histories=jax.vmap(seeing.begin)(states),
        chaser=(u[0] < 0.5).astype(jnp.int32),
        flag=_flag(flagging, rules),
        speed=between(u[1], rules.speed),
        friction=between(u[2], rules.friction),
        step=none,
        total=jnp.zeros(ROBOTS),
        switches=none,
        tagged=jnp.zeros((), bool),
        fallen=no,
        diverged=no,
        dropped=none,
    )


def _flag(key: jax.Array, rules: Rules) -> jax.Array:
    """Where a flag is put, [2] on the map (m)."""
    return jax.random.uniform(key, (2,), minval=-rules.reach, maxval=rules.reach)


def _meets(scene: physics.Scene, game: Game, rules: Rules, blocks: Blocks | None) -> physics.Scene:
    """The scene with what robots can touch: floor, walls and all blocks.

    The friction of two that touch is the larger of theirs, so all have the game's.
    """
    feet = jnp.full_like(scene.model.friction, game.friction)
    scene = scene._replace(
        model=scene.model._replace(friction=feet),
        ground=Square(jnp.asarray(0.5 * rules.side)),
        ground_friction=game.friction,
    )
    if blocks is None:
        return scene
    touched = terrain.nearest(blocks, jnp.zeros(()), len(blocks.exists), game.friction)
    return scene._replace(obstacles=touched)


def tag(
    mechanics: Mechanics = MECHANICS, rules: Rules | None = None, blocks: Blocks | None = None
) -> Tag:
    """Two robots play tag; actions are those of their joints, see :func:`machine.act`.

    Observations have an axis of robots [2] and are the same seen from either: "vector" is that of
    :func:`vector`, "critic" the same as if nothing hid opponent and flag, "body", "height", "depth"
    and "rays" are those of :func:`playground.playground`; for its "target" see :func:`command`.

    A game ends with a tag or a fall and is cut off at its time limit; when the evader gets the
    flag, roles swap, and the flag is put elsewhere. For rewards see :func:`game.rewards_of`.

    Args:
      mechanics: settings.
      rules: of the game.
      blocks: [B], that stand in the arena, the same in all games; none for an open one.

    Raises:
      UsageError: a setting that no game can have, such as a backend without walls.
    """
    rules = rules or Rules()
    rules.check()
    mechanics.check()
    if mechanics.backend == "mjx":
        raise UsageError("backend 'mjx' has no walls; legal for this game: articulated")
    simulate = machine.simulation(mechanics, 0 if blocks is None else len(blocks.exists))
    scene = machine.scene_of(mechanics, simulate.sizes)
    around = arena(rules.side, blocks)

    def reset(key: jax.Array) -> tuple[Game, dict[str, jax.Array]]:
        game = _begin(key, simulate.init(scene), rules, around)
        return game, observe(game, around)

    def step(game: Game, actions: jax.Array, key: jax.Array) -> tuple[Game, TimeStep]:
        world = _meets(scene, game, rules, blocks)
        act = lambda state, action: machine.act(  # noqa: E731
            simulate, mechanics.substeps, world, state, action
        )
        moved = jax.vmap(act)(game.states, actions)
        events = judge(rules, game, moved.state, moved.diverged)
        rewards = rewards_of(events, game.chaser)
        count = game.step + 1
        terminated = events.tagged | jnp.any(events.fallen) | jnp.any(moved.diverged)
        game = game._replace(
            states=moved.state,
            histories=jax.vmap(seeing.remember)(game.histories, actions, moved.state),
            chaser=jnp.where(events.taken, 1 - game.chaser, game.chaser),
            flag=jnp.where(events.taken, _flag(key, rules), game.flag),
            step=count,
            total=game.total + rewards,
            switches=game.switches + events.taken,
            tagged=events.tagged,
            fallen=events.fallen,
            diverged=moved.diverged,
            dropped=game.dropped + jnp.sum(moved.dropped),
        )
        truncated = (count >= rules.time_limit) & ~terminated
        return game, TimeStep(observe(game, around), rewards, terminated, truncated)

    return Tag(reset, step, SIZES, seeing.ACTION_SIZE, outcomes)
