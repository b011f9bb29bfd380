import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from jaxrl_suite.core import UsageError
from jaxrl_suite.nets import actor_critic
from jaxrl_suite.nets.actor_critic import ActorCritic, NetworkConfig, images_at_a_time
from jaxrl_suite.nets.conv import Conv3x3
from jaxrl_suite.ops.distributions import Categorical

SMALL = NetworkConfig(torso="grid", grid_channels=4, hidden=8)
TINY_RESNET = NetworkConfig(sections=((2, 1), (3, 2)), hidden=8)
BOARD = (6, 6, 3)
T, B, ACTIONS = 5, 2, 4


def inputs(seed=0, board=BOARD):
    generator = np.random.default_rng(seed)
    first = np.zeros((T, B), bool)
    first[0] = True
    first[3, 0] = True
    return {
        "observation": jnp.asarray(generator.random((T, B, *board)) < 0.3),
        "first": jnp.asarray(first),
        "last_action": jnp.asarray(generator.integers(0, ACTIONS, (T, B)), jnp.int32),
        "last_reward": jnp.asarray(generator.normal(size=(T, B)), jnp.float32),
    }


@functools.cache
def made(config, num_values=1):
    """Network, parameters with heads large enough to see, and its compiled apply."""
    network = ActorCritic(config, ACTIONS, num_values)
    params = jax.jit(network.init)(jax.random.key(0), *inputs().values(), network.initial_carry(B))
    head = params["params"]["policy"]
    head["kernel"] = 30.0 * head["kernel"]  # initialised near 0, for a near-uniform policy
    return network, params, jax.jit(network.apply)


def apply(config, batch, carry=None):
    network, params, run = made(config)
    carry = network.initial_carry(B) if carry is None else carry
    return run(params, *[batch[n] for n in inputs()], carry)


def num_parameters(network, observation_shape, dtype=jnp.uint8):
    """Counted from shapes alone: nothing is computed."""
    row = jnp.zeros((1, 1))
    shapes = jax.eval_shape(
        lambda key: network.init(
            key,
            jnp.zeros((1, 1, *observation_shape), dtype),
            row > 0,
            row.astype(jnp.int32),
            row,
            network.initial_carry(1),
        ),
        jax.random.key(0),
    )
    return sum(leaf.size for leaf in jax.tree.leaves(shapes))


def test_plain_network_has_the_published_number_of_parameters():
    # cleanba's count for 18 actions and four grey frames of 84x84.
    assert num_parameters(ActorCritic(NetworkConfig(), 18), (84, 84, 4)) == 1_094_115


def test_shallow_network_has_the_published_sizes():
    network = ActorCritic(NetworkConfig(torso="shallow"), 18)
    expected = (8 * 8 * 4 * 16 + 16) + (4 * 4 * 16 * 32 + 32)
    expected += 9 * 9 * 32 * 256 + 256  # 84 -> 20 -> 9
    expected += 257 * 18 + 257
    assert num_parameters(network, (84, 84, 4)) == expected
    wide = ActorCritic(NetworkConfig(torso="shallow", width=2.0), 18)
    shapes = jax.eval_shape(
        lambda: wide.init(
            jax.random.key(0),
            jnp.zeros((1, 1, 20, 20, 4), jnp.uint8),
            jnp.zeros((1, 1), bool),
            jnp.zeros((1, 1), jnp.int32),
            jnp.zeros((1, 1)),
            (),
        )
    )["params"]["torso"]
    assert {name: leaf["kernel"].shape for name, leaf in shapes.items()} == {
        "ConvStrided_0": (8, 8, 4, 32),
        "ConvStrided_1": (4, 4, 32, 64),
    }


def test_shallow_network_refuses_boards():
    with pytest.raises(UsageError, match="at least 20x20, not 6x6"):
        num_parameters(ActorCritic(NetworkConfig(torso="shallow"), 4), BOARD)


def test_unknown_torso_is_refused():
    with pytest.raises(UsageError, match="unknown torso 'resnets'; legal: resnet, shallow, grid"):
        NetworkConfig(torso="resnets").check()


def test_groups_of_images_divide_the_sequence_by_rows_or_a_lone_row_by_columns():
    sizes = [images_at_a_time(21, batch) for batch in (1, 2, 8, 16, 32, 500)]
    assert sizes == [21, 2 * 21, 8 * 3, 16 * 3, 32, 500]
    assert images_at_a_time(17, 40) == 40
    alone = [images_at_a_time(1, batch) for batch in (1, 5, 40, 128, 106, 53)]
    assert alone == [1, 5, 40, 32, 106, 53]


@pytest.mark.parametrize("torso", ["resnet", "shallow"])
def test_frames_may_come_first(torso):
    config = NetworkConfig(torso=torso, sections=((2, 1),), hidden=8)
    batch = inputs(board=(20, 22, 4))
    batch["observation"] = jax.random.bits(jax.random.key(2), (T, B, 20, 22, 4), jnp.uint8)
    turned = batch | {"observation": jnp.moveaxis(batch["observation"], -1, -3)}
    last, first = (ActorCritic(config, ACTIONS, frames_first=frames) for frames in (False, True))
    params = jax.jit(last.init)(jax.random.key(0), *batch.values(), ())
    outputs = jax.jit(last.apply)(params, *batch.values(), ())
    jax.tree.map(
        np.testing.assert_array_equal, jax.jit(first.apply)(params, *turned.values(), ()), outputs
    )


@pytest.mark.parametrize("torso", ["resnet", "shallow"])
def test_a_few_rows_at_a_time_change_nothing(torso, monkeypatch):
    batch = inputs(board=(20, 22, 3))
    batch["observation"] = jax.random.bits(jax.random.key(2), (T, B, 20, 22, 3), jnp.uint8)
    network = ActorCritic(NetworkConfig(torso=torso, sections=((2, 1),), hidden=8), ACTIONS)
    params = jax.jit(network.init)(jax.random.key(0), *batch.values(), ())

    def outcome(params, batch):
        def loss(params):
            outputs, _ = network.apply(params, *[batch[n] for n in inputs()], ())
            return jnp.sum(jnp.sin(outputs.values)) + jnp.sum(outputs.logits), outputs

        return jax.grad(loss, has_aux=True)(params)

    at_once = jax.jit(outcome)(params, batch)
    monkeypatch.setattr(actor_critic, "_IMAGES_AT_A_TIME", B)
    # Another function object: the one above is compiled.
    by_rows = jax.jit(lambda *args: outcome(*args))(params, batch)
    close = functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5)
    jax.tree.map(close, at_once, by_rows)
    again = jax.jit(lambda *args: network.init(*args))(jax.random.key(0), *batch.values(), ())
    jax.tree.map(np.testing.assert_array_equal, params, again)
    # Over seeds, as a sweep does.
    seeds = jax.tree.map(lambda leaf: jnp.stack([leaf, 0.5 * leaf]), params)
    mapped = jax.jit(jax.vmap(outcome, in_axes=(0, None)))(seeds, batch)
    jax.tree.map(lambda one, two: close(one[0], two), mapped, at_once)


def conv_parameters(features, channels):
    return 9 * channels * features + features


def test_width_and_depth_change_the_sizes_that_they_say():
    config = NetworkConfig(sections=((4, 1), (6, 2)), hidden=10, width=1.5, depth=2)
    # Width scales 4, 6 and 10 to 6, 9 and 15; depth doubles 1 and 2 blocks of two convolutions.
    expected = conv_parameters(6, 3) + 2 * 2 * conv_parameters(6, 6)
    expected += conv_parameters(9, 6) + 4 * 2 * conv_parameters(9, 9)
    expected += (3 * 3 * 9) * 15 + 15  # 12x12 halved twice
    expected += 15 * ACTIONS + ACTIONS + 15 + 1
    assert num_parameters(ActorCritic(config, ACTIONS), (12, 12, 3)) == expected


def test_width_scales_the_grid_torso_and_never_to_nothing():
    config = dataclasses.replace(SMALL, width=2.0)
    expected = conv_parameters(8, 3) + (4 * 4 * 8) * 16 + 16 + 17 * ACTIONS + 17
    assert num_parameters(ActorCritic(config, ACTIONS), BOARD) == expected
    thinnest = dataclasses.replace(SMALL, width=0.01)
    assert thinnest.scaled(thinnest.hidden) == 1


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize("side", [5, 16, 17])
def test_convolution_equals_flax_with_the_same_parameters(side, padding):
    # 16 is the last side that is computed as patches, 17 the first that is not.
    ours, theirs = Conv3x3(3, padding=padding), nn.Conv(3, (3, 3), padding=padding)
    # Not square, so that height and width cannot be confused.
    x = jax.random.normal(jax.random.key(1), (2, side, side - 2, 4))
    params = theirs.init(jax.random.key(0), x)
    params["params"]["bias"] = jnp.array([0.5, -1.0, 2.0])
    own_params = ours.init(jax.random.key(0), x)
    assert jax.tree.map(jnp.shape, own_params) == jax.tree.map(jnp.shape, params)

    def outcome(module, params, x):
        def loss(params, x):
            y = module.apply(params, x)
            return jnp.sum(jnp.sin(y)), y

        gradients, y = jax.grad(loss, argnums=(0, 1), has_aux=True)(params, x)
        return y, gradients

    run = jax.jit(outcome, static_argnums=0)
    jax.tree.map(
        functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-4),
        run(ours, params, x),
        run(theirs, params, x),
    )


@pytest.mark.parametrize("board", [(16, 12, 4), (17, 12, 4)])
def test_convolution_has_flax_s_initial_scale(board):
    x = jnp.zeros((1, *board))
    kernel = Conv3x3(512).init(jax.random.key(0), x)["params"]["kernel"]
    # LeCun: variance 1 / (9 * 4).
    np.testing.assert_allclose(np.std(kernel), 1 / 6, rtol=0.02)


@pytest.mark.parametrize("config", [SMALL, TINY_RESNET], ids=["grid", "resnet"])
def test_folding_time_and_batch_changes_nothing(config):
    batch = inputs()
    together, _ = apply(config, batch)
    rows = [apply(config, {n: x[t : t + 1] for n, x in batch.items()})[0] for t in range(T)]
    for index in range(2):
        alone = jnp.concatenate([row[index] for row in rows])
        np.testing.assert_allclose(together[index], alone, rtol=1e-5, atol=1e-5)
    assert together.logits.shape == (T, B, ACTIONS)
    assert together.values.shape == (T, B, 1)


def test_uint8_is_read_as_fractions_and_bool_as_it_is():
    batch = inputs()
    as_bytes = batch | {"observation": 255 * batch["observation"].astype(jnp.uint8)}
    # 255 * (1 / 255) is 1 up to rounding.
    np.testing.assert_allclose(
        apply(SMALL, as_bytes)[0].logits, apply(SMALL, batch)[0].logits, rtol=1e-4, atol=1e-5
    )


def differs(config, one, other):
    """Whether the heads tell two batches apart, row by row: bool [T, B]."""
    a, b = apply(config, one)[0], apply(config, other)[0]
    return np.any(np.asarray(a.logits != b.logits), -1) | np.any(
        np.asarray(a.values != b.values), -1
    )


def test_last_action_and_reward_matter_only_when_switched_on():
    batch = inputs()
    changes = [
        {"last_action": (batch["last_action"] + 1) % ACTIONS},
        {"last_reward": batch["last_reward"] * -0.5 + 0.1},
    ]
    switched_on = dataclasses.replace(SMALL, last_action_reward=True)
    for change in changes:
        assert not np.any(differs(SMALL, batch, batch | change))
        assert np.all(differs(switched_on, batch, batch | change))
    # Rewards enter clipped to [-1, 1].
    large = batch | {"last_reward": jnp.full((T, B), 7.0)}
    assert not np.any(differs(switched_on, large, batch | {"last_reward": jnp.ones((T, B))}))


LSTM = dataclasses.replace(SMALL, lstm=6)


def test_memory_reaches_later_rows_and_stops_at_the_first_of_an_episode():
    batch = inputs()
    changed = batch["observation"].at[1].set(~batch["observation"][1])
    seen = differs(LSTM, batch, batch | {"observation": changed})
    # Column 0 opens a new episode at row 3; column 1 does not.
    np.testing.assert_array_equal(
        seen, [[False, False], [True, True], [True, True], [False, True], [False, True]]
    )


def test_memory_is_the_empty_one_where_an_episode_opens():
    batch = inputs()
    network, _, _ = made(LSTM)
    dirty = jax.tree.map(lambda c: c + 3.0, network.initial_carry(B))
    clean, _ = apply(LSTM, batch)
    np.testing.assert_array_equal(apply(LSTM, batch, dirty)[0].logits, clean.logits)
    # Without the mark, the memory that is handed over counts.
    going_on = batch | {"first": jnp.zeros((T, B), bool)}
    assert not np.allclose(apply(LSTM, going_on, dirty)[0].logits, clean.logits)


def test_sequence_at_once_equals_step_by_step_with_memory():
    batch = inputs()
    together, last_carry = apply(LSTM, batch)
    carry, rows = made(LSTM)[0].initial_carry(B), []
    for t in range(T):
        row, carry = apply(LSTM, {n: x[t : t + 1] for n, x in batch.items()}, carry)
        rows.append(row)
    for index in range(2):
        alone = jnp.concatenate([row[index] for row in rows])
        np.testing.assert_allclose(together[index], alone, rtol=1e-5, atol=1e-6)
    for whole, stepped in zip(last_carry, carry, strict=True):
        np.testing.assert_allclose(whole, stepped, rtol=1e-5, atol=1e-6)
        assert whole.shape == (B, 6)


def test_network_without_lstm_has_no_memory():
    batch = inputs()
    assert apply(SMALL, batch)[1] == ()
    changed = batch | {"first": ~batch["first"]}
    assert not np.any(differs(SMALL, batch, changed))


@pytest.mark.parametrize("config", [SMALL, TINY_RESNET, LSTM], ids=["grid", "resnet", "lstm"])
def test_bfloat16_leaves_heads_and_parameters_in_float32(config):
    half = dataclasses.replace(config, bfloat16=True)
    _, params, _ = made(half)
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {jnp.dtype(jnp.float32)}
    batch = inputs()
    outputs, carry = apply(half, batch)
    assert outputs.logits.dtype == outputs.values.dtype == jnp.float32
    assert Categorical(outputs.logits).log_prob(batch["last_action"]).dtype == jnp.float32
    assert all(c.dtype == jnp.bfloat16 for c in carry)
    # It really computed in bfloat16 (8 bits of mantissa), on the same function.
    full, _ = apply(config, batch)
    assert not np.array_equal(outputs.logits, full.logits)
    np.testing.assert_allclose(outputs.logits, full.logits, atol=0.05 * np.abs(full.logits).max())


def test_every_task_has_its_own_value_head():
    network, params, run = made(SMALL, 3)
    batch = inputs()
    outputs, _ = run(params, *batch.values(), network.initial_carry(B))
    assert outputs.values.shape == (T, B, 3)
    assert len(np.unique(np.asarray(outputs.values[0, 0]))) == 3


def test_initial_policy_is_nearly_uniform():
    network = ActorCritic(SMALL, ACTIONS)
    batch = inputs()
    outputs, _ = jax.jit(network.init_with_output)(
        jax.random.key(3), *batch.values(), network.initial_carry(B)
    )[0]
    entropy = Categorical(outputs.logits).entropy()
    assert np.all(entropy > 0.999 * np.log(ACTIONS))
