"""The seam between environments and physics: this engine, or another behind the same functions."""

from collections.abc import Callable
from typing import NamedTuple

import jax

from jaxrl_suite.physics import engine
from jaxrl_suite.physics.engine import Sensors
from jaxrl_suite.physics.model import Options, Sizes, State
from jaxrl_suite.physics.scene import Scene


class Readings(NamedTuple):
    """What an environment reads besides the state; as in MuJoCo, of the instant before the step.

    position: [NB, 3], of the links, relative to the root, world axes (m).
    quaternion: [NB, 4], of the links.
    sensors: see :class:`Sensors`.
    dropped: int32 [], contacts that found no slot.
    diverged: bool [], the next state was not finite and is the rest pose instead.
    """

    position: jax.Array
    quaternion: jax.Array
    sensors: Sensors
    dropped: jax.Array
    diverged: jax.Array


class Simulator(NamedTuple):
    """Pure functions of one environment; callers vmap and jit.

    sizes: of scenes and states.
    options: how time is stepped.
    init: ``(scene) -> State``, at rest.
    step: ``(scene, state, control [NV], applied [NV] or 0) -> (State, Readings)``, one timestep.
    """

    sizes: Sizes
    options: Options
    init: Callable[[Scene], State]
    step: Callable[..., tuple[State, Readings]]


def simulator(sizes: Sizes, options: Options) -> Simulator:
    """This engine: any scene of these sizes, in one program."""

    def step(
        scene: Scene, state: State, control: jax.Array, applied: jax.Array | float = 0.0
    ) -> tuple[State, Readings]:
        after, told = engine.step(sizes, options, scene, state, control, applied)
        now = told.forward
        return after, Readings(
            now.kinematics.position,
            now.kinematics.quaternion,
            engine.sensors(state, now, options.gravity),
            now.contacts.dropped,
            told.diverged,
        )

    return Simulator(sizes, options, lambda scene: engine.init(sizes, scene), step)
