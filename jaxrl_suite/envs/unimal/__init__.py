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
from jaxrl_suite.envs.unimal.genotype import (
    MAX_LIMBS,
    Genotype,
    head,
    num_hinges,
    num_limbs,
)
from jaxrl_suite.envs.unimal.growth import grow
from jaxrl_suite.envs.unimal.manipulation import manipulation
from jaxrl_suite.envs.unimal.mutation import OPERATORS, mutate
from jaxrl_suite.envs.unimal.population import candidates, initial_population
from jaxrl_suite.envs.unimal.reading import from_body
from jaxrl_suite.envs.unimal.tasks import TASKS
from jaxrl_suite.envs.unimal.validity import is_valid
from jaxrl_suite.envs.unimal.variable import variable_terrain

__all__ = [
    "CLEAN",
    "MAX_LIMBS",
    "OPERATORS",
    "OPTIONS",
    "ORIGINAL",
    "SIZES",
    "TASKS",
    "Design",
    "Genotype",
    "candidates",
    "flat_terrain",
    "from_body",
    "grow",
    "head",
    "initial_population",
    "is_valid",
    "limb_names",
    "manipulation",
    "mutate",
    "num_hinges",
    "num_limbs",
    "phenotype",
    "scene",
    "to_mjcf",
    "variable_terrain",
]
