import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_suite.core import UsageError
from jaxrl_suite.systems.lifelike import Followed, evaluate, follow, generate, pmc, ppo, scores
from jaxrl_suite.systems.lifelike.metrics import of_codes
from tests.systems.lifelike import probes
from tests.systems.lifelike.small import CONFIG, HYPER

COUNT, STEPS = 16, 8
CONFIG = dataclasses.replace(CONFIG, eval_seconds=STEPS * 0.02)


def test_codes_by_hand():
    code = jnp.array([[0, 5], [0, 5], [1, 5], [1, 2], [0, 7]])
    going = jnp.array([[1, 1], [1, 1], [1, 1], [1, 0], [1, 0]], bool)
    found = of_codes(code, going, 8)
    share = np.array([3, 2, 3]) / 8  # of 0, 1 and 5
    assert float(found["perplexity"]) == pytest.approx(np.exp(-(share * np.log(share)).sum()))
    assert float(found["used"]) == 3 / 8
    assert float(found["dwell"]) == pytest.approx(8 / 4)  # 2, 2, 1 and 3 steps


def test_one_code_forever():
    found = of_codes(jnp.full((4, 3), 6), jnp.ones((4, 3), bool), 8)
    assert float(found["perplexity"]) == pytest.approx(1.0)
    assert float(found["used"]) == 1 / 8
    assert float(found["dwell"]) == 4.0


def test_scores_by_hand():
    reward = jnp.array([[1.0, 0.5], [0.5, 0.0], [0.0, 0.0]])
    going = jnp.array([[1, 1], [1, 0], [0, 0]], bool)
    none = jnp.zeros(2, jnp.int32)
    score, length = scores(Followed(reward, going, going, none, jnp.array([3.0, 2.0]), ()))
    np.testing.assert_allclose(score, [0.5, 0.25])
    np.testing.assert_allclose(length, [2 / 3, 0.5], rtol=1e-6)


def config_of(latent):
    return dataclasses.replace(CONFIG, networks=dataclasses.replace(CONFIG.networks, latent=latent))


@functools.cache
def params_of(latent):
    return probes.params_of(pmc.policy(config_of(latent)), HYPER, seed=1, scale=1.0)


def watch(episode):
    return episode.action, episode.seed, episode.step


def normalised(params, seen):
    """What a robot saw before each of its steps, as networks see it."""
    _, seed, step = seen
    look = jax.vmap(jax.vmap(probes.sight))
    return ppo.shown(params.inputs, look(seed, step - 1), HYPER.input_clip)


def test_clips_are_followed_to_their_end_and_no_further():
    params, world = params_of("vq"), probes.clips()

    @jax.jit
    def play(share, key):
        return follow(CONFIG, world, params, HYPER, share, COUNT, key, watch)

    told = play(jnp.array([0.5, 0.0, 0.5]), jax.random.key(0))
    segment = np.asarray(told.segment)
    assert set(segment.tolist()) == {0, 2}
    length = np.asarray(told.going).sum(0)
    assert set(length.tolist()) == {2, 3, 4, 5}
    np.testing.assert_allclose(told.reward.sum(0), 0.5 * segment * length)
    np.testing.assert_array_equal(told.possible, np.full(COUNT, 6.0))
    # By the nearest code and the mean of the action.
    nets, seen = pmc.nets_of(CONFIG.networks), normalised(params, told.seen)
    found = pmc.encode(CONFIG.networks, nets, params.weights, seen, jnp.zeros(()))
    np.testing.assert_array_equal(told.code, found.code)
    mean = pmc.decode(nets, params.weights, seen["body"], found.passed).mean
    np.testing.assert_allclose(told.seen[0], mean, atol=1e-4)


def test_an_evaluation_begins_anywhere():
    config = dataclasses.replace(CONFIG, eval_episodes=COUNT)
    found = jax.jit(
        lambda key: evaluate.evaluate(config, probes.clips(), params_of("vq"), HYPER, key)
    )(jax.random.key(0))
    assert set(found) == {"score", "length", "perplexity", "used", "dwell"}
    assert 2 / 6 < float(found["length"]) < 5 / 6
    assert 0 < float(found["score"]) < 1.0 * float(found["length"])
    assert 1 <= float(found["perplexity"]) <= 8


def moving(latent, prior, params, hyper=HYPER, count=64):
    config, world = config_of(latent), probes.clips()
    fallen = lambda episode: episode.step > episode.length  # noqa: E731

    @jax.jit
    def play(params, key):
        return generate(config, world, params, hyper, prior, count, STEPS, key, watch, fallen)

    return play(params, jax.random.key(0))


def test_codes_that_are_all_alike():
    params = params_of("vq")
    told = moving("vq", "uniform", params)
    share = np.bincount(np.asarray(told.code).ravel(), minlength=8) / told.code.size
    np.testing.assert_allclose(share, 1 / 8, atol=5 * np.sqrt(7 / 64 / told.code.size))
    nets, seen = pmc.nets_of(CONFIG.networks), normalised(params, told.seen)
    latent = params.weights["codebook"][told.code]
    mean = pmc.decode(nets, params.weights, seen["body"], latent).mean
    np.testing.assert_allclose(told.seen[0], mean, atol=1e-4)
    assert set(np.asarray(told.going).sum(0).tolist()) == {3, 4, 5, 6}


def test_codes_from_the_learned_prior():
    params = params_of("vq")
    prior = params.weights["prior"]
    head = jax.tree.map(jnp.zeros_like, prior["logits"])
    head["bias"] = head["bias"].at[jnp.array([3, 6])].set(20.0)
    weights = params.weights | {"prior": prior | {"logits": head}}
    code = np.asarray(moving("vq", "learned", params._replace(weights=weights)).code)
    assert set(code.ravel().tolist()) == {3, 6}
    assert abs((code == 3).mean() - 0.5) < 0.12


def blind(params):
    """Acts by the latent alone."""
    decoder = params.weights["decoder"]
    sensed = jax.tree.map(jnp.zeros_like, decoder["sensed"])
    return params._replace(weights=params.weights | {"decoder": decoder | {"sensed": sensed}})


@pytest.mark.parametrize("latent", ["gaussian", "ar1"])
def test_normal_latents_follow_the_last_or_do_not(latent):
    """With a correlation of 1 nothing changes in an episode, but robots differ."""
    hyper = HYPER._replace(correlation=1.0)
    told = moving(latent, "normal", blind(params_of(latent)), hyper, 8)
    action = np.asarray(told.seen[0])
    assert np.std(action[0], axis=0).max() > 0.01
    changes = np.abs(np.diff(action, axis=0)).max()
    if latent == "ar1":
        np.testing.assert_allclose(changes, 0, atol=1e-5)
    else:
        assert changes > 0.01


@pytest.mark.parametrize(
    ("latent", "prior", "legal"),
    [
        ("vq", "normal", "learned, uniform"),
        ("vq", "learnt", "learned, uniform"),
        ("gaussian", "uniform", "normal"),
        ("none", "normal", "none"),
    ],
)
def test_a_prior_that_there_is_not_is_refused(latent, prior, legal):
    with pytest.raises(UsageError, match=f"has no prior '{prior}'; legal: {legal}"):
        moving(latent, prior, ())
