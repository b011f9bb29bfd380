"""ASE: adversarial skill embeddings, and high-level policies that command them."""

from jaxrl_suite.systems.ase.config import Config, Hyper, Networks
from jaxrl_suite.systems.ase.presets import PRESETS
from jaxrl_suite.systems.ase.system import Skills, library_of, make, make_character, skills_of

__all__ = [
    "PRESETS",
    "Config",
    "Hyper",
    "Networks",
    "Skills",
    "library_of",
    "make",
    "make_character",
    "skills_of",
]
