"""ASE: adversarial skill embeddings, and high-level policies that command them."""

from jaxrl_suite.systems.ase.characters import clip_names, library_of, make_character, settled
from jaxrl_suite.systems.ase.config import Config, Hyper, Networks
from jaxrl_suite.systems.ase.evaluate import Measured, Trace, measure_skills, play_high, play_low
from jaxrl_suite.systems.ase.presets import PRESETS
from jaxrl_suite.systems.ase.system import Skills, make, skills_of

__all__ = [
    "PRESETS",
    "Config",
    "Hyper",
    "Measured",
    "Networks",
    "Skills",
    "Trace",
    "clip_names",
    "library_of",
    "make",
    "make_character",
    "measure_skills",
    "play_high",
    "play_low",
    "settled",
    "skills_of",
]
