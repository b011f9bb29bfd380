"""How an environment of UNIMALs follows from its rules: what it draws, shows, rewards and ends."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrl_suite import physics
from jaxrl_suite.envs.base import ControlEnvironment, TimeStep
from jaxrl_suite.envs.unimal.arena import FLOOR
from jaxrl_suite.envs.unimal.body import SIZES
from jaxrl_suite.envs.unimal.episode import (
    CONTROL_COST,
    PHYSICS_STEPS,
    TIME_LIMIT,
    Episode,
    Motion,
    begin,
    fall_height,
    mover,
    noisy_rest,
    outcomes,
)
from jaxrl_suite.envs.unimal.observation import NUM_PROPRIOCEPTIVE, at_reset, proprioception
from jaxrl_suite.physics import rotations


class Verdict(NamedTuple):
    """What an action came to.

    drawn: what the environment keeps, as it is now.
    gain: [], the reward without the cost of control.
    metric: [], what the episode is worth if it ends here, in the task's own measure.
    ended: bool [], the task ends the episode.
    """

    drawn: Any
    gain: jax.Array
    metric: jax.Array
    ended: jax.Array


class Progress(NamedTuple):
    """What is kept in :class:`Episode`: see :class:`Verdict`."""

    drawn: Any
    metric: jax.Array


class Rules(NamedTuple):
    """What makes an environment. Functions are of one environment and pure.

    draw: ``(key) -> drawn``, at every reset.
    furnish: ``(scene, drawn, place [2]) -> Scene`` of `sizes`, as a body at that place meets it.
    ground: ``(drawn, place [2]) -> []``, height of the ground (m) from which the head has fallen.
    judge: ``(scene, drawn, motion) -> Verdict``, the scene as furnished.
    see: ``(drawn, state) -> {name: vector}``, besides proprioception.
    seen: lengths of what it sees.
    sizes: of the furnished scene.
    fall_ratio: of the head's height, where the body counts as fallen.
    pitch: at reset (rad), upwards positive.
    """

    draw: Callable[[jax.Array], Any]
    furnish: Callable[[physics.Scene, Any, jax.Array], physics.Scene]
    ground: Callable[[Any, jax.Array], jax.Array]
    judge: Callable[[physics.Scene, Any, Motion], Verdict]
    see: Callable[[Any, physics.State], dict[str, jax.Array]]
    seen: dict[str, int]
    sizes: physics.Sizes = SIZES
    fall_ratio: float = 0.5
    pitch: float = 0.0


def environment(
    rules: Rules, options: physics.Options, simulator: physics.Simulator | None = None
) -> ControlEnvironment:
    """An environment by these rules; its task is a :class:`physics.Scene` of SIZES.

    An episode ends when the head is down to a part of its start height above the ground, when the
    state diverges or runs away or the rules say so, and is cut off after 1000 actions of 0.02 s.
    The reward is the gain of the rules less 0.001 times the sum of the squared action, which is not
    clipped for that; gains add up to the score.

    Args:
      rules: of the environment.
      options: of physics.
      simulator: of `rules.sizes`; None for this suite's engine with these options.
    """
    move = mover(simulator or physics.simulator(rules.sizes, options))

    def observe(
        scene: physics.Scene, drawn: Any, state: physics.State, readings: physics.Readings
    ) -> dict[str, jax.Array]:
        return {"proprioceptive": proprioception(scene, state, readings)} | rules.see(drawn, state)

    def reset(key: jax.Array, scene: physics.Scene) -> tuple[Episode, dict[str, jax.Array]]:
        drawing, starting = jax.random.split(key)
        drawn = rules.draw(drawing)
        scene = rules.furnish(scene, drawn, scene.model.start[:2])
        state = noisy_rest(starting, rules.sizes, scene)
        if rules.pitch:
            tilt = rotations.from_axis_angle(jnp.array([0.0, -1.0, 0.0]), jnp.asarray(rules.pitch))
            state = state._replace(q=state.q.at[3:7].set(rotations.multiply(tilt, state.q[3:7])))
        seen = observe(scene, drawn, state, at_reset(scene, state))
        return begin(state, Progress(drawn, jnp.zeros(()))), seen

    def step(
        state: Episode, action: jax.Array, key: jax.Array, scene: physics.Scene
    ) -> tuple[Episode, TimeStep]:
        action = action * scene.model.dof_mask[6:]
        fallen_at = fall_height(scene.model, rules.fall_ratio)
        before = state.task
        scene = rules.furnish(scene, before.drawn, state.physics.q[:2])
        state, motion = move(state, scene, action)
        verdict = rules.judge(scene, before.drawn, motion)
        height = motion.after.q[2] - rules.ground(verdict.drawn, motion.after.q[:2])
        fallen = jnp.round(height, 3) <= fallen_at
        lost = state.diverged | state.runaway
        terminated = fallen | verdict.ended | lost
        truncated = ~terminated & (state.step >= TIME_LIMIT)
        # What the rules make of a state that is lost counts for nothing.
        gain = jnp.where(lost, 0.0, verdict.gain)
        metric = jnp.where(lost, before.metric, verdict.metric)
        reward = gain - CONTROL_COST * jnp.sum(action**2)
        seen = observe(scene, verdict.drawn, motion.after, motion.readings)
        state = state._replace(score=state.score + gain, task=Progress(verdict.drawn, metric))
        return state, TimeStep(seen, reward, terminated, truncated)

    def told(episode: Episode) -> dict[str, jax.Array]:
        return outcomes(episode) | {"metric": episode.task.metric}

    sizes = {"proprioceptive": NUM_PROPRIOCEPTIVE} | rules.seen
    return ControlEnvironment(reset, step, sizes, SIZES.num_joints, told)


# Parts that several rules share.


def level(drawn: Any, place: jax.Array) -> jax.Array:
    """A ground at height 0 everywhere."""
    return jnp.zeros(())


def above_gap(height: jax.Array) -> jax.Array:
    """Where there is no ground a fall is counted from 1 m below the floor, as in the original."""
    return jnp.maximum(height, -FLOOR)


def nothing(key: jax.Array) -> tuple:
    """Draws nothing."""
    return ()


def blind(drawn: Any, state: physics.State) -> dict[str, jax.Array]:
    """Sees nothing."""
    return {}


def forward_speed(motion: Motion, options: physics.Options) -> jax.Array:
    """Of the head along x (m/s)."""
    return (motion.after.q[0] - motion.before.q[0]) / (PHYSICS_STEPS * options.timestep)


def moved_start(scene: physics.Scene, offset: jax.Array) -> physics.Scene:
    """The scene with a body that starts elsewhere, by an offset [3] (m)."""
    start = scene.model.start + offset
    return scene._replace(model=scene.model._replace(start=start))
