"""Configs as JSON and back: frozen dataclasses, NamedTuples, tuples, numbers, None."""

import dataclasses
import math
import types
import typing
from collections.abc import Mapping
from enum import Enum
from typing import Any

import numpy as np

from jaxrl_suite.core import UsageError

_SCALARS = (bool, int, float, str)


def to_jsonable(value: Any) -> Any:
    """Plain dicts, lists and numbers; what JSON cannot say (inf, nan) becomes a string."""
    if dataclasses.is_dataclass(value):
        return {f.name: to_jsonable(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if hasattr(value, "_asdict"):
        return {k: to_jsonable(v) for k, v in value._asdict().items()}
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, Mapping):
        return {str(k): to_jsonable(v) for k, v in value.items()}
    if isinstance(value, (tuple, list)):
        return [to_jsonable(v) for v in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if value is None or isinstance(value, _SCALARS):
        return value
    if hasattr(value, "tolist"):  # NumPy and JAX arrays and scalars
        return to_jsonable(np.asarray(value).tolist())
    raise UsageError(f"a config cannot hold {value!r} of type {type(value).__name__}")


def from_jsonable(cls: Any, value: Any, where: str = "config") -> Any:
    """The inverse of :func:`to_jsonable`, checked against the type hints of `cls`.

    Args:
      cls: a dataclass, a NamedTuple or any type that a field of one may have.
      value: what JSON holds.
      where: name of the value, for errors.

    Raises:
      UsageError: a field is unknown, missing or of another type.
    """
    if _has_fields(cls):
        return _from_fields(cls, value, where)
    origin, arguments = typing.get_origin(cls), typing.get_args(cls)
    if origin in (typing.Union, types.UnionType):
        return _from_union(arguments, value, where)
    if origin is typing.Literal:
        _check(value in arguments, where, value, " or ".join(map(repr, arguments)))
        return value
    if origin is tuple or cls is tuple:
        # A tuple where the value has been read before, as a part of something of no type.
        _check(isinstance(value, list | tuple), where, value, "a list")
        kinds = arguments or (Any, ...)
        if kinds[-1] is ...:
            kinds = (kinds[0],) * len(value)
        _check(len(kinds) == len(value), where, value, f"a list of {len(kinds)}")
        pairs = zip(kinds, value, strict=True)
        return tuple(from_jsonable(k, v, f"{where}[{i}]") for i, (k, v) in enumerate(pairs))
    if origin in (dict, Mapping):
        _check(isinstance(value, dict), where, value, "an object")
        return {k: from_jsonable(arguments[1], v, f"{where}.{k}") for k, v in value.items()}
    if isinstance(cls, type) and issubclass(cls, Enum):
        names = [member.name for member in cls]
        _check(value in names, where, value, " or ".join(names))
        return cls[value]
    return _from_scalar(cls, value, where)


def _from_fields(cls: Any, value: Any, where: str) -> Any:
    hints = typing.get_type_hints(cls)
    names = list(cls._fields) if hasattr(cls, "_fields") else [
        f.name for f in dataclasses.fields(cls)
    ]  # fmt: skip
    _check(isinstance(value, dict), where, value, f"an object with the fields of {cls.__name__}")
    for name in [*value, *names]:
        if name not in names:
            raise UsageError(
                f"{where} has the unknown field {name!r}; {cls.__name__} has {', '.join(names)}"
            )
        if name not in value:
            raise UsageError(
                f"{where} lacks the field {name!r} of {cls.__name__}; it was written by another "
                "version, use that version or start a new run"
            )
    return cls(**{n: from_jsonable(hints[n], value[n], f"{where}.{n}") for n in names})


def _from_union(options: tuple, value: Any, where: str) -> Any:
    """The first option that fits; None only for None."""
    if value is None and type(None) in options:
        return None
    errors = []
    for option in options:
        if option is not type(None):
            try:
                return from_jsonable(option, value, where)
            except UsageError as e:
                errors.append(e)
    raise errors[-1]


def _from_scalar(cls: Any, value: Any, where: str) -> Any:
    if cls is float:
        if value in ("inf", "-inf", "nan"):
            return float(value)
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        _check(is_number, where, value, "a number")
        return float(value)
    if cls in _SCALARS:
        _check(type(value) is cls, where, value, cls.__name__)
        return value
    # Any, jax.Array and the like: numbers stay, lists become tuples so that configs hash.
    return _hashable(value)


def _hashable(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_hashable(v) for v in value)
    return float(value) if value in ("inf", "-inf", "nan") else value


def _has_fields(cls: Any) -> bool:
    return dataclasses.is_dataclass(cls) or (isinstance(cls, type) and hasattr(cls, "_fields"))


def _check(holds: bool, where: str, value: Any, legal: str) -> None:
    if not holds:
        raise UsageError(f"{where} is {value!r}; it must be {legal}")
