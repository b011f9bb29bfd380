"""A whole update of a level, and its two halves; see `lifelike.py`."""

import dataclasses

import harness
import jax

from jaxrl_suite.core import Learner, Preset, Source
from jaxrl_suite.envs.quadruped import playground, tag
from jaxrl_suite.systems import lifelike
from jaxrl_suite.systems.lifelike import (
    acting,
    curriculum,
    epmc,
    league,
    motions,
    pmc,
    ppo,
    priority,
    sepmc,
)

SEED = 0
PRESETS = {"pmc": "quick", "epmc": "terrain", "sepmc": "tag"}  # of the levels


def preset_of(level: str, num_envs: int = 0) -> Preset:
    """A level's, with so many environments if it is to have others."""
    preset = lifelike.PRESETS[PRESETS[level]]
    envs = num_envs or preset.config.num_envs
    return preset._replace(config=dataclasses.replace(preset.config, num_envs=envs))


def halves(config: lifelike.Config) -> tuple[Source, Learner]:
    """Of which `systems/lifelike/system.py` makes a level; what is frozen, a state holds."""
    if config.level == "pmc":
        world, policy = motions.following(config), pmc.policy(config)
        schedule = priority.prioritised(world.scene, len(world.groups))
        source = acting.source(world.env, policy, config, schedule)
    elif config.level == "epmc":
        policy = epmc.policy(config)
        env = playground.playground(config.mechanics, config.playground)
        course = playground.course(dict.fromkeys(config.terrains, 1.0))
        source = acting.source(env, policy, config, curriculum.climbing(course))
    else:
        env, policy = tag.tag(config.mechanics, config.game), sepmc.policy(config)
        source = league.source(env, policy, config)
    return source, ppo.learner(config, policy)


def candidates(config: lifelike.Config, hyper: lifelike.Hyper) -> dict[str, harness.Candidate]:
    """The update as training makes it, experience, and learning from what was recorded."""
    system, (recorder, _) = lifelike.make(config, hyper), halves(config)
    state, batch = jax.jit(system.init)(jax.random.key(SEED)), config.frames_per_update
    # Recorded, to be learned from; and environments are no longer in step with one another.
    begun, played = jax.jit(recorder.sample)(state.source, state.learner.params, state.key)
    state = state._replace(source=begun)
    # Made anew: what the recorder compiled would be found again, in no time.
    source, learner = halves(config)
    args, recorded = (begun, state.learner.params, state.key), (state.learner, played)
    return {
        "update": harness.Candidate(jax.jit(system.update), (state,), batch),
        "experience": harness.Candidate(jax.jit(source.sample), args, batch),
        "learning": harness.Candidate(jax.jit(learner.update), recorded, batch),
    }
