"""UNIMALs: bodies that evolve, as integers on a lattice, and what they are asked to do."""

from jaxrl_suite.envs.unimal.body import (
    OPTIONS,
    SIZES,
    limb_names,
    phenotype,
    scene,
    to_mjcf,
)
from jaxrl_suite.envs.unimal.design import CLEAN, ORIGINAL, Design
from jaxrl_suite.envs.unimal.flat import flat_terrain
from jaxrl_suite.envs.unimal.genotype import MAX_LIMBS, Genotype, num_hinges, num_limbs
from jaxrl_suite.envs.unimal.growth import grow
from jaxrl_suite.envs.unimal.mutation import OPERATORS, mutate
from jaxrl_suite.envs.unimal.population import candidates, initial_population
from jaxrl_suite.envs.unimal.reading import from_body
from jaxrl_suite.envs.unimal.validity import is_valid

__all__ = [
    "CLEAN",
    "MAX_LIMBS",
    "OPERATORS",
    "OPTIONS",
    "ORIGINAL",
    "SIZES",
    "Design",
    "Genotype",
    "candidates",
    "flat_terrain",
    "from_body",
    "grow",
    "initial_population",
    "is_valid",
    "limb_names",
    "mutate",
    "num_hinges",
    "num_limbs",
    "phenotype",
    "scene",
    "to_mjcf",
]
