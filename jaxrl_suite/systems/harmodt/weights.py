"""All weights of a network as one long vector, which is what a mask is a mask of."""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl_suite.core import PyTree
from jaxrl_suite.nets.decision_transformer import in_trunk
from jaxrl_suite.ops import masks
from jaxrl_suite.systems.harmodt.config import MaskConfig


class Weights(NamedTuple):
    """How parameters lie in a vector [P], and which of them a mask is about.

    shapes: by path, in the order of the vector.
    unflatten: ``vector [P] -> parameters``; of masks, too.
    maskable: bool [P], NumPy: where a mask may be 0.
    applied: bool [P], NumPy: where a 0 takes a weight out of the network and of its gradient.
    """

    shapes: dict[str, tuple[int, ...]]
    unflatten: Callable[[jax.Array], PyTree]
    maskable: np.ndarray
    applied: np.ndarray

    @property
    def size(self) -> int:
        """P."""
        return len(self.maskable)


def flatten(tree: PyTree) -> jax.Array:
    """Parameters, gradients or masks as a vector [P]."""
    return jnp.concatenate([x.reshape(-1) for x in jax.tree.leaves(tree)])


def layout(config: MaskConfig, params: PyTree) -> Weights:
    """Of parameters, or of their shapes.

    In the mode "paper" a mask is about the trunk alone: what embeds and predicts is shared by all
    tasks. differs: the released code draws masks of those, too, and does not apply them. In the
    mode "repo" a mask covers everything, but a 0 outside of the trunk only keeps a task's steps
    from changing the weight.
    """
    found, tree = jax.tree_util.tree_flatten_with_path(params)
    shapes = {jax.tree_util.keystr(path): tuple(x.shape) for path, x in found}
    sizes = [math.prod(shape) for shape in shapes.values()]
    ends = np.cumsum(sizes)
    trunk = np.repeat([in_trunk(path) for path, _ in found], sizes)

    def unflatten(vector: jax.Array) -> PyTree:
        parts = [
            vector[end - size : end].reshape(shape)
            for end, size, shape in zip(ends, sizes, shapes.values(), strict=True)
        ]
        return jax.tree.unflatten(tree, parts)

    maskable = trunk if config.mode == "paper" else np.ones_like(trunk)
    return Weights(shapes, unflatten, maskable, trunk)


def first_masks(config: MaskConfig, weights: Weights, tasks: int, key: jax.Array) -> jax.Array:
    """Erdos-Renyi kernels of the maskable tensors, each task's drawn by itself: bool [N, P]."""
    whole = lambda name: bool(weights.maskable[starts[name]])  # noqa: E731
    sizes = {name: math.prod(shape) for name, shape in weights.shapes.items()}
    starts = dict(zip(sizes, np.cumsum([0, *sizes.values()])[:-1], strict=True))
    sparse = {name: shape for name, shape in weights.shapes.items() if whole(name)}
    density = masks.erk_densities(sparse, config.density)
    each = [density.get(name, 1.0) for name in weights.shapes]
    share = np.repeat(each, list(sizes.values())).astype(np.float32)

    def one(key: jax.Array) -> jax.Array:
        return jax.random.uniform(key, share.shape) < share

    return jax.lax.map(one, jax.random.split(key, tasks))
