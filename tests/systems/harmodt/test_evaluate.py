"""Playing: the cached, batched way is the plain way, and what was learned shows."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_suite.core import UsageError, train
from jaxrl_suite.nets.decision_transformer import Steps, TransformerConfig
from jaxrl_suite.systems import harmodt
from jaxrl_suite.systems.harmodt import learner as level
from jaxrl_suite.systems.harmodt.config import Config, DataConfig, Hyper, MaskConfig
from jaxrl_suite.systems.harmodt.dataset import window
from jaxrl_suite.systems.harmodt.evaluate import for_unseen, make_policy, play
from jaxrl_suite.systems.harmodt.weights import layout
from tests.systems.harmodt.toy import Points, all_episodes

pytestmark = pytest.mark.xdist_group("harmodt")
CONFIG = Config(
    data=DataConfig(held_out=2, context=5, prompt=3),
    network=TransformerConfig(layers=2, width=32, heads=2, dropout=0.0),
    masks=MaskConfig(density=0.8, most=3),
    interval=60,
    updates=10,
    batch=16,
)
TASKS, EPISODES = 3, 4


@functools.cache
def dataset():
    return harmodt.build(CONFIG.data, all_episodes(TASKS))


@functools.cache
def states():
    """Before training and after."""
    system = harmodt.make(CONFIG, Hyper(learning_rate=3e-3, warmup=10.0), dataset())
    begin = jax.jit(system.init)(jax.random.key(0))
    return begin.learner, jax.jit(train(system, 10))(begin)[0].learner


@functools.cache
def policy():
    return make_policy(CONFIG, dataset())


def pools(count=EPISODES):
    return [Points(task, count) for task in range(TASKS)]


def plain(learner, task, history):
    """The action after a history of (state, return-to-go, action), all tokens computed anew."""
    made = dataset()
    data, net = made.data, level.network(CONFIG, 2, 2)
    weights = layout(CONFIG.masks, level.parameter_shapes(CONFIG, 2, 2))
    rows = history[-5:]
    pad = 5 - len(rows)
    first = len(history) - len(rows)
    state = np.array([(s - data.mean[task]) / data.spread[task] for s, _, _ in rows])
    context = Steps(
        returns=np.pad([r / data.scale[task] for _, r, _ in rows], (pad, 0)),
        states=np.pad(state, ((pad, 0), (0, 0))),
        actions=np.pad([a for _, _, a in rows], ((pad, 0), (0, 0))),
        times=np.pad(first + np.arange(len(rows)), (pad, 0)),
        valid=np.arange(5) >= pad,
    )
    prompt = window(data, data.segment[data.prompts[task]], 3)
    params = level.masked(weights, learner.params, learner.masks[task])
    batch = lambda steps: jax.tree.map(lambda x: jnp.asarray(x)[None], steps)  # noqa: E731
    return _apply(net)({"params": params}, batch(prompt), batch(context))[0, -1]


@functools.cache
def _apply(net):
    return jax.jit(net.apply)


def test_actions_are_those_of_the_plain_way():
    _, learner = states()
    rng = np.random.default_rng(0)
    memory, steps = policy().remember(learner), policy().begin(EPISODES)
    histories = {}
    for time in range(8):
        seen = rng.normal(size=(TASKS, EPISODES, 2)).astype(np.float32)
        to_go = rng.uniform(0, 20, (TASKS, EPISODES)).astype(np.float32)
        actions, steps = policy().act(learner, memory, steps, seen, to_go, np.int32(time))
        for task, episode in ((0, 1), (2, 3)):
            history = histories.setdefault((task, episode), [])
            history.append((seen[task, episode], to_go[task, episode], np.zeros(2)))
            expected = plain(learner, task, history)
            np.testing.assert_allclose(actions[task, episode], expected, atol=1e-5)
            history[-1] = (*history[-1][:2], np.asarray(actions[task, episode]))


def test_times_that_are_not_in_the_data_are_told_as_its_last():
    _, learner = states()
    memory, last = policy().remember(learner), int(dataset().data.times.max())
    seen = np.zeros((TASKS, EPISODES, 2), np.float32)
    act = lambda time: policy().act(  # noqa: E731
        learner, memory, policy().begin(EPISODES), seen, seen[..., 0], np.int32(time)
    )[0]
    np.testing.assert_array_equal(act(499), act(last))
    assert np.any(act(last) != act(0))


def test_unseen_tasks_are_met_under_the_vote_and_as_the_others_are_normalised():
    _, learner = states()
    masks = np.asarray(learner.masks)
    given = np.stack([np.ones_like(masks[0]), masks[1], masks[2]])
    voted = for_unseen(CONFIG, learner._replace(masks=jnp.asarray(given)), 2).masks
    assert voted.shape == (2, masks.shape[1])
    np.testing.assert_array_equal(voted[0], given.sum(0) > 1.5)
    np.testing.assert_array_equal(voted[0], voted[1])
    assert not voted.all()
    shared = dataclasses.replace(CONFIG.data, normalise="all")
    learned, fourth = all_episodes(3), {"corner3": all_episodes(4)["corner3"]}
    known = harmodt.build(shared, learned).data
    new = harmodt.build(shared, fourth, like=harmodt.build(shared, learned)).data
    for name in ("mean", "spread", "scale"):
        np.testing.assert_array_equal(getattr(new, name)[0], getattr(known, name)[0])
    state = np.asarray(new.states, np.float64) * np.asarray(known.spread[0])
    state = np.sort((state + np.asarray(known.mean[0]))[:, 0])
    np.testing.assert_allclose(state, np.sort(fourth["corner3"].state[:, 0]), atol=5e-3)
    with pytest.raises(UsageError, match='they need normalise="all"'):
        harmodt.build(CONFIG.data, fourth, like=harmodt.build(shared, learned))


def test_what_was_learned_solves_the_tasks():
    fresh, learned = states()
    targets = np.asarray(dataset().data.target)
    after = play(policy(), learned, pools(), targets, 50)
    before = play(policy(), fresh, pools(), targets, 50)
    assert after.any.shape == (TASKS, EPISODES)
    assert after.last.mean() > 0.9
    assert before.any.mean() < 0.5
    assert after.returns.mean() > before.returns.mean() + 3
    assert (after.any >= after.last).all()


def test_an_episode_that_was_cut_off_counts_no_more():
    _, learned = states()
    targets = np.asarray(dataset().data.target)
    full = play(policy(), learned, pools(), targets, 50)
    exact = play(policy(), learned, pools(), targets, 12)
    np.testing.assert_array_equal(full.returns, exact.returns)
    short = play(policy(), learned, pools(), targets, 3)
    assert (short.returns < full.returns).all()


def test_tasks_by_number_need_no_prompt():
    network = dataclasses.replace(CONFIG.network, condition="task", num_tasks=TASKS)
    masks = dataclasses.replace(CONFIG.masks, kind="none")
    config = dataclasses.replace(CONFIG, network=network, masks=masks)
    system = harmodt.make(config, Hyper(), dataset())
    state = jax.jit(system.init)(jax.random.key(0)).learner
    by_number = make_policy(config, dataset())
    found = play(by_number, state, pools(), np.asarray(dataset().data.target), 5)
    assert np.isfinite(found.returns).all()
