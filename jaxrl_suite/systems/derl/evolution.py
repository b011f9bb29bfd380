"""Where bodies come from and what is remembered of them: the lineage and its tournaments.

differs: the original is asynchronous; a tournament starts whenever a worker is free, among whatever
has finished. Here lives are equally long and slots finish in turn, so that bodies are completed in
the order of their birth and the number of a body is its row. That loses one effect of the
original's, its bias to bodies that are simulated fast.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrl_suite.core import Metrics
from jaxrl_suite.envs import unimal
from jaxrl_suite.systems.derl.config import Config


class Lineage(NamedTuple):
    """All bodies of an evolution, N rows in the order of their birth.

    genotype: leaves [N, ...].
    parent: int32 [N], row of the parent; -1 of a founder, or not born yet.
    operator: int32 [N], index of :data:`unimal.OPERATORS`; -1 of a founder.
    generation: int32 [N], 0 for founders, else the parent's and one.
    founder: int32 [N], row of the founder that it descends from.
    fitness: [N], NaN before its life has ended, minus infinity where it failed.
    curves: of every outcome [N, I], see :class:`BodyState`.
    """

    genotype: unimal.Genotype
    parent: jax.Array
    operator: jax.Array
    generation: jax.Array
    founder: jax.Array
    fitness: jax.Array
    curves: dict[str, jax.Array]


def start(config: Config, outcomes: list[str], key: jax.Array) -> Lineage:
    """A lineage of founders that are not trained yet."""
    # Random search takes its bodies from as many first populations as it needs: a larger one would
    # hold other bodies, for it has room for more species.
    count = -(-config.founders // config.population)
    begin = lambda i: unimal.initial_population(  # noqa: E731
        config.design, jax.random.fold_in(key, i), config.population
    )
    blocks = jax.vmap(begin)(jnp.arange(count))
    flat = lambda x: x.reshape(-1, *x.shape[2:])[: config.founders]  # noqa: E731
    founders, total = jax.tree.map(flat, blocks), config.bodies
    room = lambda x: jnp.zeros((total, *x.shape[1:]), x.dtype).at[: x.shape[0]].set(x)  # noqa: E731
    minus, rows = jnp.full(total, -1, jnp.int32), jnp.arange(total, dtype=jnp.int32)
    curves = {name: jnp.full((total, config.life.iterations), jnp.nan) for name in outcomes}
    return Lineage(
        jax.tree.map(room, founders),
        minus,
        minus,
        jnp.zeros_like(rows),
        rows,
        jnp.full(total, jnp.nan),
        curves,
    )


def completed(config: Config, num_updates: jax.Array) -> jax.Array:
    """int32 [], bodies whose lives have ended after so many phases."""
    done = jnp.maximum(num_updates - config.phases + 1, 0) * config.group
    return jnp.minimum(done, config.bodies)


def tournament(
    config: Config, fitness: jax.Array, finished: jax.Array, key: jax.Array
) -> jax.Array:
    """Row of a parent, int32 []: the fittest of a few among the last `population` bodies.

    With replacement, as in the original, the same body may be drawn twice, and four times. One
    that failed is no parent, unless all have.

    differs: where all that are drawn have failed, the fittest of the window is the parent.

    Args:
      config: its population and tournament, and whether with replacement.
      fitness: [N].
      finished: int32 [], bodies that have a fitness, at least 1.
      key: random key.
    """
    oldest = jnp.maximum(finished - config.population, 0)
    rows = jnp.arange(fitness.shape[0])
    there = (rows >= oldest) & (rows < finished)
    if config.replacement:
        drawn = jax.random.randint(key, (config.tournament,), oldest, finished)
    else:
        lots = jnp.where(there, jax.random.uniform(key, rows.shape), -1.0)
        drawn = jax.lax.top_k(lots, config.tournament)[1]
    window = jnp.where(there, fitness, -jnp.inf)
    winner = drawn[jnp.argmax(window[drawn])]
    other = jnp.isneginf(window[winner]) & jnp.any(window > -jnp.inf)
    return jnp.where(other, jnp.argmax(window), winner).astype(jnp.int32)


def conceive(
    config: Config, lineage: Lineage, numbers: jax.Array, finished: jax.Array, key: jax.Array
) -> Lineage:
    """The lineage with the next bodies in it.

    The first tournaments are held before all founders have finished, among those that have, as the
    original's asynchronous workers hold theirs.

    Args:
      config: of the evolution.
      lineage: so far.
      numbers: int32 [m], of the bodies to come; founders are there already, and numbers beyond the
        last body are no bodies.
      finished: int32 [], see :func:`completed`.
      key: random key.
    """
    if config.founders == config.bodies:
        return lineage

    def child(number: jax.Array, key: jax.Array) -> tuple:
        choose, change = jax.random.split(key)
        parent = tournament(config, lineage.fitness, finished, choose)
        genotype = jax.tree.map(lambda x: x[parent], lineage.genotype)
        mutation = unimal.mutate(config.design, genotype, change)
        generation, founder = lineage.generation[parent] + 1, lineage.founder[parent]
        born = (mutation.genotype, parent, mutation.operator, generation, founder)
        own = jax.tree.map(lambda x: x[number], tuple(lineage[:5]))
        return jax.tree.map(lambda a, b: jnp.where(number < config.founders, b, a), born, own)

    born = jax.vmap(child)(numbers, jax.random.split(key, numbers.shape[0]))
    write = lambda x, new: x.at[numbers].set(new, mode="drop")  # noqa: E731
    return Lineage(*jax.tree.map(write, tuple(lineage[:5]), born), lineage.fitness, lineage.curves)


def remember(
    lineage: Lineage, numbers: jax.Array, fitness: jax.Array, curves: dict[str, jax.Array]
) -> Lineage:
    """With what became of bodies [m]; a number beyond the last row is none."""
    return lineage._replace(
        fitness=lineage.fitness.at[numbers].set(fitness, mode="drop"),
        curves={
            name: x.at[numbers].set(curves[name], mode="drop") for name, x in lineage.curves.items()
        },
    )


def summary(config: Config, lineage: Lineage, finished: jax.Array) -> Metrics:
    """Of the last `population` bodies that have a fitness, and the best of all; NaN before one."""
    rows = jnp.arange(config.bodies)
    ended = rows < finished
    window = ended & (rows >= finished - config.population)
    some = window & jnp.isfinite(lineage.fitness)
    mean = lambda x: jnp.sum(jnp.where(some, x, 0.0)) / jnp.sum(some)  # noqa: E731
    shares = jnp.zeros(config.bodies).at[lineage.founder].add(window) / jnp.sum(window)
    entropy = -jnp.sum(jnp.where(shares > 0, shares * jnp.log(jnp.maximum(shares, 1e-9)), 0.0))
    best = jnp.max(jnp.where(ended, lineage.fitness, -jnp.inf))
    return {
        "bodies": finished.astype(jnp.float32),
        "fitness_best": jnp.where(finished > 0, best, jnp.nan),
        "fitness_mean": mean(lineage.fitness),
        "generation": mean(lineage.generation.astype(jnp.float32)),
        "limbs": mean(jax.vmap(unimal.num_limbs)(lineage.genotype).astype(jnp.float32)),
        "founders": jnp.where(finished > 0, jnp.sum(shares > 0), jnp.nan),
        "founders_effective": jnp.where(finished > 0, jnp.exp(entropy), jnp.nan),
        "failed": jnp.sum(ended & jnp.isneginf(lineage.fitness)).astype(jnp.float32),
    }
