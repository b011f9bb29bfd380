"""Experience of the planar system, worked out again with its networks."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_suite.ops import hypersphere
from jaxrl_suite.ops.distributions import DiagonalNormal
from jaxrl_suite.ops.latents import SPHERE
from jaxrl_suite.systems import ase
from jaxrl_suite.systems.ase import acting
from jaxrl_suite.systems.ase import params as asking
from tests.systems.ase.small import CONFIG, HIGH, HYPER, begun

STEPS = 60
LONG = dataclasses.replace(
    CONFIG, num_steps=STEPS, replay=480, rules=dataclasses.replace(CONFIG.rules, horizon=25)
)


@functools.cache
def played():
    """Parameters with normalisers that are not the first ones, and what they do."""
    env = ase.make_character(LONG)
    nets = asking.low_nets(LONG, env.action_size)
    params = begun(LONG).learner.params
    values = params.values._replace(mean=jnp.asarray(1.5), variance=jnp.asarray(4.0))
    inputs = params.inputs._replace(mean=jnp.array([0.3, -0.2]), variance=jnp.array([0.5, 2.0]))
    params = params._replace(values=values, inputs=inputs)
    source = acting.low_source(env, LONG)
    state = source.init(jax.random.key(1), jax.tree.map(jnp.asarray, HYPER), params)
    # Latents that end within this rollout.
    state = state._replace(latents=state.latents._replace(left=1 + jnp.arange(8)))
    after, rows = jax.jit(source.sample)(state, params, jax.random.key(2))
    return env, nets, params, state, after, rows


def test_what_an_action_leads_to_is_valued_under_its_own_latent():
    _, nets, params, _, _, rows = played()
    latent, ended = np.asarray(rows.latent), np.asarray(rows.ended)
    value = asking.value(nets, params, rows.observation, rows.latent)
    np.testing.assert_allclose(rows.value, value, atol=1e-5)
    # Where no episode ends the next row's observation is what the action led to.
    old = asking.value(nets, params, rows.observation[1:], rows.latent[:-1])
    np.testing.assert_allclose(
        np.asarray(rows.next_value[:-1])[~ended[:-1]], np.asarray(old)[~ended[:-1]], atol=1e-5
    )
    switched = (latent[1:] != latent[:-1]).any(-1) & ~ended[:-1]
    assert switched.sum() >= 6
    apart = np.abs(np.asarray(rows.next_value[:-1] - rows.value[1:]))
    assert apart[switched].max() > 1e-3
    np.testing.assert_allclose(apart[~switched & ~ended[:-1]], 0, atol=1e-5)


def test_actions_have_noise_where_they_say_so():
    _, nets, params, _, _, rows = played()
    mean = asking.mean_action(nets, params, rows.observation, rows.latent)
    noisy = np.asarray(rows.noisy) > 0
    apart = np.abs(np.asarray(rows.action - mean)).max(-1)
    np.testing.assert_allclose(apart[~noisy], 0, atol=1e-6)
    assert (apart[noisy] > 1e-4).mean() > 0.95
    policy = DiagonalNormal(mean, jnp.full(mean.shape, HYPER.log_std))
    np.testing.assert_allclose(rows.log_prob, policy.log_prob(rows.action), atol=1e-3)
    spread = np.asarray(rows.action - mean)[noisy].std()
    assert spread == pytest.approx(np.exp(HYPER.log_std), rel=0.15)


def test_the_first_environment_has_noise_and_the_last_never():
    rows = played()[-1]
    noisy = np.asarray(rows.noisy)
    assert noisy[:, 0].all()
    assert not noisy[:, -1].any()
    for count in (2, 8, 4096):
        share = np.asarray(acting.noisy_share(count))
        place = np.arange(count) / (count - 1)
        np.testing.assert_allclose(share, 1 - np.exp(10 * (place - 1)), atol=1e-5)
        assert share[-1] == 0
        assert share[0] > 0.9999
    assert float(acting.noisy_share(1)[0]) > 0.9999


def test_without_the_mixture_all_actions_have_noise():
    config = dataclasses.replace(CONFIG, mixed=False)
    env, params = ase.make_character(config), begun().learner.params
    source = acting.low_source(env, config)
    state = source.init(jax.random.key(1), HYPER, params)
    _, rows = jax.jit(source.sample)(state, params, jax.random.key(2))
    assert (np.asarray(rows.noisy) == 1).all()


def test_a_latent_changes_when_its_time_is_up_or_its_episode_ends():
    _, _, _, state, after, rows = played()
    latent, ended = np.asarray(rows.latent), np.asarray(rows.ended)
    assert ended.any()
    changed = (latent[1:] != latent[:-1]).any(-1)
    assert changed[ended[:-1]].all()
    # The first change of each is after as many actions as were left, for none ends so early.
    assert not ended[:8].any()
    np.testing.assert_array_equal(changed.argmax(0) + 1, state.latents.left)
    np.testing.assert_allclose(np.linalg.norm(latent, axis=-1), 1.0, rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(after.latents.z, axis=-1), 1.0, rtol=1e-5)


def test_latents_last_1_to_149_actions_evenly():
    left = np.asarray(asking.drawn(jax.random.key(0), SPHERE, (60_000, 2)).left)
    assert (left.min(), left.max()) == (1, 149)
    counts = np.bincount(left, minlength=150)[1:]
    expected = len(left) / 149
    assert np.abs(counts - expected).max() < 5 * np.sqrt(expected)
    # A latent with k left is followed for k actions.
    told = asking.Latents(jnp.array([[1.0, 0], [0, 1.0]]), jnp.array([1, 2]))
    after = asking.switched(jax.random.key(1), SPHERE, told, jnp.zeros(2, bool))
    assert (np.asarray(after.z) != np.asarray(told.z)).any(1).tolist() == [True, False]
    assert int(after.left[1]) == 1


def test_windows_are_those_before_the_reset():
    """At an end the newest frame is the velocity that the body had, not that of a new start."""
    env, _, _, _, _, rows = played()
    window = np.asarray(rows.window).reshape(STEPS, 8, 3, 2)
    ended = np.asarray(rows.ended)
    body = np.asarray(rows.observation)[..., :2]
    # By the point's own law: 0.3 of the way to the velocity that is asked for.
    asked = 2.0 * np.clip(rows.action, -1, 1)
    expected = body + 0.3 * (asked - body)
    np.testing.assert_allclose(window[:, :, 0], expected, atol=1e-5)
    goes_on = ~ended[:-1]
    np.testing.assert_array_equal(window[1:, :, 1][goes_on], window[:-1, :, 0][goes_on])
    assert np.abs(body[1:][ended[:-1]] - window[:-1, :, 0][ended[:-1]]).max() > 1e-2
    assert rows.clips.shape == (LONG.demonstrations, env.observation_sizes["window"])
    np.testing.assert_allclose(np.linalg.norm(rows.clips[:, :2], axis=1), 1.0, rtol=1e-3)


def test_a_time_limit_ends_and_does_not_terminate():
    rows = played()[-1]
    ended = np.asarray(rows.ended)
    assert not np.asarray(rows.terminated).any()
    np.testing.assert_array_equal(np.flatnonzero(ended[:, 0]), [24, 49])
    np.testing.assert_array_equal(np.asarray(rows.length)[ended], 25)
    assert np.isnan(np.asarray(rows.length)[~ended]).all()
    assert np.isnan(np.asarray(rows.total)[~ended]).all()


def test_a_latent_is_followed_for_so_many_actions_without_noise():
    """One step of the high level against its low-level actions one by one."""
    env = ase.make_character(HIGH)
    nets = asking.low_nets(HIGH, env.action_size)
    skills = begun(CONFIG).learner.params
    world = env.world(jax.random.key(0))
    keys = jax.random.split(jax.random.key(1), 4)
    episode, seen = jax.vmap(env.reset, in_axes=(0, None))(keys, world)
    z = hypersphere.uniform(jax.random.key(2), (4, 3))
    found, told, style, _ = acting.follow_latent(
        env, nets, skills, episode, seen, z, world, jax.random.key(3), 3
    )
    rewards, styles = [], []
    for _ in range(3):
        action = asking.mean_action(nets, skills, seen["body"], z)
        episode, step = jax.vmap(env.step, in_axes=(0, 0, None, None))(
            episode, action, jax.random.key(0), world
        )
        seen = step.observation
        rewards.append(step.reward)
        logit, _ = asking.judged(nets, skills, seen["window"])
        styles.append(-2 * np.log(np.maximum(1 - jax.nn.sigmoid(logit), 1e-4)))
    np.testing.assert_allclose(found.state.position, episode.state.position, atol=1e-6)
    np.testing.assert_allclose(told.reward, np.mean(rewards, 0), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(style, np.mean(styles, 0), rtol=1e-4)
    np.testing.assert_allclose(told.observation["task"], seen["task"], atol=1e-5)


def test_an_end_within_a_high_level_step_ends_it():
    env = ase.make_character(HIGH)
    nets = asking.low_nets(HIGH, env.action_size)
    world = env.world(jax.random.key(0))
    keys = jax.random.split(jax.random.key(1), 4)
    episode, seen = jax.vmap(env.reset, in_axes=(0, None))(keys, world)
    z = hypersphere.uniform(jax.random.key(2), (4, 3))
    # The second goes over the limit with its first action, the third falls off at once.
    far = episode.state.position.at[2].set(100.0)
    episode = episode._replace(
        step=jnp.array([0, 19, 2, 0]), state=episode.state._replace(position=far)
    )
    args = (env, nets, begun(CONFIG).learner.params, episode, seen, z, world, keys[0], 3)
    after, told, *_ = acting.follow_latent(*args)
    assert np.asarray(told.terminated).tolist() == [False, False, True, False]
    assert np.asarray(told.truncated).tolist() == [False, True, False, False]
    # Nothing is reset meanwhile.
    np.testing.assert_array_equal(after.step, [3, 22, 5, 3])
