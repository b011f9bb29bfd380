"""What is cut out of trajectories is what was in them."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_suite.core import UsageError
from jaxrl_suite.systems.harmodt.config import DataConfig
from jaxrl_suite.systems.harmodt.dataset import build, sequences, window
from tests.systems.harmodt.toy import all_episodes, episodes

CONFIG = DataConfig(held_out=3, context=6, prompt=4)


def split(of):
    """Every episode's rows, unnormalised."""
    return np.split(np.arange(len(of.reward)), np.cumsum(of.length)[:-1])


def test_normalised_by_the_training_episodes_of_a_task():
    made = build(CONFIG, all_episodes())
    data = made.data
    for task in range(3):
        first, count = int(data.first[task]), int(data.count[task])
        rows = np.asarray(data.states[first : first + count], np.float32)
        np.testing.assert_allclose(rows.mean(0), 0, atol=2e-3)
        np.testing.assert_allclose(rows.std(0), 1, atol=5e-3)
    assert (made.state_size, made.action_size, len(made.tasks)) == (2, 2, 3)


def test_every_row_is_a_step_of_its_episode():
    given = episodes(1, 12)
    made = build(CONFIG, {"corner1": given}).data
    state = np.asarray(made.states, np.float64) * np.asarray(made.spread) + np.asarray(made.mean)
    firsts = np.array([given.state[rows[0]] for rows in split(given)])
    starts = np.flatnonzero(np.asarray(made.times) == 0)
    assert len(starts) == 12
    for start in starts:
        rows = split(given)[np.abs(firsts - state[start]).max(1).argmin()]
        end = int(made.end[start])
        assert end - start == len(rows)
        np.testing.assert_allclose(state[start:end], given.state[rows], atol=2e-3)
        np.testing.assert_allclose(made.actions[start:end], given.action[rows], atol=1e-3)
        to_go = np.cumsum(given.reward[rows][::-1])[::-1]
        np.testing.assert_allclose(made.returns[start:end] * made.scale[0], to_go, rtol=1e-5)
        segment = int(made.segment[start])
        solved = np.flatnonzero(given.success[rows])
        expected = max(solved[0] + 1 - 4, 0) if len(solved) else len(rows) - 4
        assert segment - start == min(expected, len(rows) - 4)


def test_windows_are_right_aligned_and_end_with_the_episode():
    data = build(CONFIG, all_episodes()).data
    cut = jax.jit(lambda row: window(data, row, 6))
    end = int(data.end[0])
    full, short = cut(0), cut(end - 2)
    assert full.valid.all()
    np.testing.assert_array_equal(full.times, np.arange(6))
    np.testing.assert_array_equal(short.valid, [False] * 4 + [True] * 2)
    np.testing.assert_array_equal(short.states[4:], data.states[end - 2 : end].astype(np.float32))
    assert not short.states[:4].any()
    assert not short.returns[:4].any()


@pytest.mark.parametrize("source", ["random", "best"])
@pytest.mark.parametrize("segment", ["last", "around_success", "random"])
def test_training_never_sees_what_is_held_out(source, segment):
    config = dataclasses.replace(CONFIG, prompt_source=source, prompt_segment=segment)
    made = build(config, all_episodes())
    data = made.data
    for task in range(3):
        draw = jax.jit(lambda k, t=task: sequences(config, data, jnp.asarray(t), k, 400))
        prompts, contexts = draw(jax.random.key(task))
        assert prompts.valid.all()
        first, count = int(data.first[task]), int(data.count[task])
        as_bytes = lambda rows: {row.tobytes() for row in np.asarray(rows)}  # noqa: E731
        own = as_bytes(data.states[first : first + count])
        last = int(data.first[task + 1]) if task < 2 else len(data.times)
        held = as_bytes(data.states[first + count : last]) - own
        assert len(held) > 10
        for steps in (prompts, contexts):
            rows = np.asarray(steps.states)[np.asarray(steps.valid)].astype(np.float16)
            assert as_bytes(rows) <= own
            assert not as_bytes(rows) & held
        assert first + count <= int(data.prompts[task]) < last


def test_episodes_are_drawn_by_their_length_and_steps_evenly():
    made = build(CONFIG, {"corner0": episodes(0, 12)})
    data = made.data
    draw = jax.jit(lambda k: sequences(CONFIG, data, jnp.asarray(0), k, 20_000)[1])
    steps = draw(jax.random.key(1))
    first = np.asarray(jnp.argmax(steps.valid, axis=1))
    begins = np.asarray(steps.times)[np.arange(20_000), first]
    lengths = np.diff(np.append(np.flatnonzero(np.asarray(data.times) == 0), len(data.times)))[:9]
    expected = np.array([(lengths > t).sum() for t in range(8)]) / lengths.sum()
    shares = np.array([(begins == t).mean() for t in range(8)])
    np.testing.assert_allclose(shares, expected, atol=0.012)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tasks": ("corner9",)}, "no task 'corner9' in the data; legal: corner0, corner1"),
        ({"held_out": 12}, "12 episodes, of which 12 are held out"),
        ({"prompt": 40}, r"a prompt of 40 steps is longer than an episode of task 'corner0'"),
        ({"prompt_segment": "first"}, "unknown prompt_segment 'first'; legal: last"),
        ({"context": 0}, "context must be at least 1, not 0"),
    ],
)
def test_bad_settings_are_refused(changes, message):
    with pytest.raises(UsageError, match=message):
        build(dataclasses.replace(CONFIG, **changes), all_episodes())


def test_targets_are_those_of_episodes_that_are_solved():
    """A failure that goes on for long collects more than a success that ends."""
    good = episodes(0, 12)
    solved, starts = np.arange(12) % 3 > 0, good.start
    reward, success = good.reward.copy(), good.success.copy()
    for start, length, fine in zip(starts, good.length, solved, strict=True):
        if not fine:
            reward[start : start + length], success[start : start + length] = 100.0, False
    given = {"a": good._replace(reward=reward, success=success)}
    data = build(dataclasses.replace(CONFIG, held_out=1), given).data
    most = good.returns[solved].max()
    assert float(data.scale[0]) <= most + 1e-3
    assert float(data.target[0]) <= most + 1e-3
    assert float(data.highest[0]) > most + 1e-3
    # What the best prompts begin with belongs to solved episodes, as long as there are any.
    state = np.asarray(data.states, np.float64) * np.asarray(data.spread) + np.asarray(data.mean)
    firsts = np.array([good.state[start] for start in starts])
    ranked = [np.abs(firsts - state[int(row)]).max(1).argmin() for row in data.best[0]]
    assert solved[ranked].all()
    # The soonest first, though others that take longer collect more.
    steps = [np.argmax(good.success[s : s + n]) for s, n in zip(starts, good.length, strict=True)]
    took = np.array(steps)[ranked[:7]]
    assert (np.diff(took) >= 0).all()
    assert took[0] < took[-1]
