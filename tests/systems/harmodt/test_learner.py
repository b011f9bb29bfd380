"""Both levels: masks hold exactly, updates are the equations', and the toy's tasks are learned."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_suite.core import UsageError, train
from jaxrl_suite.nets.decision_transformer import TransformerConfig, in_trunk
from jaxrl_suite.ops import masks as mask_ops
from jaxrl_suite.systems import harmodt
from jaxrl_suite.systems.harmodt import learner as level
from jaxrl_suite.systems.harmodt import system as system_module
from jaxrl_suite.systems.harmodt.config import Config, DataConfig, Hyper, MaskConfig
from jaxrl_suite.systems.harmodt.system import _source
from jaxrl_suite.systems.harmodt.weights import flatten, layout
from tests.systems.harmodt.toy import CORNERS, all_episodes, expert

# One process for all: the programs compile once.
pytestmark = pytest.mark.xdist_group("harmodt")
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


def swapped(config, learner, upper):
    """The learner with new masks, compiled."""
    net, weights = parts(config)
    return jax.jit(lambda s, u: level.update_masks(config, net, weights, s, u)[0])(learner, upper)


def batch_of(config, state, key=5):
    return _source(config, dataset()).sample(state.source, None, jax.random.key(key))[1]


@pytest.mark.parametrize("mode", ["paper", "repo"])
def test_ones_are_conserved_and_move(mode):
    config = changed(mode=mode)
    begin, state, metrics = trained(config)
    _, weights = parts(config)
    before, after = np.asarray(begin.learner.masks), np.asarray(state.learner.masks)
    assert before.shape == (3, weights.size)
    np.testing.assert_array_equal(before.sum(1), after.sum(1))
    assert (before != after).any(1).all()
    np.testing.assert_allclose(metrics["swapped"], 7)
    share = before[:, weights.maskable].mean()
    assert share == pytest.approx(0.7, abs=0.02)
    assert before[:, ~weights.maskable].all()
    assert after[:, ~weights.maskable].all()


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
    assert not np.asarray(found.masked)[gone].any()
    assert np.asarray(found.recovery)[gone].any()
    # What comes back is decided by the gradient of the network without any mask.
    dense = jax.jit(jax.grad(lambda p, of: level.loss(net, p, of, None)))
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


@pytest.mark.parametrize("kind", ["harmony", "none"])
def test_agreement_of_every_method_is_measured_alike(kind):
    config = changed(kind=kind)
    system = harmodt.make(config, HYPER, dataset())
    state = jax.jit(system.init)(jax.random.key(0)).learner
    told = float(jax.jit(harmodt.agreement(config, dataset(), 6))(state, jax.random.key(1)))
    of = system_module._of_all_tasks(config, dataset(), jax.random.split(jax.random.key(1))[0], 6)
    net, weights = parts(config)
    found = []
    for task in range(3):
        mask = state.masks[task] if kind == "harmony" else jnp.ones(weights.size, bool)
        own = level.masked(weights, state.params, mask)
        one = jax.tree.map(lambda x, task=task: x[task], of)
        graded = jax.jit(jax.grad(lambda p, of: level.loss(net, p, of, None)))
        found.append(np.asarray(flatten(level.masked(weights, graded(own, one), mask))))
    signs = np.sign(found) * np.sign(np.mean(found, axis=0))
    assert told == pytest.approx(signs.sum() / np.abs(signs).sum(), abs=2e-3)
    assert 0 < told < 1


def test_a_mask_update_may_look_at_more_than_a_step():
    config = changed(batches=3)
    begin, _, _ = trained()
    batch = batch_of(config, begin)
    assert batch.upper.context.valid.shape == (3, 3 * CONFIG.batch, 5)
    assert batch.inner.context.valid.shape[2] == CONFIG.batch
    whole = gradients(config, begin.learner, batch.upper)
    parts_of, counts = [], []
    for i in range(0, 12, 4):
        cut = lambda x, i=i: x[:, i : i + 4]  # noqa: E731
        prompt, context = (jax.tree.map(cut, x) for x in batch.upper[1:])
        part = batch.upper._replace(prompt=prompt, context=context)
        parts_of.append(gradients(CONFIG, begin.learner, part))
        counts.append(np.asarray(context.valid).sum((1, 2)))
    for name in ("loss", "masked", "recovery"):
        each = [np.asarray(getattr(one, name), np.float64) for one in parts_of]
        wide = [n.reshape(3, *[1] * (each[0].ndim - 1)) for n in counts]
        mean = sum(n * x for n, x in zip(wide, each, strict=True)) / sum(wide)
        np.testing.assert_allclose(getattr(whole, name), mean, rtol=1e-3, atol=1e-6)


def test_the_number_of_swaps_follows_its_schedule():
    config = changed(schedule="hump", least=1)
    begin, _, _ = trained()
    batch = batch_of(config, begin)
    net, weights = parts(config)
    step = jax.jit(lambda s: level.update_masks(config, net, weights, s, batch.upper)[0])
    for updates, swaps in ((0, 1), (25, 4), (50, 7), (99, 1), (150, 1)):
        learner = begin.learner._replace(updates=jnp.asarray(updates, jnp.int32))
        new = step(learner).masks
        np.testing.assert_array_equal((new != learner.masks).sum(axis=1), 2 * swaps)


def numpy_update(config, hyper, masks, masked, dense, losses, theta, count, maskable):
    """The slides' upper level, entry by entry in float64."""
    mean, wanted = masked.mean(0), dense.mean(0)
    out = []
    for i, mask in enumerate(masks):
        importance = {
            "fisher": masked[i] ** 2,
            "log_fisher": (masked[i] / losses[i]) ** 2,
            "magnitude": np.abs(theta),
            "gradient": np.abs(masked[i]),
        }[config.masks.importance]
        score = masked[i] * mean + hyper.importance_weight * importance
        ones, zeros = np.flatnonzero(mask & maskable), np.flatnonzero(~mask & maskable)
        new = mask.copy()
        new[ones[np.argsort(score[ones], kind="stable")[:count]]] = False
        new[zeros[np.argsort(-(dense[i] * wanted)[zeros], kind="stable")[:count]]] = True
        out.append(new)
    return np.array(out)


@pytest.mark.parametrize("importance", ["fisher", "log_fisher", "magnitude", "gradient"])
def test_the_mask_update_is_the_slides(importance):
    config = changed(importance=importance)
    begin, _, _ = trained()
    _, weights = parts(config)
    batch = batch_of(config, begin)
    found = gradients(config, begin.learner, batch.upper)
    state = swapped(config, begin.learner, batch.upper)
    args = [np.asarray(x, np.float64) for x in (found.masked, found.recovery, found.loss)]
    theta = np.asarray(flatten(begin.learner.params), np.float64)
    masks = np.asarray(begin.learner.masks)
    expected = numpy_update(config, HYPER, masks, *args, theta, 7, weights.maskable)
    ours = np.asarray(state.masks)
    # Scores of 1e-10 in float32 may tie; nearly all choices must agree.
    assert (ours != expected).sum() <= 4
    assert (ours != masks).sum() == 2 * 7 * 3


def test_the_order_of_tasks_does_not_matter():
    begin, _, _ = trained()
    batch = batch_of(CONFIG, begin)
    order = jnp.array([2, 0, 1])
    state = swapped(CONFIG, begin.learner, batch.upper)
    turned = begin.learner._replace(masks=begin.learner.masks[order])
    upper = jax.tree.map(lambda x: x[order], batch.upper)._replace(task=jnp.arange(3))
    other = swapped(CONFIG, turned, upper)
    differ = np.asarray(state.masks[order] != other.masks).sum()
    assert differ <= 4  # the mean over tasks is summed in another order


def test_the_repos_first_task_is_the_mean():
    """Item a of the original's defects: its agreement is a square, never negative."""
    config = changed(mode="repo", importance="magnitude")
    begin, _, _ = trained(config)
    _, weights = parts(config)
    batch = batch_of(config, begin)
    hyper = begin.learner.hyper._replace(importance_weight=jnp.zeros(()))
    before = begin.learner._replace(hyper=hyper)
    _, dropping = jax.random.split(before.key)
    found = gradients(config, before, batch.upper, dropping)
    mean, masks = np.asarray(found.masked).mean(0), np.asarray(before.masks)
    state = swapped(config, before, batch.upper)
    gone = np.flatnonzero(masks[0] & ~np.asarray(state.masks)[0])
    assert (mean[gone] ** 2).max() <= np.sort((mean**2)[masks[0]])[6] + 1e-12
    # Item b: all masked weights of the trunk have the same score, 1, for their gradient is 0.
    for task in range(3):
        gradient = np.asarray(found.masked)[task]
        assert not gradient[~masks[task] & weights.applied].any()


def test_what_embeds_and_predicts_is_shared_by_all():
    _, state, _ = trained()
    found = jax.tree_util.tree_leaves_with_path(state.learner.params)
    names = {str(path[0].key) for path, _ in found if not in_trunk(path)}
    assert names == {
        "embed_norm",
        "predict_action",
        *(f"{a}_{b}" for a in ("embed", "prompt") for b in ("time", "return", "state", "action")),
    }


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
