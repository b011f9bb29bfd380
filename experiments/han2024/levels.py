"""Levels that others stand on: each is learned once, and kept in `runs/han2024`."""

import fcntl
import hashlib
import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax

from experiments.learning import learn
from experiments.results import settings_of
from jaxrl_suite.core import Preset, SystemState
from jaxrl_suite.files import write_atomically
from jaxrl_suite.runtime import checkpoint
from jaxrl_suite.runtime.rundir import ROOT
from jaxrl_suite.systems import lifelike

# The preset `quick`, three times as long.
_QUICK = lifelike.PRESETS["quick"]
SKILLS = _QUICK._replace(num_updates=3 * _QUICK.num_updates)
_TENTHS = 10  # points of a curve


class Level(NamedTuple):
    """A level that has learned.

    preset: settings, numbers and updates.
    state: at the end.
    curves: means of metrics over tenths of the run.
    made_by: digest of all that it follows from, whatever it stands on included.
    """

    preset: Preset
    state: SystemState
    curves: dict[str, list[float]]
    made_by: str

    @property
    def below(self) -> lifelike.Below:
        """For the next level to stand on."""
        return lifelike.below_of(self.preset.config, self.state)

    @property
    def expert(self) -> lifelike.Expert:
        """To be distilled."""
        return lifelike.expert_of(self.preset.config, self.state)


def learned(
    preset: Preset,
    seed: int,
    names: Sequence[str],
    label: str,
    below: Level | None = None,
    experts: Sequence[Level] = (),
) -> Level:
    """What a preset comes to; learned if it has not been yet.

    Args:
      preset: settings, numbers and updates, a multiple of ten.
      seed: of everything random.
      names: of the metrics that curves are of.
      label: of the lines that tell how far it is.
      below: the level below.
      experts: of distillation.
    """
    config, hyper, updates = preset
    stands_on = [level.made_by for level in ([below] if below else []) + list(experts)]
    told = settings_of(preset, updates=updates, seed=seed, names=list(names), stands_on=stands_on)
    text = json.dumps(told, sort_keys=True)
    made_by = hashlib.sha256(text.encode()).hexdigest()[:16]
    folder = ROOT / "han2024" / made_by
    folder.mkdir(parents=True, exist_ok=True)
    known = tuple(level.expert for level in experts)
    system = lifelike.make(config, hyper, below.below if below else None, known)
    found = folder / "curves.json"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another process of the sweep may be at it
        if not found.is_file():
            state, curves = learn(system, hyper, updates, seed, names, label, updates // _TENTHS)
            checkpoint.save(folder / "checkpoints", updates, state)
            write_atomically(folder / "settings.json", text.encode())
            write_atomically(found, json.dumps(curves).encode())
    template = jax.eval_shape(system.init, jax.random.key(0))
    state = checkpoint.restore(folder / "checkpoints", template)
    return Level(preset, state, json.loads(found.read_text()), made_by)


def skills() -> Level:
    """The primitive level that all others stand on, whatever their seeds; 25 minutes of a core."""
    return learned(SKILLS, 0, ("score", "perplexity"), "skills")


def summary(told: dict[str, Any]) -> dict[str, float]:
    """Numbers of the device as a row keeps them."""
    return {name: round(float(x), 4) for name, x in jax.device_get(told).items()}
