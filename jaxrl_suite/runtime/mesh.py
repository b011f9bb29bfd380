"""One run over many devices: the batch is split over a mesh, the rest is replicated.

Learners and sources are written for one device and do not change. The compiler partitions
the one program by the shardings that are given here to the state.
"""

import math

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxrl_suite.core import DATA_AXIS, PyTree, System, SystemState, UsageError


def make_mesh(num_devices: int | None = None) -> Mesh:
    """A mesh with the one axis :data:`~jaxrl_suite.core.DATA_AXIS`.

    Args:
      num_devices: devices to use, None for all there are (on all hosts).
    """
    devices = jax.devices()
    count = len(devices) if num_devices is None else num_devices
    if not 1 <= count <= len(devices):
        raise UsageError(
            f"cannot use {count} devices: this machine has {len(devices)} "
            f"({devices[0].platform}); give a number from 1 to {len(devices)}"
        )
    if jax.process_count() > 1 and count != len(devices):
        raise UsageError(f"a run of several processes uses all {len(devices)} devices, not {count}")
    # Not jax.make_mesh, whose axes are explicit by default: types would then carry shardings.
    return Mesh(np.array(devices[:count]), (DATA_AXIS,))


def shardings(system: System, mesh: Mesh, state: PyTree) -> PyTree:
    """A NamedSharding for every leaf of the state.

    Args:
      system: its `spec` is a prefix tree of PartitionSpec over the state.
      mesh: see :func:`make_mesh`.
      state: the state, or its shapes from ``jax.eval_shape``.

    Returns:
      A tree like `state`.
    """
    is_spec = lambda x: isinstance(x, PartitionSpec)  # noqa: E731
    specs = jax.tree.broadcast(system.spec, state, is_leaf=is_spec)
    check_divisible(mesh, specs, state)
    return jax.tree.map(lambda spec: NamedSharding(mesh, spec), specs, is_leaf=is_spec)


def check_divisible(mesh: Mesh, specs: PyTree, state: PyTree) -> None:
    """Raises UsageError unless every split axis is a multiple of the devices.

    Args:
      mesh: see :func:`make_mesh`.
      specs: a PartitionSpec for every leaf of `state`.
      state: arrays or shapes.
    """
    is_spec = lambda x: isinstance(x, PartitionSpec)  # noqa: E731
    leaves = jax.tree_util.tree_leaves_with_path(state)
    flat_specs = jax.tree.leaves(specs, is_leaf=is_spec)
    split = {  # path of the leaf -> size of its split axis
        jax.tree_util.keystr(path): leaf.shape[axis]
        for (path, leaf), spec in zip(leaves, flat_specs, strict=True)
        for axis, name in enumerate(spec)
        if name == DATA_AXIS
    }
    common = math.gcd(*split.values()) if split else 0
    if common % mesh.size:
        there = max(mesh.size, jax.device_count())
        legal = [n for n in range(1, there + 1) if common % n == 0]
        path, size = next((p, s) for p, s in split.items() if s % mesh.size)
        raise UsageError(
            f"a batch of {size} (state{path}) cannot be split over {mesh.size} devices; legal "
            f"device counts here: {', '.join(map(str, legal))}; or change the batch size"
        )


def init_state(
    system: System, key: jax.Array, hyper: PyTree = None, mesh: Mesh | None = None
) -> SystemState:
    """``jit(system.init)``, each device making its own part of the state.

    Args:
      system: the closed loop.
      key: a typed PRNG key.
      hyper: what may be swept; None for the system's default.
      mesh: None for a single device.
    """
    arguments = (key,) if hyper is None else (key, hyper)
    out = None
    if mesh is not None:
        out = shardings(system, mesh, jax.eval_shape(system.init, *arguments))
        # A key made on this process is committed to its device; every process has the same one.
        arguments = jax.tree.map(lambda x: replicate(x, mesh), arguments)
    return jax.jit(system.init, out_shardings=out)(*arguments)


def moved(state: PyTree, shardings: PyTree) -> PyTree:
    """The state on the devices of these shardings; leaves that are there stay.

    Not ``device_put`` for all: over several hosts it refuses keys, even those that are in place.
    """

    def move(x: jax.Array, to: NamedSharding) -> jax.Array:
        return x if x.sharding.is_equivalent_to(to, x.ndim) else jax.device_put(x, to)

    return jax.tree.map(move, state, shardings)


def replicate(x: PyTree, mesh: Mesh) -> jax.Array:
    """One leaf, known to every process, as an array on all devices of the mesh."""
    return place(_to_data(x), NamedSharding(mesh, PartitionSpec()), _key_impl(x))


def place(value: np.ndarray, sharding: NamedSharding | None, key_impl: str | None) -> jax.Array:
    """A host array on the devices of `sharding`; `key_impl` makes a typed key of it."""
    if sharding is None:
        # A copy: donating a buffer that borrows NumPy's memory would be refused.
        array = jax.device_put(value, may_alias=False)
    else:
        array = jax.make_array_from_callback(value.shape, sharding, lambda index: value[index])
    return array if key_impl is None else jax.random.wrap_key_data(array, impl=key_impl)


def is_key(x: PyTree) -> bool:
    """Whether a leaf (array or shape) holds typed PRNG keys."""
    return jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key) if hasattr(x, "dtype") else False


def _key_impl(x: PyTree) -> str | None:
    return str(jax.random.key_impl(x)) if is_key(x) else None


def _to_data(x: PyTree) -> np.ndarray:
    return np.asarray(jax.random.key_data(x) if is_key(x) else x)
