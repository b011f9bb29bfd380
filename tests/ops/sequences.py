"""Random sequences, and the settings of V-trace that are compared with rlax on them."""

import numpy as np

# rlax has no c_bar (it clips the trace at 1), so none here.
RLAX_SETTINGS = [
    {},
    {"lambda_": 0.9},
    {"lambda_": 0.0},
    {"rho_bar": 1.7, "pg_rho_bar": 0.8},
    {"rho_bar": 0.6, "pg_rho_bar": 3.0, "lambda_": 0.95},
    {"alpha": 0.5},
    {"alpha": 0.0, "lambda_": 0.8},
    {"alpha": 0.9, "rho_bar": 1.3, "pg_rho_bar": 2.0, "masked": True},
    {"masked": True},
]


def random_sequence(seed: int, length: int) -> dict[str, np.ndarray]:
    """float32 sequence with about one termination in five steps, ratios on both sides of 1."""
    generator = np.random.default_rng(seed)
    terminated = generator.random(length) < 0.2
    return {
        "values": generator.normal(size=length + 1).astype(np.float32),
        "rewards": generator.normal(size=length).astype(np.float32),
        "discounts": (0.97 * ~terminated).astype(np.float32),
        "ratios": np.exp(0.7 * generator.normal(size=length)).astype(np.float32),
        "sample_mask": generator.random(length) < 0.7,
    }
