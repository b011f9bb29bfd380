"""What all environments of UNIMALs share: how an episode begins, moves on and is summed up."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrl_suite import physics
from jaxrl_suite.physics import rotations

PHYSICS_STEPS = 4  # an action lasts 0.02 s
TIME_LIMIT = 1000  # actions, 20 s
NOISE = 5e-3  # half-width of the noise on positions and velocities at reset
CONTROL_COST = 1e-3  # times the sum of squares of the action
# rad or m in a physics step. Semi-implicit Euler, MuJoCo's too, feeds energy into what spins much
# faster, without bound: a policy that finds this flies, and would win every tournament.
FARTHEST = 0.5


class Episode(NamedTuple):
    """One episode.

    physics: the body's state, and that of what it meets.
    step: int32 [], actions so far.
    diverged: bool [], the last step was not finite; it ended the episode.
    runaway: bool [], the last step, or that of what the body pushes, was too fast to be integrated,
      see FARTHEST; likewise.
    score: [], what it has been worth so far, the cost of control left out: its fitness at the end.
    work: [], sum of |torque x rate| dt over all hinges, over the body's mass (J/kg).
    effort: [], sum of |torque| over all hinges and actions (N m).
    task: whatever else an environment keeps.
    """

    physics: physics.State
    step: jax.Array
    diverged: jax.Array
    runaway: jax.Array
    score: jax.Array
    work: jax.Array
    effort: jax.Array
    task: Any = ()


class Motion(NamedTuple):
    """What a body did in one action.

    before, after: its states.
    readings: of the last physics step.
    """

    before: physics.State
    after: physics.State
    readings: physics.Readings


def begin(state: physics.State, task: Any = ()) -> Episode:
    """An episode that starts from this state."""
    zero, no = jnp.zeros(()), jnp.zeros((), bool)
    return Episode(state, jnp.zeros((), jnp.int32), no, no, zero, zero, zero, task)


def noisy_rest(key: jax.Array, sizes: physics.Sizes, scene: physics.Scene) -> physics.State:
    """The body's start, every position and velocity off by up to NOISE."""
    at = physics.init(sizes, scene)
    place, speed = jax.random.split(key)
    used = scene.model.dof_mask
    positions = jnp.concatenate([used[:3], jnp.ones(4), used[6:]])
    shift = jax.random.uniform(place, at.q.shape, minval=-NOISE, maxval=NOISE) * positions
    q = at.q + shift
    q = q.at[3:7].set(rotations.normalise(q[3:7]))
    v = jax.random.uniform(speed, at.v.shape, minval=-NOISE, maxval=NOISE) * used
    return at._replace(q=q, v=v)


def fall_height(model: physics.Model, ratio: float = 0.5) -> jax.Array:
    """Height of the head above the ground (m) at which the body counts as fallen."""
    return ratio * (model.start[2] - 0.2)


def mover(
    simulate: physics.Simulator,
) -> Callable[[Episode, physics.Scene, jax.Array], tuple[Episode, Motion]]:
    """``(episode, scene, action [20]) -> (episode, Motion)``: four physics steps under one action.

    Counts the step, adds up work and effort, and says whether the state diverged or ran away, which
    is no way that it has moved. The score is the caller's to add to.
    """
    options = simulate.options

    def move(episode: Episode, scene: physics.Scene, action: jax.Array) -> tuple[Episode, Motion]:
        model = scene.model
        control = jnp.concatenate([jnp.zeros(6), action])
        torque = jnp.abs(model.gear * jnp.clip(control, -1.0, 1.0))

        def one(at: physics.State, _: None) -> tuple[physics.State, tuple]:
            after, readings = simulate.step(scene, at, control)
            # differs: the original goes on until MuJoCo finds a number above 1e10.
            speeds = jnp.concatenate([after.v, after.box_v.reshape(-1)])
            wild = jnp.any(options.timestep * jnp.abs(speeds) > FARTHEST)
            return after, (readings, wild, torque @ jnp.abs(after.v))

        after, (readings, wild, power) = jax.lax.scan(one, episode.physics, length=PHYSICS_STEPS)
        diverged, runaway = jnp.any(readings.diverged), jnp.any(wild)
        lost = diverged | runaway
        readings = jax.tree.map(lambda x: x[-1], readings)
        done = options.timestep * jnp.sum(power) / jnp.sum(model.mass)
        before = jax.tree.map(lambda a, b: jnp.where(lost, a, b), after, episode.physics)
        episode = episode._replace(
            physics=after,
            step=episode.step + 1,
            diverged=diverged,
            runaway=runaway & ~diverged,
            work=episode.work + jnp.where(lost, 0.0, done),
            effort=episode.effort + jnp.sum(torque),
        )
        return episode, Motion(before, after, readings)

    return move


def outcomes(episode: Episode) -> dict[str, jax.Array]:
    """What an episode has come to, all float32 []: see :class:`Episode`; length in actions."""
    length = episode.step.astype(jnp.float32)
    return {
        "score": episode.score,
        "length": length,
        "work": episode.work,
        "effort": episode.effort,
        "diverged": episode.diverged.astype(jnp.float32),
        "runaway": episode.runaway.astype(jnp.float32),
    }
