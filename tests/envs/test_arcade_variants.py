"""What holds for all games and variants: the protocol, batches of variants, names, splits."""

import itertools
import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_suite.core import UsageError
from jaxrl_suite.envs import arcade
from jaxrl_suite.envs.arcade import board, make_splits
from jaxrl_suite.envs.base import episodic
from tests.envs.games import KEY, at_random, compiled, unroll

COUNTS = {"breakout": 24, "freeway": 32, "space_invaders": 32, "asterix": 32}
each_game = pytest.mark.parametrize("game", arcade.GAMES.values(), ids=arcade.GAMES)


@each_game
def test_variants_are_all_combinations_of_the_factors(game):
    assert len(game.variants) == COUNTS[game.name]
    assert math.prod(len(factor.values) for factor in game.factors) == len(game.variants)
    described = [tuple(game.describe(name).items()) for name in game.variants]
    assert len(set(described)) == len(described)
    numbers = [np.concatenate([np.ravel(x) for x in v]) for v in game.variants.values()]
    assert len({tuple(n) for n in numbers}) == len(numbers)
    levels = game.factors[-1].values
    for name in game.variants:
        assert game.describe(name)[game.factors[-1].name] == levels[int(name[-1])]


@each_game
def test_shapes_and_types(game):
    reset, step = compiled(game.name)
    variant = game.variants["m00d0"]
    state, observation = reset(KEY, variant)
    moved, timestep = step(state, jnp.int32(0), KEY, variant)
    assert game.environment.num_actions == len(game.action_names)
    assert game.environment.observation_shape == (board.SIZE, board.SIZE, len(game.plane_names))
    for seen in (observation, timestep.observation):
        assert seen.shape == game.environment.observation_shape
        assert seen.dtype == bool
    assert (timestep.reward.dtype, timestep.reward.shape) == (jnp.float32, ())
    assert timestep.terminated.dtype == timestep.truncated.dtype == bool
    before, after = (jax.tree.map(lambda x: (x.shape, x.dtype), s) for s in (state, moved))
    assert before == after


@each_game
def test_mixed_batch_equals_each_variant_alone_and_nothing_is_traced_twice(game):
    """Bit for bit, from the same keys, over 100 steps of random actions."""
    num_steps, traces = 100, []
    env = episodic(game.environment, time_limit=40)

    def play(key, variant):
        traces.append(None)
        reset_key, action_key, key = jax.random.split(key, 3)
        actions = jax.random.randint(action_key, (num_steps,), 0, env.num_actions)

        def body(state, inputs):
            state, timestep = env.step(state, *inputs, variant)
            return state, timestep

        state, _ = env.reset(reset_key, variant)
        return jax.lax.scan(body, state, (actions, jax.random.split(key, num_steps)))

    names = list(game.variants)
    keys = jax.random.split(KEY, len(names))
    together = jax.jit(jax.vmap(play))(keys, arcade.stack_variants(game, names))
    alone = jax.jit(play)
    traces.clear()
    for i, name in enumerate(names):
        one = alone(keys[i], game.variants[name])
        jax.tree.map(np.testing.assert_array_equal, one, jax.tree.map(lambda x: x[i], together))  # noqa: B023
    first, other = (alone(keys[i], game.variants[names[0]])[1].observation for i in (0, 1))
    assert jnp.any(first != other)  # another key, another game
    assert len(traces) == 1
    _, steps = together
    assert not jnp.any(steps.terminated & steps.truncated)
    assert jnp.any(steps.truncated)
    assert jnp.all(steps.observation.any(axis=(2, 3, 4)))


@each_game
def test_pictures(game):
    env = game.environment
    variants = arcade.stack_variants(game, list(game.variants))
    draw = jax.jit(jax.vmap(lambda key, variant: env.render(env.reset(key, variant)[0], variant)))
    pictures = draw(jax.random.split(KEY, len(game.variants)), variants)
    side = board.SIZE * board.CELL
    assert pictures.shape == (len(game.variants), side, side, 3)
    assert pictures.dtype == jnp.uint8
    assert all(len(np.unique(np.asarray(p).reshape(-1, 3), axis=0)) >= 3 for p in pictures)


def test_freeway_is_truncated_and_never_terminated():
    game = arcade.make("freeway")
    env = episodic(game.environment, time_limit=20)
    variants = arcade.stack_variants(game, ["m00d0"])
    states, steps = unroll(env, variants, at_random(game), 42)
    ends = np.flatnonzero(steps.truncated[:, 0])
    np.testing.assert_array_equal(ends, [19, 40])  # the step between them only resets
    assert not steps.terminated.any()
    assert states.last_length[0] == 20


@each_game
@pytest.mark.parametrize("split_name", ["combination", "value"])
def test_committed_splits(game, split_name):
    split = arcade.load_split(game, split_name)
    assert split == make_splits.propose(game)[split_name]
    assert len(split.train) == make_splits.NUM_TRAIN
    assert set(split.train) | set(split.unseen) == set(game.variants)
    seen = make_splits.seen_values(game, split.train)
    factor, value = make_splits.HELD_OUT[game.name]
    for each in game.factors:
        missing = set(each.values) - seen[each.name]
        expected = {value} if split_name == "value" and each.name == factor else set()
        assert missing == expected
    if split_name == "value":
        assert all(game.describe(name)[factor] == value for name in split.unseen)


@each_game
def test_prefixes_of_a_split_grow_in_variety(game):
    """Two variants share nothing they could differ in, and so on: values appear early."""
    split = arcade.load_split(game, "combination")
    for length in (2, 4, 8):
        seen = make_splits.seen_values(game, split.train[:length])
        for factor in game.factors:
            assert len(seen[factor.name]) == min(length, len(factor.values))


def test_load_split_takes_a_name_or_a_game():
    assert arcade.load_split("asterix", "value") == arcade.load_split(
        arcade.make("asterix"), "value"
    )


def test_users_split_file(tmp_path):
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({"train": ["m00d0", "m03d1"], "unseen": ["m01d0"]}))
    split = arcade.load_split("breakout", str(path))
    assert split == arcade.Split(("m00d0", "m03d1"), ("m01d0",))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"train": ["m00d0"], "unseen": ["m00d0"]}', "m00d0 both in 'train' and in 'unseen'"),
        ('{"train": ["m00d0", "m00d0"], "unseen": []}', "m00d0 more than once in 'train'"),
        ('{"train": ["m99d0"], "unseen": []}', "no variant 'm99d0'.*m00d0 to m11d1"),
        ('{"train": [], "unseen": ["m00d0"]}', "at least one training variant"),
        ('{"train": ["m00d0"]}', "keys train, unseen"),
        ('{"train": [3], "unseen": []}', "'train' must be a list"),
        ("[]", "keys train, unseen"),
        ("{", "cannot be read"),
    ],
)
def test_bad_split_files(tmp_path, content, message):
    path = tmp_path / "bad.json"
    path.write_text(content)
    with pytest.raises(UsageError, match=message) as error:
        arcade.load_split("breakout", str(path))
    assert "\n" not in str(error.value)


def test_bad_names():
    game = arcade.make("breakout")
    for call, message in (
        (lambda: arcade.make("pong"), "no game 'pong'; legal are breakout, freeway"),
        (lambda: arcade.load_split(game, "far"), "no split 'far'; legal are combination, value"),
        (lambda: arcade.load_split(game, "/nowhere/x.json"), "cannot be read"),
        (lambda: arcade.stack_variants(game, ["m12d0"]), "no variant 'm12d0'"),
        (lambda: arcade.stack_variants(game, []), "at least one variant"),
        (lambda: game.describe("m00d7"), "no variant 'm00d7'"),
        (
            lambda: arcade.check_split(arcade.Split(("m00d0",), ("m00d0",)), game),
            "both in 'train' and in 'unseen'",
        ),
    ):
        with pytest.raises(UsageError, match=message):
            call()


def test_stacked_variants_keep_their_order():
    game = arcade.make("breakout")
    names = ["m03d1", "m00d0", "m03d1"]
    stacked = arcade.stack_variants(game, names)
    np.testing.assert_array_equal(
        stacked.paddle_width, [game.variants[name].paddle_width for name in names]
    )


def test_board_moves():
    rows = jnp.asarray([1 << 9, 1, *[0] * 7, 3], jnp.int32)
    for by, expected in ((1, [0, 1 << 9, 1]), (-1, [1, 0, 0])):
        np.testing.assert_array_equal(board.shift_rows(rows, by)[:3], expected)
    for right, first in ((True, [0, 2]), (False, [1 << 8, 0])):
        np.testing.assert_array_equal(board.shift_columns(rows, right)[:2], first)
    seen = board.planes(rows, board.place(jnp.int32(4), jnp.int32(7)))
    cells = itertools.product(range(10), range(10))
    assert all(bool(seen[r, c, 1]) == ((r, c) == (4, 7)) for r, c in cells)
    np.testing.assert_array_equal(seen[:, :, 0], board.occupied(rows))
