"""Locomotion on flat terrain: the first of the three environments that bodies evolve in."""

import jax.numpy as jnp

from jaxrl_suite import physics
from jaxrl_suite.envs.base import ControlEnvironment
from jaxrl_suite.envs.unimal.body import OPTIONS
from jaxrl_suite.envs.unimal.episode import Motion
from jaxrl_suite.envs.unimal.rules import (
    Rules,
    Verdict,
    blind,
    environment,
    forward_speed,
    level,
    nothing,
)

HALF_WIDTH = 75.0  # m, of the arena in y
EDGE = 1.0  # m, from the arena's side edges, where an episode ends


def flat_terrain(
    options: physics.Options = OPTIONS, simulator: physics.Simulator | None = None
) -> ControlEnvironment:
    """Run along +x on level ground.

    The reward is the forward speed (m/s) over the 0.02 s of an action, less 0.001 times the sum of
    the squared action, which is not clipped for that. An episode ends when the head is down to
    half of its start height less 0.2 m, or within 1 m of the arena's side edges, and is cut off
    after 1000 actions. Its score is the sum of the speeds, 50 times the metres; its metric is how
    far it came (m). The observation is "proprioceptive" [86].

    Source: Gupta et al. 2021, "Flat terrain", released code. differs: the floor is at z = 0, not
    1 m, and goes on for ever, without walls.

    Args:
      options: of physics.
      simulator: another engine, see :class:`physics.Simulator`; None for this suite's.

    Returns:
      An environment whose task is a :class:`physics.Scene` of :data:`SIZES`.
    """

    def judge(scene: physics.Scene, drawn: tuple, motion: Motion) -> Verdict:
        x, y = motion.after.q[:2]
        return Verdict(drawn, forward_speed(motion, options), x, jnp.abs(y) > HALF_WIDTH - EDGE)

    rules = Rules(
        draw=nothing,
        furnish=lambda scene, drawn, place: scene,
        ground=level,
        judge=judge,
        see=blind,
        seen={},
    )
    return environment(rules, options, simulator)
