import errno
import os
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toy

from jaxrl_suite.core import UsageError
from jaxrl_suite.runtime import checkpoint


def state():
    return jax.jit(toy.make().init)(jax.random.key(3))


def assert_same(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        assert x.dtype == y.dtype
        if jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key):
            assert jax.random.key_impl(x) == jax.random.key_impl(y)
            x, y = jax.random.key_data(x), jax.random.key_data(y)
        assert np.asarray(x).tobytes() == np.asarray(y).tobytes()


def test_bit_exact_with_keys_and_structure(tmp_path):
    saved = {
        "system": state(),
        "rbg": jax.random.key(1, impl="rbg"),
        "odd": (jnp.array([-0.0, jnp.nan, jnp.inf]), None, jnp.zeros((0, 3), jnp.int8)),
        "a/b": jnp.array(True),
    }
    checkpoint.save(tmp_path, 5, saved)
    assert_same(saved, checkpoint.restore(tmp_path, jax.eval_shape(lambda: saved)))
    raw = checkpoint.restore_raw(tmp_path)
    params = raw["system"]["learner"]["params"]
    np.testing.assert_array_equal(params["w"], saved["system"].learner.params["w"])
    assert isinstance(params["w"], np.ndarray)
    assert raw["odd"]["2"].shape == (0, 3)


def test_restored_state_can_be_donated(tmp_path):
    checkpoint.save(tmp_path, 1, {"a": jnp.arange(1024.0)})
    restored = checkpoint.restore(tmp_path, {"a": jax.ShapeDtypeStruct((1024,), jnp.float32)})
    out = jax.jit(lambda x: x["a"] + 1, donate_argnums=0)(restored)
    np.testing.assert_array_equal(out, np.arange(1024.0) + 1)


def test_keeps_the_newest(tmp_path):
    for step in (5, 10, 100):
        checkpoint.save(tmp_path, step, {"a": jnp.array(step)})
    assert checkpoint.steps(tmp_path) == [10, 100]
    assert checkpoint.latest_step(tmp_path) == 100
    template = {"a": jax.ShapeDtypeStruct((), jnp.int32)}
    assert checkpoint.restore(tmp_path, template)["a"] == 100
    assert checkpoint.restore(tmp_path, template, 10)["a"] == 10
    with pytest.raises(UsageError, match=r"no checkpoint 5 .* there are 10, 100"):
        checkpoint.restore(tmp_path, template, 5)


def test_going_back_gives_up_the_later_ones(tmp_path):
    for step in (5, 10, 7):
        checkpoint.save(tmp_path, step, {"a": jnp.array(step)})
    assert checkpoint.steps(tmp_path) == [5, 7]


def test_none_yet(tmp_path):
    assert checkpoint.latest_step(tmp_path / "none") is None
    with pytest.raises(UsageError, match="no checkpoint in"):
        checkpoint.restore_raw(tmp_path)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"a": jnp.zeros(4), "n": jnp.array(1)}, r"a is float32\[3\] .* float32\[4\] in this"),
        ({"a": jnp.zeros(3), "n": jnp.array(1.0)}, r"n is int32\[\] .* float32\[\] in this"),
        ({"a": jnp.zeros(3), "n": jax.random.key(0)}, r"n is int32\[\] .* key<fry>\[2\]"),
        ({"a": jnp.zeros(3)}, r"n is int32\[\] .* nothing in this"),
        ({"a": jnp.zeros(3), "n": jnp.array(1), "x": jnp.zeros(1)}, "x is nothing in the"),
    ],
)
def test_of_another_config(tmp_path, other, message):
    checkpoint.save(tmp_path, 1, {"a": jnp.zeros(3), "n": jnp.array(1)})
    with pytest.raises(UsageError, match=message) as error:
        checkpoint.restore(tmp_path, other)
    assert "\n" not in str(error.value)
    assert "run.json" in str(error.value)


def test_leftovers_of_a_kill_are_ignored_then_removed(tmp_path):
    (tmp_path / "10.tmp" / "arrays").mkdir(parents=True)
    assert checkpoint.latest_step(tmp_path) is None
    checkpoint.save(tmp_path, 10, {"a": jnp.zeros(1)})
    assert os.listdir(tmp_path) == ["10"]


def damage(path, how):
    files = sorted(p for p in path.rglob("*") if p.is_file() and "arrays/a" in str(p))
    file = max(files, key=lambda p: p.stat().st_size)
    content = file.read_bytes()
    if how == "truncated":
        file.write_bytes(content[: len(content) // 2])
    elif how == "flipped":
        middle = len(content) // 2
        file.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
    elif how == "missing":
        file.unlink()
    else:
        (path / "manifest.json").write_text("{")


@pytest.mark.parametrize("how", ["truncated", "flipped", "missing", "manifest"])
def test_damaged_newest_offers_the_previous(tmp_path, how):
    saved = {"a": jnp.asarray(np.random.default_rng(0).normal(size=999).astype(np.float32))}
    for step in (5, 10):
        checkpoint.save(tmp_path, step, saved)
    damage(tmp_path / "10", how)
    with pytest.raises(UsageError, match=r"/10 is damaged .* go on from checkpoint 5") as error:
        checkpoint.restore(tmp_path, saved)
    assert "\n" not in str(error.value)
    assert_same(saved, checkpoint.restore(tmp_path, saved, 5))


def test_full_disk_for_real(tiny_disk, caplog):
    noise = np.random.default_rng(0)  # what does not compress
    small, large = ({"a": noise.random(n, np.float32)} for n in (40_000, 260_000))
    directory = tiny_disk / "run" / "checkpoints"
    checkpoint.save(directory, 10, small)
    with pytest.raises(UsageError, match="disk full: checkpoint 20 needs about 1,040,000") as error:
        checkpoint.save(directory, 20, large)
    assert f"jaxrl resume {directory.parent}" in str(error.value)
    assert "checkpoint 10 is intact" in str(error.value)
    assert "\n" not in str(error.value)
    assert not caplog.records  # orbax is silent: one line, not ten tracebacks
    assert os.listdir(directory) == ["10"]
    assert_same(small, checkpoint.restore(directory, small))
    checkpoint.save(directory, 20, small)  # room was made: it goes on


@pytest.mark.parametrize(
    ("code", "message"), [(errno.ENOSPC, "disk full"), (errno.EROFS, "Read-only file system")]
)
def test_failing_write(tmp_path, monkeypatch, code, message):
    checkpoint.save(tmp_path, 10, {"a": jnp.zeros(3)})

    def fail(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(UsageError, match=message):
        checkpoint.save(tmp_path, 20, {"a": jnp.zeros(3)})
    assert os.listdir(tmp_path) == ["10"]


def test_writing_again_over_a_damaged_one(tmp_path):
    for _ in range(2):
        checkpoint.save(tmp_path, 10, {"a": jnp.zeros(3)})
        shutil.rmtree(tmp_path / "10" / "arrays")
    checkpoint.save(tmp_path, 10, {"a": jnp.ones(3)})
    assert checkpoint.restore_raw(tmp_path)["a"].sum() == 3
