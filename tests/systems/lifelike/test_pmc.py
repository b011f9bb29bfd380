import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_suite.ops.distributions import DiagonalNormal
from jaxrl_suite.systems.lifelike import Hyper, Networks, pmc
from tests.systems.lifelike.small import CONFIG, HYPER, flat

PLAIN = Networks()


def observed(*lead, seed=0):
    keys = jax.random.split(jax.random.key(seed))
    return {
        "body": jax.random.normal(keys[0], (*lead, 135)),
        "future": jax.random.normal(keys[1], (*lead, 72)),
    }


def policy_of(**networks):
    networks = dataclasses.replace(CONFIG.networks, averaged=False, k_means=False, **networks)
    config = dataclasses.replace(CONFIG, networks=networks)
    policy = pmc.policy(config)
    hyper = jax.tree.map(jnp.asarray, HYPER)
    return config, policy, policy.init(jax.random.key(1), hyper, ())


def acted(policy, params, n=6, seed=0):
    seen, fresh = observed(n, seed=seed), jnp.zeros(n, bool)
    return seen, policy.act(params, seen, policy.memory(n), fresh, jax.random.key(2))[1]


def test_parameters_are_as_many_as_the_paper_s():
    config = dataclasses.replace(CONFIG, networks=PLAIN)
    params = pmc.policy(config).init(jax.random.key(0), jax.tree.map(jnp.asarray, HYPER), ())
    weights = {name: x for name, x in params.weights.items() if name != "prior"}  # is ours
    normalisers = 2 * (135 + 72)
    assert len(flat(weights)) + normalisers == 358_647


LATENTS = [
    {"latent": "vq"},
    {"latent": "fsq", "width": 2, "grid": 3},
    {"latent": "gaussian"},
    {"latent": "gaussian", "conditional": False},
    {"latent": "ar1"},
    {"latent": "none"},
]


@pytest.mark.parametrize("networks", LATENTS)
def test_what_acted_is_judged_alike(networks):
    """The first ratio of probabilities is 1, and values are those that acted."""
    _, policy, params = policy_of(**networks)
    seen, done = acted(policy, params)
    row = jax.tree.map(lambda x: x[None], (seen, jnp.zeros(6, bool), done.action, done.noise))
    observation, fresh, action, noise = row
    judged = policy.judge(
        params.weights, params, HYPER, observation, fresh, policy.memory(6), action, noise
    )
    np.testing.assert_allclose(judged.log_prob[0], done.log_prob, atol=1e-5)
    np.testing.assert_allclose(judged.value[0], done.value, atol=1e-6)
    assert np.isfinite(float(judged.loss))


@pytest.mark.parametrize("networks", LATENTS)
def test_the_decoder_does_not_see_what_is_to_come(networks):
    """Another future moves actions, and none if the encoder says the same of everything."""
    _, policy, params = policy_of(**networks)
    one, fresh = observed(5), jnp.zeros(5, bool)
    other = one | {"future": -4.0 * one["future"]}

    def moved(weights):
        actions = [
            policy.act(
                params._replace(weights=weights), x, policy.memory(5), fresh, jax.random.key(2)
            )[1].action
            for x in (one, other)
        ]
        return np.abs(actions[0] - actions[1]).max()

    assert moved(params.weights) > 0
    mute = jax.tree.map(jnp.zeros_like, params.weights["encoder"])
    assert moved(params.weights | {"encoder": mute}) == 0


def test_an_encoder_that_is_not_conditional_sees_the_future_alone():
    config, _, params = policy_of(latent="gaussian", conditional=False)
    nets = pmc.nets_of(config.networks)
    one = observed(5)
    other = one | {"body": one["body"] + 1.0}
    noise = jnp.zeros((5, config.networks.width))
    a, b = (pmc.encode(config.networks, nets, params.weights, x, noise).z for x in (one, other))
    np.testing.assert_array_equal(a, b)


def test_vq_s_loss_by_hand():
    """Codebook loss and commitment, means over dimensions, with their weights."""
    config, policy, params = policy_of(latent="vq")
    seen, done = acted(policy, params)
    nets = pmc.nets_of(config.networks)
    z = np.asarray(
        nets.encoder.apply(
            {"params": params.weights["encoder"]},
            jnp.concatenate([seen["body"], seen["future"]], axis=-1),
        )
    )
    codebook = np.asarray(params.weights["codebook"])
    nearest = ((z[:, None] - codebook[None]) ** 2).sum(-1).argmin(1)
    np.testing.assert_array_equal(done.told["code"], nearest)
    apart = np.mean((z - codebook[nearest]) ** 2)
    row = jax.tree.map(lambda x: x[None], (seen, jnp.zeros(6, bool), done.action, done.noise))
    observation, fresh, action, noise = row
    hyper = Hyper(codebook=2.0, commitment=0.25)

    def total(weights):
        judged = policy.judge(
            weights, params, hyper, observation, fresh, policy.memory(6), action, noise
        )
        return judged.loss - judged.metrics["prior_nats"]

    assert float(total(params.weights)) == pytest.approx(2.25 * apart, rel=1e-5)
    pulled = np.asarray(jax.grad(total)(params.weights)["codebook"])
    expected = np.zeros_like(codebook)
    np.add.at(expected, nearest, 2.0 * 2.0 * (codebook[nearest] - z) / z.size)
    np.testing.assert_allclose(pulled, expected, atol=1e-6)


def test_policy_s_gradient_passes_the_codebook_straight_to_the_encoder():
    _, policy, params = policy_of(latent="vq")
    seen, done = acted(policy, params)
    row = jax.tree.map(lambda x: x[None], (seen, jnp.zeros(6, bool), done.action, done.noise))
    observation, fresh, action, noise = row

    def likely(weights):
        judged = policy.judge(
            weights, params, HYPER, observation, fresh, policy.memory(6), action, noise
        )
        return jnp.sum(judged.log_prob)

    gradient = jax.grad(likely)(params.weights)
    assert np.abs(flat(gradient["encoder"])).max() > 0
    assert np.abs(flat(gradient["decoder"])).max() > 0
    np.testing.assert_array_equal(flat(gradient["codebook"]), 0)
    np.testing.assert_array_equal(flat(gradient["prior"]), 0)


def test_prior_teaches_nobody_but_itself():
    _, policy, params = policy_of(latent="vq")
    seen, done = acted(policy, params)
    row = jax.tree.map(lambda x: x[None], (seen, jnp.zeros(6, bool), done.action, done.noise))
    observation, fresh, action, noise = row

    def nats(weights):
        judged = policy.judge(
            weights, params, HYPER, observation, fresh, policy.memory(6), action, noise
        )
        return judged.metrics["prior_nats"]

    gradient = jax.grad(nats)(params.weights)
    assert np.abs(flat(gradient.pop("prior"))).max() > 0
    np.testing.assert_array_equal(flat(gradient), 0)


def test_divergence_of_a_normal_latent_by_hand():
    r"""KL(N(m, s^2) || N(0, 1)) = (s^2 + m^2 - 1) / 2 - log s, summed over dimensions."""
    normal = DiagonalNormal(jnp.array([[0.5, -1.0]]), jnp.log(jnp.array([[2.0, 0.5]])))
    before, fresh = jnp.array([[1.0, 2.0]]), jnp.array([True])
    expected = (4 + 0.25 - 1) / 2 - np.log(2) + (0.25 + 1 - 1) / 2 - np.log(0.5)
    for correlation in (0.0, 0.95):  # an episode that begins has nothing to follow
        found = pmc.divergence(normal, before, fresh, jnp.asarray(correlation))
        assert float(found[0]) == pytest.approx(expected, rel=1e-5)


def test_divergence_from_what_came_before_by_hand():
    """The prior is N(0.6 z, 0.8^2): 1 - 0.6^2 = 0.64."""
    normal = DiagonalNormal(jnp.array([[0.5]]), jnp.log(jnp.array([[2.0]])))
    found = pmc.divergence(normal, jnp.array([[2.0]]), jnp.array([False]), jnp.asarray(0.6))
    expected = (4 / 0.64 + (0.5 - 1.2) ** 2 / 0.64 - 1) / 2 - np.log(2 / 0.8)
    assert float(found[0]) == pytest.approx(expected, rel=1e-5)


def test_ar1_follows_the_latent_before_within_a_sequence():
    config, policy, params = policy_of(latent="ar1")
    nets = pmc.nets_of(config.networks)
    seen = observed(3, 2)
    fresh = jnp.zeros((3, 2), bool).at[0, 0].set(True)
    memory, noise = jnp.ones((2, 4)), jax.random.normal(jax.random.key(5), (3, 2, 4))
    action = jnp.zeros((3, 2, 12))
    judged = policy.judge(params.weights, params, HYPER, seen, fresh, memory, action, noise)
    found = pmc.encode(config.networks, nets, params.weights, seen, noise)
    kl = []
    for t in range(3):
        before = memory if t == 0 else found.z[t - 1]
        normal = DiagonalNormal(found.normal.mean[t], found.normal.log_std[t])
        kl.append(pmc.divergence(normal, before, fresh[t], jnp.asarray(HYPER.correlation)))
    assert float(judged.metrics["latent_kl"]) == pytest.approx(float(np.mean(kl)), rel=1e-5)


def test_grid_s_codebook_is_what_is_passed():
    config, _, params = policy_of(latent="fsq", width=3, grid=3)
    found = pmc.encode(
        config.networks, pmc.nets_of(config.networks), params.weights, observed(64), jnp.zeros(())
    )
    codebook = pmc.codebook_of(config.networks, params.weights)
    assert codebook.shape == (27, 3)
    np.testing.assert_allclose(codebook[found.code], found.passed, atol=1e-6)
    assert len(set(np.asarray(found.code).tolist())) > 3


def test_a_codebook_begins_with_clusters_and_then_follows_its_latents():
    config, policy, params = policy_of()
    networks = dataclasses.replace(config.networks, averaged=True, k_means=True)
    policy = pmc.policy(dataclasses.replace(config, networks=networks))
    seen = observed(8, 16)
    yes, no = jnp.asarray(True), jnp.asarray(False)
    hyper = HYPER._replace(least=0.0)
    first = policy.settle(params, hyper, seen, yes, jax.random.key(0))
    nets = pmc.nets_of(networks)
    z = pmc.encode(networks, nets, params.weights, seen, jnp.zeros(())).z.reshape(-1, 4)
    away = lambda codebook: float(  # noqa: E731
        jnp.mean(jnp.min(jnp.sum((z[:, None] - codebook[None]) ** 2, axis=-1), axis=1))
    )
    before, after = params.weights["codebook"], first.weights["codebook"]
    assert away(after) < 0.7 * away(before)
    later = policy.settle(params, hyper, seen, no, jax.random.key(0))
    assert away(after) < away(later.weights["codebook"])  # no clusters later on
    rest = {n: x for n, x in first.weights.items() if n != "codebook"}
    assert all(rest[n] is params.weights[n] for n in rest)
