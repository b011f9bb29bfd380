"""A small system over the toy's tasks, which several tests share."""

import dataclasses
import functools

import jax
import numpy as np

from jaxrl_suite.core import train
from jaxrl_suite.nets.decision_transformer import TransformerConfig
from jaxrl_suite.systems import harmodt
from jaxrl_suite.systems.harmodt import learner as level
from jaxrl_suite.systems.harmodt.config import Config, DataConfig, Hyper, MaskConfig
from jaxrl_suite.systems.harmodt.system import _source
from jaxrl_suite.systems.harmodt.weights import layout
from tests.systems.harmodt.toy import all_episodes

CONFIG = Config(
    data=DataConfig(held_out=2, context=5, prompt=3),
    network=TransformerConfig(layers=1, width=16, heads=2, dropout=0.1),
    masks=MaskConfig(density=0.7, schedule="constant", most=7, importance="fisher"),
    interval=5,
    updates=100,
    batch=4,
)
HYPER = Hyper(learning_rate=3e-3, warmup=10.0)


def changed(**masks):
    return dataclasses.replace(CONFIG, masks=dataclasses.replace(CONFIG.masks, **masks))


@functools.cache
def dataset(tasks=3):
    return harmodt.build(CONFIG.data, all_episodes(tasks))


@functools.cache
def trained(config=CONFIG, updates=3):
    """State before, after, and the metrics."""
    system = harmodt.make(config, HYPER, dataset())
    begin = jax.jit(system.init)(jax.random.key(0))
    state, metrics = jax.jit(train(system, updates))(begin)
    return begin, state, metrics


def parts(config=CONFIG):
    made = dataset()
    net = level.network(config, made.state_size, made.action_size)
    shapes = level.parameter_shapes(config, made.state_size, made.action_size)
    return net, layout(config.masks, shapes)


def gradients(config, learner, upper, key=None):
    """All tasks' gradients, compiled."""
    net, weights = parts(config)
    key = jax.random.key(0) if key is None else key
    return jax.jit(lambda s, u: level.task_gradients(config, net, weights, s, u, key))(
        learner, upper
    )


def masked_gradients(found):
    """[N, P], masked as in the slides."""
    own = np.asarray(found.own)
    return own if found.masks is None else np.where(found.masks, own, 0.0)


def swapped(config, learner, upper):
    """The learner with new masks, compiled."""
    net, weights = parts(config)
    return jax.jit(lambda s, u: level.update_masks(config, net, weights, s, u)[0])(learner, upper)


def batch_of(config, state, key=5):
    return _source(config, dataset()).sample(state.source, None, jax.random.key(key))[1]
