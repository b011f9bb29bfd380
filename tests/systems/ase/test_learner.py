"""What an update does: its optimiser, its resumption, its seeds, and that it learns."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxrl_suite.core import train
from jaxrl_suite.ops import hypersphere, running
from jaxrl_suite.ops.latents import SPHERE
from jaxrl_suite.systems import ase
from jaxrl_suite.systems.ase import evaluate as evaluating
from jaxrl_suite.systems.ase import learner as level
from jaxrl_suite.systems.ase import losses, metrics
from jaxrl_suite.systems.ase import params as asking
from jaxrl_suite.systems.ase.learner import Rows
from tests.systems.ase.small import CONFIG, HYPER, begun, same, system, trained, update

NETS = asking.low_nets(CONFIG, 2)


@functools.cache
def minibatch():
    """Rows and windows of no experience at all."""
    key = jax.random.split(jax.random.key(3), 8)
    normal = lambda i, *shape: jax.random.normal(key[i], shape)  # noqa: E731
    rows = Rows(
        normal(0, 16, 2),
        hypersphere.uniform(key[1], (16, 3)),
        0.3 * normal(2, 16, 2),
        normal(3, 16) - 1.0,
        jnp.asarray(np.arange(16) % 3 > 0, jnp.float32),
        normal(4, 16),
        normal(5, 16),
        normal(6, 16, 6),
    )
    windows = tuple(normal(7, 3, 8, 6) + jnp.array([0.0, 0.5, 2.0])[:, None, None])
    return rows, windows


def loss(weights, rows, windows, hyper=HYPER):
    return level.loss(NETS, CONFIG, hyper, weights, rows, windows, jax.random.key(4))


def weights_of(state):
    return level._weights(state.learner.params)


def test_the_loss_is_the_weighted_sum_of_its_terms():
    rows, windows = minibatch()
    total, told = loss(weights_of(begun()), rows, windows)
    kernels = losses.kernels(begun().learner.params.discriminator)
    judge = told["discriminator_loss"] + 5 * told["gradient_penalty"]
    judge += 0.01 * jnp.sum(begun().learner.params.discriminator["logit"]["kernel"] ** 2)
    judge += 1e-4 * sum(jnp.sum(kernel**2) for kernel in kernels)
    expected = told["surrogate"] + 5 * told["value_error"] + 10 * told["bound"] + 5 * judge
    expected += 5 * told["encoder_loss"] + 0.01 * told["diversity"]
    assert float(total) == pytest.approx(float(expected), rel=1e-5)


def test_rows_without_noise_move_the_actor_not_at_all_and_the_others_as_ever():
    rows, windows = minibatch()
    quiet = rows._replace(noisy=jnp.zeros(16))
    gradient = jax.jit(lambda w, r: jax.grad(loss, has_aux=True)(w, r, windows)[0])
    none, some = gradient(weights_of(begun()), quiet), gradient(weights_of(begun()), rows)
    assert all((np.asarray(x) == 0).all() for x in jax.tree.leaves(none["actor"]))
    assert any(np.abs(x).max() > 1e-4 for x in jax.tree.leaves(some["actor"]))
    same(none["critic"], some["critic"])
    same(none["discriminator"], some["discriminator"])
    assert np.abs(some["discriminator"]["encoder"]["kernel"]).max() > 0
    # What the quiet rows did has no weight in what the others teach.
    is_quiet = rows.noisy[:, None] == 0
    other = rows._replace(
        action=jnp.where(is_quiet, 9.0, rows.action),
        advantage=jnp.where(is_quiet[:, 0], -50.0, rows.advantage),
    )
    same(gradient(weights_of(begun()), other)["actor"], some["actor"])


def test_advantages_are_standardised_over_the_noisy_rows_alone():
    advantage, noisy = jnp.array([1.0, 3, 5, 900]), jnp.array([1.0, 1, 1, 0])
    found = np.asarray(level._standardised(advantage, noisy))[:3]
    np.testing.assert_allclose(found, np.array([-1, 0, 1]) / np.sqrt(2 / 3), rtol=1e-5)


def flat(tree):
    return np.concatenate([np.asarray(x).ravel() for x in jax.tree.leaves(tree)])


def test_equal_rates_are_one_joint_optimiser():
    """optax.adam over all parameters at once, minibatch after minibatch of an update."""
    state = begun()
    rate = 3e-4
    hyper = HYPER._replace(learning_rate=rate, critic_rate=rate, discriminator_rate=rate)
    rows, _ = minibatch()
    batch = jax.tree.map(lambda x: jnp.concatenate([x, 0.7 * x, 1.2 * x]), rows)
    batch = batch._replace(noisy=jnp.ones(48))
    of = state.learner._replace(hyper=jax.tree.map(jnp.asarray, hyper))
    demonstrations = jax.random.normal(jax.random.key(8), (16, 6))
    found = level._epochs(NETS, CONFIG, of, of.params, batch, demonstrations)[0]

    key, drawing, *orders = jax.random.split(of.key, 2 + CONFIG.epochs)
    order = jnp.concatenate([jax.random.permutation(k, 48) for k in orders]).reshape(-1, 16)
    adam = optax.adam(rate)
    weights = weights_of(state)
    moments = adam.init(weights)
    for index, key in zip(order, jax.random.split(drawing, len(order)), strict=True):
        part = jax.tree.map(lambda x, i=index: x[i], batch)
        draw, other = jax.random.split(key)
        which = jax.random.split(draw)[1]
        own, some = part.window[:8], jax.random.randint(which, (8,), 0, 16)
        normal = lambda x: running.normalised(of.params.windows, x, 5.0)  # noqa: E731
        # The ring is empty: old windows are those of now.
        windows = tuple(map(normal, (own, own, demonstrations[some])))
        one = lambda w, p=part, x=windows, k=other: level.loss(NETS, CONFIG, hyper, w, p, x, k)[0]  # noqa: E731
        change, moments = adam.update(jax.grad(one)(weights), moments)
        weights = optax.apply_updates(weights, change)
    for name, expected in weights.items():
        moved = flat(expected) - flat(weights_of(state)[name])
        assert np.abs(moved).max() > rate
        np.testing.assert_allclose(flat(getattr(found, name)), flat(expected), atol=0.02 * rate)


def test_each_network_has_its_own_rate():
    still = jax.tree.map(jnp.asarray, HYPER._replace(critic_rate=0.0, discriminator_rate=0.0))
    state = begun()
    state = state._replace(learner=state.learner._replace(hyper=still))
    after = update()(state)[0].learner.params
    same(after.critic, state.learner.params.critic)
    same(after.discriminator, state.learner.params.discriminator)
    assert np.abs(flat(after.actor) - flat(state.learner.params.actor)).max() > 1e-5


def test_the_discriminators_loss_falls_on_one_batch():
    rows, windows = minibatch()
    weights = weights_of(begun())["discriminator"]
    adam = optax.adam(3e-3)

    def judge(p):
        apply = lambda w, x: NETS.discriminator.apply({"params": w}, x)  # noqa: E731
        total, guess, told = losses.discriminator_loss(apply, p, *windows, (5.0, 0.01, 1e-4))
        encoder = losses.encoder_loss(SPHERE, guess, rows.latent[:8])
        return total + encoder, told | {"encoder": encoder}

    def step(carry, _):
        weights, moments = carry
        gradient, told = jax.grad(judge, has_aux=True)(weights)
        change, moments = adam.update(gradient, moments)
        return (optax.apply_updates(weights, change), moments), told

    told = jax.jit(lambda: jax.lax.scan(step, (weights, adam.init(weights)), length=400)[1])()
    assert told["discriminator_loss"][-1] < 0.9 * told["discriminator_loss"][0]
    assert told["accuracy_clips"][-1] > 0.7
    assert told["accuracy_policy"][-1] > 0.7
    assert told["encoder"][-1] < -0.8


def test_three_and_three_updates_are_six_bit_for_bit_and_traced_once():
    whole, _ = trained(CONFIG, 6)
    run = jax.jit(train(system(), 3))
    half, _ = run(begun())
    again, _ = run(half)
    same(again, whole)
    assert run._cache_size() == 1
    assert int(whole.num_updates) == 6


@pytest.mark.slow
def test_two_seeds_at_once_are_two_runs():
    keys = jax.random.split(jax.random.key(4), 2)
    played = system()
    run = lambda key: train(played, 2)(played.init(key))  # noqa: E731
    together, _ = jax.jit(jax.vmap(run))(keys)
    alone, _ = jax.jit(run)(keys[1])
    other, own = (
        flat(jax.tree.map(lambda x, i=i: x[i], together.learner.params.actor)) for i in range(2)
    )
    expected = flat(alone.learner.params.actor)
    # Adam's first steps are the gradients' signs, which rounding turns where they are near 0.
    assert np.median(np.abs(own - expected)) < 1e-5
    assert np.abs(other - expected).max() > 1e-3


def test_metrics_are_few_finite_numbers():
    _, told = trained(CONFIG, 6)
    assert all(x.shape == (6,) for x in told.values())
    for name, x in told.items():
        if name not in ("return", "length"):  # none before the first episode ends
            assert np.isfinite(x).all(), name
    assert (np.asarray(told["kl"]) > -0.1).all()
    assert np.asarray(told["skill_reward"]).max() <= 1
    np.testing.assert_array_equal(told["diverged"], 0)
    # Episodes of 20 actions, updates of 6: the eight end in the fourth.
    np.testing.assert_array_equal(told["episodes"], [0, 0, 0, 8, 0, 0])


def test_old_windows_are_kept_and_normalisers_have_seen_all():
    state, _ = trained(CONFIG, 6)
    # 48 an update fill 96 places in two, then ten each.
    assert int(state.learner.replay.count) == 96 + 4 * 10
    assert float(state.learner.params.inputs.count) == pytest.approx(6 * 48, rel=1e-5)
    # As many of the policy as of clips.
    assert float(state.learner.params.windows.count) == pytest.approx(6 * (16 + 16), rel=1e-5)
    assert float(state.learner.params.values.count) == pytest.approx(6 * 96, rel=1e-5)


PLANAR = ase.PRESETS["planar"]
SEEDS, WATCHED = 3, 32


@pytest.mark.slow
def test_skills_are_found_and_cover_the_clips_and_without_an_encoder_they_are_not():
    config = PLANAR.config
    whole, env = ase.make(config, PLANAR.hyper), ase.make_character(config)
    none = PLANAR.hyper._replace(skill=0.0, encoder=0.0, diversity=0.0)
    both = jax.tree.map(lambda *x: jnp.asarray(x), PLANAR.hyper, none)

    def run(hyper, key):
        begin = whole.init(key, hyper)
        state, told = train(whole, PLANAR.num_updates)(begin)
        world, params = state.source.world, state.learner.params
        start = evaluating.starts(env, world, jax.random.key(5), 64)
        z = hypersphere.uniform(jax.random.key(6), (64, config.networks.latent))
        trace = evaluating.play_low(
            env, config, params, world, start, jnp.tile(z[None], (WATCHED, 1, 1)),
            jax.random.key(7), evaluating.windows,
        )  # fmt: skip
        labels = metrics.nearest(trace.seen[-8:], metrics.references(env, world), params.windows)
        shares = metrics.histogram(labels, jnp.ones(labels.shape), 8)
        return told["skill_reward"], metrics.coverage(shares)

    many = jax.jit(jax.vmap(jax.vmap(run, (None, 0)), (0, None)))
    skill, covered = jax.device_get(many(both, jax.random.split(jax.random.key(0), SEEDS)))
    found = skill[..., -20:].mean(-1)
    assert (found[0] > skill[0, :, 0] + 0.2).all()
    assert (found[0] > found[1] + 0.2).all()
    # One of many skills may be spread by chance without an encoder; on the whole none is.
    assert covered["coverage"][0].mean() > 0.9
    assert covered["coverage"][0].mean() > covered["coverage"][1].mean() + 0.1
    assert (covered["entropy"][0] > covered["entropy"][1]).all()
