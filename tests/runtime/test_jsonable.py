import dataclasses
import json
from enum import Enum
from typing import Any, Literal, NamedTuple

import jax.numpy as jnp
import pytest

from jaxrl_suite.core import UsageError
from jaxrl_suite.runtime.jsonable import from_jsonable, to_jsonable


class Clip(NamedTuple):
    rho: float
    c: float = 1.0


class Kind(Enum):
    LSTM = 1
    NONE = 2


@dataclasses.dataclass(frozen=True)
class Net:
    widths: tuple[int, ...] = (16, 32)
    kernel: tuple[int, int] = (3, 3)
    lstm: int | None = None


UNCLIPPED = Clip(float("inf"))


@dataclasses.dataclass(frozen=True)
class Config:
    net: Net = Net()
    clip: Clip = UNCLIPPED
    kind: Kind = Kind.LSTM
    correction: Literal["vtrace", "none"] = "vtrace"
    games: tuple[str, ...] = ()
    nets: tuple[Net, ...] = (Net(),)
    extra: dict[str, float] = dataclasses.field(default_factory=dict)
    anything: Any = None
    debug: bool = False


@pytest.mark.parametrize(
    "config",
    [
        Config(),
        Config(net=Net((), (1, 2), 4), clip=Clip(0.1, 2.0), kind=Kind.NONE, games=("a",)),
        Config(nets=(), extra={"a": float("-inf")}, anything=(1, (2, 3)), debug=True),
    ],
)
def test_round_trip_through_text(config):
    text = json.dumps(to_jsonable(config), allow_nan=False)
    assert from_jsonable(Config, json.loads(text)) == config


def test_arrays_become_numbers():
    hyper = Clip(jnp.float32(0.5), jnp.ones(2))
    assert to_jsonable(hyper) == {"rho": 0.5, "c": [1.0, 1.0]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.update(depth=3), "unknown field 'depth'"),
        (lambda d: d.pop("games"), "lacks the field 'games'"),
        (lambda d: d["net"].update(widths=["a"]), r"config\.net\.widths\[0\] is 'a'"),
        (lambda d: d["net"].update(kernel=[3]), "list of 2"),
        (lambda d: d.update(correction="is"), "'vtrace' or 'none'"),
        (lambda d: d.update(kind="GRU"), "LSTM or NONE"),
        (lambda d: d.update(debug=1), "must be bool"),
        (lambda d: d["clip"].update(rho=True), "must be a number"),
    ],
)
def test_what_does_not_fit_is_named(change, message):
    data = to_jsonable(Config())
    change(data)
    with pytest.raises(UsageError, match=message):
        from_jsonable(Config, data)


def test_what_json_cannot_hold_is_refused():
    with pytest.raises(UsageError, match="cannot hold"):
        to_jsonable(Config(anything=object()))


def test_what_was_read_as_a_part_of_something_else_is_read_again():
    class Outer(NamedTuple):
        config: dict[str, Any]

    data = {"config": json.loads(json.dumps({"widths": [1, 2]}))}
    once = from_jsonable(Outer, data).config
    assert from_jsonable(tuple[int, ...], once["widths"]) == (1, 2)
