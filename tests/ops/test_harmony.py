import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_suite.ops.harmony import average_harmony_score, mean_over_tasks

score = jax.jit(average_harmony_score)


def by_loop(gradients: list[np.ndarray]) -> tuple[float, float]:
    """The definition entry by entry: (g_i * mean g) / (|g_i| |mean g|), where it exists."""
    total, counted, entries = 0.0, 0, 0
    for gradient in gradients:
        flat = gradient.reshape(gradient.shape[0], -1).astype(np.float64)
        mean = flat.mean(axis=0)
        for i in range(flat.shape[0]):
            for j in range(flat.shape[1]):
                entries += 1
                if flat[i, j] != 0 and mean[j] != 0:
                    total += flat[i, j] * mean[j] / (abs(flat[i, j]) * abs(mean[j]))
                    counted += 1
    return (total / counted if counted else 0.0), counted / entries


@pytest.mark.parametrize(
    ("gradients", "expected"),
    [
        ([[1.0, -2.0], [3.0, -0.1]], (1.0, 1.0)),  # same signs everywhere
        ([[1.0, 1.0], [-3.0, 3.0]], (0.5, 1.0)),  # one entry disputed: 1 and -1, the other agreed
        ([[2.0, 0.0], [1.0, 0.0]], (1.0, 0.5)),  # an entry without gradient does not count
        ([[1.0, 4.0], [-1.0, 4.0]], (1.0, 0.5)),  # nor one whose mean vanishes
        ([[0.0, 0.0], [0.0, 0.0]], (0.0, 0.0)),
    ],
)
def test_known_cases(gradients, expected):
    result = score(jnp.asarray(gradients))
    np.testing.assert_allclose(result, expected, rtol=1e-6)


def test_equals_the_definition_entry_by_entry():
    generator = np.random.default_rng(0)
    gradients = {
        "kernel": generator.normal(size=(5, 4, 3)).astype(np.float32),
        "bias": generator.normal(size=(5, 7)).astype(np.float32),
    }
    gradients["kernel"][generator.random((5, 4, 3)) < 0.2] = 0.0
    result = score(gradients)
    np.testing.assert_allclose(result, by_loop(list(gradients.values())), rtol=1e-5)
    assert 0.0 < result.score < 1.0


def test_size_of_a_gradient_matters_only_through_the_mean():
    gradients = jnp.array([[1.0, -1.0, 2.0], [0.5, 1.0, 3.0]])
    np.testing.assert_array_equal(score(1e3 * gradients), score(gradients))
    # One task that shouts decides the mean's sign, and the others disagree with it.
    loud = jnp.array([[100.0], [-1.0], [-1.0]])
    np.testing.assert_allclose(score(loud).score, -1.0 / 3.0, rtol=1e-6)


def test_single_task_agrees_with_itself():
    assert score(jnp.array([[1.0, -2.0, 0.5]])).score == 1.0


def test_leaves_must_agree_on_the_number_of_tasks():
    with pytest.raises(AssertionError):
        average_harmony_score({"a": jnp.ones((2, 3)), "b": jnp.ones((4, 3))})


def test_masked_gradients_are_nothing_where_masks_are_0():
    generator = np.random.default_rng(3)
    gradient = generator.normal(size=(4, 7, 5)).astype(np.float32)
    mask = generator.uniform(size=gradient.shape) < 0.6
    told = jax.jit(average_harmony_score)({"a": gradient}, {"a": mask})
    wanted = score({"a": np.where(mask, gradient, 0)})
    np.testing.assert_allclose(told, wanted, rtol=1e-6)
    assert told.counted < score({"a": gradient}).counted
    mean = jax.jit(mean_over_tasks)(gradient, mask)
    np.testing.assert_allclose(mean, np.where(mask, gradient, 0).mean(0), atol=1e-6)
    np.testing.assert_allclose(mean_over_tasks(gradient), gradient.mean(0), atol=1e-6)
