"""The inner level and the whole: steps move what they may, and the toy's tasks are learned."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_suite.core import UsageError, train
from jaxrl_suite.nets.decision_transformer import TransformerConfig
from jaxrl_suite.ops import masks as mask_ops
from jaxrl_suite.systems import harmodt
from jaxrl_suite.systems.harmodt import learner as level
from jaxrl_suite.systems.harmodt.config import MaskConfig
from jaxrl_suite.systems.harmodt.weights import flatten
from tests.systems.harmodt.small import (
    CONFIG,
    HYPER,
    batch_of,
    changed,
    dataset,
    gradients,
    parts,
    trained,
)
from tests.systems.harmodt.toy import CORNERS, expert

# One process for all: the programs compile once.
pytestmark = pytest.mark.xdist_group("harmodt")


def test_what_is_masked_is_zero_in_the_network_and_its_gradient():
    begin, _, _ = trained()
    net, weights = parts()
    batch = batch_of(CONFIG, begin)
    for task in range(3):
        mask = begin.learner.masks[task]
        own = flatten(level.masked(weights, begin.learner.params, mask))
        np.testing.assert_array_equal(np.asarray(own)[~np.asarray(mask)], 0)
        kept = np.asarray(mask)
        np.testing.assert_array_equal(
            np.asarray(own)[kept], np.asarray(flatten(begin.learner.params))[kept]
        )
    found = gradients(CONFIG, begin.learner, batch.upper)
    gone = ~np.asarray(begin.learner.masks)
    np.testing.assert_array_equal(found.masks, begin.learner.masks)
    dense = jax.jit(jax.grad(lambda p, of: level.loss(net, p, of, None)))
    for task in range(3):
        of = jax.tree.map(lambda x, task=task: x[task], batch.upper)
        own = level.masked(weights, begin.learner.params, begin.learner.masks[task])
        np.testing.assert_allclose(found.own[task], flatten(dense(own, of)), atol=1e-6)
    assert np.asarray(found.recovery)[gone].any()
    # What comes back is decided by the gradient of the network without any mask.
    for task in range(3):
        of = jax.tree.map(lambda x, task=task: x[task], batch.upper)
        own = flatten(dense(begin.learner.params, of))
        np.testing.assert_allclose(found.recovery[task], own, atol=1e-6)


def test_past_its_end_a_falling_rate_stays_at_nothing():
    begin, _, _ = trained()
    net, weights = parts()
    one = jax.tree.map(lambda x: x[0], batch_of(CONFIG, begin).inner)
    hyper = begin.learner.hyper._replace(decay=jnp.ones(()), weight_decay=jnp.zeros(()))
    late = jnp.asarray(CONFIG.updates * CONFIG.interval + 50, jnp.int32)
    state = begin.learner._replace(hyper=hyper, steps=late)
    after = jax.jit(lambda s, b: level.train_step(CONFIG, net, weights, s, b)[0])(state, one)
    np.testing.assert_array_equal(flatten(after.params), flatten(state.params))


def test_a_step_moves_only_what_the_task_has():
    begin, _, _ = trained()
    net, weights = parts()
    batch = batch_of(CONFIG, begin)
    one = jax.tree.map(lambda x: x[0], batch.inner)
    step = jax.jit(lambda s, b: level.train_step(CONFIG, net, weights, s, b)[0])
    state = step(begin.learner, one)
    moved = np.asarray(flatten(state.params) != flatten(begin.learner.params))
    mask = np.asarray(begin.learner.masks[int(one.task[0])])
    assert not moved[~mask].any()
    # The tables of times move only where a window was.
    assert moved[mask & weights.applied].mean() > 0.5
    # By AdamW's first step: the sign of the gradient, and the decay.
    rate = 3e-3 / 10
    change = np.asarray(flatten(state.params) - flatten(begin.learner.params))
    assert np.abs(change).max() <= rate * (1 + 1e-4 * 4) * 1.01


def test_several_tasks_a_step_move_the_weights_by_their_mean():
    """By AdamW's first step: the sign of the mean of the clipped gradients, and the decay."""
    network = dataclasses.replace(CONFIG.network, dropout=0.0)
    config = dataclasses.replace(CONFIG, tasks_per_step=2, network=network)
    begin, _, _ = trained()
    net, weights = parts(config)
    two = jax.tree.map(lambda x: x[0], batch_of(config, begin).inner)
    before = begin.learner
    after = jax.jit(lambda s, b: level.train_step(config, net, weights, s, b)[0])(before, two)
    grad = jax.jit(jax.grad(lambda p, of: level.loss(net, p, of, None)))
    clipped, theta = [], np.asarray(flatten(before.params), np.float64)
    for i, task in enumerate(np.asarray(two.task)):
        own = level.masked(weights, before.params, before.masks[task])
        found = np.asarray(flatten(grad(own, jax.tree.map(lambda x, i=i: x[i], two))), np.float64)
        found *= min(1.0, float(HYPER.max_grad_norm) / np.sqrt((found**2).sum()))
        clipped.append(np.where(np.asarray(before.masks[task] | ~weights.applied), found, 0.0))
    mean, has = np.mean(clipped, axis=0), np.asarray(before.masks[two.task]).any(axis=0)
    rate = float(HYPER.learning_rate) / float(HYPER.warmup)
    change = np.asarray(flatten(after.params), np.float64) - theta
    np.testing.assert_array_equal(change[~has & weights.applied], 0)
    sure = has & (np.abs(mean) > 1e-5)
    assert sure.sum() > 100
    expected = -rate * (np.sign(mean) + float(HYPER.weight_decay) * theta)
    np.testing.assert_allclose(change[sure], expected[sure], rtol=2e-3, atol=1e-7)
    # A weight that one of the two has alone moves by that one's gradient.
    assert (sure & ~np.asarray(before.masks[two.task]).all(axis=0)).any()


@pytest.mark.slow
def test_baselines_have_no_masks():
    dense = dataclasses.replace(changed(kind="none"), interval=3)
    _, state, metrics = trained(dense, 2)
    assert state.learner.masks.shape == (3, 0)
    assert set(metrics) == {"loss", "grad_norm"}
    network = dataclasses.replace(CONFIG.network, condition="task", num_tasks=3, returns=False)
    cloning = dataclasses.replace(dense, network=network)
    _, state, _ = trained(cloning, 2)
    assert "embed_task" in state.learner.params
    assert "embed_return" not in state.learner.params
    random = changed(kind="random")
    begin, state, _ = trained(random, 2)
    np.testing.assert_array_equal(begin.learner.masks, state.learner.masks)


def test_tasks_take_turns():
    begin, state, _ = trained()
    order = np.asarray(batch_of(CONFIG, begin).inner.task)[:, 0]
    np.testing.assert_array_equal(order, [0, 1, 2, 0, 1])
    assert int(state.source) == 15 % 3
    wide = dataclasses.replace(CONFIG, tasks_per_step=2)
    order = np.asarray(batch_of(wide, begin).inner.task)
    np.testing.assert_array_equal(order.ravel(), np.arange(10) % 3)


@pytest.mark.slow
def test_two_parts_are_one_whole_and_seeds_are_their_own():
    system = harmodt.make(CONFIG, HYPER, dataset())
    run = jax.jit(train(system, 1))
    begin, whole, _ = trained(CONFIG, 3)
    state = begin
    for _ in range(3):
        state, _ = run(state)
    same = lambda a, b: np.testing.assert_array_equal(*map(np.asarray, map(raw, (a, b))))  # noqa: E731
    raw = lambda x: jax.random.key_data(x) if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else x  # noqa: E731
    jax.tree.map(same, state, whole)
    many = jax.jit(jax.vmap(lambda k: train(system, 1)(system.init(k))))
    states, _ = many(jax.random.split(jax.random.key(4), 2))
    single, _ = jax.jit(lambda k: train(system, 1)(system.init(k)))(
        jax.random.split(jax.random.key(4), 2)[1]
    )
    pairs = zip(
        jax.tree.leaves(states.learner.params), jax.tree.leaves(single.learner.params), strict=True
    )
    for a, b in pairs:
        # Adam's first steps are the gradients' signs, which rounding turns where they are near 0.
        assert np.median(np.abs(a[1] - b)) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("case", ["harmony", "prompt", "task"])
def test_the_corners_of_all_tasks_are_learned(case):
    kind = "harmony" if case == "harmony" else "none"
    config = changed(kind=kind, most=3)
    network = dataclasses.replace(CONFIG.network, dropout=0.0, width=32)
    if case == "task":
        network = dataclasses.replace(network, condition="task", num_tasks=3)
    config = dataclasses.replace(config, network=network, interval=60, updates=30, batch=16)
    _, state, metrics = trained(config, 30)
    assert metrics["loss"][-1] < 0.1 * metrics["loss"][0]
    made = dataset()
    data, net = made.data, level.network(config, 2, 2)
    _, weights = parts(config)
    for task in range(3):
        params = state.learner.params
        if kind == "harmony":
            params = level.masked(weights, params, state.learner.masks[task])
        rows = data.prompts[task][None]
        prompt = jax.tree.map(lambda x: x[None], level_window(data, rows[0], 3))
        told = jnp.array([task]) if case == "task" else prompt
        context = jax.tree.map(lambda x: x[None], level_window(data, rows[0], 5))
        actions = net.apply({"params": params}, told, context)[0]
        raw = np.asarray(data.states[rows[0] : rows[0] + 5], np.float32)
        places = raw * np.asarray(data.spread[task]) + np.asarray(data.mean[task])
        np.testing.assert_allclose(actions, expert(places, CORNERS[task]), atol=0.12)


def level_window(data, row, length):
    from jaxrl_suite.systems.harmodt.dataset import window

    return window(data, row, length)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"interval": 0}, "interval must be at least 1, not 0"),
        ({"tasks_per_step": 4}, "tasks_per_step must be at most the 3 tasks, not 4"),
        ({"masks": MaskConfig(density=1.5)}, r"density must lie in \(0, 1\], not 1.5"),
        ({"masks": MaskConfig(least=5, most=3)}, "least <= most and most >= 1, not 5, 3"),
        ({"masks": MaskConfig(importance="luck")}, "unknown importance 'luck'; legal: fisher"),
        ({"network": TransformerConfig(width=10, heads=3)}, "a width of 10 is no multiple of 3"),
        ({"network": TransformerConfig(heads=0)}, "heads must be at least 1, not 0"),
        ({"network": TransformerConfig(dropout=1.0)}, r"dropout must lie in \[0, 1\), not 1.0"),
        ({"network": TransformerConfig(condition="luck")}, "unknown condition 'luck'; legal: pro"),
        (
            {"network": TransformerConfig(condition="task", num_tasks=2)},
            "num_tasks of the network must be 3",
        ),
    ],
)
def test_settings_of_which_no_program_can_be_made_are_refused(change, message):
    with pytest.raises(UsageError, match=message):
        harmodt.make(dataclasses.replace(CONFIG, **change), HYPER, dataset())


def test_presets_are_sound():
    for preset in harmodt.PRESETS.values():
        preset.config.check()
    paper = harmodt.PRESETS["paper"]
    assert paper.num_updates * paper.config.interval == 1_000_000
    share = jnp.arange(paper.num_updates) / paper.num_updates
    settings = paper.config.masks
    total = mask_ops.swap_count(share, settings.least, settings.most, settings.schedule).sum()
    assert abs(int(total) - 99_000) <= 60


def test_the_rate_warms_up_and_may_fall_to_nothing():
    begin, _, _ = trained()
    net, weights = parts()
    one = jax.tree.map(lambda x: x[0], batch_of(CONFIG, begin).inner)
    step = jax.jit(lambda s: level.train_step(CONFIG, net, weights, s, one)[0])

    def moved(steps, decay):
        hyper = begin.learner.hyper._replace(decay=jnp.asarray(decay))
        state = begin.learner._replace(hyper=hyper, steps=jnp.asarray(steps, jnp.int32))
        return float(jnp.abs(flatten(step(state).params) - flatten(state.params)).max())

    total = CONFIG.interval * CONFIG.updates
    full = moved(100, 0.0)
    assert moved(0, 0.0) == pytest.approx(full / 10, rel=0.01)
    assert moved(total - 1, 0.0) == pytest.approx(full, rel=0.01)
    assert moved(total // 2, 1.0) == pytest.approx(full / 2, rel=0.01)
    assert moved(total, 1.0) < 1e-6 * full
