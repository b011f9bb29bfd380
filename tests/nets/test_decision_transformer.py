"""The decision transformer: its size, what it may look at, and its two ways to the same action."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_suite.nets.decision_transformer import (
    DecisionTransformer,
    Steps,
    TransformerConfig,
    drop,
    in_trunk,
)

SMALL = TransformerConfig(layers=2, width=16, heads=2, num_tasks=3)
STATES, ACTIONS, BATCH, LENGTH, PROMPT = 5, 2, 3, 6, 4


def steps(seed, length, batch=BATCH, states=STATES, actions=ACTIONS):
    keys = jax.random.split(jax.random.key(seed), 4)
    # The first sequence is padded by two steps, the second by one.
    padding = jnp.array([2, 1, 0])[:batch]
    return Steps(
        returns=jax.random.normal(keys[0], (batch, length)),
        states=jax.random.normal(keys[1], (batch, length, states)),
        actions=jax.random.normal(keys[2], (batch, length, actions)),
        times=jax.random.randint(keys[3], (batch, length), 0, 500),
        valid=jnp.arange(length)[None] >= padding[:, None],
    )


def build(**changes):
    config = dataclasses.replace(SMALL, **changes)
    net = DecisionTransformer(config, STATES, ACTIONS)
    told = steps(1, PROMPT) if config.condition == "prompt" else jnp.array([0, 2, 1])
    context = steps(2, LENGTH)
    params = jax.jit(net.init)(jax.random.key(0), told, context)
    return Applied(net), params, told, context


class Applied:
    """A network whose every way is compiled: op by op it takes much longer."""

    def __init__(self, net):
        self.apply = jax.jit(net.apply, static_argnames="method")


CASES = [{}, {"returns": False}, {"condition": "task"}, {"condition": "task", "returns": False}]


def test_it_is_as_large_as_the_originals():
    """5,288,492 with what is never used there: wte, heads for states and returns, and one more."""
    net = DecisionTransformer(TransformerConfig(), 39, 4)
    told, context = (steps(1, n, 1, 39, 4) for n in (5, 20))
    shapes = jax.eval_shape(net.init, jax.random.key(0), told, context)["params"]
    leaves = jax.tree_util.tree_leaves_with_path(shapes)
    trunk = sum(x.size for path, x in leaves if in_trunk(path))
    assert trunk + 256 == 4_739_328
    unused = 256 + (39 * 256 + 39) + (256 + 1) + (4 * 256 + 256)
    assert sum(x.size for _, x in leaves) + unused == 5_288_492
    assert len(leaves) + 7 == 99


@pytest.mark.parametrize("changes", CASES)
def test_the_cached_way_gives_the_same_action(changes):
    net, params, told, context = build(**changes)
    whole = net.apply(params, told, context)
    memory = net.apply(params, told, method="remember")
    assert memory.keys.shape[:2] == (2, BATCH)
    for last in range(3, LENGTH + 1):
        part = jax.tree.map(lambda x, n=last: x[:, :n], context)
        # Whatever the last step's action holds: it has not been taken yet.
        part = part._replace(actions=part.actions.at[:, -1].set(9.0))
        action = net.apply(params, memory, part, method="act")
        np.testing.assert_allclose(action, whole[:, last - 1], atol=2e-6)


@pytest.mark.parametrize("changes", CASES)
def test_an_action_depends_on_nothing_that_comes_later(changes):
    net, params, told, context = build(**changes)
    base = net.apply(params, told, context)
    at = 3
    later = context._replace(
        states=context.states.at[:, at + 1 :].add(1.0),
        actions=context.actions.at[:, at:].add(1.0),
        returns=context.returns.at[:, at + 1 :].add(1.0),
    )
    moved = net.apply(params, told, later)
    np.testing.assert_array_equal(base[:, : at + 1], moved[:, : at + 1])
    assert np.abs(base[:, at + 1 :] - moved[:, at + 1 :]).max() > 1e-3
    now = context._replace(states=context.states.at[:, at].add(1.0))
    assert np.abs(base[:, at] - net.apply(params, told, now)[:, at]).max() > 1e-3


def test_padding_is_never_seen():
    net, params, told, context = build()
    noise = lambda x, valid: jnp.where(valid.reshape(*valid.shape, *[1] * (x.ndim - 2)), x, 7)  # noqa: E731
    other = [
        steps_._replace(
            **{name: noise(getattr(steps_, name), steps_.valid) for name in steps_._fields[:4]}
        )
        for steps_ in (told, context)
    ]
    base, moved = net.apply(params, told, context), net.apply(params, *other)
    np.testing.assert_allclose(
        np.where(context.valid[..., None], base, 0), np.where(context.valid[..., None], moved, 0)
    )


def test_the_prompt_matters_and_returns_do_where_they_are_tokens():
    net, params, told, context = build()
    base = net.apply(params, told, context)
    other = told._replace(states=told.states + 10)
    assert np.abs(net.apply(params, other, context) - base).max() > 1e-3
    richer = context._replace(returns=context.returns + 10)
    assert np.abs(net.apply(params, told, richer) - base).max() > 1e-3
    net, params, told, context = build(returns=False)
    base = net.apply(params, told, context)
    np.testing.assert_array_equal(
        net.apply(params, told, context._replace(returns=context.returns + 1)), base
    )


def test_one_block_is_the_textbooks():
    """Against NumPy: pre-norm attention of two heads and a ReLU perceptron."""
    net, params, told, context = build(layers=1)
    whole = net.apply(params, told, context)
    p = jax.tree.map(np.asarray, params["params"])

    def norm(x, q):
        x = x - x.mean(-1, keepdims=True)
        return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-5) * q["scale"] + q["bias"]

    line = lambda x, q: x @ q["kernel"] + q["bias"]  # noqa: E731

    def tokens(prefix, of):
        time = p[f"{prefix}_time"]["embedding"][np.asarray(of.times)]
        parts = [np.asarray(of.returns)[..., None], np.asarray(of.states), np.asarray(of.actions)]
        names = ("return", "state", "action")
        made = [line(x, p[f"{prefix}_{name}"]) + time for x, name in zip(parts, names, strict=True)]
        return np.stack(made, 2).reshape(BATCH, -1, 16)

    x = np.concatenate([tokens("prompt", told), norm(tokens("embed", context), p["embed_norm"])], 1)
    valid = np.concatenate([np.repeat(s.valid, 3, 1) for s in (told, context)], 1)
    q = p["block_0"]
    parts = np.split(line(norm(x, q["norm_attention"]), q["attention"]), 3, -1)
    query, key, value = (y.reshape(BATCH, -1, 2, 8).transpose(0, 2, 1, 3) for y in parts)
    scores = query @ key.transpose(0, 1, 3, 2) / np.sqrt(8)
    seen = np.tril(np.ones(scores.shape[-2:], bool)) & valid[:, None, None]
    scores = np.where(seen, scores, -1e9)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    mixed = (weights @ value).transpose(0, 2, 1, 3).reshape(BATCH, -1, 16)
    x = x + line(mixed, q["projection"])
    x = x + line(np.maximum(line(norm(x, q["norm_mlp"]), q["mlp_in"]), 0), q["mlp_out"])
    states = norm(x, p["norm"])[:, 3 * PROMPT + 1 :: 3]
    np.testing.assert_allclose(np.tanh(line(states, p["predict_action"])), whole, atol=2e-6)


def test_dropout_keeps_the_mean_and_needs_a_key():
    x = jnp.ones((200, 500))
    dropped = drop(x, 0.1, jax.random.key(0))
    share = float((dropped == 0).mean())
    assert share == pytest.approx(26 / 256, abs=0.005)
    assert float(dropped.mean()) == pytest.approx(1, abs=0.005)
    np.testing.assert_array_equal(drop(x, 0.1, None), x)
    net, params, told, context = build()
    one, two = (net.apply(params, told, context, jax.random.key(i)) for i in (0, 1))
    assert np.abs(one - two).max() > 1e-3


def test_initial_weights():
    net = DecisionTransformer(TransformerConfig(layers=1), 39, 4)
    told, context = (steps(1, n, 1, 39, 4) for n in (5, 20))
    p = jax.jit(net.init)(jax.random.key(0), told, context)["params"]
    assert float(p["block_0"]["mlp_in"]["kernel"].std()) == pytest.approx(0.02, rel=0.02)
    assert not p["block_0"]["mlp_in"]["bias"].any()
    assert float(jnp.abs(p["embed_state"]["kernel"]).max()) <= 39**-0.5
    assert float(p["embed_state"]["kernel"].std()) == pytest.approx((3 * 39) ** -0.5, rel=0.03)
    assert p["embed_state"]["bias"].any()
    assert float(p["prompt_time"]["embedding"].std()) == pytest.approx(1, rel=0.02)
