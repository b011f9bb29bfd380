"""A run by parts, so that a sweep shows how far it is."""

import sys
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from jaxrl_suite.core import System, SystemState, train

PART = 20


def learn(
    system: System,
    hyper: Any,
    updates: int,
    seed: int,
    names: Sequence[str],
    label: str,
    part: int = PART,
    look: Callable[[SystemState], None] | None = None,
    every: int = 0,
) -> tuple[SystemState, dict[str, list[float]]]:
    """The end of a run, and means of metrics over every part of it.

    Args:
      system: what learns.
      hyper: its numbers.
      updates: a multiple of the part.
      seed: of everything random.
      names: of the metrics.
      label: of the lines that tell how far it is.
      part: updates between two points of a curve.
      look: is shown the state before the first update and after every so many.
      every: how many, a multiple of the part.
    """
    state = jax.jit(system.init)(jax.random.key(seed), hyper)
    advance = jax.jit(train(system, part), donate_argnums=0)
    curves: dict[str, list[float]] = {name: [] for name in names}
    if look:
        look(state)
    for done in range(part, updates + 1, part):
        state, told = advance(state)
        told = jax.device_get(told)
        for name, curve in curves.items():
            curve.append(round(float(np.nanmean(told[name])), 4))
        now = ", ".join(f"{name} {curve[-1]}" for name, curve in curves.items())
        print(f"{label}, seed {seed}, update {done}: {now}", file=sys.stderr, flush=True)
        if look and done % every == 0:
            look(state)
    return state, curves
