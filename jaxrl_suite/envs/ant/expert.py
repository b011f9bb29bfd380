"""How to run in any direction: a policy that was trained once, whose weights ship with the package.

Made by ``python -m experiments.hu2024.ant_expert.sweep``.
"""

import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

_WEIGHTS = Path(__file__).parent / "expert.npz"
_CLIP = 10.0  # of normalised inputs
_LEAST = 1e-8  # added to a variance


@functools.cache
def _weights() -> dict[str, np.ndarray]:
    with np.load(_WEIGHTS) as file:
        return dict(file)


def expert(observation: dict[str, jax.Array]) -> jax.Array:
    """An action [8] from what one body sees, its direction included.

    Two layers of 64 tanh units for each vector, one for both, and a linear one.
    """
    weights = _weights()

    def line(x: jax.Array, name: str) -> jax.Array:
        return x @ weights[f"{name}_kernel"] + weights[f"{name}_bias"]

    spread = jnp.sqrt(weights["inputs_variance"] + _LEAST)
    own = (observation["proprioceptive"] - weights["inputs_mean"]) / spread
    ends = []
    for name, x in (
        ("direction", observation["direction"]),
        ("proprioceptive", jnp.clip(own, -_CLIP, _CLIP)),
    ):
        for i in range(2):
            x = jnp.tanh(line(x, f"{name}_{i}"))
        ends.append(x)
    return line(jnp.tanh(line(jnp.concatenate(ends), "joined")), "Dense_0")
