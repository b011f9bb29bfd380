"""Named settings of an evolution."""

from jaxrl_suite.core import Preset
from jaxrl_suite.systems.derl.config import Config, Hyper, Life


def _preset(config: Config, hyper: Hyper) -> Preset:
    return Preset(config, hyper, config.num_updates)


# Lives of 65,536 steps in which a body walks a few metres; the ratios of slots, population and
# bodies are the paper's, K / P = 1/2 and N / P = 7, for the number of bodies in flight decides how
# many generations there are. A higher rate makes up for part of what a short life costs.
_QUICK = Config(
    bodies=112,
    population=16,
    slots=8,
    phases=4,
    life=Life(num_envs=16, num_steps=64, episode=250, iterations=64, window=8),
    keep=4,
)

# For one large GPU, on which it has not been run yet: all bodies and slots of the paper, whose
# lives are 34 times as long.
_GPU = Config(life=Life(num_envs=32, num_steps=128, episode=250, iterations=36, window=4))

PRESETS: dict[str, Preset] = {
    "quick": _preset(_QUICK, Hyper(learning_rate=1e-3)),
    "gpu": _preset(_GPU, Hyper(learning_rate=1e-3)),
    # Gupta et al. 2021 and its released code: 4000 bodies of 5 million steps each.
    "paper": _preset(Config(), Hyper()),
}
