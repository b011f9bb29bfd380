"""Named settings of both levels."""

import dataclasses

from jaxrl_suite.core import Preset
from jaxrl_suite.envs.character import Rules
from jaxrl_suite.systems.ase.config import Config, Hyper, Networks

# For two cores.
_CORES = Config(num_envs=64, num_steps=32, minibatch=512, eval_episodes=32)
_ONE_STYLE = Networks(latent=0, hidden=(256, 128), discriminator=())
_SMALL = dataclasses.replace(_ONE_STYLE, latent=16, style=(64, 32), discriminator=_ONE_STYLE.hidden)
_SKILLS = dataclasses.replace(_CORES, networks=_SMALL, hidden=(128, 64))
_FROM_CLIPS = Rules(reference=1.0, fallen=0.0, recovery=0.0, falls=1)
# Small networks are to learn from few actions: ten times the rates of the released code, and noise
# 2.5 times as large, which keeps steps at these rates short in terms of probability.
_RATES = {"learning_rate": 2e-4, "critic_rate": 1e-3, "discriminator_rate": 1e-4}
_NOISE = {"log_std": -2.0}

_QUICK = dataclasses.replace(
    _SKILLS,
    rules=Rules(falls=_CORES.num_envs),
    epochs=3,
    discriminated=256,
    demonstrations=2048,
    replay=8192,
    kept=64,
)
# A point whose skills are eight directions: everything at work, in seconds.
_POINT = Networks(latent=4, hidden=(64, 64), style=(32, 16), discriminator=(64, 64))
_PLANAR = dataclasses.replace(
    _QUICK,
    body="planar",
    rules=Rules(horizon=90, window=4, fallen=0.0, recovery=0.0, spared=0),
    networks=_POINT,
    hidden=_POINT.hidden,
    num_steps=16,
    epochs=2,
    minibatch=256,
    demonstrations=512,
    eval_episodes=64,
)
# One clip, followed frame by frame: the first thing to look at where something does not learn.
_TRACKING = dataclasses.replace(
    _CORES,
    task="follow",
    clips=("walk",),
    rules=_FROM_CLIPS,
    networks=_ONE_STYLE,
    mixed=False,
    epochs=5,
)
# A task from the default pose, by the skills of a run: --config.skills RUN --config.task reach.
_TASK = dataclasses.replace(
    _SKILLS,
    task="location",
    rules=dataclasses.replace(_FROM_CLIPS, reference=0.0),
    level="high",
    num_steps=16,
    epochs=4,
    minibatch=256,
)
# For one large GPU, on which it has not been run yet: the released code's networks and rates, half
# of its environments. 4,000 updates are 262 million actions.
_GPU = Config(num_envs=2048, minibatch=8192, demonstrations=8192, kept=655, rules=Rules(falls=2048))
PRESETS: dict[str, Preset] = {
    "quick": Preset(_QUICK, Hyper(**_RATES, **_NOISE), 160),
    "planar": Preset(_PLANAR, Hyper(**_RATES, log_std=-1.5), 300),
    # The discount is DeepMimic's.
    "walk": Preset(
        _TRACKING, Hyper(**_RATES, **_NOISE, discount=0.95, task=1.0, style=0.0, skill=0.0), 300
    ),
    "task": Preset(_TASK, Hyper(**_RATES, task=0.9, style=0.1, skill=0.0, log_std=-2.3), 200),
    "gpu": Preset(_GPU, Hyper(), 4000),
    # Peng et al. 2022 and its released code: 100,000 updates of 131,072 actions.
    "paper": Preset(Config(), Hyper(), 100_000),
}
