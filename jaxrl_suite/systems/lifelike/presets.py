"""Named settings of the levels."""

import dataclasses

from jaxrl_suite.core import Preset
from jaxrl_suite.envs.quadruped import Mechanics
from jaxrl_suite.envs.quadruped.game import Rules as GameRules
from jaxrl_suite.envs.quadruped.playground import Rules as PlaygroundRules
from jaxrl_suite.envs.quadruped.robot import STAND_HEIGHT
from jaxrl_suite.systems.lifelike.config import Command, Config, Hyper, Networks

# For two cores: the gaits that go somewhere, and a codebook that they can fill, kept in use.
GOING = ("walk", "trot", "turn", "arc_walk", "start_stop", "crouch_walk")
_QUICK = Config(
    clips=GOING,
    networks=Networks(codes=64, width=16, averaged=True, hidden=(128, 128)),
    num_envs=128,
    epochs=4,
    minibatches=4,
)
# Across terrains by the skills of a run: --config.skills RUN --config.terrains hurdle.
_TERRAIN = Config(
    level="epmc",
    mechanics=Mechanics(torque=16.0),
    networks=_QUICK.networks,
    # differs: a code is kept for 0.1 s, not 20 ms.
    command=Command(prior=True, hold=5),
    # Robots that fall from 0.5 m, as in the original, and have not learned to land, lie there.
    # differs: headed about where they are to go, not anywhere.
    playground=PlaygroundRules(drop=STAND_HEIGHT, aside=1.0),
    speed=(0.3, 0.8),  # m/s; differs: 0.5 to 3
    game=GameRules(drop=STAND_HEIGHT, speed=(0.3, 0.8)),
    num_envs=128,
    num_steps=32,
    epochs=2,
    minibatches=4,
    eval_episodes=32,
    eval_seconds=20.0,
)
# One policy of several: --config.experts RUN RUN --config.terrains hurdle creep. At the level that
# experts of the preset above come to.
_DISTIL = dataclasses.replace(
    _TERRAIN, level="distil", terrains=("hurdle", "creep"), difficulty=0.0
)
# A game over an environmental level: --config.skills RUN. differs: smaller and shorter than the
# original's, of 5 m and 20 s, in which robots are to go at 0.5 to 3 m/s.
_TAG = dataclasses.replace(
    _TERRAIN,
    level="sepmc",
    game=dataclasses.replace(_TERRAIN.game, side=3.5, time_limit=500),
    num_envs=64,
    ring=16,
    snapshot_every=20,
)
# For one large GPU, on which it has not been run yet: 2,000 updates are 262 million actions.
_GPU = Config(
    networks=Networks(averaged=True), num_envs=4096, num_steps=32, minibatches=8, eval_episodes=512
)
PRESETS: dict[str, Preset] = {
    # differs: all starts alike, not those more often that score less.
    "quick": Preset(_QUICK, Hyper(learning_rate=6e-4, least=1.0, sharpness=0.0), 400),
    "terrain": Preset(
        _TERRAIN,
        Hyper(learning_rate=1e-3, discount=0.99, entropy=0.003, level=0.0, progress=0.02),
        200,
    ),
    "distil": Preset(_DISTIL, Hyper(learning_rate=1e-3), 200),
    "tag": Preset(_TAG, Hyper(learning_rate=1e-3, discount=0.99, entropy=0.01), 200),
    "gpu": Preset(_GPU, Hyper(least=4.0), 2000),
    # Han et al. 2024 and its released code; the plain codebook. Its rates belong to a stream of
    # experience that is nearly off-policy: with them an update here hardly moves.
    "paper": Preset(
        Config(num_envs=2048, num_steps=128, minibatches=1024, epochs=1, eval_episodes=512),
        Hyper(learning_rate=1e-5, clip=0.1),
        20_000,
    ),
}
