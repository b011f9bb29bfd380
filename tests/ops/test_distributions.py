import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats

from jaxrl_suite.ops.distributions import Categorical, DiagonalNormal, TanhNormal

KEY = jax.random.key(0)
SAMPLES = 20_000
LOGITS = np.array([[0.3, -1.2, 2.0, 0.0], [5.0, -5.0, 0.1, 0.2]], np.float32)
# An impossible action, as a mask of illegal actions makes it.
MASKED = np.array([0.5, -np.inf, 1.0, -0.3], np.float32)
MEAN = np.array([0.4, -1.0, 2.0], np.float32)
LOG_STD = np.array([-0.5, 0.3, 0.0], np.float32)
OTHER_MEAN = np.array([0.0, -0.5, 2.5], np.float32)
OTHER_LOG_STD = np.array([0.1, 0.0, -0.7], np.float32)


def many(distribution):
    return jax.jit(jax.vmap(distribution.sample))(jax.random.split(KEY, SAMPLES))


def test_categorical_log_prob_and_entropy_against_scipy():
    distribution = Categorical(jnp.asarray(LOGITS))
    log_probs = scipy.special.log_softmax(LOGITS.astype(np.float64), axis=-1)
    for action in range(4):
        np.testing.assert_allclose(
            distribution.log_prob(jnp.full(2, action)), log_probs[:, action], rtol=1e-5
        )
    entropy = scipy.stats.entropy(np.exp(log_probs), axis=-1)
    np.testing.assert_allclose(distribution.entropy(), entropy, rtol=1e-5)


def test_categorical_kl_against_scipy():
    p, q = Categorical(jnp.asarray(LOGITS[0])), Categorical(jnp.asarray(LOGITS[1]))
    expected = scipy.stats.entropy(
        scipy.special.softmax(LOGITS[0]), scipy.special.softmax(LOGITS[1])
    )
    np.testing.assert_allclose(p.kl(q), expected, rtol=1e-5)
    np.testing.assert_allclose(p.kl(p), 0.0, atol=1e-7)


def test_categorical_samples_with_its_probabilities():
    actions = many(Categorical(jnp.asarray(LOGITS[0])))
    assert actions.dtype == jnp.int32
    frequencies = np.bincount(actions, minlength=4) / SAMPLES
    probabilities = scipy.special.softmax(LOGITS[0])
    # Five standard errors of a frequency.
    tolerance = 5 * np.sqrt(probabilities * (1 - probabilities) / SAMPLES)
    assert np.all(np.abs(frequencies - probabilities) < tolerance)


def test_categorical_never_samples_an_impossible_action():
    assert 1 not in np.unique(many(Categorical(jnp.asarray(MASKED))))


def test_impossible_action_equals_its_absence():
    possible = MASKED[[0, 2, 3]]
    masked, rest = Categorical(jnp.asarray(MASKED)), Categorical(jnp.asarray(possible))
    np.testing.assert_allclose(masked.entropy(), rest.entropy(), rtol=1e-6)
    np.testing.assert_allclose(masked.log_prob(2), rest.log_prob(1), rtol=1e-6)
    shift = jnp.array([0.1, 0.0, -0.4, 0.2])
    np.testing.assert_allclose(
        masked.kl(Categorical(MASKED + shift)),
        rest.kl(Categorical(possible + shift[jnp.array([0, 2, 3])])),
        rtol=1e-5,
    )
    assert masked.log_prob(1) == -jnp.inf


@pytest.mark.parametrize(
    "quantity",
    [
        lambda d: d.entropy(),
        lambda d: d.log_prob(jnp.int32(0)),
        lambda d: d.kl(Categorical(jnp.where(jnp.isinf(MASKED), MASKED, 0.0))),
        lambda d: Categorical(jnp.where(jnp.isinf(MASKED), MASKED, 0.0)).kl(d),
    ],
    ids=["entropy", "log_prob", "kl_from", "kl_to"],
)
def test_impossible_action_gives_no_nan_in_value_or_gradient(quantity):
    # where() hides a NaN from the value but not from the gradient: 0 * -inf comes back there.
    value, gradient = jax.value_and_grad(lambda logits: quantity(Categorical(logits)))(
        jnp.asarray(MASKED)
    )
    assert np.isfinite(value)
    assert np.all(np.isfinite(gradient))
    # And what it gives is the gradient of the distribution without that action.
    possible = np.array([0, 2, 3])
    shrunk = jax.grad(lambda few: quantity(Categorical(jnp.asarray(MASKED).at[possible].set(few))))(
        jnp.asarray(MASKED[possible])
    )
    np.testing.assert_allclose(gradient[possible], shrunk, rtol=1e-5, atol=1e-7)
    assert gradient[1] == 0.0


def test_categorical_entropy_gradient_by_finite_differences():
    def entropy(logits):
        log_p = scipy.special.log_softmax(logits)
        return -np.sum(np.exp(log_p) * log_p)

    logits = LOGITS[0].astype(np.float64)
    step = 1e-5 * np.eye(4)
    expected = [(entropy(logits + h) - entropy(logits - h)) / 2e-5 for h in step]
    gradient = jax.grad(lambda x: Categorical(x).entropy())(jnp.asarray(LOGITS[0]))
    np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-6)


def test_normal_log_prob_and_entropy_against_scipy():
    distribution = DiagonalNormal(jnp.asarray(MEAN), jnp.asarray(LOG_STD))
    oracle = scipy.stats.multivariate_normal(MEAN, np.diag(np.exp(2.0 * LOG_STD)))
    action = np.array([0.0, 1.0, 1.5], np.float32)
    np.testing.assert_allclose(distribution.log_prob(action), oracle.logpdf(action), rtol=1e-5)
    np.testing.assert_allclose(distribution.entropy(), oracle.entropy(), rtol=1e-5)


def test_normal_samples_with_its_moments():
    samples = many(DiagonalNormal(jnp.asarray(MEAN), jnp.asarray(LOG_STD)))
    std = np.exp(LOG_STD)
    assert np.all(np.abs(samples.mean(0) - MEAN) < 5 * std / np.sqrt(SAMPLES))
    assert np.all(np.abs(samples.std(0) / std - 1) < 5 / np.sqrt(2 * SAMPLES))
    # Independent: the correlation of two has a standard error of 1 / sqrt(n).
    correlations = np.corrcoef(samples.T)[np.triu_indices(3, 1)]
    assert np.all(np.abs(correlations) < 5 / np.sqrt(SAMPLES))


def test_normal_entropy_and_kl_by_monte_carlo():
    p = DiagonalNormal(jnp.asarray(MEAN), jnp.asarray(LOG_STD))
    q = DiagonalNormal(jnp.asarray(OTHER_MEAN), jnp.asarray(OTHER_LOG_STD))
    samples = many(p)
    log_p, log_q = jax.vmap(p.log_prob)(samples), jax.vmap(q.log_prob)(samples)
    for estimate, exact in ((-log_p, p.entropy()), (log_p - log_q, p.kl(q))):
        standard_error = np.std(estimate) / np.sqrt(SAMPLES)
        assert abs(np.mean(estimate) - exact) < 5 * standard_error
    np.testing.assert_allclose(p.kl(p), 0.0, atol=1e-6)


def test_normal_sample_is_reparameterised():
    gradient = jax.grad(lambda m: DiagonalNormal(m, jnp.asarray(LOG_STD)).sample(KEY).sum())(
        jnp.asarray(MEAN)
    )
    np.testing.assert_array_equal(gradient, 1.0)


def test_tanh_normal_density_integrates_to_one():
    edges = np.linspace(-1.0, 1.0, 20_001)
    middles = ((edges[1:] + edges[:-1]) / 2).astype(np.float32)[:, None]
    for mean, log_std in ((0.0, 0.0), (0.7, -0.5), (-1.0, -1.0)):
        distribution = TanhNormal(jnp.array([mean]), jnp.array([log_std]))
        density = np.exp(jax.vmap(distribution.log_prob)(middles), dtype=np.float64)
        np.testing.assert_allclose(density.sum() * (edges[1] - edges[0]), 1.0, rtol=1e-3)


def tanh_normal_log_prob(mean, log_std, action):
    """By the change of variables in float64."""
    mean, log_std, action = (np.asarray(x, np.float64) for x in (mean, log_std, action))
    normal = scipy.stats.norm(mean, np.exp(log_std)).logpdf(np.arctanh(action))
    return np.sum(normal - np.log1p(-action) - np.log1p(action), axis=-1)


def test_tanh_normal_log_prob_sums_over_dimensions():
    distribution = TanhNormal(jnp.asarray(MEAN), jnp.asarray(LOG_STD))
    actions = np.array([[0.0, 0.5, -0.5], [0.9, -0.99, 0.7], [0.2, -0.3, 0.9]], np.float32)
    result = jax.vmap(distribution.log_prob)(actions)
    expected = tanh_normal_log_prob(MEAN, LOG_STD, actions)
    np.testing.assert_allclose(result, expected, rtol=1e-5)


def test_tanh_normal_near_the_bounds_against_float64():
    # 2^-24 is the distance of the last float32 below 1.
    distance = np.array([1e-3, 1e-4, 1e-5, 1e-6, 2.0**-22, 2.0**-24])
    distribution = TanhNormal(jnp.array([0.5]), jnp.array([0.2]))
    for sign in (-1.0, 1.0):
        action = (sign * (1.0 - distance)).astype(np.float32)
        expected = tanh_normal_log_prob([0.5], [0.2], action[:, None])
        result = jax.vmap(distribution.log_prob)(action[:, None])
        np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("action", [-1.0, 1.0])
def test_action_at_the_bound_is_finite_in_value_and_gradient(action):
    def log_prob(mean, log_std):
        return TanhNormal(mean, log_std).log_prob(jnp.full(1, action))

    at_bound, gradients = jax.value_and_grad(log_prob, argnums=(0, 1))(jnp.zeros(1), jnp.zeros(1))
    assert np.isfinite(at_bound)
    assert all(np.all(np.isfinite(g)) for g in gradients)
    inside = TanhNormal(jnp.zeros(1), jnp.zeros(1)).log_prob(
        jnp.full(1, np.nextafter(np.float32(action), np.float32(0)))
    )
    assert at_bound == inside


def test_tanh_normal_samples_are_the_squashed_normal():
    normal = DiagonalNormal(jnp.asarray(MEAN), jnp.asarray(LOG_STD))
    squashed = TanhNormal(jnp.asarray(MEAN), jnp.asarray(LOG_STD))
    np.testing.assert_array_equal(squashed.sample(KEY), jnp.tanh(normal.sample(KEY)))
    # A wide one reaches the bound by rounding; its log-probability still is finite.
    wide = TanhNormal(jnp.zeros(1), jnp.full(1, 4.0))
    samples = many(wide)
    assert np.any(np.abs(samples) == 1.0)
    assert np.all(np.isfinite(jax.vmap(wide.log_prob)(samples)))
