import builtins
import json

import jax.numpy as jnp
import numpy as np
import pytest

from jaxrl_suite.core import UsageError
from jaxrl_suite.runtime import metrics


def write(path, updates, after=0):
    file = metrics.MetricsFile(path, after_update=after)
    for update in updates:
        file.write({"update": update, "loss": np.float32(update)})
    file.close()


def test_rows_are_plain_json(tmp_path):
    path = tmp_path / "metrics.jsonl"
    file = metrics.MetricsFile(path, after_update=0)
    row = {"update": 1, "loss": jnp.nan, "returns": np.array([1.0, np.inf], np.float32)}
    file.write(row | {"half": jnp.bfloat16(0.5), "count": np.int32(3), "ok": np.bool_(True)})
    # Flushed: readable while the run is still going.
    assert json.loads(path.read_text()) == {
        "update": 1,
        "loss": None,
        "returns": [1.0, None],
        "half": 0.5,
        "count": 3,
        "ok": True,
    }
    file.close()


def test_resuming_cuts_later_rows_and_a_torn_line(tmp_path):
    path = tmp_path / "metrics.jsonl"
    write(path, [5, 10, 15])
    with path.open("a") as file:
        file.write('{"update": 20, "lo')
    assert [row["update"] for row in metrics.read_metrics(path)] == [5, 10, 15]
    write(path, [15, 20], after=10)
    assert [row["update"] for row in metrics.read_metrics(path)] == [5, 10, 15, 20]
    assert list(tmp_path.iterdir()) == [path]


def test_full_disk_keeps_whole_rows(tiny_disk):
    path = tiny_disk / "metrics.jsonl"
    file = metrics.MetricsFile(path, after_update=0)
    file.write({"update": 1})
    row = {"update": 2, "noise": [0.123456789] * 200_000}  # larger than the disk
    with pytest.raises(UsageError, match=f"cannot write .*space.* jaxrl resume {tiny_disk}"):
        file.write(row)
    assert path.read_text() == '{"update": 1}\n'
    file.write({"update": 3})
    file.close()
    assert [row["update"] for row in metrics.read_metrics(path)] == [1, 3]


def test_torn_in_the_middle_is_an_error(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"update": 5}\n{"upd\n{"update": 15}\n')
    with pytest.raises(UsageError, match="line 2"):
        metrics.read_metrics(path)


def test_no_file_no_rows(tmp_path):
    assert metrics.read_metrics(tmp_path / "metrics.jsonl") == []


@pytest.mark.parametrize(
    ("extra", "make"),
    [
        ("tensorboard", metrics.TensorBoardSink),
        ("wandb", lambda path: metrics.WandbSink(path, {})),
    ],
)
def test_missing_extra_names_the_command(tmp_path, monkeypatch, extra, make):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name in ("tensorboardX", "wandb"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UsageError, match=rf'pip install "jaxrl_suite\[{extra}\]"'):
        make(tmp_path)


def test_tensorboard_takes_scalars(tmp_path):
    pytest.importorskip("tensorboardX")
    sink = metrics.TensorBoardSink(tmp_path)
    sink.write({"update": 1, "frames": 8, "loss": 0.5, "returns": [1.0], "nothing": None})
    sink.close()
    assert list(tmp_path.glob("events*"))
