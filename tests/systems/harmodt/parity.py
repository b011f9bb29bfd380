"""A small case, made of NumPy's numbers, that the PyTorch peer of the benchmark computes, too."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl_suite.nets.decision_transformer import Steps, TransformerConfig
from jaxrl_suite.systems.harmodt import Config, Hyper, MaskConfig
from jaxrl_suite.systems.harmodt.learner import LearnerState, Sequences, make_learner

TASKS, BATCH, STATE, ACTION, STEPS = 3, 4, 5, 2, 3
CONFIG = dataclasses.replace(
    Config(),
    network=TransformerConfig(layers=2, width=16, heads=2, dropout=0.0),
    masks=MaskConfig(recovery="masked", schedule="constant", most=5),
)
HYPER = Hyper(learning_rate=1e-2, warmup=1.0, weight_decay=0.1)


def steps(generator: np.random.Generator, length: int) -> Steps:
    """Of every task: leaves [TASKS, BATCH, length, ...]; the first ones of some are padding."""
    shape = (TASKS, BATCH, length)
    count = generator.integers(1, length + 1, (TASKS, BATCH, 1))
    draw = lambda *more: generator.normal(size=(*shape, *more)).astype(np.float32)  # noqa: E731
    return Steps(
        returns=draw(),
        states=draw(STATE),
        actions=np.tanh(draw(ACTION)),
        times=generator.integers(0, 200, shape).astype(np.int32),
        valid=np.broadcast_to(np.arange(length) >= length - count, shape),
    )


def case() -> tuple[LearnerState, Sequences]:
    """A learner with weights of its own, and a batch of every task."""
    generator = np.random.default_rng(0)
    state = make_learner(CONFIG, TASKS, STATE, ACTION).init(jax.random.key(0), HYPER)
    numbers = lambda x: jnp.asarray(generator.normal(0, 0.2, x.shape), jnp.float32)  # noqa: E731
    state = state._replace(params=jax.tree.map(numbers, state.params))
    drawn = jnp.asarray(generator.uniform(size=state.masks.shape) < 0.8)
    state = state._replace(masks=state.masks | drawn)
    return state, Sequences(np.arange(TASKS), steps(generator, 5), steps(generator, 6))


def told(before: Any, after: Any) -> dict[str, float]:
    """What a step made of every tensor: the change, seen from a direction of its own."""
    found = {}
    pairs = zip(
        jax.tree_util.tree_flatten_with_path(before)[0], jax.tree.leaves(after), strict=True
    )
    for i, ((path, old), new) in enumerate(pairs):
        change = (np.asarray(new, np.float64) - np.asarray(old)).reshape(-1)
        direction = np.random.default_rng(i).normal(size=change.shape)
        size = max(np.linalg.norm(direction), 1e-9) * float(HYPER.learning_rate)
        found[jax.tree_util.keystr(path)] = float(direction @ change) / size
    return found
