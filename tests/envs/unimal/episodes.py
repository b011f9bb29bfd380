"""Environments as tests play them: four bodies, a quick solver, compiled once a process."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl_suite import physics
from jaxrl_suite.envs import unimal
from jaxrl_suite.envs.base import ControlEnvironment, TimeStep
from jaxrl_suite.envs.unimal import ORIGINAL
from jaxrl_suite.envs.unimal.episode import Episode
from tests.envs.unimal.bodies import population

BODIES = 4
# What compiles soonest: nothing tested with it depends on how well contacts are solved.
QUICK = physics.Options(
    timestep=0.005,
    newton_steps=3,
    line_search_steps=4,
    self_collision=False,
    solimp_limit=(0.0, 0.99, 0.01, 0.5, 2.0),
)


@functools.cache
def scenes() -> physics.Scene:
    """[4, ...]"""
    bodies = jax.tree.map(lambda x: x[:BODIES], population())
    return jax.jit(jax.vmap(lambda g: unimal.scene(ORIGINAL, g)))(bodies)


@functools.cache
def ghosts() -> physics.Scene:
    """The same bodies, but they touch nothing."""
    model = scenes().model
    return scenes()._replace(model=model._replace(segment_mask=jnp.zeros_like(model.segment_mask)))


def keys(seed: int) -> jax.Array:
    return jax.random.split(jax.random.key(seed), BODIES)


@functools.cache
def compiled(make) -> tuple:
    """``(environment, reset, step)`` of a constructor, over four bodies."""
    env = make(QUICK)
    return env, jax.jit(jax.vmap(env.reset)), jax.jit(jax.vmap(env.step))


def still(make, state: Episode, bodies: physics.Scene | None = None) -> tuple[Episode, TimeStep]:
    """One step without torque, of other bodies than :func:`scenes` if given."""
    _, _, step = compiled(make)
    return step(state, jnp.zeros((BODIES, 20)), keys(0), bodies or scenes())


def moved(state: Episode, q: dict[int, float]) -> Episode:
    """The episodes with entries of q set."""
    at = state.physics
    for index, value in q.items():
        at = at._replace(q=at.q.at[:, index].set(value))
    return state._replace(physics=at)


def start(make, seed: int = 5) -> Episode:
    """Four episodes that have just begun."""
    env, reset, _ = compiled(make)
    state, seen = reset(keys(seed), scenes())
    check(env, seen)
    return state


def play(make, state: Episode, count: int = 30) -> list[tuple[Episode, np.ndarray, TimeStep]]:
    """Random actions; every step finite, observations as long as they say, scores as they should.

    Returns:
      Of every step the episodes after it, the actions and what it told.
    """
    env, _, step = compiled(make)
    told, generator = [], np.random.default_rng(0)
    used = np.asarray(scenes().model.dof_mask)[:, 6:]
    score = np.zeros(BODIES)
    for t in range(count):
        action = generator.normal(0, 0.7, (BODIES, 20)).astype(np.float32)
        state, timestep = step(state, jnp.asarray(action), keys(t), scenes())
        check(env, timestep.observation)
        assert np.isfinite(timestep.reward).all()
        assert not np.asarray(state.diverged).any()
        score += np.asarray(timestep.reward) + 1e-3 * ((action * used) ** 2).sum(1)
        told.append((state, action * used, timestep))
    outcomes = env.outcomes(state)
    np.testing.assert_allclose(outcomes["score"], score, rtol=1e-4, atol=2e-4)
    np.testing.assert_array_equal(outcomes["length"], count)
    assert set(outcomes) == {"score", "length", "work", "effort", "diverged", "runaway", "metric"}
    assert np.isfinite(outcomes["metric"]).all()
    return told


def check(env: ControlEnvironment, seen: dict) -> None:
    assert {name: x.shape[1] for name, x in seen.items()} == env.observation_sizes
    for x in seen.values():
        assert np.isfinite(x).all()


def rotation(q: np.ndarray) -> np.ndarray:
    """[3, 3] of a quaternion."""
    w, x, y, z = q / np.linalg.norm(q)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )
