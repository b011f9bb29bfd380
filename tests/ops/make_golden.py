"""Writes golden/vtrace.json: what rlax says about a few sequences.

With it the comparison also runs where rlax is not installed. To make it again, with rlax
installed and from the root of the repository::

    python -m tests.ops.make_golden
"""

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import rlax

from tests.ops.sequences import RLAX_SETTINGS, random_sequence

LENGTH = 9
PATH = Path(__file__).parent / "golden" / "vtrace.json"


def rlax_vtrace(sequence: dict[str, np.ndarray], settings: dict[str, Any]) -> dict[str, Any]:
    """Errors v - V and advantages, by rlax's leaky V-trace (alpha 1 is V-trace)."""
    settings = dict(settings)
    masked = settings.pop("masked", False)
    values = jnp.asarray(sequence["values"])
    out = rlax.leaky_vtrace_td_error_and_advantage(
        values[:-1],
        values[1:],
        jnp.asarray(sequence["rewards"]),
        jnp.asarray(sequence["discounts"]),
        jnp.asarray(sequence["ratios"]),
        alpha=settings.get("alpha", 1.0),
        lambda_=settings.get("lambda_", 1.0),
        clip_rho_threshold=settings.get("rho_bar", 1.0),
        clip_pg_rho_threshold=settings.get("pg_rho_bar", 1.0),
        sample_mask=jnp.asarray(sequence["sample_mask"]) if masked else None,
    )
    return {"errors": np.asarray(out.errors), "advantages": np.asarray(out.pg_advantage)}


def main() -> None:
    """Writes the file; float32 goes through JSON's decimals and back without loss."""
    cases = []
    for seed, settings in enumerate(RLAX_SETTINGS):
        sequence = random_sequence(seed, LENGTH)
        arrays = sequence | rlax_vtrace(sequence, settings)
        cases.append({"settings": settings} | {k: v.tolist() for k, v in arrays.items()})
    golden = {"made_by": f"rlax {version('rlax')}", "cases": cases}
    PATH.parent.mkdir(exist_ok=True)
    PATH.write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    main()
