"""A whole update of ASE's low level, and its two halves; see `ase.py`."""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import harness
import jax

from jaxrl_suite import core
from jaxrl_suite.systems import ase
from jaxrl_suite.systems.ase import learner as learning_rule
from jaxrl_suite.systems.ase import params as asking
from jaxrl_suite.systems.ase.acting import low_source

SEED = 0


class Loop(NamedTuple):
    """A system and what it is made of."""

    system: core.System
    source: core.Source
    learner: core.Learner


def loop_of(config: ase.Config, hyper: ase.Hyper) -> Loop:
    """As `systems/ase/system.py` makes it."""
    env = ase.make_character(config)
    seen, nets = env.observation_sizes, asking.low_nets(config, env.action_size)
    inputs = seen["body"] + seen["task"]
    sizes = learning_rule.Sizes(inputs, config.networks.latent, seen["window"])
    learner, source = learning_rule.learner(config, nets, sizes), low_source(env, config)
    system = core.fuse(
        learner,
        source,
        hyper=hyper,
        evaluate=lambda state, key: {},
        frames_per_update=config.frames_per_update,
    )
    return Loop(system, source, learner)


def candidates(
    config: ase.Config, hyper: ase.Hyper, backends: Sequence[str]
) -> dict[str, harness.Candidate]:
    """Updates and experience of the backends, and learning, from states of the articulated one."""
    first = loop_of(config, hyper)
    state = jax.jit(first.system.init)(jax.random.key(SEED))
    # Recorded, to be learned from; and environments are no longer in step with one another.
    sample = jax.jit(first.source.sample)
    source, played = sample(state.source, state.learner.params, state.key)
    state, found = state._replace(source=source), {}
    for backend in backends:
        loop = loop_of(dataclasses.replace(config, backend=backend), hyper)
        whole = harness.Candidate(jax.jit(loop.system.update), (state,), config.batch)
        args = (source, state.learner.params, state.key)
        acting = harness.Candidate(jax.jit(loop.source.sample), args, config.batch)
        found |= {f"update, {backend}": whole, f"experience, {backend}": acting}
    learn = jax.jit(first.learner.update)
    found["learning"] = harness.Candidate(learn, (state.learner, played), config.batch)
    return found
