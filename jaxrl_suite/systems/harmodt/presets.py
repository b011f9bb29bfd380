"""Named settings of HarmoDT, each with where its numbers are from."""

import dataclasses

from jaxrl_suite.core import Preset
from jaxrl_suite.nets.decision_transformer import TransformerConfig
from jaxrl_suite.systems.harmodt.config import Config, DataConfig, Hyper, MaskConfig


def _preset(config: Config, hyper: Hyper) -> Preset:
    return Preset(config, hyper, config.updates)


# Two CPU cores, minutes: a small network and a steep rate, ours, chosen for that machine. With
# fewer weights fewer of them are swapped.
# differs: the policy looks at the present step alone, K = 1 for 20, and the rate falls to 0 instead
# of staying. As the stored states leave out the previous frame, it does not see velocities either.
_QUICK = Config(
    data=DataConfig(context=1),
    network=TransformerConfig(layers=3, width=128, heads=4, dropout=0.0),
    masks=MaskConfig(most=20),
    interval=100,
    updates=60,
    batch=32,
)

# Directions of the four-legged body, which need no data on disk: nine are learned, three are kept
# to be met unprepared.
_DIRECTIONS = dataclasses.replace(
    _QUICK,
    data=DataConfig(suite="ant", context=1, normalise="all", prompt_segment="random"),
    network=TransformerConfig(layers=2, width=64, heads=2, dropout=0.0),
    updates=40,
)

# One large GPU: the published network, eight tasks at once; rates are ours, untuned. A tenth of it
# has been run (experiments/hu2024/mt50).
_GPU = Config(updates=200, tasks_per_step=8, batch=32)

PRESETS: dict[str, Preset] = {
    "quick": _preset(_QUICK, Hyper(learning_rate=1e-3, warmup=200.0, decay=1.0)),
    "directions": _preset(_DIRECTIONS, Hyper(learning_rate=1e-3, warmup=200.0, decay=1.0)),
    "gpu": _preset(_GPU, Hyper(learning_rate=5e-4, warmup=1000.0, decay=1.0)),
    # Hu et al. 2024, released code: a million steps of 8 windows of one task, masks every 500.
    "paper": _preset(Config(), Hyper()),
}
