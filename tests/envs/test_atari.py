"""Atari: actors over a scripted game, the splits, and (with EnvPool) the emulators themselves."""

import functools
import itertools
import json
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_suite.core import UsageError
from jaxrl_suite.envs import atari, rollout
from jaxrl_suite.envs.atari import make_splits
from jaxrl_suite.envs.atari.actor import Actor
from jaxrl_suite.envs.atari.games import NUM_ALL_ACTIONS
from jaxrl_suite.envs.atari.pools import PoolStep, follow, open_books
from jaxrl_suite.envs.atari.scan import scan_rollout
from jaxrl_suite.nets.actor_critic import Outputs
from jaxrl_suite.ops import popart
from jaxrl_suite.systems.impala import emulated, losses
from jaxrl_suite.systems.impala.config import Config, Hyper
from tests.envs.scripted_pools import (
    NUM_ACTIONS,
    Episode,
    ScriptedPools,
    reward_of,
    terminating,
    truncating,
)

each_game = pytest.mark.parametrize("game", atari.GAMES.values(), ids=atari.GAMES)

SCRIPTS = (
    (terminating(2), truncating(3)),
    (truncating(4), terminating(1)),
    (Episode(5, True, True), truncating(1), terminating(7)),
)


def act(params, inputs, carry, key):
    """An action of all that is seen; the log-probability is the parameters; memory counts rows."""
    episode, elapsed = inputs.observation[:, 1, 0, 0], inputs.observation[:, 2, 0, 0]
    action = (3 * elapsed + episode + 2 * inputs.last_action + 1) % NUM_ACTIONS
    (memory,) = carry
    memory = np.where(inputs.first, 0, memory) + 1
    return action, np.full(action.shape, params, np.float32), (memory,), key


def scripted_actor(scripts, unroll_length):
    pools = ScriptedPools(*scripts)
    size = pools.batch_size
    task_index = np.arange(size, dtype=np.int32) % 2
    carry = (np.zeros(size, np.int32),)
    return Actor(pools, act, carry, None, unroll_length=unroll_length, task_index=task_index)


def unrolls(count, scripts=SCRIPTS, unroll_length=7):
    """So many unrolls in a row; the parameters of unroll n are the number n."""
    actor = scripted_actor(scripts, unroll_length)
    return [actor.unroll(n, version=n) for n in range(count)]


def test_every_action_is_paired_with_its_own_reward():
    for batch in unrolls(4):
        earned = reward_of(batch.observation[:-1], batch.action)
        np.testing.assert_array_equal(batch.reward, np.where(batch.valid, earned, 0))
        assert batch.valid.any(axis=0).all()


def test_every_field_is_what_its_documentation_says():
    (batch,) = unrolls(1, scripts=((terminating(2),), (truncating(3),)))
    # Terminal observations (2 and 3) are kept, and the step after them only resets, as does the
    # very first one, which acts on nothing.
    expected = {
        "elapsed": ([0, 0, 1, 2, 0, 1, 2, 0], [0, 0, 1, 2, 3, 0, 1, 2]),
        "first": ([1, 1, 0, 0, 1, 0, 0, 1], [1, 1, 0, 0, 0, 1, 0, 0]),
        "valid": ([0, 1, 1, 0, 1, 1, 0], [0, 1, 1, 1, 0, 1, 1]),
        "terminated": ([0, 0, 1, 0, 0, 1, 0], [0] * 7),
        "action": ([1, 1, 1, 4, 2, 4, 1], [1, 1, 1, 4, 3, 2, 4]),
        "last_action": ([0, 0, 1, 1, 0, 2, 4, 0], [0, 0, 1, 1, 4, 0, 2, 4]),
    }
    actual = batch._asdict() | {"elapsed": batch.observation[:, :, 2, 0, 0]}
    for name, columns in expected.items():
        np.testing.assert_array_equal(actual[name], np.array(columns).T, err_msg=name)
    np.testing.assert_array_equal(batch.last_reward[0], 0)
    np.testing.assert_array_equal(batch.last_reward[1:], batch.reward)
    assert not batch.observation[0].any()
    types = {name: getattr(batch, name).dtype for name in batch._fields if name != "carry"}
    assert types == {
        **dict.fromkeys(("first", "terminated", "valid"), np.dtype(bool)),
        **dict.fromkeys(("action", "last_action", "task_index", "version"), np.dtype(np.int32)),
        **dict.fromkeys(
            ("reward", "last_reward", "behaviour_log_prob", "last_return"), np.dtype(np.float32)
        ),
        "observation": np.dtype(np.uint8),
    }


def test_both_ends_at_once_is_a_termination():
    (batch,) = unrolls(1, scripts=((Episode(3, True, True),),))
    np.testing.assert_array_equal(np.flatnonzero(batch.terminated), [3])


def test_task_and_version_are_recorded():
    for n, batch in enumerate(unrolls(3)):
        np.testing.assert_array_equal(batch.task_index, [0, 1, 0])
        np.testing.assert_array_equal(batch.version, n)
        np.testing.assert_array_equal(batch.behaviour_log_prob, n)


def test_one_long_unroll_equals_short_ones_in_a_row():
    (long,) = unrolls(1, unroll_length=21)
    short = unrolls(3)
    for n, batch in enumerate(short):
        for name in ("action", "reward", "terminated", "valid"):
            np.testing.assert_array_equal(
                getattr(batch, name), getattr(long, name)[7 * n : 7 * n + 7]
            )
        for name in rollout.PolicyInputs._fields:
            # The bootstrap row is the first row of the next unroll.
            np.testing.assert_array_equal(
                getattr(batch, name), getattr(long, name)[7 * n : 7 * n + 8]
            )


def test_carry_is_the_memory_before_the_first_row():
    carries = [batch.carry[0] for batch in unrolls(3, scripts=SCRIPTS[:2], unroll_length=5)]
    # Rows since the last `first`, excluding row 0; firsts at rows 0, 1, 4, 8 and 0, 1, 6, 8.
    np.testing.assert_array_equal(carries, [[0, 0], [1, 4], [2, 2]])


def test_earlier_unrolls_are_not_written_over():
    actor = scripted_actor(SCRIPTS, 7)
    one = actor.unroll(0, 0)
    kept = jax.tree.map(np.copy, one)
    actor.unroll(1, 1)
    jax.tree.map(np.testing.assert_array_equal, one, kept)


def slow_books(script, batches, column):
    """Return and length of the last finished episode after every unroll, a step at a time."""
    episodes = iter(itertools.cycle(script))
    left, total, length, last = 0, 0.0, 0, (np.nan, 0)
    lasts = []
    for batch in batches:
        for t in range(batch.action.shape[0]):
            if left == 0:
                left, total, length = next(episodes).length, 0.0, 0
                continue
            total += float(reward_of(batch.observation[t, column], batch.action[t, column]))
            left, length = left - 1, length + 1
            if left == 0:
                last = (total, length)
        lasts.append(last)
    return lasts


def test_books_equal_a_slow_replay():
    actor = scripted_actor(SCRIPTS, 4)
    batches, lengths = [], []
    for n in range(6):
        batches.append(actor.unroll(n, n))
        lengths.append(actor.books.last_length)
    for column, script in enumerate(SCRIPTS):
        slow = slow_books(script, batches, column)
        np.testing.assert_array_equal(
            [b.last_return[column] for b in batches], [r for r, _ in slow]
        )
        np.testing.assert_array_equal([n[column] for n in lengths], [n for _, n in slow])
    assert np.isnan(batches[0].last_return).tolist() == [False, True, True]


def test_closing_an_actor_closes_its_emulators():
    pools = ScriptedPools(SCRIPTS[0])
    Actor(pools, act, (), None, unroll_length=1, task_index=np.zeros(1, np.int32)).close()
    assert pools.closed


@pytest.mark.parametrize("xp", [np, jnp], ids=["numpy", "jax"])
def test_only_a_step_that_counts_on_is_valid(xp):
    books = open_books(4, xp)._replace(elapsed=xp.array([-2, -2, 4, 4], xp.int32))
    no = xp.zeros(4, bool)
    elapsed = xp.array([0, 9, 5, 9], xp.int32)
    step = PoolStep(None, xp.ones(4, xp.float32), ~no, no, elapsed)
    after, followed = follow(books, step, xp)
    for field in (followed.valid, followed.ended, followed.terminated, followed.reward):
        np.testing.assert_array_equal(field, [0, 0, 1, 0])
    np.testing.assert_array_equal(after.last_return, [np.nan, np.nan, 1, np.nan])
    np.testing.assert_array_equal(after.last_length, [0, 0, 5, 0])
    assert [x.dtype for x in after] == [x.dtype for x in books]


def test_values_bootstrap_from_the_terminal_observation_of_a_truncated_episode_only():
    (batch,) = unrolls(1, scripts=((terminating(3),), (truncating(3),)))
    value_of = lambda observation: jnp.asarray(observation)[..., 2, 0, 0] + 10.0  # noqa: E731

    def apply(params, observation, *rest):
        logits = jnp.zeros((*observation.shape[:2], NUM_ACTIONS))
        return Outputs(logits, value_of(observation)[..., None]), ()

    network = SimpleNamespace(apply=apply, num_values=1)
    hyper = Hyper(gamma=0.9, reward_clip=float("inf"))
    arguments = (jax.tree.map(jnp.asarray, batch), jnp.ones(2, bool), popart.init(1), hyper)
    _, output = losses.loss({}, network, *arguments, "vtrace")
    targets = output.value_targets
    # The episode's last step is step 3; step 4 only resets.
    np.testing.assert_allclose(targets[3, 0], batch.reward[3, 0], rtol=1e-6)
    terminal = value_of(batch.observation[4, 1])
    np.testing.assert_allclose(targets[3, 1], batch.reward[3, 1] + 0.9 * terminal, rtol=1e-6)
    np.testing.assert_allclose(targets[2, 1], batch.reward[2, 1] + 0.9 * targets[3, 1], rtol=1e-6)


# Splits


def modes_of(game, names):
    return [game.variants[name].mode for name in names]


@each_game
def test_committed_splits_are_those_that_are_proposed(game):
    proposed = make_splits.propose(game)
    assert list(proposed) == (["value"] if game.name == "hero" else ["combination", "value"])
    assert set(json.loads((atari.SPLITS / f"{game.name}.json").read_text())) == set(proposed)
    for name, split in proposed.items():
        assert atari.load_split(game, name) == split
        assert atari.load_split(game.name, name) == split


@each_game
def test_splits_of_a_game(game):
    for name, split in make_splits.propose(game).items():
        assert set(split.train) | set(split.unseen) <= set(game.variants)
        assert not set(split.train) & set(split.unseen)
        assert len(split.train) <= make_splits.MAX_TRAIN
        shown, hidden = set(modes_of(game, split.train)), set(modes_of(game, split.unseen))
        if name == "value":
            assert not shown & hidden
            every = {n for n, v in game.variants.items() if v.mode in hidden}
            assert every == set(split.unseen)
        else:
            assert shown == {variant.mode for variant in game.variants.values()}
            assert set(split.train) | set(split.unseen) == set(game.variants)


def test_hero_keeps_one_of_its_five_modes():
    split = atari.load_split("hero", "value")
    assert (len(split.train), split.unseen) == (4, ("m04d0",))


@each_game
def test_prefixes_of_a_split_are_spread(game):
    for split in make_splits.propose(game).values():
        modes = modes_of(game, split.train)
        shown = sorted(set(modes))
        assert split.train[0] == "m00d0"
        assert modes[:2] == [shown[0], shown[-1]]
        difficulties = [game.variants[name].difficulty for name in split.train]
        for length in range(1, len(modes) + 1):
            assert len(set(modes[:length])) == min(length, len(shown))
            if game.name != "hero":
                assert abs(2 * sum(difficulties[:length]) - length) <= 1


def test_unknown_game_names_the_legal_ones():
    with pytest.raises(UsageError, match="'pong'; legal are breakout, freeway, hero, space_inv"):
        atari.load_split("pong", "value")


def test_unknown_split_names_the_legal_ones():
    with pytest.raises(UsageError, match="hero has no split 'combination'; legal are value, or"):
        atari.load_split("hero", "combination")


@pytest.mark.parametrize(
    ("game", "name", "legal"),
    [
        ("breakout", "m05d0", r"modes m00, m04, m08, .*, m44, each with d0 or d1"),
        ("freeway", "m08d0", "modes m00 to m07, each with d0 or d1"),
        ("hero", "m00d1", "modes m00 to m04, each with d0$"),
        ("space_invaders", "m16d0", "modes m00 to m15, each with d0 or d1"),
    ],
)
def test_illegal_variant_of_a_users_file_names_the_legal_modes(tmp_path, game, name, legal):
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({"train": ["m00d0"], "unseen": [name]}))
    with pytest.raises(UsageError, match=f"{game} has no variant '{name}'; .*{legal}") as error:
        atari.load_split(game, str(path))
    assert "\n" not in str(error.value)


def test_users_split_file(tmp_path):
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({"train": ["m00d0", "m44d1"], "unseen": ["m04d0"]}))
    assert atari.load_split("breakout", str(path)) == atari.Split(("m00d0", "m44d1"), ("m04d0",))


@pytest.mark.parametrize(
    ("change", "message"),
    [({"noop_max": 0}, "noop_max must be at least 1"), ({"pool_threads": -1}, "pool_threads must")],
)
def test_emulator_settings_outside_their_range(change, message):
    with pytest.raises(UsageError, match=message):
        atari.EmulatorConfig(**change).check()


# EnvPool

needs_envpool = pytest.mark.envpool


@pytest.fixture
def envpool():
    return pytest.importorskip("envpool", reason="needs the extra envpool")


@pytest.fixture
def start(envpool):
    """Starts pools that are closed after the test."""
    started = []

    def start(game, variants, envs_per_variant, **options):
        options = {"time_limit": 100} | options
        pools = atari.Pools(atari.make(game), variants, envs_per_variant, **options)
        started.append(pools)
        return pools

    yield start
    for pools in started:
        pools.close()


def played(pools, actions):
    """The answers to actions [T, B]."""
    steps = []
    for action in actions:
        pools.send(action.astype(np.int32))
        steps.append(pools.recv())
    return PoolStep(*(np.stack(field) for field in zip(*steps, strict=True)))


def random_actions(num_steps, size, num_actions=4, seed=0):
    return np.random.default_rng(seed).integers(num_actions, size=(num_steps, size))


@needs_envpool
@each_game
def test_every_variant_starts_and_has_the_actions_we_say(start, game):
    pools = start(game.name, list(game.variants), 1)
    assert {pool.action_space.n for pool in pools.pools} == {game.num_actions}
    step = played(pools, np.zeros((2, pools.batch_size)))
    np.testing.assert_array_equal(step.elapsed, np.arange(2)[:, None] + 0 * step.elapsed)
    assert step.observation.shape == (2, len(game.variants), 4, 84, 84)
    assert step.observation.any(axis=(2, 3, 4)).all()
    assert atari.EmulatorConfig().num_actions(game) == game.num_actions


@needs_envpool
@each_game
def test_all_actions_of_the_console(start, game):
    emulator = atari.EmulatorConfig(full_actions=True)
    (pool,) = start(game.name, ["m00d0"], 1, emulator=emulator).pools
    assert pool.action_space.n == emulator.num_actions(game) == NUM_ALL_ACTIONS


@needs_envpool
@pytest.mark.parametrize(
    ("game", "setting", "value"),
    [
        ("breakout", "mode", 5),
        ("freeway", "mode", 8),
        ("hero", "mode", 5),
        ("hero", "difficulty", 1),
        ("space_invaders", "mode", 16),
        ("space_invaders", "difficulty", 2),
    ],
)
def test_envpool_refuses_what_is_not_on_our_list(envpool, game, setting, value):
    with pytest.raises(RuntimeError, match=f"[Ii]nvalid.*{setting}"):
        envpool.make_gymnasium(atari.make(game).task, num_envs=1, num_threads=1, **{setting: value})


CONFIG = Config(suite="atari", num_variants=2, num_envs=4, unroll_length=6, time_limit=8)
SEED = (0, 0, 0, 0)
NUM_UNROLLS = 4


def looking(params, inputs, carry, key):
    """An action that any wrong pixel or last action changes."""
    seen = inputs.observation.astype(jnp.int32).sum((1, 2, 3))
    action = (seen * 7 + inputs.last_action + 1) % 4
    return action, jnp.zeros(action.shape), carry


def make_pools():
    return emulated.pools(CONFIG, CONFIG.variants, 2, SEED)


@functools.cache
def by_scan():
    """Batches of the scan, then one more after another init on the same emulators."""
    source = scan_rollout(make_pools, 2, looking, (), batch_size=4, unroll_length=6)
    sample = jax.jit(source.sample)
    state = source.init(jax.random.key(0), None, None)
    batches = []
    for n in range(NUM_UNROLLS):
        state, batch = sample(state, (), jax.random.key(n))
        batches.append(jax.device_get(batch))
    state = source.init(jax.random.key(0), None, None)
    return batches, jax.device_get(sample(state, (), jax.random.key(0))[1])


@functools.cache
def by_actor():
    task_index = np.arange(4, dtype=np.int32) % 2
    key = jax.random.key(0)
    actor = Actor(
        make_pools(), emulated.acting(looking), (), key, unroll_length=6, task_index=task_index
    )
    batches = [actor.unroll((), 0) for _ in range(NUM_UNROLLS)]
    actor.close()
    return batches


@needs_envpool
def test_scan_and_actor_play_the_same_bit_for_bit(envpool):
    batches, _ = by_scan()
    for scanned, acted in zip(batches, by_actor(), strict=True):
        for name in rollout.Sequences._fields:
            one, other = getattr(scanned, name), getattr(acted, name)
            jax.tree.map(np.testing.assert_array_equal, one, other)
    valid = np.concatenate([batch.valid for batch in batches])
    # A reset at first and after every 8 steps, which the time limit ends and no rule.
    np.testing.assert_array_equal(np.flatnonzero(~valid[:, 0]), [0, 9, 18])
    assert not any(batch.terminated.any() for batch in batches)
    assert len({tuple(batch.action.ravel()) for batch in batches}) > 1


@needs_envpool
def test_emulators_already_in_use_begin_with_an_invalid_step(envpool):
    batches, again = by_scan()
    assert batches[-1].valid[-1].all()  # in the middle of an episode
    np.testing.assert_array_equal(again.valid[0], False)
    np.testing.assert_array_equal(again.reward[0], 0)
    assert again.valid[1].all()
    assert np.isnan(again.last_return[0]) or again.valid[:, 0].sum() < 6


@needs_envpool
@pytest.mark.parametrize("column", range(4))
def test_recorded_actions_replayed_by_plain_envpool(envpool, column):
    number, place = divmod(column, 2)
    pools = make_pools()
    seed = pools.pools[place].spec.config.seed + number
    pools.close()
    mode, difficulty = atari.make("breakout").variants[CONFIG.variants[place]]
    env = envpool.make_gymnasium(
        *("Breakout-v5",), num_envs=1, num_threads=1, seed=seed, mode=mode, difficulty=difficulty,
        max_episode_steps=8, repeat_action_probability=0.0, reward_clip=False,
    )  # fmt: skip
    for batch in by_actor():
        for t in range(6):
            env.send(batch.action[t, column : column + 1])
            observation, reward, terminated, truncated, info = env.recv()
            np.testing.assert_array_equal(observation[0], batch.observation[t + 1, column])
            assert (info["elapsed_step"][0] > 0) == batch.valid[t, column]
            assert reward[0] == batch.reward[t, column]
            assert terminated[0] == batch.terminated[t, column]
            assert truncated[0] == (info["elapsed_step"][0] == 8)
    env.close()


@needs_envpool
def test_an_episode_that_ends_by_its_rules_terminates(start):
    # Breakout without moving: five balls are lost in about 120 steps.
    pools = start("breakout", ["m00d0"], 1, time_limit=1000)
    fire = lambda params, inputs, carry, key: (np.ones(1, np.int32), np.zeros(1), carry, key)  # noqa: E731
    index = np.zeros(1, np.int32)
    actor = Actor(pools, fire, (), None, unroll_length=200, task_index=index)
    batch = actor.unroll((), 0)
    (end,) = np.flatnonzero(batch.terminated)
    assert 50 < end < 199
    np.testing.assert_array_equal(np.flatnonzero(~batch.valid), [0, end + 1])
    assert actor.books.last_length == end
    assert batch.last_return == batch.reward[: end + 1].sum()


@needs_envpool
def test_answers_come_in_the_order_of_the_emulators(start):
    pools = start("breakout", ["m00d0", "m04d0"], 3, emulator=atari.EmulatorConfig(pool_threads=2))
    for action in random_actions(20, 6):
        pools.send(action.astype(np.int32))
        for pool in pools.pools:
            np.testing.assert_array_equal(pool.recv()[-1]["env_id"], [0, 1, 2])


@needs_envpool
def test_a_column_is_a_pool_and_an_emulator(start):
    both = start("breakout", ["m00d0", "m44d1"], 2, seed=(5,))
    first = start("breakout", ["m00d0"], 2, seed=(5,))
    actions = random_actions(15, 4)
    together, alone = played(both, actions), played(first, actions[:, ::2])
    np.testing.assert_array_equal(together.observation[:, ::2], alone.observation)
    np.testing.assert_array_equal(together.reward[:, ::2], alone.reward)
    assert not np.array_equal(together.observation[:, 0], together.observation[:, 2])


@needs_envpool
def test_seeds_differ_between_pools_and_equal_seeds_repeat(start):
    make = functools.partial(start, "hero", ["m00d0", "m00d0"], 2)
    one, same, other = make(seed=(3, 1)), make(seed=(3, 1)), make(seed=(3, 2))
    seeds = [[pool.spec.config.seed for pool in pools.pools] for pools in (one, same, other)]
    assert seeds[0] == seeds[1]
    assert len({*seeds[0], *seeds[2]}) == 4
    actions = np.repeat(random_actions(20, 1), 4, axis=1)
    plays = [played(pools, actions) for pools in (one, same, other)]
    jax.tree.map(np.testing.assert_array_equal, plays[0], plays[1])
    games = np.concatenate([plays[0].observation, plays[2].observation], axis=1)
    # Up to 30 idle frames set them apart, so that two may be alike.
    assert len({games[:, column].tobytes() for column in range(8)}) > 4


@needs_envpool
def test_sticky_actions_change_the_play(start):
    make = functools.partial(start, "breakout", ["m00d0"], 1)
    actions = random_actions(40, 1)
    plays = [played(make(sticky=sticky), actions).observation for sticky in (0.0, 0.9, 0.9)]
    assert not np.array_equal(plays[0], plays[1])
    np.testing.assert_array_equal(plays[1], plays[2])


@needs_envpool
def test_the_coloured_twin_plays_the_same_game(start):
    make = functools.partial(start, "space_invaders", ["m00d0", "m05d1"], 1, time_limit=50)
    actions = random_actions(120, 2, num_actions=6)
    grey, coloured = (played(make(colour=colour), actions) for colour in (False, True))
    assert coloured.observation.shape == (120, 2, 3, 210, 160)
    for one, other in zip(grey[1:], coloured[1:], strict=True):
        np.testing.assert_array_equal(one, other)
    assert grey.reward.any()
    assert grey.truncated.any()


@needs_envpool
def test_an_unknown_variant_is_refused_before_anything_starts():
    with pytest.raises(UsageError, match="breakout has no variant 'm01d0'"):
        atari.Pools(atari.make("breakout"), ["m01d0"], 1, time_limit=10)
