import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_suite.nets.codes import CodePrior, Decoder, Encoder, Value, normc, uniform_codebook
from jaxrl_suite.nets.layer_norm_lstm import LayerNormLSTM, blank
from jaxrl_suite.nets.perceptive import PerceptivePolicy, PerceptiveValue


def count(params):
    return sum(x.size for x in jax.tree.leaves(params))


@pytest.mark.parametrize(
    ("net", "inputs", "expected"),
    [
        (Encoder(), (207,), 127_264),
        (Value(), (207,), 119_297),
        (Decoder(), (135, 32), 103_468),
    ],
)
def test_sizes_are_the_paper_s(net, inputs, expected):
    told = [jnp.zeros(size) for size in inputs]
    assert count(net.init(jax.random.key(0), *told)) == expected


def test_columns_have_the_length_that_was_asked_for():
    kernel = normc(0.3)(jax.random.key(0), (5, 7))
    np.testing.assert_allclose(jnp.linalg.norm(kernel, axis=0), 0.3, rtol=1e-6)


def test_a_first_action_is_small():
    told = jax.random.normal(jax.random.key(1), (64, 135)), jnp.ones((64, 32))
    net = Decoder()
    mean = net.apply(net.init(jax.random.key(0), *told), *told)
    assert 0 < float(jnp.abs(mean).max()) < 0.1


def test_codebook_is_within_its_bounds():
    codebook = uniform_codebook(jax.random.key(0), 256, 32)
    bound = np.sqrt(3 / 256)
    assert codebook.shape == (256, 32)
    assert 0.9 * bound < float(jnp.abs(codebook).max()) <= bound


def test_prior_begins_nearly_even():
    net = CodePrior(16)
    body = jax.random.normal(jax.random.key(0), (8, 135))
    logits = net.apply(net.init(jax.random.key(1), body), body)
    assert float(jnp.abs(jax.nn.log_softmax(logits) - np.log(1 / 16)).max()) < 0.2


SEEN = {"body": 135, "height": 325, "depth": 325, "rays": 128, "target": 3}


def seen(*lead):
    keys = jax.random.split(jax.random.key(3), len(SEEN))
    return {n: jax.random.normal(k, (*lead, s)) for k, (n, s) in zip(keys, SEEN.items())}  # noqa: B905


@pytest.mark.parametrize(
    ("net", "expected"), [(PerceptivePolicy(256), 96_495), (PerceptiveValue(), 137_872)]
)
def test_sizes_of_networks_that_see_are_the_paper_s(net, expected):
    told = (seen(2, 1), jnp.zeros((2, 1), bool), blank(1, 32))
    assert count(net.init(jax.random.key(0), *told)) == expected


def lstm_in_numpy(params, x, fresh, c, h):
    """Step by step, from the equations."""
    norm = lambda x, p: (  # noqa: E731
        (x - x.mean()) / np.sqrt(x.var() + 1e-5) * p["scale"] + p["bias"]
    )
    sigmoid = lambda x: 1 / (1 + np.exp(-x))  # noqa: E731
    told = []
    for x_t, begins in zip(x, fresh):  # noqa: B905
        if begins:
            c, h = np.zeros_like(c), np.zeros_like(h)
        gates = norm(x_t @ params["input"]["kernel"], params["input_norm"])
        gates = gates + norm(h @ params["recurrent"], params["output_norm"]) + params["bias"]
        i, f, o, u = np.split(gates, 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(u)
        h = sigmoid(o) * np.tanh(norm(c, params["cell_norm"]))
        told.append(h)
    return np.stack(told)


def test_lstm_equals_its_equations():
    net, steps = LayerNormLSTM(5), 9
    x = jax.random.normal(jax.random.key(0), (steps, 2, 4))
    fresh = jnp.zeros((steps, 2), bool).at[4, 1].set(True)
    carry = jax.tree.map(lambda y: y + 0.3, blank(2, 5))
    variables = net.init(jax.random.key(1), x, fresh, carry)
    variables = jax.tree.map(lambda y: y + 0.1, variables)
    _, out = net.apply(variables, x, fresh, carry)
    params = jax.tree.map(lambda y: np.asarray(y, float), variables["params"])
    for column in range(2):
        expected = lstm_in_numpy(
            params,
            np.asarray(x[:, column], float),
            np.asarray(fresh[:, column]),
            *(np.asarray(y[column], float) for y in carry),
        )
        np.testing.assert_allclose(out[:, column], expected, atol=1e-5)


def test_an_episode_that_begins_in_a_sequence_is_a_sequence_of_its_own():
    net = LayerNormLSTM(6)
    x = jax.random.normal(jax.random.key(0), (8, 1, 3))
    fresh = jnp.zeros((8, 1), bool).at[5].set(True)
    variables = net.init(jax.random.key(1), x, fresh, blank(1, 6))
    (_, whole) = net.apply(variables, x, fresh, blank(1, 6))
    (_, second) = net.apply(variables, x[5:], jnp.zeros((3, 1), bool), blank(1, 6))
    np.testing.assert_array_equal(whole[5:], second)


def test_a_sequence_in_two_parts_is_the_sequence():
    net = PerceptivePolicy(4)
    told, fresh = seen(6, 2), jnp.zeros((6, 2), bool).at[2, 0].set(True)
    variables = net.init(jax.random.key(0), told, fresh, blank(2, 32))
    _, whole = net.apply(variables, told, fresh, blank(2, 32))
    part = lambda a, b: (jax.tree.map(lambda x: x[a:b], told), fresh[a:b])  # noqa: E731
    carry, first = net.apply(variables, *part(0, 4), blank(2, 32))
    _, second = net.apply(variables, *part(4, 6), carry)
    np.testing.assert_allclose(whole, jnp.concatenate([first, second]), atol=1e-6)
