"""First populations that several tests share: each design compiles its generator once a process."""

import functools

import jax

from jaxrl_suite.envs import unimal
from jaxrl_suite.envs.unimal import Design, Genotype

SIZE = 12


@functools.cache
def population(design: Design) -> Genotype:
    """Twelve bodies, leaves [12, ...]."""
    return unimal.initial_population(design, jax.random.key(4), SIZE)


def body(design: Design, i: int) -> Genotype:
    """One of them."""
    return jax.tree.map(lambda x: x[i], population(design))
