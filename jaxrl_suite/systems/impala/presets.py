"""Named settings of multi-task IMPALA, each with where its numbers are from."""

import dataclasses

from jaxrl_suite.core import Preset
from jaxrl_suite.envs.atari import EmulatorConfig
from jaxrl_suite.nets.actor_critic import NetworkConfig
from jaxrl_suite.systems.impala.config import Config, Hyper

# Published settings are for one game at a time, as it is switched on: a single variant, 200
# million frames, that is 50 million steps.
_ATARI = Config(suite="atari", num_variants=1, time_limit=27_000, eval_episodes=8)
_STEPS = 50_000_000

PRESETS: dict[str, Preset] = {
    # Two CPU cores, half a minute a game: ours, chosen for that machine.
    "quick": Preset(
        Config(
            network=NetworkConfig(torso="grid", grid_channels=16, hidden=128),
            num_envs=64,
            unroll_length=16,
        ),
        Hyper(learning_rate=2e-3),
        num_updates=800,
    ),
    # Half an hour on one large GPU: the published network on wide batches; sizes are ours.
    "gpu": Preset(
        Config(
            network=NetworkConfig(bfloat16=True),
            num_envs=2048,
            unroll_length=20,
            time_limit=1000,
            sticky=0.1,
        ),
        Hyper(),
        num_updates=5000,
    ),
    # Espeholt et al. 2018 as in the flag defaults of their released code: unroll 100, RMSProp with
    # decay .99 and epsilon .1, rate 4.8e-4 falling to 0, entropy 2.5e-4, baseline .5, rewards
    # clipped to 1, LSTM of 256, last action and reward as inputs, no gradient clip.
    # differs: 32 sequences a batch and these games; the flag's batch of 2 serves no accelerator.
    "paper": Preset(
        Config(
            network=NetworkConfig(lstm=256, last_action_reward=True),
            num_envs=32,
            unroll_length=100,
            time_limit=1000,
        ),
        Hyper(
            learning_rate=4.8e-4,
            anneal_updates=62_500,
            entropy_cost=2.5e-4,
            max_grad_norm=float("inf"),
            rms_epsilon=0.1,
            actor_hold=1,
        ),
        num_updates=62_500,  # 200 million frames
    ),
    # Two CPU cores, about six minutes: ours. The small network of Espeholt et al. 2018 at half its
    # width; the deep one would spend most of the time on convolutions. One variant, the
    # game as it is switched on: five minutes are too few for more.
    "atari_quick": Preset(
        dataclasses.replace(
            _ATARI,
            network=NetworkConfig(torso="shallow", width=0.5),
            num_envs=16,
            time_limit=4500,
            eval_episodes=4,
        ),
        # Ends at a tenth of the first rate.
        Hyper(learning_rate=3e-3, anneal_updates=2667),
        num_updates=2400,
    ),
    # Half an hour on one large GPU with some thirty CPU cores; sizes are ours.
    "atari_gpu": Preset(
        dataclasses.replace(
            _ATARI, network=NetworkConfig(bfloat16=True), num_variants=16, num_envs=256
        ),
        Hyper(anneal_updates=7000),
        num_updates=7000,
    ),
    # cleanba: unroll 20, two actor threads of 64 environments, rate 6e-4 falling to 0, RMSProp .99
    # and .01 outside the root, entropy .01, clip 40, all 18 actions, sticky .25.
    # differs: one batch rather than four minibatches, for the loss is a sum over the batch.
    "atari_cleanba": Preset(
        dataclasses.replace(
            _ATARI,
            num_envs=128,
            sticky=0.25,
            emulator=EmulatorConfig(full_actions=True),
        ),
        Hyper(anneal_updates=_STEPS // (128 * 20)),
        num_updates=_STEPS // (128 * 20),
    ),
    # torchbeast (polybeast): unroll 80, batch 8, RMSProp .99 and .01, rate 4.8e-4 falling to 0,
    # entropy 6e-4, clip 40.
    "atari_polybeast": Preset(
        dataclasses.replace(_ATARI, num_envs=8, unroll_length=80),
        Hyper(learning_rate=4.8e-4, entropy_cost=6e-4, anneal_updates=_STEPS // (8 * 80)),
        num_updates=_STEPS // (8 * 80),
    ),
    # Espeholt et al. 2018, the released code's optimiser as in "paper" above, on Atari.
    # differs: 32 sequences a batch, as above.
    "atari_deepmind": Preset(
        dataclasses.replace(
            _ATARI,
            network=NetworkConfig(lstm=256, last_action_reward=True),
            num_envs=32,
            unroll_length=100,
        ),
        Hyper(
            learning_rate=4.8e-4,
            anneal_updates=_STEPS // (32 * 100),
            entropy_cost=2.5e-4,
            max_grad_norm=float("inf"),
            rms_epsilon=0.1,
        ),
        num_updates=_STEPS // (32 * 100),
    ),
}
