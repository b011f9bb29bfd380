"""The bodies that evolution starts from."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrl_suite.core import UsageError
from jaxrl_suite.envs.unimal import lattice
from jaxrl_suite.envs.unimal.design import Design
from jaxrl_suite.envs.unimal.draws import whole
from jaxrl_suite.envs.unimal.genotype import NUM_SLOTS, Genotype, head, num_limbs
from jaxrl_suite.envs.unimal.growth import random_density
from jaxrl_suite.envs.unimal.mutation import MIN_LIMBS, mutate

TARGETS = 9  # limbs aimed at are uniform below it, from MIN_LIMBS
CANDIDATES = 10  # built for every body that is kept
_MOST = 2000  # mutations of a candidate; far more than any has been seen to take
_LANES = 64  # that build candidates side by side


class Candidate(NamedTuple):
    """A random body: its genotype, and how many mutations it took, int32 []."""

    genotype: Genotype
    mutations: jax.Array


class _Lane(NamedTuple):
    """Builds one candidate after another: those built, the one at hand, what it aims at."""

    built: Candidate
    count: jax.Array
    now: Candidate
    target: jax.Array
    key: jax.Array


def candidates(design: Design, key: jax.Array, count: int) -> Candidate:
    """Random bodies, leaves [count, ...].

    Each is a head that has grown once, then mutated at random until it has a random number of
    limbs, uniform from 2 to 8, or more. Some take hundreds of mutations and most a dozen: lanes
    that each build several wait less for each other than all candidates at once would.
    """
    each = -(-count // min(count, _LANES))

    def begin(key: jax.Array) -> tuple[Candidate, jax.Array, jax.Array]:
        start, key = jax.random.split(key)
        draws = jax.random.uniform(start, (3,))
        target = MIN_LIMBS + whole(draws[0], TARGETS - MIN_LIMBS)
        # The first growth is no mutation.
        return Candidate(head(random_density(draws[1:])), jnp.full((), -1, jnp.int32)), target, key

    def body(lane: _Lane) -> _Lane:
        key, how = jax.random.split(lane.key)
        mutated = mutate(design, lane.now.genotype, how).genotype
        now = Candidate(mutated, lane.now.mutations + 1)
        grown = (num_limbs(lane.now.genotype) >= lane.target) | (lane.now.mutations >= _MOST)
        built = jax.tree.map(
            lambda all_, one: jnp.where(grown, all_.at[lane.count].set(one), all_),
            lane.built,
            lane.now,
        )
        fresh = begin(key)
        now, target, key = jax.tree.map(
            lambda a, b: jnp.where(grown, a, b), fresh, (now, lane.target, key)
        )
        return _Lane(built, lane.count + grown, now, target, key)

    def run(key: jax.Array) -> Candidate:
        now, target, key = begin(key)
        space = jax.tree.map(lambda x: jnp.zeros((each, *x.shape), x.dtype), now)
        lane = _Lane(space, jnp.zeros((), jnp.int32), now, target, key)
        return jax.lax.while_loop(lambda lane: lane.count < each, body, lane).built

    lanes = jax.vmap(run)(jax.random.split(key, -(-count // each)))
    return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:])[:count], lanes)


def species(genotype: Genotype) -> jax.Array:
    """int32 [17], how many limbs point in each direction.

    differs: the original joins bodies of as many limbs whose frames can be matched at a summed
    distance below 0.2. Frames of one direction differ by the rounding of their ends alone, those of
    two directions by 45 degrees, so that bodies with the same directions are one species; counting
    them needs no matching of every body with every other.
    """
    limbs = genotype.alive & (jnp.arange(NUM_SLOTS) > 0)
    return jnp.zeros(lattice.NUM_DIRECTIONS, jnp.int32).at[genotype.direction].add(limbs)


def initial_population(design: Design, key: jax.Array, size: int) -> Genotype:
    """One body a species, shuffled; filled up with others if there are too few species.

    Ten candidates are built for each body that is kept. Op by op this takes long: jit it.

    Returns:
      Genotypes with leaves [size, ...].

    Raises:
      UsageError: the size is below 1.
    """
    if size < 1:
        raise UsageError(f"a population needs at least 1 body, not {size}")
    build, order = jax.random.split(key)
    found = candidates(design, build, CANDIDATES * size).genotype
    shuffled = jax.random.permutation(order, CANDIDATES * size)
    kinds = jax.vmap(species)(found)[shuffled]
    alike = jnp.lexsort(
        kinds.T
    )  # stable: of one species the first in the shuffled order comes first
    begins = jnp.any(kinds[alike[1:]] != kinds[alike[:-1]], axis=1)
    is_first = jnp.ones(len(kinds), bool).at[alike[1:]].set(begins)
    chosen = shuffled[jnp.argsort(~is_first, stable=True)][:size]
    return jax.tree.map(lambda x: x[chosen], found)
