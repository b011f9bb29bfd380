"""Episodes of a character that learns from motion clips: starts, what is seen, ends.

The body itself is a :class:`Figure`, what it is to do a :class:`Task`; both are pure functions of
one character, and the caller vmaps. A discriminator sees windows: the last frames of what a
character did, newest first. Clips and episodes are shown by the same function: a clip that is
replayed is the clip itself, to the last bit, or but for that bit where the compiler arranges a
batch of another shape in another way.

Source: Peng et al. 2022 and its released code.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrl_suite.core import UsageError
from jaxrl_suite.envs import clips as reading
from jaxrl_suite.envs.base import PyTree, TimeStep
from jaxrl_suite.envs.clips import Clips, Pose


class World(NamedTuple):
    """What all episodes share.

    scene: what a figure's functions are told of the world.
    falls: states of bodies that lie where they fell, leaves [M, ...].
    """

    scene: PyTree
    falls: PyTree


class Motion(NamedTuple):
    """What a figure did in one action.

    before, after: its states.
    touch: [NB], normal forces on its links at the end (N).
    fallen: bool [], it lies or kneels, by the figure's rule.
    diverged: bool [], its state was not finite and is a rest pose instead.
    dropped: int32 [], contacts of the last instant that the simulation had no room for.
    """

    before: PyTree
    after: PyTree
    touch: jax.Array
    fallen: jax.Array
    diverged: jax.Array
    dropped: jax.Array


class Figure(NamedTuple):
    """A body that moves, without any notion of episodes.

    scene: ``() -> scene``.
    stand: ``(scene) -> state``, of the default pose.
    fall: ``(scene, key) -> state``, come to lie after a fall.
    pose: ``(scene, Pose) -> state``, of a clip.
    move: ``(scene, state, action) -> Motion``.
    sense: ``(scene, state) -> [P]``, what a policy sees of its own body.
    frame: ``(scene, state) -> [D]``, what a discriminator sees of one instant.
    upright: ``(scene, state) -> bool []``, it stands, by the figure's rule.
    sense_size, frame_size, action_size: P, D, and the length of an action.
    period: of an action (s).
    """

    scene: Callable[[], PyTree]
    stand: Callable[[PyTree], PyTree]
    fall: Callable[[PyTree, jax.Array], PyTree]
    pose: Callable[[PyTree, Pose], PyTree]
    move: Callable[[PyTree, PyTree, jax.Array], Motion]
    sense: Callable[[PyTree, PyTree], jax.Array]
    frame: Callable[[PyTree, PyTree], jax.Array]
    upright: Callable[[PyTree, PyTree], jax.Array]
    sense_size: int
    frame_size: int
    action_size: int
    period: float


class Start(NamedTuple):
    """Where an episode begins; `clip` and `time` (s) where the state is a clip's, else 0."""

    state: PyTree
    clip: jax.Array
    time: jax.Array


class Task(NamedTuple):
    """What a character is to do besides moving.

    begin: ``(key, Start) -> (state, goal)``; may place things of the task in the state.
    advance: ``(key, goal, state) -> goal``, after every action.
    observe: ``(scene, goal, state) -> [G]``.
    reward: ``(scene, goal, Motion) -> []``, between 0 and 1, by the goal before the action.
    over: ``(goal, Motion) -> bool []``, ends the episode for good.
    size: G.
    """

    begin: Callable[[jax.Array, Start], tuple[PyTree, PyTree]]
    advance: Callable[[jax.Array, PyTree, PyTree], PyTree]
    observe: Callable[[PyTree, PyTree, PyTree], jax.Array]
    reward: Callable[[PyTree, PyTree, Motion], jax.Array]
    over: Callable[[PyTree, Motion], jax.Array]
    size: int


@dataclasses.dataclass(frozen=True)
class Rules:
    """How episodes begin and end; the defaults are those of the released code.

    Attributes:
      horizon: actions after which an episode is cut off.
      window: frames of a window.
      reference: share of starts from a moment of a clip; the others are from the default pose.
      fallen: share of starts from a body that lies.
      recovery: share of terminated episodes that go on from where they ended.
      spared: actions after a fallen start or a recovery in which no episode ends.
      falls: bodies that lie, of which starts draw.
    """

    horizon: int = 300
    window: int = 10
    reference: float = 0.5
    fallen: float = 0.1
    recovery: float = 0.2
    spared: int = 60
    falls: int = 4096

    def check(self) -> None:
        """Raises UsageError for a number outside its range."""
        for name in ("horizon", "window", "falls"):
            if getattr(self, name) < 1:
                raise UsageError(f"rules.{name} must be at least 1, not {getattr(self, name)}")
        for name in ("reference", "fallen", "recovery"):
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(f"rules.{name} must lie in 0 .. 1, not {getattr(self, name)}")
        if not 0 <= self.spared < self.horizon:
            raise UsageError(f"rules.spared must lie in 0 .. {self.horizon - 1}, not {self.spared}")


class Episode(NamedTuple):
    """One episode.

    state: the figure's.
    goal: the task's.
    window: [W, D], frames, newest first.
    step: int32 [], actions so far; it runs on through a recovery.
    since: int32 [], the action after which the last recovery began, 0 without one.
    spared: int32 [], actions left in which it cannot end.
    total: [], sum of rewards since then.
    diverged: bool [], its state was not finite, which ended it, and is a rest pose instead.
    dropped: int32 [], contacts that found no room since then.
    """

    state: PyTree
    goal: PyTree
    window: jax.Array
    step: jax.Array
    since: jax.Array
    spared: jax.Array
    total: jax.Array
    diverged: jax.Array
    dropped: jax.Array


class Character(NamedTuple):
    """Pure functions of one character.

    world: ``(key) -> World``, once a run.
    reset: ``(key, world) -> (Episode, observation)``.
    step: ``(Episode, action, key, world) -> (Episode, TimeStep)``.
    restart: ``(Episode, TimeStep, key, world) -> (Episode, observation)``; after an end the next
      episode, otherwise what it was given.
    demonstration: ``(key, world) -> [W D]``, a window of a clip drawn by weight.
    window_of: ``(clip, time, world) -> [W D]``, of the clip at this time (s).
    observation_sizes: of "body", "task" and "window", W D.
    action_size: length of an action.
    rules: see :class:`Rules`.
    clips: as they were given, arrays of NumPy.
    figure: see :class:`Figure`.
    """

    world: Callable[[jax.Array], World]
    reset: Callable[[jax.Array, World], tuple[Episode, dict[str, jax.Array]]]
    step: Callable[[Episode, jax.Array, jax.Array, World], tuple[Episode, TimeStep]]
    restart: Callable[..., tuple[Episode, dict[str, jax.Array]]]
    demonstration: Callable[[jax.Array, World], jax.Array]
    window_of: Callable[[jax.Array, jax.Array, World], jax.Array]
    observation_sizes: dict[str, int]
    action_size: int
    rules: Rules
    clips: Clips
    figure: Figure


def no_task() -> Task:
    """Nothing to do; a reward of 0."""
    return Task(
        begin=lambda key, start: (start.state, ()),
        advance=lambda key, goal, state: goal,
        observe=lambda scene, goal, state: jnp.zeros(0),
        reward=lambda scene, goal, motion: jnp.zeros(()),
        over=lambda goal, motion: jnp.zeros((), bool),
        size=0,
    )


def choose(condition: jax.Array, yes: Any, no: Any) -> Any:
    """One of two pytrees by a scalar condition."""
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), yes, no)


def character(figure: Figure, clips: Clips, task: Task, rules: Rules) -> Character:
    """A character from a body, clips and something to do.

    Args:
      figure: the body.
      clips: of its skeleton; only read where rules or task ask for them.
      task: what earns rewards.
      rules: of its episodes.

    Raises:
      UsageError: rules that no episode can have, or a clip shorter than a window.
    """
    rules.check()
    behind = (rules.window - 1) * figure.period
    seconds = (clips.length - 1) / clips.fps
    if (seconds < behind).any():
        raise UsageError(
            f"clip {int(seconds.argmin())} lasts {seconds.min():.3f} s; a window of "
            f"{rules.window} frames needs {behind:.3f} s"
        )

    known = jax.tree.map(jnp.asarray, clips)

    def frames_of(clip: jax.Array, time: jax.Array, world: World) -> jax.Array:
        """[W, D], newest first."""
        times = time - figure.period * jnp.arange(rules.window)

        def one(when: jax.Array) -> jax.Array:
            pose = reading.at(known, clip, when)
            return figure.frame(world.scene, figure.pose(world.scene, pose))

        return jax.vmap(one)(times)

    def observe(episode: Episode, world: World) -> dict[str, jax.Array]:
        return {
            "body": figure.sense(world.scene, episode.state),
            "task": task.observe(world.scene, episode.goal, episode.state),
            "window": episode.window.reshape(-1),
        }

    def make_world(key: jax.Array) -> World:
        scene = figure.scene()
        fall = lambda k: figure.fall(scene, k)  # noqa: E731
        # With no such starts a single one, so that shapes do not depend on a number.
        count = rules.falls if rules.fallen else 1
        return World(scene, jax.vmap(fall)(jax.random.split(key, count)))

    def reset(key: jax.Array, world: World) -> tuple[Episode, dict[str, jax.Array]]:
        what, which, where, doing = jax.random.split(key, 4)
        lies, moves = jax.random.uniform(what, (2,)) < jnp.array([rules.fallen, rules.reference])
        clip, time = reading.draw(known, which, behind)
        moving = figure.pose(world.scene, reading.at(known, clip, time))
        lying = jax.random.randint(where, (), 0, jax.tree.leaves(world.falls)[0].shape[0])
        lying = jax.tree.map(lambda x: x[lying], world.falls)
        state = choose(lies, lying, choose(moves, moving, figure.stand(world.scene)))
        referred = moves & ~lies
        start = Start(state, jnp.where(referred, clip, 0), jnp.where(referred, time, 0.0))
        state, goal = task.begin(doing, start)
        still = jnp.broadcast_to(
            figure.frame(world.scene, state)[None], (rules.window, figure.frame_size)
        )
        window = jnp.where(referred, frames_of(clip, time, world), still)
        none = jnp.zeros((), jnp.int32)
        episode = Episode(
            state,
            goal,
            window,
            none,
            none,
            jnp.where(lies, rules.spared, none),
            jnp.zeros(()),
            jnp.zeros((), bool),
            none,
        )
        return episode, observe(episode, world)

    def step(
        episode: Episode, action: jax.Array, key: jax.Array, world: World
    ) -> tuple[Episode, TimeStep]:
        motion = figure.move(world.scene, episode.state, action)
        reward = task.reward(world.scene, episode.goal, motion)
        reward = jnp.where(motion.diverged, 0.0, reward)
        count, spared = episode.step + 1, episode.spared > 0
        # Contacts of the first action may be left from the start's own pose.
        ends = (motion.fallen | task.over(episode.goal, motion)) & (count > 1)
        terminated = (ends & ~spared) | motion.diverged
        truncated = ~terminated & ~spared & (count >= rules.horizon)
        # A rest pose that replaces what was not finite is nothing that the policy did.
        frame = figure.frame(world.scene, motion.after)
        frame = jnp.where(motion.diverged, episode.window[0], frame)
        episode = Episode(
            motion.after,
            task.advance(key, episode.goal, motion.after),
            jnp.concatenate([frame[None], episode.window[:-1]]),
            count,
            episode.since,
            jnp.maximum(episode.spared - 1, 0),
            episode.total + reward,
            episode.diverged | motion.diverged,
            episode.dropped + motion.dropped,
        )
        return episode, TimeStep(observe(episode, world), reward, terminated, truncated)

    def restart(
        episode: Episode, told: TimeStep, key: jax.Array, world: World
    ) -> tuple[Episode, dict[str, jax.Array]]:
        luck, fresh = jax.random.split(key)
        goes_on = told.terminated & ~episode.diverged
        goes_on &= jax.random.uniform(luck) < rules.recovery
        over = (told.terminated | told.truncated) & ~goes_on
        again = episode._replace(
            spared=jnp.where(goes_on, rules.spared, episode.spared),
            since=jnp.where(goes_on, episode.step, episode.since),
            total=jnp.where(goes_on, 0.0, episode.total),
            dropped=jnp.where(goes_on, 0, episode.dropped),
        )
        return choose(over, reset(fresh, world), (again, told.observation))

    def window_of(clip: jax.Array, time: jax.Array, world: World) -> jax.Array:
        return frames_of(clip, time, world).reshape(-1)

    def demonstration(key: jax.Array, world: World) -> jax.Array:
        return window_of(*reading.draw(known, key, behind), world)

    sizes = {
        "body": figure.sense_size,
        "task": task.size,
        "window": rules.window * figure.frame_size,
    }
    return Character(
        make_world,
        reset,
        step,
        restart,
        demonstration,
        window_of,
        sizes,
        figure.action_size,
        rules,
        clips,
        figure,
    )
