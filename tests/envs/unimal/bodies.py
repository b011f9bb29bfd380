"""A first population that several tests share: its generator compiles once a process."""

import functools

import jax

from jaxrl_suite.envs import unimal
from jaxrl_suite.envs.unimal import ORIGINAL, Genotype

SIZE = 12


@functools.cache
def population() -> Genotype:
    """Twelve bodies by the original's rules, leaves [12, ...]; any design may build them."""
    build = jax.jit(unimal.initial_population, static_argnums=(0, 2))
    return build(ORIGINAL, jax.random.key(4), SIZE)


def body(i: int) -> Genotype:
    """One of them."""
    return jax.tree.map(lambda x: x[i], population())
