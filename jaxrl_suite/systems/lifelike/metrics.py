"""What codes are used for."""

import jax
import jax.numpy as jnp

from jaxrl_suite.core import Metrics
from jaxrl_suite.ops import vq


def of_codes(code: jax.Array, going: jax.Array, size: int) -> Metrics:
    """Of codes [T, N] in steps under way.

    perplexity: exp of the entropy of how often each is chosen.
    used: share of all that are chosen at all.
    dwell: mean number of steps that a code is kept, which is at least 1.
    """
    weight = going.astype(jnp.float32)
    count = jnp.zeros(size).at[code.reshape(-1)].add(weight.reshape(-1))
    both = going[1:] & going[:-1]
    switches = jnp.sum((code[1:] != code[:-1]) & both)
    return {
        "perplexity": vq.perplexity(count / jnp.sum(count)),
        "used": jnp.mean(count > 0),
        "dwell": jnp.sum(weight) / (switches + code.shape[1]),
    }
