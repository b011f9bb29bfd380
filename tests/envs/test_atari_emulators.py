"""Atari: the settings of the emulators and (with EnvPool) the emulators themselves."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_suite.core import UsageError
from jaxrl_suite.envs import atari, rollout
from jaxrl_suite.envs.atari.actor import Actor
from jaxrl_suite.envs.atari.games import NUM_ALL_ACTIONS
from jaxrl_suite.envs.atari.pools import PoolStep
from jaxrl_suite.envs.atari.scan import scan_rollout
from jaxrl_suite.systems.impala import emulated
from jaxrl_suite.systems.impala.config import Config
from tests.envs.atari_games import each_game

needs_envpool = pytest.mark.envpool


@pytest.mark.parametrize(
    ("change", "message"),
    [({"noop_max": 0}, "noop_max must be at least 1"), ({"pool_threads": -1}, "pool_threads must")],
)
def test_emulator_settings_outside_their_range(change, message):
    with pytest.raises(UsageError, match=message):
        atari.EmulatorConfig(**change).check()


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
