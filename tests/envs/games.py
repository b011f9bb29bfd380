"""What the tests of the games share: compiled steps, boards from pictures."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl_suite.envs import arcade
from jaxrl_suite.envs.arcade import board

KEY = jax.random.key(0)


@functools.cache
def compiled(game_name):
    """(reset, step) of a game, compiled once for all tests."""
    environment = arcade.make(game_name).environment
    return jax.jit(environment.reset), jax.jit(environment.step)


def find(game, **values):
    """The variant that has these factor values, and the default for every other factor."""
    wanted = {factor.name: factor.values[0] for factor in game.factors} | values
    (name,) = (name for name in game.variants if game.describe(name) == wanted)
    return game.variants[name]


def start(game, variant, **fields):
    """A fresh state with some fields placed by hand."""
    state, _ = compiled(game.name)[0](KEY, variant)
    fields = {
        name: jnp.asarray(value, getattr(state, name).dtype) for name, value in fields.items()
    }
    return state._replace(**fields)


def step(game, state, action, variant, key=KEY):
    return compiled(game.name)[1](state, jnp.int32(action), key, variant)


def cells(*where):
    """A board with objects at these (row, column) pairs."""
    words = np.zeros(board.SIZE, np.int32)
    for row, column in where:
        words[row] |= 1 << column
    return words


def where(words):
    """The (row, column) pairs of a board or of a plane."""
    words = np.asarray(words)
    occupied = np.asarray(board.occupied(words)) if words.ndim == 1 else words
    return {(int(row), int(column)) for row, column in np.argwhere(occupied)}


def plane(game, observation, name):
    return where(observation[:, :, game.plane_names.index(name)])


def unroll(env, variants, policy, num_steps, key=KEY):
    """Plays a batch, one element a variant. Returns (last state, time steps [T, N, ...])."""
    count = len(jax.tree.leaves(variants)[0])

    @jax.jit
    def run(key, variants):
        reset_key, key = jax.random.split(key)
        carry = jax.vmap(env.reset)(jax.random.split(reset_key, count), variants)

        def body(carry, key):
            states, observations = carry
            action_key, step_key = jax.random.split(key)
            actions = policy(action_key, observations)
            keys = jax.random.split(step_key, count)
            states, steps = jax.vmap(env.step)(states, actions, keys, variants)
            return (states, steps.observation), steps

        (states, _), steps = jax.lax.scan(body, carry, jax.random.split(key, num_steps))
        return states, steps

    return run(key, variants)


def at_random(game):
    num_actions = game.environment.num_actions
    return lambda key, observations: jax.random.randint(key, observations.shape[:1], 0, num_actions)
